"""The tail: who should take no more items, so that the job ends sooner.

    held_back = useless_at_the_end(paces, lengths=[1.0] * 3, now=t)

First come, first served ends with one item of the slowest consumer, begun just
before the others are done. Near the end, an item is worth more with a consumer
that finishes it earlier, even if that one is busy now: the rule of earliest
completion time for machines of different speeds (Ibarra and Kim, "Heuristic
Algorithms for Scheduling Independent Tasks on Nonidentical Processors", JACM
1977). Items are long or short, and handed out in their order: a consumer that
is shut out from a long one may be let in to a short one behind it.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

# Estimates scatter: who would finish this much later (in items of its own) is
# still let in. Who is not waits for 20 ms at least, for which a gain of less
# than half of that is not worth it.
_SLACK = 0.05
_SLACK_SECS = 0.01
# Of so many items that differ each is looked at; else only their mean.
_MAX_DIFFERENT = 1000
_ABOUT_EQUAL = 1.1


@dataclass(frozen=True)
class Pace:
    """How fast a consumer is.

    Attributes:
      name: Name of the consumer.
      secs_per_unit: How long it takes for an item of length 1, above 0.
      free_at: Time at which it will have completed its items, in seconds.
    """

    name: str
    secs_per_unit: float
    free_at: float

    def end_of(self, length: float) -> float:
        """Returns when it would have completed one item more, in seconds."""
        return self.free_at + self.secs_per_unit * length


def useless_at_the_end(
    paces: Sequence[Pace], lengths: Sequence[float], now: float
) -> frozenset[str]:
    """Returns the consumers that would only make the end later.

    Args:
      paces: Paces of all consumers that are there.
      lengths: Lengths of the items that nobody has yet, as they are handed out;
        above 0.
      now: Time in seconds.

    Returns:
      Names of those that would complete the next item later than all together
      could complete all that remain.
    """
    if not paces or not lengths:
        return frozenset()
    total = sum(lengths)
    rate = sum(1.0 / pace.secs_per_unit for pace in paces)
    latest = max(pace.end_of(lengths[0]) for pace in paces)
    # With so many items everybody has some to do; the usual case.
    if now + total / rate >= latest:
        return frozenset()
    num_items = len(lengths)
    are_equal = max(lengths) <= _ABOUT_EQUAL * min(lengths)
    if are_equal or num_items > _MAX_DIFFERENT:
        end = end_of_equal(paces, num_items, total / num_items)
    else:
        end = _end_of_different(paces, lengths)
    return frozenset(
        pace.name
        for pace in paces
        if min(
            pace.end_of((1.0 - _SLACK) * lengths[0]),
            pace.end_of(lengths[0]) - _SLACK_SECS,
        )
        > end
    )


def end_of_equal(paces: Sequence[Pace], num_items: int, length: float) -> float:
    """Returns the earliest time by which `num_items` can be completed."""

    def is_enough(time: float) -> bool:
        num_done = 0
        for pace in paces:
            secs = time - pace.free_at
            if secs > 0:
                num_done += math.floor(secs / (pace.secs_per_unit * length))
        return num_done >= num_items

    # The end is one of the consumers' completion times; 60 halvings of an
    # interval of any length in use leave less than a microsecond.
    return _least(is_enough, paces, num_items * length, 60)


def _end_of_different(paces: Sequence[Pace], lengths: Sequence[float]) -> float:
    """Returns about the earliest time by which all items can be completed."""

    def is_enough(time: float) -> bool:
        # The one who is free first takes the next item, if it completes it in
        # time, or else waits for a shorter one.
        free = [(pace.free_at, pace.secs_per_unit) for pace in paces]
        heapq.heapify(free)
        # By the longest item that each could still complete.
        waiting: list[tuple[float, float, float]] = []
        begun = -math.inf
        for length in lengths:
            while waiting and -waiting[0][0] >= length:
                _, free_at, secs = heapq.heappop(waiting)
                heapq.heappush(free, (max(free_at, begun), secs))
            while free:
                free_at, secs = free[0]
                if free_at + secs * length <= time:
                    heapq.heapreplace(free, (free_at + secs * length, secs))
                    begun = free_at
                    break
                heapq.heappop(free)
                longest = (time - free_at) / secs
                heapq.heappush(waiting, (-longest, free_at, secs))
            else:
                return False
        return True

    return _least(is_enough, paces, sum(lengths), 20)


def _least(
    is_enough: Callable[[float], bool],
    paces: Sequence[Pace],
    total: float,
    num_halvings: int,
) -> float:
    """Returns the least time that is enough."""
    low = min(pace.free_at for pace in paces)
    high = min(pace.end_of(total) for pace in paces)
    for _ in range(num_halvings):
        middle = (low + high) / 2
        if is_enough(middle):
            high = middle
        else:
            low = middle
    return high
