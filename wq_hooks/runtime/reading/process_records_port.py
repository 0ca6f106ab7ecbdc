"""What reads records in eager mode, as a consumer sees it.

    readers = ProcessRecordsPort(port, session)
    readers.wait_for_demand()

The trap: the train loop tells what was trained by what it fetches, or through
`mark_trained`; what stands between the pipeline and the step may hide the
first.
"""

from __future__ import annotations

from wq_hooks.core import log as logging
from wq_hooks.core.consumer.batches_in_training import Watch
from wq_hooks.runtime.ports.item_port import ItemPort
from wq_hooks.runtime.reading.record_events import ALL_FETCHED, FLUSH, TRAINED
from wq_hooks.runtime.reading.records_port import RecordsPort
from wq_hooks.runtime.reading.records_port_session import RecordsPortSession
from wq_hooks.runtime.transport.function_session import FunctionSession

_UNKNOWN = (
    "Between to_dataset() and the train step there is something that does not "
    "show which batches were trained: a strategy, zip, repeat, or a loop in a "
    "tf.function (write `for batch in iter(dataset)` there). They count as "
    "trained when queue.mark_trained(num_batches=...) says so, or mark_trained("
    "is_through=True) behind the loop; until then they will come again after a "
    "restore. Put what you can between records(...) and to_dataset()."
)


class ProcessRecordsPort(RecordsPortSession):
    """A dataset of records in eager mode, as a consumer sees it.

    Attributes:
      has_step_counter: Whether somebody counts the steps, and will say what
        was trained.
    """

    unreported = Watch.UNSEEN

    def __init__(self, port: RecordsPort, session: FunctionSession):
        super().__init__(port, session)
        # A strategy meets the end of data before it has trained them.
        self.num_in_training = port.num_parallel_steps - 1
        self.has_step_counter = False
        self._has_warned_of_unknown = False

    def _item_port(self) -> ItemPort:
        return ItemPort(self.records_port.channel, None)

    def fail(self, message: str) -> None:
        """Raises an error where the dataset waits."""
        self.items.fail(message)

    def discard(self) -> None:
        """Ends what waits, for good."""
        self.items.discard()
        self.forget_closed()
        self.run(self.records_port.end_events)
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
        self.records_port.note_counts(TRAINED, num_batches, int(is_sure))

    def _report_flush(self, number: int) -> None:
        self.records_port.note_counts(FLUSH, number)

    @property
    def is_regrouped(self) -> bool:
        """Whether a dataset is there whose elements are not the batches."""
        return bool(self.records_port.regrouped)

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
        if not self._has_warned_of_unknown:
            self._has_warned_of_unknown = True
            logging.warning(_UNKNOWN)
