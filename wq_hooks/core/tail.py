"""The tail: who should take no more items, so that the job ends sooner.

    barred = useless_at_the_end(paces, num_items=3, now=t)

First come, first served ends with one item of the slowest consumer, begun just
before the others are done. Near the end, an item is worth more with a consumer
that finishes it earlier, even if that one is busy now: the rule of earliest
completion time for machines of different speeds (Ibarra and Kim, "Heuristic
Algorithms for Scheduling Independent Tasks on Nonidentical Processors", JACM
1977). Items are taken to be equal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

# Estimates scatter: who would finish this much later (in items of its own) is
# still let in.
_SLACK = 0.05


@dataclass(frozen=True)
class Pace:
    """How fast a consumer is.

    Attributes:
      name: Of the consumer.
      secs_per_item: How long it takes for an item, above 0.
      free_at: When it will have completed what it holds, in seconds.
    """

    name: str
    secs_per_item: float
    free_at: float

    def finishes_by(self, time: float) -> int:
        """Returns how many further items it can complete until `time`."""
        return max(0, math.floor((time - self.free_at) / self.secs_per_item))


def useless_at_the_end(
    paces: Sequence[Pace], num_items: int, now: float
) -> frozenset[str]:
    """Returns the consumers that would only make the end later.

    Args:
      paces: Of all consumers that are there.
      num_items: Number of items that nobody has yet.
      now: In seconds.

    Returns:
      Names of those that would complete an item later than the others
      together complete all that remain.
    """
    if not paces or num_items <= 0:
        return frozenset()
    rate = sum(1.0 / pace.secs_per_item for pace in paces)
    latest = max(pace.free_at + pace.secs_per_item for pace in paces)
    # With so many items everybody has some to do; the usual case.
    if now + num_items / rate >= latest:
        return frozenset()
    end = _end_of(paces, num_items)
    return frozenset(
        pace.name
        for pace in paces
        if pace.free_at + (1.0 - _SLACK) * pace.secs_per_item > end
    )


def _end_of(paces: Sequence[Pace], num_items: int) -> float:
    """Returns the earliest time by which `num_items` can be completed."""
    low = min(pace.free_at for pace in paces)
    high = min(pace.free_at + num_items * pace.secs_per_item for pace in paces)
    # The end is one of the consumers' completion times; 60 halvings of an
    # interval of any length in use leave less than a microsecond.
    for _ in range(60):
        middle = (low + high) / 2
        if sum(pace.finishes_by(middle) for pace in paces) >= num_items:
            high = middle
        else:
            low = middle
    return high
