"""A work queue in eager mode, for TensorFlow 2 loops and Keras.

    queue = WorkQueue(["a.csv", "b.csv"], num_epochs=2)   # outside any graph
    for line in tf.data.TextLineDataset(queue.input_dataset()): ...

The queue belongs to the process. It is a trackable: a tf.train.Checkpoint that
is given it saves and restores its position.

The trap: one pass over its dataset is all that is left of the queue, all
epochs. Another pass goes on where the last one was left.
"""

from __future__ import annotations

import gc
import itertools
import os
import uuid
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from wq_hooks.core import log as logging
from wq_hooks.core.chief.dispatcher import Dispatcher
from wq_hooks.core.chief.local_mailbox import LocalMailbox, NoTransport
from wq_hooks.core.chief.tasks import Task
from wq_hooks.core.ledger.consumer_state import Consumer
from wq_hooks.core.monitoring.progress import Progress, ProgressMeter
from wq_hooks.core.monitoring.view import View, Viewer
from wq_hooks.core.names import Names
from wq_hooks.core.position.snapshot import Snapshot
from wq_hooks.errors import WorkQueueError
from wq_hooks.runtime.ports.dataset_ops import queue_options
from wq_hooks.runtime.records.records import Records
from wq_hooks.runtime.saving import sidecar_files
from wq_hooks.runtime.strategies.parameter_servers import (
    count_workers,
    expect_dataset_creator,
    is_on_parameter_servers,
    without_callback,
)
from wq_hooks.runtime.strategies.worker_records import WorkerDatasets
from wq_hooks.runtime.threads.process_threads import EagerService
from wq_hooks.runtime.transport.queue_server import checked_port
from wq_hooks.serving import Serving
from wq_hooks.work_queue import WorkQueue

_SETTLE_SECS = 2.0
_numbers = itertools.count(1)
_open_queues: weakref.WeakValueDictionary[str, EagerWorkQueue] = (
    weakref.WeakValueDictionary()
)


def _open_names() -> list[str]:
    """Returns the names of the process that are not free.

    A name is free when nobody will read from the queue that has it: when it is
    done, was closed or interrupted, or nobody holds it any more.
    """
    if any(queue.local_service.has_begun for queue in _made_queues()):
        # A model, its callbacks and so the queue may hold one another.
        gc.collect()
    return [queue.name for queue in _made_queues() if queue.has_its_name]


def _made_queues() -> list[EagerWorkQueue]:
    # In one go: another thread may make a queue meanwhile.
    queues = [reference() for reference in _open_queues.valuerefs()]
    return [queue for queue in queues if queue is not None]


_names = Names("the process", _open_names, ", or close() the first")


class EagerWorkQueue(WorkQueue, tf.train.experimental.PythonState):
    """What `WorkQueue(...)` makes outside any graph; see WorkQueue.

    Its threads start with its datasets and end with `close`, at the end of a
    `with` block, or with the process. A dataset that is iterated again goes on
    where the last iteration was left; what that one has not finished comes
    first.
    """

    # As it begins, made here or connected to. Under ParameterServerStrategy it
    # has workers.
    has_hook = False
    has_summary = False
    _dispatcher: Dispatcher | None = None
    _serving: Serving | None = None
    _workers: WorkerDatasets | None = None
    _num_ports = 0

    def _set_up(self) -> None:
        """Makes what the queue consists of in this process."""
        if self._local_work_mgr is not None:
            raise ValueError(
                "Expected local_work_mgr=None in eager mode; got a manager. "
                "Keep queue.snapshot() in a file, or make the queue in a graph."
            )
        self.task = Task.find(device="", environ=os.environ)
        self.is_chief = True
        self._shared_name = f"{self.name}-{next(_numbers)}-{uuid.uuid4().hex}"
        self._service = EagerService(
            self.name,
            Consumer(self.task.name, uuid.uuid4().hex[:12]),
            LocalMailbox(_weak_find_dispatcher(weakref.ref(self))),
            num_clients=self.num_clients,
        )
        # The one who could read from it would hold it.
        weakref.finalize(self, self._service.close_later).atexit = False
        strategy = tf.distribute.get_strategy()
        if is_on_parameter_servers(strategy):
            self._workers = WorkerDatasets(
                self.name,
                self._service,
                _weak_find_dispatcher(weakref.ref(self)),
                num_workers=count_workers(),
                num_clients=self.num_clients,
                lease_secs=self._options.lease_secs,
            )
        _open_queues[self.name] = self

    def _names(self) -> Names:
        return _names

    # What the user asks for.

    def take(self) -> Any:
        """Returns an item as an eager tf.string scalar tensor.

        The item before is completed. Raises tf.errors.OutOfRangeError at the
        end of data, again and again.
        """
        self._expect_eager("take")
        return tf.constant(self._service.take())

    def input_producer(self) -> Any:
        """Is of graph mode only.

        Raises:
          WorkQueueError: Always.
        """
        raise WorkQueueError(
            "Expected graph mode for input_producer, whose Reader ops exist "
            "only there; got a queue of eager mode. Use input_dataset()."
        )

    def input_dataset(self) -> Any:
        """Returns a tf.data.Dataset of tf.string scalars, one for each item.

        An item is completed when the dataset is asked for the next one, so a
        reader with `cycle_length` or `num_parallel_calls` above one needs
        that many `num_clients`. One iterator at a time may draw from it. Give
        the maps behind it `num_parallel_calls`: tf.data makes none parallel on
        its own here, as it would run ahead.
        """
        self._expect_eager("input_dataset")
        items = self._service.new_items(self._new_shared_name())
        text_of = tf.autograph.experimental.do_not_convert(_text_of)
        dataset = items.map(text_of).with_options(queue_options())
        # The queue lives as long as what is derived from this dataset.
        dataset._wq_hooks_queue = self
        return dataset

    def records(
        self, reader: Callable[[Any], Any], *, cycle_length: int = 1
    ) -> Records:
        """Returns the records of the items, which know their item.

        See WorkQueue.records.
        """
        if self._workers is not None and self._workers.is_tracing:
            return self._workers.records(
                self._new_shared_name(),
                reader,
                cycle_length,
                is_endless=self._options.num_epochs is None,
            )
        self._expect_eager("records")
        return self._service.new_records(
            self._new_shared_name(),
            reader,
            cycle_length,
            self,
            is_endless=self._options.num_epochs is None,
        )

    # Under a ParameterServerStrategy.

    def dataset_creator(self, dataset_fn: Callable[[], Any]) -> Any:
        """Returns what `model.fit` reads on the workers, in Keras 2.

        `fit` needs a WorkQueueCallback or WorkQueueCheckpoint, too.

        Args:
          dataset_fn: Returns `queue.records(...)...to_dataset()`.

        Raises:
          WorkQueueError: If the queue was not made in the scope of a
            ParameterServerStrategy, or with Keras 3.
        """
        workers = self._expect_workers("dataset_creator")
        creator = expect_dataset_creator()
        workers.dataset_fn = dataset_fn
        return creator(without_callback)

    def schedule_steps(
        self,
        coordinator: Any,
        train_step: Callable[[Any], Any],
        dataset_fn: Callable[[], Any],
    ) -> Iterator[Any]:
        """Lets the workers of a coordinator train on records until the end.

        Yields what the steps have returned, in the order in which they end;
        others are under way meanwhile.

        Args:
          coordinator: A tf.distribute.coordinator.ClusterCoordinator.
          train_step: A tf.function of the worker's iterator.
          dataset_fn: Returns `queue.records(...)...to_dataset()`.

        Raises:
          WorkQueueError: If the queue was not made in the scope of a
            ParameterServerStrategy.
          Exception: What a step has raised; its items stay open.
        """
        workers = self._expect_workers("schedule_steps")
        try:
            yield from workers.steps(coordinator, train_step, dataset_fn)
        except tf.errors.OutOfRangeError:
            if not self.is_done:
                raise

    def schedule_items(
        self, coordinator: Any, function: Callable[[Any], Any]
    ) -> Iterator[str]:
        """Lets the workers of a coordinator train on an item at a time.

        An item is completed when its function has returned, and then yielded.
        The coordinator runs the function again where a worker was lost.

        Args:
          coordinator: A tf.distribute.coordinator.ClusterCoordinator.
          function: A tf.function of an item, a tf.string scalar.

        Raises:
          WorkQueueError: If the queue was not made in the scope of a
            ParameterServerStrategy.
          Exception: What a function has raised; its item stays open.
        """
        workers = self._expect_workers("schedule_items")
        yield from workers.items(coordinator, function)

    def mark_trained(
        self, num_batches: int | None = None, *, is_through: bool = False
    ) -> None:
        """Says which batches that `records` has delivered were trained.

        A batch counts as trained when the train loop asks for the next one;
        this says so without asking, before a save. The Keras callbacks call it.

        A strategy, or `zip`, behind `to_dataset()` holds batches, and does not
        show which of them went into a step. Then only `num_batches` counts;
        without it, nothing does until `is_through`.

        Args:
          num_batches: How many batches were trained since the last call, in
            the order in which `to_dataset()` has delivered them; None: all that
            the loop has fetched.
          is_through: Whether all loops over the queue's datasets have come to
            their end. The last items of `input_dataset` are completed then,
            and all batches of `records`.

        Raises:
          ValueError: If `num_batches` is negative.
        """
        if num_batches is not None and num_batches < 0:
            raise ValueError(
                f"Expected num_batches >= 0 or None; got {num_batches}."
            )
        self._service.mark_trained(num_batches, is_through=is_through)

    @property
    def local_service(self) -> EagerService:
        """What runs for the queue in this process."""
        return self._service

    def add_summary(self) -> None:
        """Does nothing: WorkQueueCallback writes the summaries."""

    @property
    def num_added(self) -> int:
        """Number of works that were ever added; see WorkQueue.num_added."""
        return self._find_dispatcher().num_added

    def size(self) -> Any:
        """Returns an eager tf.int64 scalar: remaining items; -1: no end."""
        remaining = self._find_dispatcher().ledger.remaining
        # Not a Python number: TensorFlow would keep it; see ItemPort.
        return tf.constant(np.int64(-1 if remaining is None else remaining))

    def snapshot(self) -> str:
        """Returns the position as JSON."""
        self._service.settle()
        dispatcher = self._find_dispatcher()
        dispatcher.settle(_SETTLE_SECS)
        sidecar_files.keep(dispatcher, self.name, self.checkpoint_directory)
        return dispatcher.snapshot().to_json()

    def restore(self, snapshot: str) -> None:
        """Continues from a snapshot, at once.

        Raises:
          SnapshotError: If the snapshot is damaged or of a newer format.
        """
        position = Snapshot.from_json(snapshot)
        with self._lock:
            # What was handed out before is of a generation that is over.
            self._initial = position
            self._dispatcher = None
        if self._serving is not None:
            # Those who have connected wait for it.
            self._find_dispatcher()

    def close(self) -> None:
        """Ends the queue's threads; a new queue may have its name.

        What was read to the end of data counts as completed; otherwise what
        readers hold goes back to the line.
        """
        self._close(is_through=True)

    def __exit__(self, kind: Any, *error: object) -> None:
        """Closes the queue; after an error nothing is completed."""
        del error
        self._close(is_through=kind is None)

    def serve(self, port: int, *, in_step: bool = False) -> int:
        """Lets other processes take items; see WorkQueue.serve."""
        checked_port(port)
        self._expect_eager("serve")
        if self._serving is not None:
            raise WorkQueueError(
                f"Expected a queue that is not served yet; {self.name!r} is, "
                f"on port {self._serving.port}."
            )
        if self._service.has_begun:
            raise WorkQueueError(
                "Expected serve before anything is read from the queue; "
                f"something reads from {self.name!r} already. Call serve "
                "before take, input_dataset and records."
            )
        serving = Serving(self, port, in_step)
        with self._lock:
            former, self._dispatcher = self._dispatcher, None
            self._serving = serving
            if former is not None:
                self._dispatcher = serving.new_dispatcher(former.ledger)
        self._find_dispatcher()
        self._service = serving.new_service(_weak_is_end(weakref.ref(self)))
        return serving.port

    def join(self, timeout_secs: float | None = None) -> bool:
        """Waits until others have done all items; see WorkQueue.join."""
        if self._serving is None:
            raise WorkQueueError(
                f"Expected a queue that is served; {self.name!r} is not. Call "
                "serve(port) first."
            )
        # What this process holds goes to others.
        self._service.close()
        self._service.join()
        return self._serving.join(timeout_secs)

    @property
    def is_closed(self) -> bool:
        """Whether the queue was closed."""
        return self._service.is_closed

    @property
    def has_its_name(self) -> bool:
        """Whether no other queue of the process may have its name."""
        dispatcher = self._dispatcher
        is_done = dispatcher is not None and dispatcher.ledger.is_done
        return not (is_done or self.is_closed or self._service.is_interrupted)

    @property
    def has_ended(self) -> bool:
        """Whether a reader has met the end of data, and it still is there."""
        return (
            self._service.has_ended
            and self._find_dispatcher().ledger.is_exhausted
        )

    @property
    def is_done(self) -> bool:
        """Whether every item is completed."""
        return self._find_dispatcher().ledger.is_done

    # What tf.train.Checkpoint asks for.

    def serialize(self) -> str:
        """Returns the position for a checkpoint."""
        return self.snapshot() if self.is_saved else ""

    def deserialize(self, string_value: str | bytes) -> None:
        """Continues from the position of a checkpoint."""
        text = tf.compat.as_str(string_value)
        if not text or not self.is_saved:
            return
        if self._options.start_over:
            logging.info(
                "Work queue %s: start_over=True; the position in the "
                "checkpoint is ignored.",
                self.name,
            )
            return
        self.restore(text)

    # What callbacks ask for.

    @property
    def graph(self) -> Any:
        """Is of graph mode only; None."""
        return None

    @property
    def dispatcher(self) -> Dispatcher:
        """The owner of the ledger."""
        return self._find_dispatcher()

    def progress(self, meter: ProgressMeter) -> Progress:
        """Returns how far the queue is."""
        return self._find_dispatcher().progress(meter)

    def state(self) -> dict[str, Any]:
        """Returns who has what, for json."""
        return self._find_dispatcher().state()

    def view(self, viewer: Viewer) -> View:
        """Returns all that is written of the queue."""
        return self._find_dispatcher().view(viewer)

    # Inside.

    def _find_dispatcher(self) -> Dispatcher:
        with self._lock:
            if self._dispatcher is None:
                ledger = self._begin_ledger(self._initial, "")
                if self._serving is None:
                    self._warn_if_alone()
                    self._dispatcher = Dispatcher(
                        self.name,
                        ledger,
                        NoTransport(),
                        attempts=self.new_attempts(
                            None, self._service.reads_records
                        ),
                    )
                    self._warn_if_forgetful()
                else:
                    self._dispatcher = self._serving.new_dispatcher(ledger)
            return self._dispatcher

    def _is_end(self) -> bool:
        """Waits, where others read too, for what they may hand back."""
        dispatcher = self._find_dispatcher()
        is_end = dispatcher.wait_for_end(self.task.name, lambda: self.is_closed)
        # A restore may have come in between.
        return is_end and dispatcher is self._find_dispatcher()

    def _pull_works(self) -> None:
        with self._lock:
            dispatcher = self._dispatcher
        if dispatcher is not None:
            dispatcher.pull_works()

    def _warn_if_alone(self) -> None:
        if self.task.job != "local":
            logging.warning(
                "Work queue %s belongs to this process (%s) alone: each task "
                "that makes one reads all works.",
                self.name,
                self.task.name,
            )

    def _warn_if_forgetful(self) -> None:
        directory = self._attempts_dir or self.checkpoint_directory
        if self.counts_attempts and not directory:
            logging.warning(
                "Work queue %s: max_attempts counts across restarts only as "
                "far as a checkpoint knows. Give WorkQueue attempts_dir, the "
                "directory of the checkpoints.",
                self.name,
            )

    def keep_beside(self, directory: str) -> None:
        """Notes where the checkpoints are, and what is kept beside them."""
        self.checkpoint_directory = directory
        with self._lock:
            begun = self._dispatcher
            is_untouched = begun is not None and not begun.ledger.consumers
            if self._serving is None and is_untouched:
                # It did not know of what is kept there.
                self._dispatcher = None

    def forgive(self) -> None:
        """Notes that no item has failed, as at the end of training."""
        if self.is_chief:
            self._find_dispatcher().forgive()

    def _new_shared_name(self) -> str:
        with self._lock:
            self._num_ports += 1
            return f"{self._shared_name}/{self._num_ports}"

    def _close(self, *, is_through: bool) -> None:
        if is_through and not self.is_closed and self._dispatcher is not None:
            self._dispatcher.forgive()
        self._service.close(is_through=is_through)
        self._service.join()
        if self._serving is not None:
            self._serving.end(is_through=is_through)
        if _open_queues.get(self.name) is self:
            del _open_queues[self.name]

    @property
    def workers(self) -> WorkerDatasets | None:
        """The datasets on the workers of a ParameterServerStrategy."""
        return self._workers

    def _expect_workers(self, method: str) -> WorkerDatasets:
        self._expect_eager(method)
        if self._workers is None:
            raise WorkQueueError(
                "Expected a WorkQueue that was made in the scope of a "
                f"ParameterServerStrategy; {self.name!r} was made outside of "
                "it. Make it `with strategy.scope():`."
            )
        return self._workers

    def _expect_eager(self, method: str) -> None:
        if self._workers is not None and not tf.executing_eagerly():
            raise WorkQueueError(
                f"Expected {method} outside of the functions that workers run; "
                "got one. In a dataset function call records(), and give the "
                "function to dataset_creator() or schedule_steps()."
            )
        if not tf.executing_eagerly():
            raise WorkQueueError(
                f"Expected {method} to be called in eager mode, as WorkQueue "
                f"{self.name!r} was made; got a graph or a tf.function. "
                "Make the queue where it is used."
            )
        if self.is_closed:
            raise WorkQueueError(
                f"Expected an open queue; {self.name!r} was closed."
            )


def _weak_find_dispatcher(
    reference: weakref.ref[EagerWorkQueue],
) -> Callable[[], Dispatcher]:
    """Returns what threads hold of a queue, which must not keep it alive."""

    def find() -> Dispatcher:
        queue = reference()
        if queue is None:
            raise WorkQueueError(
                "Expected a queue that is still there; nobody holds it any "
                "more. Keep it in a variable while its dataset is in use."
            )
        return queue._find_dispatcher()

    return find


def _weak_is_end(
    reference: weakref.ref[EagerWorkQueue],
) -> Callable[[], bool]:
    """Returns what a thread asks at the end of data; see above."""

    def is_end() -> bool:
        queue = reference()
        return queue is None or queue._is_end()

    return is_end


def _text_of(slot: Any, text: Any) -> Any:
    del slot
    return text
