"""Which items are completed, told by the records that were trained.

    tracker.start(slot, claim, name)    # an item goes to the reader
    tracker.open(slot, lane, num_read)  # whose records follow in this lane
    tracker.begin_batch()               # a batch goes to the train step,
    tracker.deliver(slot, 12)           # with 12 records of the item
    tracker.take_completed()            # items whose last record was trained

A slot is a number that the consumer gives to each item that it passes on; it
travels with each record. A lane reads items one after the other, and counts all
records that it has read. The count at which an item begins is the one at which
the item before it has ended.

A record that was lost in the pipeline, since a reader or a function has failed
at it, was counted and never comes: its item stays open. A batch counts as
trained when the one after it is asked for. Without TensorFlow.
"""

from __future__ import annotations

import collections
import threading
from dataclasses import dataclass

from wq_hooks.core.messages import Claim


@dataclass
class _Item:
    """An item that was passed on and is not completed."""

    slot: int
    claim: Claim
    name: str
    num_trained: int = 0
    num_records: int | None = None  # None while it is being read

    @property
    def is_completed(self) -> bool:
        return self.num_trained == self.num_records


@dataclass
class _Lane:
    """Where a lane stands."""

    slot: int  # of the item that it reads
    num_read: int  # before this item


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

    def open(self, slot: int, lane: int, num_read: int) -> None:
        """Notes that a lane begins to read an item, and has ended the last.

        Args:
          slot: Of the item.
          lane: Its number.
          num_read: How many records the lane has read before.
        """
        with self._lock:
            self._end_item(lane, num_read)
            self._lanes[lane] = _Lane(slot, num_read)

    def end_lane(self, lane: int, num_read: int) -> None:
        """Notes that a lane has read its last item to the end."""
        with self._lock:
            self._end_item(lane, num_read)

    def begin_batch(self) -> None:
        """Notes that a batch goes to the train step; `deliver` fills it."""
        with self._lock:
            self._in_training.append(collections.Counter())
            while len(self._in_training) > self._num_clients:
                self._train(self._in_training.popleft())

    def deliver(self, slot: int, num_records: int) -> None:
        """Notes that the batch begun last has records of an item."""
        with self._lock:
            if self._in_training:
                self._in_training[-1][slot] += num_records

    def drop(self, slot: int, num_records: int) -> None:
        """Notes that records were left out on purpose: they count as seen."""
        with self._lock:
            self.num_dropped += num_records
            self._count(slot, num_records)

    def finish(self, num_in_training: int = 0) -> list[str]:
        """Notes that the pipeline has come to its end.

        Args:
          num_in_training: How many of the last batches may not be trained yet,
            where something behind the pipeline runs ahead.

        Returns:
          The names of the items of which records were lost: they stay open.
        """
        with self._lock:
            while len(self._in_training) > num_in_training:
                self._train(self._in_training.popleft())
            waits = sum(self._in_training, collections.Counter[int]())
            return [
                item.name
                for item in self._items.values()
                if item.num_trained + waits[item.slot] != item.num_records
            ]

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
            open_items = [i for i in self._items.values() if not i.is_completed]
            for item in open_items:
                del self._items[item.slot]
            self._lanes.clear()
            self._in_training.clear()
            return [item.claim for item in open_items]

    def take_completed(self) -> list[Claim]:
        """Returns the items completed since the last call."""
        with self._lock:
            completed = [i for i in self._items.values() if i.is_completed]
            for item in completed:
                del self._items[item.slot]
            return [item.claim for item in completed]

    def under_way(self) -> list[str]:
        """Returns the names of the items that are open, in order."""
        with self._lock:
            return [i.name for i in self._items.values() if not i.is_completed]

    def take_num_trained(self) -> int:
        """Returns how many records were trained since the last call."""
        with self._lock:
            fresh = self.num_trained - self._num_told
            self._num_told = self.num_trained
            return fresh

    def _end_item(self, lane: int, num_read: int) -> None:
        """Notes how many records the item had that a lane was reading."""
        ended = self._lanes.pop(lane, None)
        item = None if ended is None else self._items.get(ended.slot)
        if ended is not None and item is not None:
            item.num_records = num_read - ended.num_read

    def _train(self, batch: collections.Counter[int]) -> None:
        for slot, num_records in batch.items():
            self.num_trained += num_records
            self._count(slot, num_records)

    def _count(self, slot: int, num_records: int) -> None:
        item = self._items.get(slot)
        if item is not None:
            item.num_trained += num_records
