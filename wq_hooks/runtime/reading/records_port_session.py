"""The account of what `records` reads in one session, or in eager mode.

    port = RecordsPortSession(records_port, session)
    port.count_forever(loop.acknowledge)      # in a thread
    port.flush()                              # all that was delivered counts

`core/consumer/record_tracker.py` says what the events mean.
"""

from __future__ import annotations

import itertools
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence

import tensorflow as tf
import tensorflow.compat.v1 as tf1

from wq_hooks.core import log as logging
from wq_hooks.core.consumer.acknowledgement import (
    Acknowledgement,
    OnLastRecord,
)
from wq_hooks.core.consumer.batches_in_training import Watch
from wq_hooks.core.consumer.consumer import Given
from wq_hooks.core.consumer.record_tracker import RecordTracker
from wq_hooks.core.ledger.consumer_state import Consumer, Measure
from wq_hooks.core.protocol.messages import Claim
from wq_hooks.errors import WorkQueueError
from wq_hooks.runtime.ports.item_port import ItemPort
from wq_hooks.runtime.ports.port import SessionPort
from wq_hooks.runtime.reading import record_events as events
from wq_hooks.runtime.reading.element_counter import counts_in, secs_in
from wq_hooks.runtime.reading.records_port import RecordsPort

_COUNT_EVERY_SECS = 0.05
_FLUSH_SECS = 2.0


class GraphRecordsPort(RecordsPort):
    """A RecordsPort whose ops stand in a graph."""

    is_shared = True

    def in_session(self, session: tf1.Session) -> RecordsPortSession:
        """Returns the port as seen through a session."""
        return RecordsPortSession(self, session)


class RecordsPortSession(SessionPort):
    """A port in a session, with the account of its records.

    Args:
      port: The port.
      session: The session.
    """

    reads_records = True
    # Of the batches before the end of data, how many may not be trained yet.
    num_in_training = 0
    # How an iteration is watched that does not report it.
    unreported = Watch.ASKED

    def __init__(self, port: RecordsPort, session: tf1.Session):
        super().__init__(session, port.discard)
        self.tracker = RecordTracker(port.num_parallel_steps)
        self.records_port = port
        self.items = self._item_port()
        self.items.on_new_iteration = self._begin_again
        # What an earlier session left behind in the queues is recognised by
        # its slots.
        self._slots = itertools.count(secrets.randbits(40) << 20)
        # Of an item whose records may come before it is known which it is.
        self._slot_under_way: int | None = None
        self._num_left_over = 0
        # Of the iteration that begins next; how it is watched.
        self._watched: tuple[Watch, int] | None = None
        self._watch_number: int | None = None
        self._counts_at_flush: Mapping[str, int] | None = None
        self._has_warned = self._ends_early = False
        self._flushed = threading.Condition()
        self._num_flushes = self._last_flush = self._num_flushed = 0
        self._is_counting = False

    def _item_port(self) -> ItemPort:
        return ItemPort(self.records_port.channel, self)

    def new_rule(self, num_clients: int) -> Acknowledgement:
        """Returns the rule that heeds the records alone."""
        del num_clients
        return OnLastRecord(self.tracker.abandon)

    def _begin_again(self) -> None:
        self.flush()
        self.on_new_iteration()

    def wait_for_demand(self) -> None:
        """Waits until the pipeline wants one item more."""
        self.items.wait_for_demand()

    def serve(self, consumer: Consumer, completed: Sequence[Claim]) -> Given:
        """Waits until the pipeline asks; gives it an item in the same step."""
        if self.records_port.channel.mailbox is None:
            return super().serve(consumer, completed)
        slot = next(self._slots)
        with self._changed:
            self._slot_under_way = slot
        try:
            return self.items.serve_slot(
                consumer,
                completed,
                slot,
                lambda claim, text: self._start(slot, claim, text),
            )
        finally:
            with self._changed:
                self._slot_under_way = None
                self._changed.notify_all()

    def put(self, claim: Claim, text: bytes) -> None:
        """Gives the pipeline one."""
        slot = next(self._slots)
        self._start(slot, claim, text)
        self.items.put_slot(slot, text)

    def _start(self, slot: int, claim: Claim, text: bytes) -> None:
        self.tracker.items.start(slot, claim, text.decode("utf-8", "replace"))
        self.tracker.times.begin(time.monotonic())

    def _wait_until_started(self, slot: int) -> None:
        """Waits until it is known which item is read.

        The step that has given it to the pipeline may not have returned.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._slot_under_way != slot)

    def close(self) -> None:
        """Gives the pipeline the end of data."""
        self.items.close()

    def end_early(self) -> None:
        """Closes it; what is on its way then stays open, and is not lost.

        So does what `drop_remainder` leaves out.
        """
        self._ends_early = True
        self.close()

    def begin(self) -> None:
        """Notes that `count_forever` is about to run."""
        self._is_counting = True

    def count_forever(
        self,
        acknowledge: Callable[[Sequence[Claim], int, Sequence[Measure]], None],
    ) -> None:
        """Acknowledges items when their last record was trained."""
        while True:
            completed = self.count_events()
            if completed:
                claims, measures = zip(*completed)
                acknowledge(claims, self.take_num_trained(), measures)
            with self._flushed:
                self._num_flushed = self._last_flush
                self._flushed.notify_all()
                # What comes meanwhile is counted in one step.
                self._flushed.wait_for(self._is_in_haste, _COUNT_EVERY_SECS)

    def _is_in_haste(self) -> bool:
        is_awaited = self._num_flushed < self._num_flushes
        return is_awaited or self._is_discarded

    def flush(self, timeout_secs: float = _FLUSH_SECS) -> None:
        """Waits until the events so far were counted, and acknowledged.

        Flushes are numbered: the one that counts says which it has met.
        """
        with self._flushed:
            if not self._is_counting:
                return
            self._num_flushes += 1
            number = self._num_flushes
            self._flushed.notify_all()
            self._report_flush(number)
            self._flushed.wait_for(
                lambda: self._num_flushed >= number, timeout_secs
            )

    def _report_flush(self, number: int) -> None:
        self.run(
            self.records_port.flush, [self.records_port.flush_number], [number]
        )

    def take_num_trained(self) -> int:
        """Returns how many records were trained and are not reported yet."""
        return self.tracker.take_num_trained()

    def under_way(self) -> list[str]:
        """Returns the names of the items that are open."""
        return self.tracker.items.under_way()

    def count_events(self) -> list[tuple[Claim, Measure]]:
        """Waits for events; returns the items that they complete."""
        messages, summaries, summary = self.run(self.records_port.next_events)
        for message, counts in zip(messages, summaries):
            kind, *numbers = events.numbers_of(message)
            self._count(kind, numbers, counts_in(counts))
        self._fetch(counts_in(summary))
        self._look_ahead()
        waited_secs = events.waited_secs(secs_in(summary))
        completed = self.tracker.take_measured(time.monotonic(), waited_secs)
        self.forget_closed()
        return completed

    def _look_ahead(self) -> None:
        """Finds out, after a flush, which items ended with what was trained."""
        if self._counts_at_flush is None:
            return
        counts, self._counts_at_flush = self._counts_at_flush, None

        def counts_of(lane: int) -> tuple[int, int]:
            return _counts_of(lane, counts)

        tracker = self.tracker
        feeds = self.records_port.look_ahead.feeds
        for slot, num_read in tracker.items.unknown_ends(counts_of):
            # As far again as was read: so all that is read once more, however
            # often somebody asks, is some times the item.
            try:
                num_more = self.run(
                    self.records_port.look_ahead.num_more,
                    feeds,
                    [slot, num_read, num_read],
                )
            except tf.errors.OpError as e:
                # Its reader will tell, if it comes that far.
                logging.debug("Not known whether an item has ended: %s", e)
                continue
            tracker.items.look_ahead(
                slot,
                num_read + int(num_more),
                is_size_known=num_more < num_read,
            )
        # Those of which that is known now.
        tracker.items.unknown_ends(counts_of)
        if tracker.items.is_unsteady and not self._has_warned:
            self._has_warned = True
            logging.warning(
                "Expected a reader to give the same records whenever an item "
                "is read; got more than at a second reading. Items are "
                "completed when more is asked for from now on."
            )

    def forget_closed(self) -> None:
        """Forgets what was kept of items that are not open any more."""
        look_ahead = self.records_port.look_ahead
        closed = self.tracker.items.take_closed()
        if closed:
            self.run(look_ahead.forget, [look_ahead.slots], [closed])

    def _fetch(self, counts: Mapping[str, int]) -> None:
        for name, count in counts.items():
            if name.startswith(events.FETCHED):
                self.tracker.fetch(int(name[len(events.FETCHED) :]), count)
        passed = counts.get(f"{events.PASSED}{self._watch_number}")
        if passed is not None:
            self.tracker.pass_on(passed)

    def _train(self, num_batches: int) -> None:
        if num_batches == events.ALL_THROUGH:
            self.tracker.train_through()
        elif num_batches == events.ALL_FETCHED:
            self.tracker.train_delivered()
        else:
            self.tracker.train(num_batches)

    def _count(
        self, kind: int, numbers: list[int], counts: Mapping[str, int]
    ) -> None:
        tracker = self.tracker
        self._fetch(counts)
        if kind in (events.OPENED, events.OPENED_IN_BATCHES):
            lane, slot, *batch_size = numbers
            _expect_items(counts)
            self._wait_until_started(slot)
            num_read, num_batches = _counts_of(lane, counts)
            tracker.items.open(
                slot,
                lane,
                num_read,
                num_batches=num_batches,
                batch_size=sum(batch_size),
            )
        elif kind == events.READING:
            slot, is_kept = numbers
            tracker.items.begin_reading(slot, is_kept=bool(is_kept))
        elif kind == events.LANE_ENDED:
            (lane,) = numbers
            tracker.items.end_lane(lane, *_counts_of(lane, counts))
        elif kind == events.READY:
            iteration, number, *batch = numbers
            tracker.make_ready(iteration, number, events.counter_of(batch))
        elif kind == events.BATCH:
            iteration, *batch = numbers
            tracker.deliver(events.counter_of(batch), iteration)
        elif kind == events.REMAINDER and self._ends_early:
            return
        elif kind in (events.FILTERED, events.REMAINDER):
            records = events.counter_of(numbers)
            tracker.drop(records)
            if kind == events.REMAINDER:
                self._num_left_over += sum(records.values())
        elif kind == events.MORE:
            tracker.expect_more(events.counter_of(numbers))
        elif kind == events.DIVIDED:
            tracker.end_division(events.counter_of(numbers))
        elif kind == events.END_OF_DATA:
            self._finish(*numbers)
        elif kind == events.BEGIN:
            self._begin(*numbers)
        elif kind == events.WATCHED:
            self._watched = (Watch(numbers[0]), numbers[1])
        elif kind == events.END_SEEN:
            if numbers == [self._watch_number]:
                tracker.end_seen(self.num_in_training)
        elif kind == events.TRAINED:
            self._train(*numbers)
        elif kind == events.FLUSH:
            (self._last_flush,) = numbers
            self._counts_at_flush = counts

    def _begin(self, iteration: int) -> None:
        watch, number = self._watched or (self.unreported, None)
        self._watched = None
        self._watch_number = number
        # Of several clients, the others may go on with what they have.
        if not self.records_port.channel.is_shared:
            self.tracker.begin_iteration(iteration, watch)

    def _finish(self, iteration: int) -> None:
        lost = self.tracker.finish(iteration, self.num_in_training)
        for name in [] if self._ends_early else lost:
            logging.error(
                "Records of %s may have been lost, where a reader or a "
                "function has failed; it stays open.",
                name,
            )
        if self._num_left_over:
            logging.warning(
                "%d records were read and not trained: what drop_remainder "
                "leaves at the end of the data, and take and skip leave out.",
                self._num_left_over,
            )
            self._num_left_over = 0


def _counts_of(lane: int, counts: Mapping[str, int]) -> tuple[int, int]:
    """Returns how many records a lane has read, and batches made."""
    num_read, num_batches = (
        counts.get(f"{name}{lane}", 0) for name in (events.LANE, events.BATCHES)
    )
    return num_read, num_batches


def _expect_items(counts: Mapping[str, int]) -> None:
    """Raises an error where an item was opened and none was counted."""
    if events.ITEMS not in counts:
        raise WorkQueueError(
            "Expected tf.data to count the records of each item; got no "
            "counts. Without them, no item is ever completed. If the dataset "
            "has a StatsAggregator of its own, leave it out."
        )
