"""A queue of this process in eager mode, for TensorFlow 2 loops and Keras.

    engine = EagerEngine(listing)
    engine.chief.ledger.is_done

It keeps its own ledger, and may serve it to other processes. The trap: one pass
over its dataset is all that is left of the queue, all epochs. Another pass goes
on where the last one was left.
"""

from __future__ import annotations

import itertools
import os
import threading
import uuid
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from wq_hooks.core import log as logging
from wq_hooks.core.chief.chief import Chief
from wq_hooks.core.chief.local_transport import LocalTransport
from wq_hooks.core.chief.tasks import Task
from wq_hooks.core.ledger.consumer_state import Consumer
from wq_hooks.core.ledger.ledger import Ledger
from wq_hooks.core.preemption import Preemption, as_preemption
from wq_hooks.core.protocol.service_record import ServiceRecord
from wq_hooks.core.values import as_port
from wq_hooks.engines import open_queues
from wq_hooks.engines.listing import Listing
from wq_hooks.engines.process import ProcessEngine
from wq_hooks.engines.queue_service import QueueService
from wq_hooks.errors import WorkQueueError
from wq_hooks.runtime.host.incarnation import own_incarnation
from wq_hooks.runtime.host.statement import typed_statement
from wq_hooks.runtime.records.records import Records
from wq_hooks.runtime.strategies.parameter_servers import (
    count_workers,
    is_on_parameter_servers,
)
from wq_hooks.runtime.strategies.worker_records import WorkerDatasets
from wq_hooks.runtime.threads.process_threads import EagerService

_numbers = itertools.count(1)


class EagerEngine(ProcessEngine):
    """A ledger, and what reads from it in this process.

    Its threads start with its datasets and end with `close`, or with the
    process. Under a ParameterServerStrategy the workers have datasets, too.

    Args:
      listing: Arguments that the queue was made of.
    """

    mode = "eager"

    def __init__(self, listing: Listing):
        self._listing = listing
        self._options = options = listing.options
        self._factory = listing.factory
        self._chief: Chief | None = None
        self._served: QueueService | None = None
        self._lock = threading.Lock()
        self.task = Task.find(device="", environ=os.environ)
        self.made_by = typed_statement()
        find_chief = _weakly(weakref.ref(self))
        super().__init__(
            listing.name,
            f"{listing.name}-{next(_numbers)}-{uuid.uuid4().hex}",
            EagerService(
                listing.name,
                Consumer(self.task.name, own_incarnation()),
                LocalTransport(find_chief),
                num_clients=options.num_clients,
                acks_on_take=options.acks_on_take,
            ),
            is_endless=options.num_epochs is None,
        )
        # A reader would hold the engine.
        weakref.finalize(self, self.service.close_later).atexit = False
        self.workers: WorkerDatasets | None = None
        if is_on_parameter_servers(tf.distribute.get_strategy()):
            self.workers = WorkerDatasets(
                self.name,
                self.service,
                find_chief,
                num_workers=count_workers(),
                num_clients=options.num_clients,
                lease_secs=options.lease_secs,
            )
        open_queues.add(self)

    def __repr__(self) -> str:
        return f"WorkQueue({self._listing!r})"

    # What users call; see WorkQueue.

    def records(
        self, reader: Callable[[Any], Any], cycle_length: int
    ) -> Records:
        if self.workers is None or not self.workers.is_tracing:
            return super().records(reader, cycle_length)
        return self.workers.records(
            self._new_shared_name(),
            reader,
            cycle_length,
            is_endless=self._is_endless,
        )

    def dataset_creator(self, dataset_fn: Callable[[], Any]) -> Any:
        return self._expect_workers("dataset_creator").creator(dataset_fn)

    def schedule_steps(
        self,
        coordinator: Any,
        train_step: Callable[[Any], Any],
        dataset_fn: Callable[[], Any],
    ) -> Iterator[Any]:
        workers = self._expect_workers("schedule_steps")
        try:
            yield from workers.steps(coordinator, train_step, dataset_fn)
        except tf.errors.OutOfRangeError:
            if not (self.is_done or self.is_ending_early):
                raise

    def schedule_items(
        self, coordinator: Any, function: Callable[[Any], Any]
    ) -> Iterator[str]:
        workers = self._expect_workers("schedule_items")
        yield from workers.items(coordinator, function)

    def add_works(self, works: Sequence[Any], priority: int) -> None:
        self._listing.add(works, priority)
        self._pull_works()

    def close_works(self) -> None:
        self._listing.end()
        self._pull_works()

    def num_added(self) -> int:
        return self.chief.num_added

    def size(self) -> Any:
        remaining = self.chief.ledger.remaining
        # Not a Python number: TensorFlow would keep it; see ItemPort.
        return tf.constant(np.int64(-1 if remaining is None else remaining))

    def num_items(self) -> int:
        return self._factory.num_items

    def works(self) -> list[str]:
        return list(self._listing.works)

    def snapshot(self) -> str:
        self.service.flush()
        chief = self.chief
        if self._served is not None:
            self._served.flush()
        self._factory.sidecars.keep(chief.ledger)
        chief.note_save()
        return chief.snapshot().to_json()

    def restore(self, snapshot: str) -> None:
        with self._lock:
            self._factory.continue_from(snapshot)
            # What was handed out before is of a generation that is over.
            self._chief = None
        if self._served is not None:
            # Connected processes wait for it.
            self._find_chief()

    def serialize(self) -> str:
        return self.snapshot() if self._options.save else ""

    def deserialize(self, string_value: str | bytes) -> None:
        text = tf.compat.as_str(string_value)
        if not text or not self._options.save:
            return
        if self._options.start_over:
            logging.info(
                "Work queue %s: start_over=True; the position in the "
                "checkpoint is ignored.",
                self.name,
            )
            return
        self.restore(text)

    def serve(
        self, port: int, in_step: bool, on_preemption: Preemption | None
    ) -> int:
        port = as_port("port", port)
        self._expect_eager("serve")
        if self._served is not None:
            raise WorkQueueError(
                f"Expected a queue that is not served yet; {self.name!r} is, "
                f"on port {self._served.port}."
            )
        if self.service.readers.has_begun:
            raise WorkQueueError(
                "Expected serve before anything is read from the queue; "
                f"something reads from {self.name!r} already. Call serve "
                "before take, input_dataset and records."
            )
        served = QueueService(
            ServiceRecord(
                self.name, self.num_items(), self._options.lease_secs
            ),
            port,
            self.task.name,
            in_step=in_step,
            find_chief=self._find_chief,
            close=self.close,
            on_preemption=as_preemption(on_preemption),
        )
        with self._lock:
            former, self._chief = self._chief, None
            self._served = served
            if former is not None:
                self._chief = self._new_chief(former.ledger)
        self._find_chief()
        self.service = served.new_service(
            self._options.num_clients, _weak_is_end(weakref.ref(self))
        )
        return served.port

    def join(self, timeout_secs: float | None) -> bool:
        if self._served is None:
            raise WorkQueueError(
                f"Expected a queue that is served; {self.name!r} is not. Call "
                "serve(port) first."
            )
        # What this process holds goes to others.
        super().close(is_through=True)
        return self._served.join(timeout_secs)

    def close(self, *, is_through: bool) -> None:
        """Ends the threads; a new queue may have the name."""
        if is_through and not self.is_closed and self._chief is not None:
            self._chief.forgive()
        super().close(is_through=is_through)
        if self._served is not None:
            self._served.end(is_through=is_through)
        open_queues.discard(self)

    # What callbacks and the service ask for.

    @property
    def has_begun(self) -> bool:
        """Whether it has, or had, a reader."""
        return self.service.readers.has_begun

    @property
    def has_its_name(self) -> bool:
        """Whether no other queue of the process may have its name."""
        chief = self._chief
        is_done = chief is not None and chief.ledger.is_done
        return not (is_done or self.is_closed or self.service.is_interrupted)

    @property
    def has_ended(self) -> bool:
        """Whether a reader has met the end of data, and it still is there."""
        return self.service.readers.has_ended and self.chief.ledger.is_exhausted

    @property
    def is_done(self) -> bool:
        """Whether every item is completed."""
        return self.chief.ledger.is_done

    @property
    def chief(self) -> Chief:
        """The chief, which begins when it is asked for."""
        return self._find_chief()

    def is_end(self) -> bool:
        """Waits, where others read too, for what they may hand back."""
        chief = self.chief
        is_end = chief.wait_for_end(self.task.name, lambda: self.is_closed)
        # A restore may have come in between.
        return is_end and chief is self.chief

    def keep_beside(self, directory: str) -> None:
        """Notes where the checkpoints are, and what is kept beside them."""
        self._factory.sidecars.directory = directory
        with self._lock:
            begun = self._chief
            is_untouched = begun is not None and not begun.ledger.consumers
            if self._served is None and is_untouched:
                # It did not know of what is kept there.
                self._chief = None

    def forgive(self) -> None:
        """Notes that no item has failed, as at the end of training."""
        self.chief.forgive()

    def leave(self) -> None:
        """Gives back what this process holds, and keeps the position."""
        self.service.readers.hand_back()
        self.forgive()

    # Inside.

    def _find_chief(self) -> Chief:
        with self._lock:
            if self._chief is None:
                ledger = self._factory.begin("")
                self._chief = self._new_chief(ledger)
            return self._chief

    def _new_chief(self, ledger: Ledger) -> Chief:
        new_attempts = self._factory.new_attempts
        if self._served is not None:
            attempts = new_attempts(self.task.name, lambda _: False)
            return self._served.new_chief(ledger, attempts)
        self._warn_of_use()
        return Chief(
            self.name,
            ledger,
            attempts=new_attempts(None, self.service.readers.reads_records),
        )

    def _pull_works(self) -> None:
        with self._lock:
            chief = self._chief
        if chief is not None:
            chief.pull_works()

    def _warn_of_use(self) -> None:
        if self.task.job != "local":
            logging.warning(
                "Work queue %s belongs to this process (%s) alone: each task "
                "that makes one reads all works.",
                self.name,
                self.task.name,
            )
        is_kept = bool(self._factory.sidecars.attempts_directory)
        if self._options.counts_attempts and not is_kept:
            logging.warning(
                "Work queue %s: max_attempts counts across restarts only as "
                "far as a checkpoint knows. Give WorkQueue attempts_dir, the "
                "directory of the checkpoints.",
                self.name,
            )

    def _expect_workers(self, method: str) -> WorkerDatasets:
        self._expect_eager(method)
        if self.workers is None:
            raise WorkQueueError(
                "Expected a WorkQueue that was made in the scope of a "
                f"ParameterServerStrategy; {self.name!r} was made outside of "
                "it. Make it `with strategy.scope():`."
            )
        return self.workers

    def _expect_eager(self, method: str) -> None:
        if self.workers is not None and not tf.executing_eagerly():
            raise WorkQueueError(
                f"Expected {method} outside of the functions that workers run; "
                "got one. In a dataset function call records(), and give the "
                "function to dataset_creator() or schedule_steps()."
            )
        super()._expect_eager(method)


def _weakly(reference: weakref.ref[EagerEngine]) -> Callable[[], Chief]:
    """Returns what threads hold of a queue, which must not keep it alive."""

    def find() -> Chief:
        engine = reference()
        if engine is None:
            raise WorkQueueError(
                "Expected a queue that is still there; nobody holds it any "
                "more. Keep it in a variable while its dataset is in use."
            )
        return engine._find_chief()

    return find


def _weak_is_end(reference: weakref.ref[EagerEngine]) -> Callable[[], bool]:
    """Returns what a thread asks at the end of data; see above."""

    def is_end() -> bool:
        engine = reference()
        return engine is None or engine.is_end()

    return is_end
