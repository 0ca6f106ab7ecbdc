"""What was in flight at a save, and so is trained again after a resume.

    in_flight = InFlight.of(snapshot, counts_records=True)
    in_flight.in_words()       # "6 were in flight (2,400 records, ...)"

An item is in flight until its last record was trained, so a shuffle buffer of
several items keeps several of them in flight.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from wq_hooks.core.items.slice_text import parse_slice
from wq_hooks.core.position.snapshot import Snapshot

# A consumer holds one item, and another one while it passes on to it.
_USUAL = 2


@dataclass(frozen=True)
class InFlight:
    """The items that were held when a snapshot was taken.

    Attributes:
      num_items: Number of these items.
      num_records: Number of their records; None: not known.
      most_of_one: Most items that one consumer held.
    """

    num_items: int
    num_records: int | None
    most_of_one: int

    @classmethod
    def of(cls, snapshot: Snapshot, *, counts_records: bool) -> InFlight:
        """Returns what a snapshot says.

        Args:
          snapshot: The position.
          counts_records: Whether the ends of slices are counted in records,
            not in bytes.
        """
        held = [item for item in snapshot.outstanding if item.holder]
        lengths = [_length_of(item.text) for item in held]
        is_known = counts_records and held and None not in lengths
        holders = Counter(item.holder for item in held)
        return cls(
            len(held),
            sum(length or 0 for length in lengths) if is_known else None,
            max(holders.values(), default=0),
        )

    def in_words(self) -> str:
        """Returns it for the line at a resume."""
        words = f"{self.num_items} were in flight"
        if not self.num_items:
            return words
        if self.num_records is None:
            return f"{words} (to be trained again)"
        return f"{words} ({self.num_records:,} records, to be trained again)"

    def is_much(self, num_completed: int) -> bool:
        """Whether a buffer has held more items than were completed."""
        return self.num_items > num_completed and self.most_of_one > _USUAL


def _length_of(text: str) -> int | None:
    try:
        part = parse_slice(text)
    except ValueError:
        # A position is data: anything may be in it.
        return None
    if part.start is None or part.end is None:
        return None
    return part.end - part.start
