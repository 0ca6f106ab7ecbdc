"""The items that a reader has and has not completed, in their lanes.

    items = OpenItems()
    items.start(slot, claim, name)      # an item goes to the reader
    items.open(slot, lane, num_read)    # whose records follow in this lane
    items.begin_reading(slot)           # if the reader finds any way to them
    items.count({slot: 12})             # 12 of its records were trained
    items.take_completed()

A slot is a number that the consumer gives to each item that it passes on; it
travels with each record. `lanes.py` says what a lane is.

A record that was lost in the pipeline, since a reader or a function has failed
at it, was counted and never comes: its item stays open. That an item has ended
is known when its lane goes on, or before, to the one who looks ahead
(`unknown_ends`). Without TensorFlow.
"""

from __future__ import annotations

import collections
import math
import threading
from collections.abc import Callable, Mapping

from wq_hooks.core.consumer.batches_in_training import Batch
from wq_hooks.core.consumer.lanes import MAX_BATCHES, MAX_LANES, Item, Lane
from wq_hooks.core.protocol.messages import Claim


class OpenItems:
    """Knows the records of each item; may be used from several threads.

    Attributes:
      lock: Held by each method; who calls several in one go may hold it.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._items: dict[int, Item] = {}
        self._lanes: dict[int, Lane] = {}
        # Items that were kept and are not open any more.
        self._closed: list[int] = []
        self._is_unsteady = False

    def start(self, slot: int, claim: Claim, name: str = "") -> None:
        """Notes that an item is passed on to the reader."""
        with self.lock:
            self._items[slot] = Item(slot, claim, name)

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
          lane: Number of the lane.
          num_read: How many records the lane has read before.
          num_batches: How many batches it has made before.
          batch_size: Number of records; 0: it makes none.
        """
        with self.lock:
            self._end_item(lane, num_read, num_batches)
            reading = self._lanes.setdefault(lane, Lane(batch_size))
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
        with self.lock:
            item = self._items.get(slot)
            if item is not None:
                item.is_read = True
                item.is_kept = is_kept
            elif is_kept:
                self._closed.append(slot)

    def end_lane(self, lane: int, num_read: int, num_batches: int = 0) -> None:
        """Notes that a lane has read its last item to the end; see `open`."""
        with self.lock:
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
        with self.lock:
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
        with self.lock:
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
        with self.lock:
            closed, self._closed = self._closed, []
            return closed

    def take_completed(self) -> list[Item]:
        """Returns the items completed since the last call."""
        with self.lock:
            completed = [i for i in self._items.values() if i.is_completed]
            for item in completed:
                self._close(item)
            if completed:
                self._forget_lanes()
            return completed

    def under_way(self) -> list[str]:
        """Returns the names of the items that are open, in order."""
        with self.lock:
            return [i.name for i in self._items.values() if not i.is_completed]

    def batch_of(self, records: Mapping[int, int]) -> Batch:
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

    def count(self, parts: Mapping[int, int]) -> None:
        """Notes how many parts of each item were trained."""
        for slot, num_parts in parts.items():
            item = self._items.get(slot)
            if item is not None:
                item.num_trained += num_parts

    def abandon(self) -> list[Claim]:
        """Forgets all items; returns those that are not completed."""
        with self.lock:
            open_items = [x for x in self._items.values() if not x.is_completed]
            for item in open_items:
                self._close(item)
            self._lanes.clear()
            return [item.claim for item in open_items]

    def lost_in_pipeline(self, waiting: Mapping[int, int]) -> list[str]:
        """Returns the names of items of which records were lost.

        Args:
          waiting: How many parts of each slot wait for their train step.
        """
        with self.lock:
            return [
                item.name
                for item in self._items.values()
                if not item.is_completed
                and item.num_trained + waiting.get(item.slot, 0)
                != item.num_parts
            ]

    def _close(self, item: Item) -> None:
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
        item.num_records = num_records
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

    def _settle_doubts(self, lane: Lane) -> None:
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

    def _note_arrival(self, lane: Lane, index: int, num_records: int) -> None:
        """Notes that a batch of a lane has come."""
        if lane.num_in_order == index:
            lane.num_in_order += 1
            lane.num_records_in_order += num_records
        else:
            lane.num_in_order = None
        self._settle_doubts(lane)

    def _made_by(self, number: int) -> tuple[Lane | None, int]:
        """Returns the lane of a `batch_number`, and the index in it."""
        remainder, index = divmod(-1 - number, MAX_BATCHES)
        # There are as many as iterations run at a time. The last, for a former
        # one may have an item that stays open.
        for lane_number in reversed(self._lanes):
            if lane_number % MAX_LANES == remainder:
                return self._lanes[lane_number], index
        return None, index
