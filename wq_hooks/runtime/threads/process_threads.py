"""What runs for a queue in eager mode, as long as its process has it.

    service = EagerService("work_queue", task, transport)
    service.readers.take()
    service.close()

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

import tensorflow as tf

from wq_hooks.core import log as logging
from wq_hooks.core.ledger.consumer_state import Consumer
from wq_hooks.core.preemption import Preemption
from wq_hooks.core.protocol.transports import ConsumerTransport
from wq_hooks.runtime.threads import interrupt, preemption
from wq_hooks.runtime.threads.consumer_group import LEAVE_SECS, ConsumerGroup
from wq_hooks.runtime.threads.process_readers import GONE, ProcessReaders
from wq_hooks.runtime.transport.lookout import Lookout
from wq_hooks.runtime.transport.meeting import Board

_JOIN_SECS = 5.0
_BEAT_TIMEOUT_SECS = 10.0
# What a process holds that has to go is with others within 2 s.
_OWNER_SECS = 1.5
_live: weakref.WeakSet[EagerService] = weakref.WeakSet()
_process_ends = threading.Event()


@atexit.register
def close_all() -> None:
    """Ends all consumers of the process, as at its end."""
    _process_ends.set()
    is_through = has_ended_well()
    for service in list(_live):
        service.close(is_through=is_through)
    for service in list(_live):
        service.join()


def has_ended_well() -> bool:
    """Whether this process, which ends, was through with what it read."""
    # Set by an exception that nobody has caught.
    has_failed = getattr(sys, "last_value", None) is not None
    return not has_failed and not preemption.is_preempted()


def end_all_early() -> None:
    """Gives all readers of the process the end of data; it has to go.

    See `ProcessReaders.end_early`.
    """
    for service in list(_live):
        service.readers.end_early()


def settle_all() -> None:
    """Says what was trained of all queues of the process; it has to go.

    What it holds goes back to the line.
    """
    for service in list(_live):
        service.readers.mark_trained()
        service.readers.hand_back()


def _last_error() -> int:
    """Returns which error nobody has caught, in an interactive session."""
    # Not the error itself, whose frames hold what was read.
    return id(getattr(sys, "last_value", None))


class EagerService:
    """The consumers of one queue in this process.

    Args:
      name: Name of the queue.
      task: Name of this process among those that share the queue.
      transport: Transport that items come from.
      num_clients: How many readers draw from one consumer at a time.
      acks_on_take: Whether an item is completed when it is handed out.
      is_end: Called at the end of data; False means to ask again.
      beat_secs: How often to say that this process is alive; None: there is
        nobody to say it to.
      shut: Called when all is said; ends what still waits for an item.
      board: Where the process that serves the queue says how it is; None: it
        is not served.
      leads: Whether this is that process.
      on_preemption: When to give back what is held, since this process has to
        go; None: somebody else sees to it.
    """

    def __init__(
        self,
        name: str,
        task: Consumer,
        transport: ConsumerTransport,
        *,
        num_clients: int = 1,
        acks_on_take: bool = False,
        is_end: Callable[[], bool] = lambda: True,
        beat_secs: float | None = None,
        shut: Callable[[], None] = lambda: None,
        board: Board | None = None,
        leads: bool = False,
        on_preemption: Preemption | None = None,
    ):
        self._name = name
        self._task = task
        self._group = ConsumerGroup(
            transport,
            self._start,
            num_clients=num_clients,
            acks_on_take=acks_on_take,
            is_end=is_end,
        )
        self.readers = ProcessReaders(
            name,
            task,
            self._group,
            num_clients=num_clients,
            # Another process waits for those who have not left.
            reports_leave=beat_secs is not None,
            # Who shares the queue with others looks at what they do.
            warns_of_waits=board is None,
            begin=self._begin,
        )
        self._beat_secs = beat_secs
        self._shut = shut
        self._board = board
        self._leads = leads
        self._lock = self.readers.lock
        self._settings = on_preemption
        self._watch = preemption.watch(None)
        self._stopped = threading.Event()
        self._has_closed = threading.Event()
        self._threads: list[threading.Thread] = []
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
            self.readers.has_begun and self._last_error != _last_error()
        )

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
            is_late = self.is_closed
            if not is_late:
                with contextlib.suppress(tf.errors.OpError):
                    if is_through:
                        self.readers.say_through()
                    self.flush()
                self._stopped.set()
                self.readers.is_closed = True
        if is_late:
            # Another thread may be about it, and end with the process.
            self._has_closed.wait(LEAVE_SECS)
            return
        has_to_go = self._watch.is_preempted
        self._cleanup.close()
        self._watch.close()
        for port in self._group.ports:
            port.discard()
        for loop in self._group.loops:
            with contextlib.suppress(*GONE):
                if has_to_go:
                    loop.report_completed()
                elif loop.has_ended and is_through:
                    loop.complete_all()
            with contextlib.suppress(*GONE):
                self._group.report_leave(loop, in_order=has_to_go)
        with contextlib.suppress(*GONE):
            self._shut()
        self._has_closed.set()

    def close_later(self) -> None:
        """Closes it in a thread of its own, as `release` does.

        The garbage collector may come while somebody builds a graph.
        """
        if self.readers.has_begun and not self.is_closing:
            threading.Thread(
                target=self.close, kwargs={"is_through": False}, daemon=True
            ).start()

    def join(self) -> None:
        """Waits until the threads have ended; behind `close`."""
        deadline = time.monotonic() + _JOIN_SECS
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))

    def _begin(self) -> None:
        _live.add(self)
        interrupt.watch()
        self._cleanup.enter_context(interrupt.on_interrupt(self._interrupt))
        self._watch = preemption.watch(
            self._settings,
            self._hand_over,
            is_idle=lambda: True,
            name=f"what reads from work queue {self._name}",
        )
        if self._beat_secs is not None:
            self._say_alive()
            self._start(self._beat_forever, "keeper")
        if self._board is not None:
            # A thread of its own: a server that is gone does not answer.
            self._start(
                functools.partial(self._look_forever, self._board), "lookout"
            )

    def _hand_over(self) -> None:
        """Gives back what is held, and ends what waits for more."""
        if not preemption.is_idle():
            # A `fit` or a block that is left in order does it itself.
            self._stopped.wait(_OWNER_SECS)
        self.close(is_through=False)

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
