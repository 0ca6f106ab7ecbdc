"""What reads in eager mode, as a consumer sees it: its port.

    readers = ItemReaders(ItemPort("train"))
    loop = ConsumerLoop(consumer, transport, readers, ...)
    readers.loop = loop

Readers know when their dataset is iterated again, and settle then what the last
iteration has left: plain ones by the item, those of records by the record.
`take` reads too, and has nothing to settle.
"""

from __future__ import annotations

import threading

from wq_hooks.core import log as logging
from wq_hooks.core.consumer.batches_in_training import Watch
from wq_hooks.core.consumer.consumer import ConsumerLoop
from wq_hooks.core.protocol.messages import Claim
from wq_hooks.runtime.process_ports.local_queues import ItemPort
from wq_hooks.runtime.reading.record_events import ALL_FETCHED, FLUSH, TRAINED
from wq_hooks.runtime.reading.records_port import (
    RecordsPort,
    RecordsPortSession,
)
from wq_hooks.runtime.transport.function_session import FunctionSession

_SETTLE_SECS = 2.0
_COUNT_EVERY_SECS = 0.05
_UNKNOWN = (
    "Between to_dataset() and the train step there is something that does not "
    "show which batches were trained: a strategy, zip, repeat, or a loop in a "
    "tf.function (write `for batch in iter(dataset)` there). They count as "
    "trained when queue.mark_trained(num_batches=...) says so, or mark_trained("
    "is_through=True) behind the loop; until then they will come again after a "
    "restore. Put what you can between records(...) and to_dataset()."
)


class NoPort:
    """The port of `take`: the one who calls it is given the item."""

    num_ahead = 0

    def wait_for_demand(self) -> None:
        """Is not called."""

    def put(self, claim: Claim, text: bytes) -> None:
        """Is not called."""

    def close(self) -> None:
        """Has nothing to close."""


class ItemReaders:
    """A dataset of items, as a consumer sees it."""

    num_ahead = 0

    def __init__(self, items: ItemPort):
        self.items = items
        self.loop: ConsumerLoop | None = None

    def wait_for_demand(self) -> None:
        """Waits until the dataset wants one item more."""
        if self.items.wait_for_demand():
            self.give_back()

    def put(self, claim: Claim, text: bytes) -> None:
        """Gives it one."""
        del claim
        self.items.put(0, text)

    def close(self) -> None:
        """Gives it the end of data."""
        self.items.put_end()

    def discard(self) -> None:
        """Ends what waits, for good."""
        self.items.close()

    def settle(self) -> None:
        """Has nothing to wait for."""

    def give_back(self) -> None:
        """Settles what the last iteration has left."""
        loop = self.loop
        if loop is not None:
            if loop.has_ended:
                loop.complete_all()
            else:
                loop.hand_back()
            loop.has_ended = False


class RecordReaders(RecordsPortSession):
    """A dataset of records, as a consumer sees it."""

    # How an iteration is watched that does not report it.
    unreported = Watch.UNSEEN
    # Whether somebody counts the steps, and will say what was trained.
    has_step_counter = False

    def __init__(
        self, port: RecordsPort, session: FunctionSession, items: ItemPort
    ):
        super().__init__(port, session)
        # A strategy meets the end of data before it has trained them.
        self.num_in_training = port.num_clients - 1
        self.items = items
        self.loop: ConsumerLoop | None = None
        self._records_port = port
        self._num_flushes = 0
        self._num_flushed = 0
        self._is_discarded = False
        self._has_warned = False
        self._flushed = threading.Condition()

    def wait_for_demand(self) -> None:
        """Waits until the dataset wants one item more."""
        if self.items.wait_for_demand():
            self.settle()
            self.give_back()

    def give_back(self) -> None:
        """Gives back what the last iteration has not finished."""
        if self.loop is not None:
            self.loop.hand_back(self.tracker.abandon())
            self.loop.has_ended = False

    def put(self, claim: Claim, text: bytes) -> None:
        """Gives it one."""
        slot = self.start(claim, text)
        self.items.put(slot, text)

    def close(self) -> None:
        """Gives it the end of data."""
        self.items.put_end()

    def discard(self) -> None:
        """Ends what waits, for good."""
        self.items.close()
        self.forget_closed()
        self._run(self._records_port.end_events)
        with self._flushed:
            self._is_discarded = True
            self._flushed.notify_all()

    def mark_trained(self, num_batches: int, *, is_sure: bool = True) -> None:
        """Says what was trained, in order.

        Args:
          num_batches: How many batches more; or one of ALL_FETCHED and
            ALL_THROUGH of `record_events`.
          is_sure: Whether it is also true of an iteration that does not report
            what was fetched.
        """
        self._records_port.note_counts(TRAINED, num_batches, int(is_sure))

    @property
    def is_regrouped(self) -> bool:
        """Whether a dataset is there whose elements are not the batches."""
        return bool(self._records_port.regrouped)

    def _train(self, num_batches: int, is_sure: int = True) -> None:
        if self.tracker.is_unknown and (
            not is_sure or num_batches == ALL_FETCHED
        ):
            self._warn_of_unknown()
        else:
            super()._train(num_batches)

    def _finish(self, iteration: int) -> None:
        super()._finish(iteration)
        if self.tracker.is_unknown and not self.has_step_counter:
            self._warn_of_unknown()

    def _warn_of_unknown(self) -> None:
        if not self._has_warned:
            self._has_warned = True
            logging.warning(_UNKNOWN)

    def count_forever(self) -> None:
        """Acknowledges items when their last record was trained."""
        while True:
            claims = self.count_events()
            if self.loop is not None:
                self.loop.acknowledge(claims)
            with self._flushed:
                self._num_flushed = self.last_flush
                self._flushed.notify_all()
                # What comes meanwhile is counted in one step.
                self._flushed.wait_for(self._is_in_haste, _COUNT_EVERY_SECS)

    def _is_in_haste(self) -> bool:
        is_awaited = self._num_flushed < self._num_flushes
        return is_awaited or self._is_discarded

    def _begin(self, iteration: int) -> None:
        """The items say it, too: `give_back`."""
        watch, number = self._watched or (self.unreported, None)
        self._watched = None
        self._watch_number = number
        self.tracker.begin_iteration(iteration, watch)

    def settle(self) -> None:
        """Waits until the events so far were counted, and acknowledged."""
        with self._flushed:
            self._num_flushes += 1
            number = self._num_flushes
            self._flushed.notify_all()
            self._records_port.note_counts(FLUSH, number)
            self._flushed.wait_for(
                lambda: self._num_flushed >= number, _SETTLE_SECS
            )
