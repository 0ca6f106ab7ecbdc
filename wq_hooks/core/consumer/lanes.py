"""Lanes: where items are read one after the other, and their records counted.

    lane = Lane(batch_size=0)
    lane.item = Item(slot, claim, "part-7")
    lane.num_parts(num_read=12, num_batches=0)

A lane reads items one after the other, and counts all
records that it has read. The count at which an item begins is the one at which
the item before it has ended.

A lane whose records stay in order may make batches of them itself, and count
those, too. Then the number of the batch (`batch_number`) travels instead
of the slot: the items of which it may have records are those that were open
while it was made. Where an item has ended with a batch, the next one has none
of it; that is known as long as all batches were full and have come in order,
none lost to an error.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from wq_hooks.core.protocol.messages import Claim

# How many batches a lane may make: a year of batches of one record. And how
# many lanes in a row have numbers of batches that differ.
MAX_BATCHES = 1 << 42
MAX_LANES = 1 << 20


def batch_number(lane: Any, index: Any) -> Any:
    """Returns what stands for a batch that a lane has made; no slot is < 0.

    Args:
      lane: Number of the lane; an int or a tensor.
      index: How many batches it has made before; likewise.
    """
    return -1 - (lane % MAX_LANES * MAX_BATCHES + index)


@dataclass
class Item:
    """An item that was passed on and is not completed.

    It consists of parts: records, or batches where its lane makes batches.
    """

    slot: int
    claim: Claim
    name: str
    lane: Lane | None = None  # None until it is opened
    num_read_before: int = 0  # by its lane
    begin: int = 0  # the same, in parts
    is_read: bool = False
    is_kept: bool = False  # while it is open, to be read a second time
    num_trained: int = 0
    num_parts: int | None = None  # None while it is being read
    num_records: int = 0  # likewise 0
    # Whether the last of its batches may have none of its records.
    is_last_doubtful: bool = False
    # Known at its end; until then, a batch may have been taken for one of its.
    is_empty: bool = False
    # What somebody has found out who has looked ahead: that it has so many
    # records at least, and whether those are all.
    num_known: int = 0
    is_size_known: bool = False

    @property
    def is_completed(self) -> bool:
        """Whether all its records were trained."""
        return self.is_empty or self.num_trained == self.num_parts

    @property
    def end(self) -> float:
        """The count of the lane behind its last part."""
        if self.num_parts is None:
            return math.inf
        return self.begin + self.num_parts

    @end.setter
    def end(self, end: float) -> None:
        if self.num_parts is not None:
            self.num_parts = int(end) - self.begin


@dataclass
class Lane:
    """Where a lane stands."""

    batch_size: int  # 0: it makes no batches
    item: Item | None = None  # which it reads
    # How many of its batches have come; None: not in order.
    num_in_order: int | None = 0
    # How many records these have.
    num_records_in_order: int = 0
    has_ended: bool = False
    # How many records it had read when its last item was found to have ended.
    num_read_at_end: float = math.inf

    def num_parts(self, num_read: int, num_batches: int) -> int | None:
        """Returns how many parts its item has so far; None: it is not known.

        Args:
          num_read: How many records it has read by now.
          num_batches: How many batches it has made.
        """
        if self.item is None:
            return None
        if not self.batch_size:
            return num_read - self.item.begin
        # One that is under way may have some of it.
        is_certain = self.is_all_in(num_read, num_batches)
        return num_batches - self.item.begin if is_certain else None

    def is_all_in(self, num_read: int, num_batches: int) -> bool:
        """Whether all records that were read have come, in batches in order.

        The last batch of all may have fewer records than the others.
        """
        return (
            self.num_in_order == num_batches
            and self.num_records_in_order == num_read
        )
