"""Which items are completed, told by the records that were trained.

    tracker = RecordTracker()
    tracker.items.start(slot, claim)    # an item goes to the reader
    tracker.deliver({slot: 12})         # a batch with 12 of its records goes
                                        # to the train step
    tracker.items.take_completed()      # items whose last record was trained

`open_items.py` says what an item consists of, and when it has ended. A batch
that a thread has made ahead of the train step is ready, and delivered when it
is fetched. When it counts as trained, `batches_in_training.py` says. Without
TensorFlow.
"""

from __future__ import annotations

import collections
import itertools
import math
from collections.abc import Mapping

from wq_hooks.core.consumer.batches_in_training import (
    Batch,
    BatchesInTraining,
    Watch,
)
from wq_hooks.core.consumer.item_times import ItemTimes
from wq_hooks.core.consumer.open_items import OpenItems
from wq_hooks.core.ledger.consumer_state import Measure
from wq_hooks.core.protocol.messages import Claim


class RecordTracker:
    """Knows the records of each item; may be used from several threads.

    Args:
      num_parallel_steps: How many batches are being trained at a time.
    """

    def __init__(self, num_parallel_steps: int = 1):
        self.num_trained = 0
        self.num_dropped = 0
        self.items = OpenItems()
        self.times = ItemTimes()
        self._lock = self.items.lock
        self._in_training = BatchesInTraining(num_parallel_steps)
        # Of the iteration that is read; None: nobody says which.
        self._iteration: int | None = None
        # By iteration: the batches that were not fetched yet, by number.
        self._ready: dict[int, dict[int, Batch]] = {}
        self._num_told = 0

    def begin_iteration(self, iteration: int, watch: Watch) -> None:
        """Notes that all batches that follow are of a new iteration.

        Those of the former one that are not known to be trained were not.

        Args:
          iteration: Number of the iteration.
          watch: How it shows what was trained.
        """
        with self._lock:
            self._iteration = iteration
            self._ready.clear()
            self._in_training.begin(watch)

    def deliver(
        self, records: Mapping[int, int], iteration: int | None = None
    ) -> None:
        """Notes that a batch leaves the pipeline, for the train step.

        Args:
          records: How many records of each slot, or of each batch that a lane
            has made, it has.
          iteration: Iteration that the batch belongs to; None: the one
            that is read.
        """
        with self._lock:
            batch = self.items.batch_of(records)
            if iteration is None or self._is_read(iteration):
                self._deliver(batch)

    def make_ready(
        self, iteration: int, number: int, records: Mapping[int, int]
    ) -> None:
        """Notes that a batch waits to be fetched.

        Args:
          iteration: Iteration that the batch belongs to.
          number: Number of the batch, in order.
          records: See `deliver`.
        """
        with self._lock:
            batch = self.items.batch_of(records)
            if self._is_read(iteration):
                self._ready.setdefault(iteration, {})[number] = batch

    def fetch(self, iteration: int, number: int) -> None:
        """Notes that the batches of an iteration were fetched up to a number.

        They go to the train step. Batches are made ready before.
        """
        with self._lock:
            self._fetch(iteration, number)

    def pass_on(self, num_batches: int) -> None:
        """Notes how many batches of the iteration the train loop has fetched.

        They have passed what stands between it and the pipeline.
        """
        with self._lock:
            self._in_training.pass_on(num_batches)
            self._count_trained()

    def drop(self, records: Mapping[int, int]) -> None:
        """Notes that records were left out on purpose: they count as seen.

        Args:
          records: See `deliver`.
        """
        with self._lock:
            batch = self.items.batch_of(records)
            self.num_dropped += batch.num_records
            self.items.count(batch.parts)

    def expect_more(self, records: Mapping[int, int]) -> None:
        """Notes that an element more may come of records that are divided.

        Args:
          records: Slots, and how many records it counts as of each.
        """
        with self._lock:
            self.items.count(
                {slot: -number for slot, number in records.items()}
            )

    def end_division(self, records: Mapping[int, int]) -> None:
        """Notes that all elements have come of records that are divided.

        Args:
          records: The records, and the element that was expected last.
        """
        with self._lock:
            self.items.count(records)

    def finish(self, iteration: int, num_in_training: int = 0) -> list[str]:
        """Notes that an iteration has come to the end of the pipeline.

        Args:
          iteration: All its batches were fetched.
          num_in_training: How many of the last batches may not be trained yet,
            where something behind the pipeline runs ahead.

        Returns:
          The names of the items of which records were lost: they stay open.
        """
        with self._lock:
            self._fetch(iteration, math.inf)
            self._ready.pop(iteration, None)
            if self._is_read(iteration):
                self._in_training.end(num_in_training)
                self._count_trained()
            ready = (batches.values() for batches in self._ready.values())
            waits = collections.Counter[int]()
            for batch in itertools.chain(self._in_training, *ready):
                waits.update(batch.parts)
            return self.items.lost_in_pipeline(waits)

    @property
    def is_unknown(self) -> bool:
        """Whether batches wait of which nobody can tell if they are trained."""
        with self._lock:
            is_unseen = self._in_training.watch is Watch.UNSEEN
            return is_unseen and len(self._in_training) > 0

    def end_seen(self, num_in_training: int = 0) -> None:
        """Notes that the train loop has met the end of its data.

        Args:
          num_in_training: How many of the last batches may not be trained yet.
        """
        with self._lock:
            self._in_training.end_seen(num_in_training)
            self._count_trained()

    def train(self, num_batches: int) -> None:
        """Notes that steps have trained so many batches more, in order."""
        with self._lock:
            self._in_training.train(num_batches)
            self._count_trained()

    def train_delivered(self) -> None:
        """Notes that every batch known to have gone to a step was trained."""
        with self._lock:
            self._in_training.train_fetched()
            self._count_trained()

    def train_through(self) -> None:
        """Notes that the train loop is through with what it was given."""
        with self._lock:
            self._in_training.train_through()
            self._count_trained()

    def abandon(self) -> list[Claim]:
        """Notes that the pipeline will not be asked for more.

        Returns:
          The items that it has not finished, which are forgotten.
        """
        with self._lock:
            self._in_training.clear()
            self._ready.clear()
            self.times.clear()
            return self.items.abandon()

    def take_measured(
        self, now: float, waited_secs: float | None
    ) -> list[tuple[Claim, Measure]]:
        """Returns the items completed since the last call, and their cost.

        Args:
          now: Time in seconds.
          waited_secs: Seconds that the train loop has waited for data in all;
            None: nobody knows.
        """
        with self._lock:
            if waited_secs is not None:
                self.times.settle(now, waited_secs)
            return [
                (
                    item.claim,
                    Measure(
                        item.num_records, *self.times.take(item.slot) or ()
                    ),
                )
                for item in self.items.take_completed()
            ]

    def take_num_trained(self) -> int:
        """Returns how many records were trained since the last call."""
        with self._lock:
            fresh = self.num_trained - self._num_told
            self._num_told = self.num_trained
            return fresh

    def _is_read(self, iteration: int) -> bool:
        """Whether the train loop reads an iteration, and no later one."""
        return self._iteration in (None, iteration)

    def _fetch(self, iteration: int, number: float) -> None:
        batches = self._ready.get(iteration, {})
        for fetched in sorted(n for n in batches if n <= number):
            self._deliver(batches.pop(fetched))

    def _deliver(self, batch: Batch) -> None:
        self._in_training.deliver(batch)
        self._count_trained()

    def _count_trained(self) -> None:
        for batch in self._in_training.take_trained():
            self.num_trained += batch.num_records
            self.items.count(batch.parts)
            self.times.count(batch.parts)
