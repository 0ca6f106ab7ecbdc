"""Which items are completed, counted by the records that were trained.

    tracker.start(slot, claim, name)   # an item goes to the reader
    tracker.read(slot, 1024)           # a chunk of so many records came out
    tracker.end_of_item(slot, 1)       # and no more will, after one chunk
    tracker.begin_batch()              # a batch goes to the train step
    tracker.deliver(slot, 512)         # with so many records of this item
    tracker.take_completed()           # items whose last record was trained

A slot is a number that the consumer gives to each item that it passes on; each
record carries it through the pipeline. A batch counts as trained when the one
after it is asked for. Without TensorFlow.
"""

from __future__ import annotations

import collections
import threading
from dataclasses import dataclass

from wq_hooks.core.messages import Claim


@dataclass
class _Open:
    """An item that was passed on and is not completed."""

    claim: Claim
    name: str
    num_chunks: int = 0
    num_read: int = 0
    num_trained: int = 0
    is_read: bool = False


class RecordTracker:
    """Counts records of each item; may be used from several threads.

    Args:
      num_clients: How many batches are being trained at a time.
    """

    def __init__(self, num_clients: int = 1):
        self.num_trained = 0
        self.num_dropped = 0
        self._num_clients = num_clients
        self._lock = threading.Lock()
        self._open: dict[int, _Open] = {}
        self._in_training: collections.deque[collections.Counter[int]] = (
            collections.deque()
        )
        self._completed: list[Claim] = []

    def start(self, slot: int, claim: Claim, name: str = "") -> None:
        """Notes that an item is passed on to the reader."""
        with self._lock:
            self._open[slot] = _Open(claim, name)

    def read(self, slot: int, num_records: int) -> None:
        """Notes that one more chunk of an item was read."""
        with self._lock:
            item = self._open.get(slot)
            if item is not None:
                item.num_chunks += 1
                item.num_read += num_records

    def end_of_item(self, slot: int, num_chunks: int) -> str | None:
        """Notes that an item has no more records.

        Args:
          slot: Of the item.
          num_chunks: How many chunks the reader has gone through. If fewer
            were read, it has failed at the others, and the item stays open.

        Returns:
          The name of the item if its reader has failed, otherwise None.
        """
        with self._lock:
            item = self._open.get(slot)
            if item is None:
                return None
            if item.num_chunks != num_chunks:
                return item.name
            item.is_read = True
            self._complete_if_trained(slot)
            return None

    def unread(self) -> list[str]:
        """Returns the names of the items that were not read to their end."""
        with self._lock:
            return [i.name for i in self._open.values() if not i.is_read]

    def begin_batch(self) -> None:
        """Notes that a batch goes to the train step; `deliver` fills it."""
        with self._lock:
            self._in_training.append(collections.Counter())
            while len(self._in_training) > self._num_clients:
                self._train(self._in_training.popleft())

    def deliver(self, slot: int, num_records: int) -> None:
        """Notes that the batch begun last has so many records of an item."""
        with self._lock:
            self._in_training[-1][slot] += num_records

    def drop(self, slot: int, num_records: int) -> None:
        """Notes that records were left out on purpose: they count as seen."""
        with self._lock:
            self._count(slot, num_records)

    def finish(self) -> int:
        """Notes that the pipeline has come to its end.

        What was read and never delivered, such as the rest that
        `drop_remainder=True` leaves, was dropped for good: it counts as seen.

        Returns:
          How many records those were.
        """
        with self._lock:
            while self._in_training:
                self._train(self._in_training.popleft())
            dropped = 0
            for slot, item in list(self._open.items()):
                if item.is_read:
                    dropped += item.num_read - item.num_trained
                    self._completed.append(item.claim)
                    del self._open[slot]
            self.num_dropped += dropped
            return dropped

    def take_completed(self) -> list[Claim]:
        """Returns the items completed since the last call."""
        with self._lock:
            completed, self._completed = self._completed, []
            return completed

    def _train(self, batch: collections.Counter[int]) -> None:
        for slot, num_records in batch.items():
            self.num_trained += num_records
            self._count(slot, num_records)

    def _count(self, slot: int, num_records: int) -> None:
        item = self._open.get(slot)
        if item is not None:
            item.num_trained += num_records
            self._complete_if_trained(slot)

    def _complete_if_trained(self, slot: int) -> None:
        item = self._open[slot]
        if item.is_read and item.num_trained >= item.num_read:
            self._completed.append(item.claim)
            del self._open[slot]
