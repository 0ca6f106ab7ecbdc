"""What runs for a queue in eager mode: a consumer for each dataset.

    service = EagerService("work_queue", task, transport)
    dataset = service.new_items()      # of (slot, text)
    service.take()

A consumer's thread is started with its dataset and waits until that is
iterated. When a dataset is iterated again, what its last iteration has not
finished goes back to the line.

The trap: a thread that waits inside TensorFlow while Python ends can abort the
process, so all of them are ended, and joined, before.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import sys
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from wq_hooks.core import log as logging
from wq_hooks.core.consumer.consumer import ConsumerLoop, Transport
from wq_hooks.core.ledger.consumer_state import Consumer, consumer_name
from wq_hooks.errors import WorkQueueError
from wq_hooks.runtime.ports.item_channel import ItemChannel
from wq_hooks.runtime.ports.port import Port
from wq_hooks.runtime.reading.process_records_port import ProcessRecordsPort
from wq_hooks.runtime.reading.record_events import ALL_FETCHED, ALL_THROUGH
from wq_hooks.runtime.reading.records_port import RecordsPort
from wq_hooks.runtime.records.read_records import records_read
from wq_hooks.runtime.records.records import Records
from wq_hooks.runtime.threads import interrupt
from wq_hooks.runtime.threads.consumer_group import LEAVE_SECS, ConsumerGroup
from wq_hooks.runtime.transport.function_session import FunctionSession
from wq_hooks.runtime.transport.lookout import Lookout
from wq_hooks.runtime.transport.meeting import Board

_JOIN_SECS = 5.0
_BEAT_TIMEOUT_SECS = 10.0
_CPU = "/device:CPU:0"
# Who is gone needs not be told.
_GONE = (tf.errors.OpError, RuntimeError, WorkQueueError)
_live: weakref.WeakSet[EagerService] = weakref.WeakSet()
_process_ends = threading.Event()


@atexit.register
def close_all() -> None:
    """Ends all consumers of the process, as at its end."""
    _process_ends.set()
    # Set by an exception that nobody has caught.
    is_through = getattr(sys, "last_value", None) is None
    for service in list(_live):
        service.close(is_through=is_through)
    for service in list(_live):
        service.join()


def _last_error() -> int:
    """Returns which error nobody has caught, in an interactive session."""
    # Not the error itself, whose frames hold what was read.
    return id(getattr(sys, "last_value", None))


class _Owner:
    """Who has it may ask readers for records of a queue."""

    def __init__(self, queue: Any):
        self.queue = queue


class EagerService:
    """The consumers of one queue in this process.

    Args:
      name: Name of the queue.
      task: Who this process is among those that share the queue.
      transport: Where items come from.
      num_clients: How many readers draw from one consumer at a time.
      acks_on_take: Whether an item is completed when it is handed out.
      is_end: Called at the end of data; False means to ask again.
      beat_secs: How often to say that this process is alive; None: there is
        nobody to say it to.
      shut: Called when all is said; ends what still waits for an item.
      board: Where the process that serves the queue says how it is; None: it
        is not served.
      leads: Whether this is that process.
    """

    def __init__(
        self,
        name: str,
        task: Consumer,
        transport: Transport,
        *,
        num_clients: int = 1,
        acks_on_take: bool = False,
        is_end: Callable[[], bool] = lambda: True,
        beat_secs: float | None = None,
        shut: Callable[[], None] = lambda: None,
        board: Board | None = None,
        leads: bool = False,
    ):
        self._name = name
        self._task = task
        self._num_clients = num_clients
        self._group = ConsumerGroup(
            transport,
            self._start,
            num_clients=num_clients,
            acks_on_take=acks_on_take,
            is_end=is_end,
        )
        self._beat_secs = beat_secs
        self._shut = shut
        self._board = board
        self._leads = leads
        self._lock = threading.RLock()
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []
        self._take_loop: ConsumerLoop | None = None
        self._num_loops = 0
        self._num_ends = 0
        self._has_step_counter = False
        self._is_interrupted = False
        self._last_error = _last_error()
        self._cleanup = contextlib.ExitStack()

    @property
    def is_closed(self) -> bool:
        """Whether it was closed."""
        return self._stopped.is_set()

    @property
    def is_closing(self) -> bool:
        """Whether it was closed, or will be with its process."""
        return self.is_closed or _process_ends.is_set()

    @property
    def is_interrupted(self) -> bool:
        """Whether ctrl-C or an error has ended what was reading.

        Where somebody types, the error of a cell was caught by the console.
        """
        return self._is_interrupted or (
            self.has_begun and self._last_error != _last_error()
        )

    @property
    def has_begun(self) -> bool:
        """Whether it has, or had, a reader."""
        return self._num_loops > 0

    @property
    def has_ended(self) -> bool:
        """Whether a reader has met the end of data."""
        return any(loop.has_ended for loop in self._group.loops)

    def reads_records(self, name: str) -> bool:
        """Whether a consumer, by its name, is one that reads records."""
        return self._group.reads_records(name)

    @property
    def _record_ports(self) -> list[ProcessRecordsPort]:
        return [
            port
            for port in self._group.ports
            if isinstance(port, ProcessRecordsPort)
        ]

    def take(self) -> bytes:
        """Returns an item.

        Raises:
          tf.errors.OutOfRangeError: At the end of data.
        """
        with self._lock:
            loop = self._take_loop
            if loop is None:
                loop = self._new_loop(Port())
                self._take_loop = loop
        fetched = loop.next_item()
        if fetched is not None:
            return fetched[1]
        with self._lock:
            self._num_ends += 1
            if self._num_ends >= self._num_clients:
                loop.complete_all()
        raise tf.errors.OutOfRangeError(
            None, None, f"Work queue {self._name!r} has no more items."
        )

    def new_taker(self, task_name: str) -> ConsumerLoop:
        """Returns a consumer whose items are asked for by `next_item`.

        Args:
          task_name: Name of the task that it is for.
        """
        with self._lock:
            return self._new_loop(Port(), task_name)

    def new_items(self, shared_name: str) -> Any:
        """Returns a tf.data.Dataset of (slot, text) for plain readers.

        Args:
          shared_name: Name of its queues, unique in this process.
        """
        with tf.init_scope(), tf.device(_CPU):
            channel = ItemChannel(shared_name)
        port = channel.in_process()
        self._serve(port)
        return self._release_with(channel.items(), port)

    def new_records(
        self,
        shared_name: str,
        reader: Callable[[Any], Any],
        cycle_length: int,
        queue: Any,
        *,
        is_endless: bool = False,
    ) -> Records:
        """Returns the records of the items.

        Args:
          shared_name: Name of its queues, unique in this process.
          reader: See `lanes.pairs_read`.
          cycle_length: See `lanes.pairs_read`.
          queue: Lives as long as what is made of them.
          is_endless: Whether the items never end.
        """
        session = FunctionSession()
        with tf.device(_CPU):
            port = session.build(
                lambda: RecordsPort(
                    f"{shared_name}/records", num_clients=self._num_clients
                )
            )
        readers = ProcessRecordsPort(port, session)
        readers.has_step_counter = self._has_step_counter
        self.serve_records(readers)

        # Each dataset of the readers holds it, and so what is made of them.
        owner = self._release_with(_Owner(queue), readers)

        def from_items(make: Callable[[Any], Any]) -> Any:
            dataset = port.channel.passes(make)
            dataset._wq_hooks_owner = owner
            return dataset

        return records_read(
            port,
            from_items,
            reader,
            cycle_length=cycle_length,
            is_endless=is_endless,
        )

    def serve_records(
        self, readers: ProcessRecordsPort, task_name: str | None = None
    ) -> None:
        """Starts a consumer for what reads records.

        Args:
          readers: What reads.
          task_name: Where it reads; None: in this process.
        """
        self._serve(readers, task_name)

    def mark_trained(
        self,
        num_batches: int | None = None,
        *,
        is_through: bool = False,
        is_sure: Callable[[ProcessRecordsPort], bool] = lambda readers: True,
    ) -> None:
        """Notes what was trained.

        Args:
          num_batches: How many batches of `records` more; None: all of which
            it is known that they were fetched.
          is_through: Whether the readers that have met the end of data have
            nothing more to deliver.
          is_sure: Whether that is also true of an iteration of these readers
            that does not report what was fetched.
        """
        for readers in self._record_ports:
            if not self.is_closed:
                sure = is_sure(readers)
                if num_batches != 0 or is_through:
                    number = ALL_FETCHED if num_batches is None else num_batches
                    readers.mark_trained(number, is_sure=sure)
                if is_through:
                    readers.mark_trained(ALL_THROUGH, is_sure=sure)
        self.flush()
        if is_through:
            for loop in self._group.loops:
                if loop.has_ended:
                    loop.complete_all()

    def expect_step_counter(self) -> None:
        """Notes that somebody counts the steps, and will say it."""
        self._has_step_counter = True
        for readers in self._record_ports:
            readers.has_step_counter = True

    def flush(self) -> None:
        """Waits until what was delivered so far has been counted."""
        if not self.is_closed:
            self._group.flush()

    def close(self, *, is_through: bool = True) -> None:
        """Ends all threads; what the readers hold goes back to the line.

        Args:
          is_through: Whether readers that have met the end of data are through
            with all that they were given, which is completed then.
        """
        with self._lock:
            if self.is_closed:
                return
            with contextlib.suppress(tf.errors.OpError):
                if is_through:
                    self._say_through()
                self.flush()
            self._stopped.set()
        self._cleanup.close()
        for port in self._group.ports:
            port.discard()
        for loop in self._group.loops:
            with contextlib.suppress(*_GONE):
                if loop.has_ended and is_through:
                    loop.complete_all()
            with contextlib.suppress(*_GONE):
                self._group.report_leave(loop)
        with contextlib.suppress(*_GONE):
            self._shut()

    def _say_through(self) -> None:
        for loop, port in self._group:
            if isinstance(port, ProcessRecordsPort) and loop.has_ended:
                port.mark_trained(ALL_THROUGH)

    def close_later(self) -> None:
        """Closes it in a thread of its own, as `release` does.

        The garbage collector may come while somebody builds a graph.
        """
        if self.has_begun and not self.is_closing:
            threading.Thread(
                target=self.close, kwargs={"is_through": False}, daemon=True
            ).start()

    def join(self) -> None:
        """Waits until the threads have ended; behind `close`."""
        deadline = time.monotonic() + _JOIN_SECS
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))

    def _release_with(self, owner: Any, port: Port) -> Any:
        """Gives back what readers hold when nobody has `owner`; returns it."""

        def release() -> None:
            # In a thread of its own: the garbage collector may come while
            # somebody builds a graph.
            threading.Thread(
                target=self.release, args=(port,), daemon=True
            ).start()

        weakref.finalize(owner, release).atexit = False
        return owner

    def release(self, port: Port) -> None:
        """Gives back what the readers of a port hold, who will not go on."""
        with self._lock, contextlib.suppress(*_GONE):
            loops = [loop for loop, own in self._group if own is port]
            if self.is_closed or not loops:
                return
            (loop,) = loops
            is_exact = isinstance(port, ProcessRecordsPort) and (
                port.num_in_training == 0
            )
            if loop.has_ended and not is_exact:
                # Whether the last items were trained is not known yet.
                return
            port.flush(LEAVE_SECS)
            loop.begin_again()
            if self._beat_secs is not None:
                # Another process waits for those who have not left.
                self._group.report_leave(loop)
            self._group.remove(loop)
            port.discard()

    def _serve(self, port: Port, task_name: str | None = None) -> None:
        with self._lock:
            loop = self._new_loop(port, task_name)

        def serve_forever() -> None:
            # A dataset may be iterated again after the end of data.
            while not self.is_closed:
                try:
                    loop.serve_forever()
                except Exception as e:
                    if self.is_closed:
                        return
                    if loop not in self._group:
                        # It may have taken one just when nobody was left.
                        with contextlib.suppress(*_GONE):
                            if not loop.has_ended:
                                loop.begin_again()
                        return
                    logging.error("Work queue %s: %s", self._name, e)
                    port.fail(f"Work queue {self._name}: {e}")

        self._group.serve(loop, serve_forever)

    def _new_loop(
        self, port: Port, task_name: str | None = None
    ) -> ConsumerLoop:
        if self.is_closed:
            raise RuntimeError(f"Work queue {self._name!r} was closed.")
        number = self._num_loops
        self._num_loops += 1
        if number == 0:
            self._begin()
        name = consumer_name(task_name or self._task.name, number)
        loop = self._group.add(
            port,
            Consumer(name, self._task.incarnation),
            pause=lambda _: self._expect_wanted(loop),
        )
        return loop

    def _expect_wanted(self, loop: ConsumerLoop) -> None:
        """Raises an error if nobody waits for an item of a consumer more."""
        if self.is_closed or loop not in self._group:
            raise WorkQueueError(
                f"Work queue {self._name!r} was closed while a reader waited "
                "for an item."
            )
        # Who shares the queue with others looks at what they do.
        if self._board is None and loop.patience.is_over():
            logging.warning(
                "Work queue %s: a reader (%s) has waited %d s for an item; the "
                "queue is open, and waits for add_works or close_works.",
                self._name,
                loop.consumer.name,
                loop.patience.secs,
            )

    def _begin(self) -> None:
        _live.add(self)
        interrupt.watch()
        self._cleanup.enter_context(interrupt.on_interrupt(self._interrupt))
        if self._beat_secs is not None:
            self._say_alive()
            self._start(self._beat_forever, "keeper")
        if self._board is not None:
            # A thread of its own: a server that is gone does not answer.
            self._start(
                functools.partial(self._look_forever, self._board), "lookout"
            )

    def _interrupt(self) -> None:
        self._is_interrupted = True
        for port in self._group.ports:
            port.fail("Interrupted while waiting for an item.")

    def _beat_forever(self) -> None:
        while not self._stopped.wait(self._beat_secs):
            self._say_alive()

    def _look_forever(self, board: Board) -> None:
        lookout = Lookout(
            self._name,
            self._task.name,
            board,
            self._group.gates,
            is_chief=self._leads,
        )
        while not self._stopped.wait(lookout.pause_secs):
            lookout.look()

    def _say_alive(self) -> None:
        # The one who is silent for four beats has lost its items anyway.
        secs = min(_BEAT_TIMEOUT_SECS, 4 * (self._beat_secs or 1.0))
        self._group.report_alive(self._task, secs)

    def _start(self, target: Callable[[], None], name: str) -> None:
        def run() -> None:
            try:
                target()
            except Exception as e:
                # Closing ends what the threads wait for.
                if not self.is_closed and not _is_closed(e):
                    logging.error("Work queue %s: %s", self._name, e)

        thread = threading.Thread(
            target=run, name=f"{self._name}-{name}", daemon=True
        )
        self._threads.append(thread)
        thread.start()


def _is_closed(error: Exception) -> bool:
    """Whether an error says that the queue that a thread waits on is closed."""
    return isinstance(
        error, (tf.errors.CancelledError, tf.errors.OutOfRangeError)
    )
