"""Which items are completed, told by the records that were trained.

    tracker.start(slot, claim, name)    # an item goes to the reader
    tracker.open(slot, lane, num_read)  # whose records follow in this lane
    tracker.begin_reading(slot)         # if the reader finds any way to them
    tracker.deliver({slot: 12})         # a batch with 12 of its records goes
                                        # to the train step
    tracker.take_completed()            # items whose last record was trained

A slot is a number that the consumer gives to each item that it passes on; it
travels with each record. A lane reads items one after the other, and counts all
records that it has read. The count at which an item begins is the one at which
the item before it has ended.

A lane whose records stay in order may make batches of them itself, and count
those, too. Then the number of the batch (`batch_number`) travels instead
of the slot: the items of which it may have records are those that were open
while it was made. Where an item has ended with a batch, the next one has none
of it; that is known as long as all batches were full and have come in order,
none lost to an error.

A record that was lost in the pipeline, since a reader or a function has failed
at it, was counted and never comes: its item stays open. That an item has ended
is known when its lane goes on, or before, to the one who looks ahead
(`unknown_ends`). A batch that a thread has made ahead of the train step is
ready, and delivered when it is fetched. When it counts as trained,
`batches_in_training.py` says. Without TensorFlow.
"""

from __future__ import annotations

import collections
import itertools
import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from wq_hooks.core.consumer.batches_in_training import (
    Batch,
    BatchesInTraining,
    Watch,
)
from wq_hooks.core.protocol.messages import Claim

# How many batches a lane may make: a year of batches of one record. And how
# many lanes in a row have numbers of batches that differ.
MAX_BATCHES = 1 << 42
_MAX_LANES = 1 << 20


def batch_number(lane: Any, index: Any) -> Any:
    """Returns what stands for a batch that a lane has made; no slot is < 0.

    Args:
      lane: Its number; an int or a tensor.
      index: How many batches it has made before; likewise.
    """
    return -1 - (lane % _MAX_LANES * MAX_BATCHES + index)


@dataclass
class _Item:
    """An item that was passed on and is not completed.

    It consists of parts: records, or batches where its lane makes batches.
    """

    slot: int
    claim: Claim
    name: str
    lane: _Lane | None = None  # None until it is opened
    num_read_before: int = 0  # by its lane
    begin: int = 0  # the same, in parts
    is_read: bool = False
    is_kept: bool = False  # while it is open, to be read a second time
    num_trained: int = 0
    num_parts: int | None = None  # None while it is being read
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
class _Lane:
    """Where a lane stands."""

    batch_size: int  # 0: it makes no batches
    item: _Item | None = None  # which it reads
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


class RecordTracker:
    """Knows the records of each item; may be used from several threads.

    Args:
      num_clients: How many batches are being trained at a time.
    """

    def __init__(self, num_clients: int = 1):
        self.num_trained = 0
        self.num_dropped = 0
        self._lock = threading.Lock()
        self._items: dict[int, _Item] = {}
        self._lanes: dict[int, _Lane] = {}
        self._in_training = BatchesInTraining(num_clients)
        # Of the iteration that is read; None: nobody says which.
        self._iteration: int | None = None
        # By iteration: the batches that were not fetched yet, by number.
        self._ready: dict[int, dict[int, Batch]] = {}
        self._num_told = 0
        # Items that were kept and are not open any more.
        self._closed: list[int] = []
        self._is_unsteady = False

    def start(self, slot: int, claim: Claim, name: str = "") -> None:
        """Notes that an item is passed on to the reader."""
        with self._lock:
            self._items[slot] = _Item(slot, claim, name)

    def open(
        self,
        slot: int,
        lane: int,
        num_read: int,
        *,
        num_batches: int = 0,
        batch_size: int = 0,
    ) -> None:
        """Notes that a lane begins to read an item, and has ended the last.

        Args:
          slot: Slot of the item.
          lane: Its number.
          num_read: How many records the lane has read before.
          num_batches: How many batches it has made before.
          batch_size: Number of records; 0: it makes none.
        """
        with self._lock:
            self._end_item(lane, num_read, num_batches)
            reading = self._lanes.setdefault(lane, _Lane(batch_size))
            item = self._items.get(slot)
            reading.item = item
            if item is not None:
                item.lane = reading
                item.num_read_before = num_read
                item.begin = num_batches if batch_size else num_read

    def begin_reading(self, slot: int, *, is_kept: bool = False) -> None:
        """Notes that the reader of an item can be asked for its records.

        One that fails before says nothing of how many there are: its item
        stays open.

        Args:
          slot: Slot of the item.
          is_kept: Whether somebody can look ahead; see `unknown_ends`.
        """
        with self._lock:
            item = self._items.get(slot)
            if item is not None:
                item.is_read = True
                item.is_kept = is_kept
            elif is_kept:
                self._closed.append(slot)

    def end_lane(self, lane: int, num_read: int, num_batches: int = 0) -> None:
        """Notes that a lane has read its last item to the end; see `open`."""
        with self._lock:
            self._end_item(lane, num_read, num_batches)
            ended = self._lanes.get(lane)
            if ended is None:
                return
            ended.has_ended = True
            for item in self._items.values():
                # There is no batch more, which could have some of it.
                is_clipped = num_batches < item.end < math.inf
                if item.lane is ended and ended.batch_size and is_clipped:
                    item.end = num_batches
                    item.is_last_doubtful = False
            self._forget_lanes()

    def begin_iteration(self, iteration: int, watch: Watch) -> None:
        """Notes that all batches that follow are of a new iteration.

        Those of the former one that are not known to be trained were not.

        Args:
          iteration: Its number.
          watch: How it shows what was trained.
        """
        with self._lock:
            self._iteration = iteration
            self._ready.clear()
            self._in_training.begin(watch)

    def unknown_ends(
        self, counts_of: Callable[[int], tuple[int, int]]
    ) -> list[tuple[int, int]]:
        """Returns the items whose records were trained, all that were read.

        They may have ended; their lanes would tell when asked for more. Those
        of which that is known are ended here.

        Args:
          counts_of: Returns how many records a lane has read by now, and
            batches made.

        Returns:
          [(slot, number of records that were read), ...]
        """
        with self._lock:
            found = []
            for number, lane in self._lanes.items():
                item = lane.item
                if item is None or not item.is_kept or self._is_unsteady:
                    continue
                num_read, num_batches = counts_of(number)
                num_own = num_read - item.num_read_before
                if num_own < max(item.num_known, 1):
                    continue
                if item.num_trained != lane.num_parts(num_read, num_batches):
                    continue
                if item.is_size_known and num_own == item.num_known:
                    self._end_item(number, num_read, num_batches)
                    lane.num_read_at_end = num_read
                else:
                    found.append((item.slot, num_own))
            return found

    def look_ahead(
        self, slot: int, num_known: int, *, is_size_known: bool
    ) -> None:
        """Notes what somebody has found out about an item; see `unknown_ends`.

        Args:
          slot: Slot of the item.
          num_known: How many records it has at least.
          is_size_known: Whether those are all.
        """
        with self._lock:
            item = self._items.get(slot)
            if item is not None:
                item.num_known = num_known
                item.is_size_known = is_size_known

    @property
    def is_unsteady(self) -> bool:
        """Whether an item went on that was found to have ended."""
        return self._is_unsteady

    def take_closed(self) -> list[int]:
        """Returns the slots of kept items that are not open any more."""
        with self._lock:
            closed, self._closed = self._closed, []
            return closed

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
            batch = self._batch_of(records)
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
            batch = self._batch_of(records)
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
            batch = self._batch_of(records)
            self.num_dropped += batch.num_records
            self._count(batch.parts)

    def expect_more(self, records: Mapping[int, int]) -> None:
        """Notes that an element more may come of records that are divided.

        Args:
          records: Slots, and how many records it counts as of each.
        """
        with self._lock:
            self._count({slot: -number for slot, number in records.items()})

    def end_division(self, records: Mapping[int, int]) -> None:
        """Notes that all elements have come of records that are divided.

        Args:
          records: Those, and the element that was expected last.
        """
        with self._lock:
            self._count(records)

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
            return [
                item.name
                for item in self._items.values()
                if not item.is_completed
                and item.num_trained + waits[item.slot] != item.num_parts
            ]

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
            return self._forget()

    def take_completed(self) -> list[Claim]:
        """Returns the items completed since the last call."""
        with self._lock:
            completed = [i for i in self._items.values() if i.is_completed]
            for item in completed:
                self._close(item)
            if completed:
                self._forget_lanes()
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

    def _forget(self) -> list[Claim]:
        open_items = [i for i in self._items.values() if not i.is_completed]
        for item in open_items:
            self._close(item)
        self._lanes.clear()
        self._in_training.clear()
        self._ready.clear()
        return [item.claim for item in open_items]

    def _close(self, item: _Item) -> None:
        del self._items[item.slot]
        if item.is_kept:
            self._closed.append(item.slot)

    def _forget_lanes(self) -> None:
        """Forgets lanes that have ended and of which no item is left."""
        used = {id(item.lane) for item in self._items.values()}
        self._lanes = {
            number: lane
            for number, lane in self._lanes.items()
            if id(lane) in used or not lane.has_ended
        }

    def _end_item(self, number: int, num_read: int, num_batches: int) -> None:
        """Notes how many parts the item has that a lane was reading."""
        lane = self._lanes.get(number)
        if lane is None or lane.item is None:
            if lane is not None:
                self._is_unsteady |= num_read > lane.num_read_at_end
            return
        lane.num_read_at_end = math.inf
        item, lane.item = lane.item, None
        if not item.is_read:
            return
        num_records = num_read - item.num_read_before
        item.is_empty = not num_records
        if not lane.batch_size or item.is_empty:
            item.num_parts = num_records
            return
        # The batch that is being made may have some of it.
        item.num_parts = num_batches - item.begin + 1
        item.is_last_doubtful = (
            num_read == num_batches * lane.batch_size
            or lane.is_all_in(num_read, num_batches)
        )
        self._settle_doubts(lane)

    def _settle_doubts(self, lane: _Lane) -> None:
        """Leaves out last batches that were begun behind the end of an item.

        That is known of a batch if all those before it have come, and in order:
        then none of them was lost, and all were full.
        """
        for item in self._items.values():
            if item.lane is lane and item.is_last_doubtful:
                last = item.end - 1
                num_in_order = lane.num_in_order
                if num_in_order == last:
                    item.end = last
                item.is_last_doubtful = (
                    num_in_order is not None and num_in_order < last
                )

    def _note_arrival(self, lane: _Lane, index: int, num_records: int) -> None:
        """Notes that a batch of a lane has come."""
        if lane.num_in_order == index:
            lane.num_in_order += 1
            lane.num_records_in_order += num_records
        else:
            lane.num_in_order = None
        self._settle_doubts(lane)

    def _batch_of(self, records: Mapping[int, int]) -> Batch:
        """Returns what a batch consists of; see `deliver`."""
        parts = collections.Counter[int]()
        # Numbers of batches go down.
        for number in sorted(records, reverse=True):
            if number >= 0:
                parts[number] += records[number]
                continue
            lane, index = self._made_by(number)
            if lane is None:
                continue
            parts.update(
                item.slot
                for item in self._items.values()
                if item.lane is lane and item.begin <= index < item.end
            )
            self._note_arrival(lane, index, records[number])
        return Batch(sum(records.values()), parts)

    def _made_by(self, number: int) -> tuple[_Lane | None, int]:
        """Returns the lane of a `batch_number`, and the index in it."""
        remainder, index = divmod(-1 - number, MAX_BATCHES)
        # There are as many as iterations run at a time. The last, for a former
        # one may have an item that stays open.
        for lane_number in reversed(self._lanes):
            if lane_number % _MAX_LANES == remainder:
                return self._lanes[lane_number], index
        return None, index

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
            self._count(batch.parts)

    def _count(self, parts: Mapping[int, int]) -> None:
        for slot, num_parts in parts.items():
            item = self._items.get(slot)
            if item is not None:
                item.num_trained += num_parts
