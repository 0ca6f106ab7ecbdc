"""Records for the workers of a ParameterServerStrategy.

    workers = WorkerDatasets(...)
    iterator = workers.iterator(coordinator, dataset_fn)
    coordinator.schedule(train_step, args=(iterator,))

Workers of that strategy run no Python: the coordinator traces one dataset
function, and each worker runs it. So each worker has a consumer of its own in
the coordinator's process; see `worker_ports` for the queues between the two.

A worker that comes to the end of data gives what its pipeline still holds, and
then waits until all others are through: it goes on if one of them is lost.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf

from wq_hooks.core import log as logging
from wq_hooks.core.chief.chief import Chief
from wq_hooks.core.consumer.batches_in_training import Watch
from wq_hooks.core.ledger.consumer_state import Measure
from wq_hooks.core.protocol.messages import Claim
from wq_hooks.errors import WorkQueueError
from wq_hooks.runtime.reading.process_records_port import ProcessRecordsPort
from wq_hooks.runtime.reading.record_events import FLUSH, TRAINED
from wq_hooks.runtime.reading.records_port import RecordsPort
from wq_hooks.runtime.records.records import Records, records_read
from wq_hooks.runtime.strategies.parameter_servers import (
    expect_dataset_creator,
    without_callback,
)
from wq_hooks.runtime.strategies.scheduled_loops import (
    items_loop,
    merged,
    schedule_of,
    steps_loop,
)
from wq_hooks.runtime.strategies.worker_ports import (
    CoordinatorItemPort,
    WorkerRecordsPort,
)
from wq_hooks.runtime.threads.process_threads import EagerService
from wq_hooks.runtime.transport.function_session import FunctionSession

_POLL_SECS = 0.1
# How long workers may train what they hold when the coordinator has to go.
_DRAIN_SECS = 5.0


class _WorkerReaders(ProcessRecordsPort):
    """What reads records on one worker, as its consumer sees it."""

    items: CoordinatorItemPort
    # `WorkerDatasets.iterator` sees to it.
    unreported = Watch.ASKED

    def __init__(
        self,
        datasets: WorkerDatasets,
        port: RecordsPort,
        session: FunctionSession,
    ):
        super().__init__(port, session)
        self.family: list[_WorkerReaders] = []
        self._datasets = datasets
        self._last_heard = time.monotonic()

    def _item_port(self) -> CoordinatorItemPort:
        return CoordinatorItemPort(self.records_port.channel)

    @property
    def silent_secs(self) -> float:
        """Seconds since the worker has asked for an item or a batch."""
        return time.monotonic() - self._last_heard

    @property
    def holds_items(self) -> bool:
        """Whether the worker has items that are not completed."""
        return bool(self.tracker.items.under_way())

    def wait_for_demand(self) -> None:
        """Waits until the dataset wants one item more."""
        while True:
            is_new, asks_for_more = self.items.wait_for_any_demand()
            self._last_heard = time.monotonic()
            self._datasets.take_over(self)
            if is_new:
                self.items.on_new_iteration()
            if not asks_for_more:
                return
            is_more = self._datasets.wait_for_more(self)
            if is_more:
                self.items.put_more()
            elif is_more is not None:
                self.items.close()

    def count_forever(
        self,
        acknowledge: Callable[[Sequence[Claim], int, Sequence[Measure]], None],
    ) -> None:
        """Acknowledges items when their last record was trained."""
        while not self._datasets.is_closed:
            # The end of a coordinator's functions can cancel this one, too.
            with contextlib.suppress(tf.errors.CancelledError):
                super().count_forever(acknowledge)

    def _count(
        self, kind: int, numbers: list[int], counts: Mapping[str, int]
    ) -> None:
        if kind not in (FLUSH, TRAINED):
            self._last_heard = time.monotonic()
        super()._count(kind, numbers, counts)

    def _fetch(self, counts: Mapping[str, int]) -> None:
        if counts:
            self._last_heard = time.monotonic()
        super()._fetch(counts)


class WorkerDatasets:
    """The datasets of a queue that are read on workers.

    Args:
      name: Name of the queue.
      service: Service of the queue.
      find_chief: Returns its chief.
      num_workers: Number of workers of the strategy.
      num_clients: See WorkQueue.
      lease_secs: A worker that has not asked for a batch for so long loses
        what it holds, when others have nothing else to do.
    """

    def __init__(
        self,
        name: str,
        service: EagerService,
        find_chief: Callable[[], Chief],
        *,
        num_workers: int,
        num_clients: int,
        lease_secs: float,
    ):
        self._name = name
        self._service = service
        self._find_chief = find_chief
        self.num_workers = num_workers
        self._num_clients = num_clients
        self._lease_secs = lease_secs
        # What the next `fit` reads.
        self.dataset_fn: Callable[[], Any] | None = None
        # Device of this process, by its full name: workers know it by that.
        self._device = tf.constant(0).device
        self._lock = threading.Lock()
        self._readers: list[_WorkerReaders] = []
        self._waiting: set[_WorkerReaders] = set()
        self._ending_since: float | None = None
        self._is_tracing = threading.local()

    @property
    def is_closed(self) -> bool:
        """Whether the queue was closed."""
        return self._service.is_closed

    @property
    def num_waiting(self) -> int:
        """How many workers wait for what others hold."""
        return len(self._waiting)

    @property
    def is_tracing(self) -> bool:
        """Whether this thread is in the dataset function of `iterator`."""
        return getattr(self._is_tracing, "value", False)

    def creator(self, dataset_fn: Callable[[], Any]) -> Any:
        """Returns what the next `fit` of Keras 2 reads.

        Args:
          dataset_fn: Returns a dataset of `records`.
        """
        creator = expect_dataset_creator()
        self.dataset_fn = dataset_fn
        return creator(without_callback)

    def iterator(self, coordinator: Any, dataset_fn: Callable[[], Any]) -> Any:
        """Returns an iterator per worker, for functions that are scheduled.

        The dataset is that of `dataset_fn`, which ends in `to_dataset`.
        """

        def traced() -> Any:
            self._is_tracing.value = True
            try:
                dataset = dataset_fn()
            finally:
                self._is_tracing.value = False
            is_last = getattr(dataset, "watch", None) is Watch.ASKED
            if not is_last:
                raise WorkQueueError(
                    "Expected dataset_fn to return what to_dataset() gives, "
                    "as a batch counts as trained when the next one is asked "
                    f"for; got {dataset!r:.200}. Put what follows between "
                    "records(...) and to_dataset()."
                )
            return dataset.unwatched

        return iter(
            coordinator.create_per_worker_dataset(
                tf.autograph.experimental.do_not_convert(traced)
            )
        )

    def steps(
        self,
        coordinator: Any,
        train_step: Callable[[Any], Any],
        dataset_fn: Callable[[], Any],
    ) -> Iterator[Any]:
        """Lets the workers train on records; yields what the steps return.

        Args:
          coordinator: A tf.distribute.coordinator.ClusterCoordinator.
          train_step: A tf.function of the worker's iterator.
          dataset_fn: Returns a dataset of `records`.

        Raises:
          Exception: Error of a step; OutOfRangeError at the end of data.
        """
        iterator = self.iterator(coordinator, dataset_fn)
        schedule = schedule_of(coordinator)
        loops = [
            steps_loop(schedule, train_step, iterator)
            for _ in range(2 * self.num_workers)
        ]
        yield from merged(coordinator, loops)

    def items(
        self, coordinator: Any, function: Callable[[Any], Any]
    ) -> Iterator[str]:
        """Lets the workers train on an item at a time; yields those trained.

        Args:
          coordinator: A tf.distribute.coordinator.ClusterCoordinator.
          function: A tf.function of an item, a tf.string scalar.

        Raises:
          Exception: Error of a function; its item stays open.
        """
        schedule = schedule_of(coordinator)
        loops = [
            items_loop(
                schedule, function, self._service.readers.new_taker(f"loop:{k}")
            )
            for k in range(self.num_workers)
        ]
        yield from merged(coordinator, loops)

    def records(
        self,
        shared_name: str,
        reader: Callable[[Any], Any],
        cycle_length: int,
        *,
        is_endless: bool = False,
    ) -> Records:
        """Returns the records of the items, for the worker that runs this.

        `shared_name`, of its queues, is unique in this process. For the other
        arguments see `Reading`.
        """
        index = (
            tf.distribute.coordinator.experimental_get_current_worker_index()
        )
        family = [
            self._new_readers(f"{shared_name}/{k}")
            for k in range(self.num_workers)
        ]
        with self._lock:
            for readers in family:
                readers.family = family
            self._readers += family
        for k, readers in enumerate(family):
            self._service.readers.serve(readers, f"worker:{k}")
        port = WorkerRecordsPort(
            [readers.records_port for readers in family],
            index,
            f"{shared_name}/counts",
        )

        return records_read(
            port,
            port.channel.passes,
            reader,
            cycle_length=cycle_length,
            is_endless=is_endless,
        )

    def take_over(self, readers: _WorkerReaders) -> None:
        """Ends the datasets of former functions: one is read at a time."""
        with self._lock:
            former = [
                r for r in self._readers if r.family is not readers.family
            ]
            self._readers = list(readers.family)
        for other in former:
            self._service.readers.release(other)

    def wait_for_more(self, readers: _WorkerReaders) -> bool | None:
        """Returns whether a worker gets more; None: it waits no longer."""
        try:
            return self._wait_for_more(readers)
        finally:
            self._waiting.discard(readers)

    def _wait_for_more(self, readers: _WorkerReaders) -> bool | None:
        while not self._service.is_closed:
            ledger = self._find_chief().ledger
            if self._service.readers.is_ending_early:
                # The first one that ends cancels the steps of the others.
                if self._have_all_ended(readers):
                    return False
            elif ledger.has_to_issue():
                return True
            if ledger.is_done:
                return False
            if readers.items.is_demanded:
                return None
            self._waiting.add(readers)
            self._give_up_silent(readers)
            time.sleep(_POLL_SECS)
        return None

    def _have_all_ended(self, waiting: _WorkerReaders) -> bool:
        """Whether no other worker trains what it holds, or has had its time."""
        self._ending_since = self._ending_since or time.monotonic()
        is_over = time.monotonic() > self._ending_since + _DRAIN_SECS
        return is_over or not any(
            readers.holds_items
            for readers in waiting.family
            if readers is not waiting
        )

    def _give_up_silent(self, waiting: _WorkerReaders) -> None:
        for k, readers in enumerate(waiting.family):
            if (
                readers is not waiting
                and readers.holds_items
                and readers.silent_secs > self._lease_secs
            ):
                logging.warning(
                    "Work queue %s: worker:%d has not asked for a batch for "
                    "%.0f s; others take what it holds.",
                    self._name,
                    k,
                    readers.silent_secs,
                )
                readers.flush()
                readers.on_new_iteration()

    def _new_readers(self, shared_name: str) -> _WorkerReaders:
        session = FunctionSession()
        with tf.init_scope(), tf.device(self._device):
            port = session.build(
                lambda: RecordsPort(f"{shared_name}/records", self._num_clients)
            )
            # In eager mode, not while `dataset_fn` is traced: the item port
            # asks its channel at once.
            return _WorkerReaders(self, port, session)
