"""How long the items of one reader took: training, and waiting for data.

    times = ItemTimes()
    times.begin(now)                        # an item goes to the reader
    times.count({slot: 12})                 # 12 of its records were trained
    times.settle(now, waited_secs=3.2)      # what was waited for in all
    times.take(slot)                        # (4.1, 0.9)

The time of a reader is shared out among the items whose records were trained
in it. So the times of all its items add up to the time that has passed, also
where a shuffle buffer mixes their records. Pure: the clock is a parameter.
"""

from __future__ import annotations

import collections
from collections.abc import Mapping


class ItemTimes:
    """Shares out the time of one reader; not for several threads."""

    def __init__(self) -> None:
        self._settled: float | None = None
        self._waited_secs = 0.0
        # Parts that were trained and have no time yet, by slot.
        self._fresh = collections.Counter[int]()
        self._times: dict[int, tuple[float, float]] = {}

    def begin(self, now: float) -> None:
        """Notes that an item goes to the reader, at a time in seconds."""
        if self._settled is None:
            self._settled = now

    def count(self, parts: Mapping[int, int]) -> None:
        """Notes that so many records, or batches, of each slot were trained."""
        self._fresh.update(parts)

    def settle(self, now: float, waited_secs: float) -> None:
        """Shares out the time since the last call.

        Args:
          now: Time in seconds.
          waited_secs: Seconds that the train loop has waited for data in all.
        """
        total = sum(self._fresh.values())
        if self._settled is None or total <= 0:
            # What was waited for belongs to the records that come of it.
            return
        secs = max(now - self._settled, 0.0)
        waited = min(max(waited_secs - self._waited_secs, 0.0), secs)
        self._settled, self._waited_secs = now, waited_secs
        for slot, number in self._fresh.items():
            share = number / total
            train, wait = self._times.get(slot, (0.0, 0.0))
            self._times[slot] = (
                train + share * (secs - waited),
                wait + share * waited,
            )
        self._fresh.clear()

    def take(self, slot: int) -> tuple[float, float] | None:
        """Returns secs of training and of waiting of an item, and forgets it.

        None: nothing of it has come.
        """
        return self._times.pop(slot, None)

    def clear(self) -> None:
        """Forgets all items, and begins again with the next one."""
        self._settled = None
        self._fresh.clear()
        self._times.clear()
