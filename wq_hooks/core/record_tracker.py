"""Which items are completed, told by the records that were trained.

    tracker.start(slot, claim, name)     # an item goes to the reader
    tracker.open(slot, lane)             # whose records follow in this lane
    tracker.begin_batch()                # a batch goes to the train step,
    tracker.deliver(slot, 12, 500, 511)  # with 12 records, 500 to 511
    tracker.take_completed()             # items whose last record was trained

A slot is a number that the consumer gives to each item that it passes on. A
lane reads items one after the other and numbers its records from 0, across the
items. Slot and number travel with the record. How many records an item has is
told by its neighbours: all of its numbers lie between the last one of the items
before it and the first one of those behind it. Nothing has to be counted where
the records are read, which would cost more than to read them.

A record that was lost in the pipeline, since a reader or a function has failed
at it, leaves a number that never comes: its item stays open. A batch counts as
trained when the one after it is asked for. Without TensorFlow.
"""

from __future__ import annotations

import collections
import threading
from dataclasses import dataclass, field

from wq_hooks.core.messages import Claim


@dataclass
class _Item:
    """An item that was passed on and is not completed."""

    slot: int
    claim: Claim
    name: str
    lane: int | None = None
    num_trained: int = 0
    first: int | None = None  # the least number that was delivered
    last: int = -1  # the greatest
    is_completed: bool = False


@dataclass
class _Lane:
    """Items that were read one after the other, the completed left out."""

    items: list[_Item] = field(default_factory=list)
    start: int = 0  # no number of `items` is less


class RecordTracker:
    """Knows the records of each item; may be used from several threads.

    Args:
      num_clients: How many batches are being trained at a time.
    """

    def __init__(self, num_clients: int = 1):
        self.num_trained = 0
        self.num_dropped = 0
        self._num_clients = num_clients
        self._lock = threading.Lock()
        self._items: dict[int, _Item] = {}
        self._lanes: dict[int, _Lane] = {}
        self._in_training: collections.deque[collections.Counter[int]] = (
            collections.deque()
        )
        self._num_told = 0

    def start(self, slot: int, claim: Claim, name: str = "") -> None:
        """Notes that an item is passed on to the reader."""
        with self._lock:
            self._items[slot] = _Item(slot, claim, name)

    def open(self, slot: int, lane: int) -> None:
        """Notes that a lane begins to read an item, behind all before it."""
        with self._lock:
            item = self._items.get(slot)
            if item is not None and item.lane is None:
                item.lane = lane
                self._lanes.setdefault(lane, _Lane()).items.append(item)

    def begin_batch(self) -> None:
        """Notes that a batch goes to the train step; `deliver` fills it."""
        with self._lock:
            self._in_training.append(collections.Counter())
            while len(self._in_training) > self._num_clients:
                self._train(self._in_training.popleft())

    def deliver(
        self, slot: int, num_records: int, first: int, last: int
    ) -> None:
        """Notes that the batch begun last has records of an item.

        Args:
          slot: Of the item.
          num_records: How many.
          first: The least of their numbers.
          last: The greatest.
        """
        with self._lock:
            self._see(slot, first, last)
            if self._in_training:
                self._in_training[-1][slot] += num_records

    def drop(self, slot: int, num_records: int, first: int, last: int) -> None:
        """Notes that records were left out on purpose: they count as seen."""
        with self._lock:
            self.num_dropped += num_records
            self._see(slot, first, last)
            self._count(slot, num_records)

    def finish(self) -> list[str]:
        """Notes that the pipeline has come to its end.

        Returns:
          The names of the items of which records were lost: they stay open.
        """
        with self._lock:
            while self._in_training:
                self._train(self._in_training.popleft())
            for lane in self._lanes.values():
                # An end for the last ones, whose neighbours never come.
                known = max((item.last for item in lane.items), default=-1)
                end = max(lane.start, known + 1)
                self._complete(lane, end)
            return self._names_of_open()

    def train_delivered(self) -> None:
        """Notes that every batch delivered so far was trained."""
        with self._lock:
            while self._in_training:
                self._train(self._in_training.popleft())

    def abandon(self) -> list[Claim]:
        """Notes that the pipeline will not be asked for more.

        Returns:
          The items that it has not finished, which are forgotten.
        """
        with self._lock:
            for lane in self._lanes.values():
                self._complete(lane, None)
            open_items = [i for i in self._items.values() if not i.is_completed]
            for item in open_items:
                del self._items[item.slot]
            self._lanes.clear()
            self._in_training.clear()
            return [item.claim for item in open_items]

    def take_completed(self) -> list[Claim]:
        """Returns the items completed since the last call."""
        with self._lock:
            for lane in self._lanes.values():
                self._complete(lane, None)
            completed = [i for i in self._items.values() if i.is_completed]
            for item in completed:
                del self._items[item.slot]
            return [item.claim for item in completed]

    def under_way(self) -> list[str]:
        """Returns the names of the items that are open, in order."""
        with self._lock:
            return self._names_of_open()

    def _names_of_open(self) -> list[str]:
        return [i.name for i in self._items.values() if not i.is_completed]

    def _see(self, slot: int, first: int, last: int) -> None:
        item = self._items.get(slot)
        if item is not None:
            item.first = first if item.first is None else min(item.first, first)
            item.last = max(item.last, last)

    def take_num_trained(self) -> int:
        """Returns how many records were trained since the last call."""
        with self._lock:
            fresh = self.num_trained - self._num_told
            self._num_told = self.num_trained
            return fresh

    def _train(self, batch: collections.Counter[int]) -> None:
        for slot, num_records in batch.items():
            self.num_trained += num_records
            self._count(slot, num_records)

    def _count(self, slot: int, num_records: int) -> None:
        item = self._items.get(slot)
        if item is not None:
            item.num_trained += num_records

    @staticmethod
    def _complete(lane: _Lane, end: int | None) -> None:
        """Marks the items of which all possible numbers were trained.

        Args:
          lane: Of the items.
          end: No number of the lane is as great; None: not known.
        """
        ends: list[int | None] = []
        for item in reversed(lane.items):
            ends.append(end)
            end = end if item.first is None else item.first
        start = lane.start
        for item, end_of_item in zip(lane.items, reversed(ends)):
            if end_of_item is not None:
                num_possible = end_of_item - start
                item.is_completed |= item.num_trained == num_possible
            start = max(start, item.last + 1)
        while lane.items and lane.items[0].is_completed:
            lane.start = max(lane.start, lane.items.pop(0).last + 1)
