"""A session on another process' server, whose steps can be given up.

    connection = Connection("grpc://10.0.0.7:2222", "work_queue")
    connection.run(lambda mailbox: mailbox.look_up(messages.END))

The trap: where a server is gone, TensorFlow repeats a step until there is one
again, and nothing but the end of the process ends it. So each step has a
thread of its own, and the one who waits for it can be told to wait no longer.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

import tensorflow as tf
import tensorflow.compat.v1 as tf1

from wq_hooks.runtime.host.foreign_state import own_state_expected
from wq_hooks.runtime.transport.mailbox import Mailbox
from wq_hooks.runtime.transport.mailbox_session import MailboxSession
from wq_hooks.runtime.transport.queue_server import DEVICE, Registry

T = TypeVar("T")

_CLOSE_SECS = 2.0


class Connection:
    """The mailbox of a queue on a server.

    Args:
      target: Target of the server.
      name: Name of the queue.
    """

    def __init__(self, target: str, name: str):
        graph = tf.Graph()
        with graph.as_default(), tf.device(DEVICE):
            mailbox = Mailbox(name, is_saved=False)
        self._session = tf1.Session(target, graph=graph)
        self.mailbox = MailboxSession(mailbox, self._session)
        self._lock = threading.Lock()
        self._under_way: dict[Future[Any], threading.Thread] = {}
        self._error: Exception | None = None

    def run(self, step: Callable[[MailboxSession], T]) -> T:
        """Returns what a step returns; raises what it raises, or `fail` says.

        A step that was given up may still take place.
        """
        future: Future[T] = Future()

        def run() -> None:
            value, error = None, None
            try:
                value = step(self.mailbox)
            except Exception as e:
                error = e
            with self._lock:
                self._under_way.pop(future, None)
                if future.done():
                    return
                if error is None:
                    future.set_result(value)  # type: ignore[arg-type]
                else:
                    future.set_exception(error)

        thread = threading.Thread(target=run, name="step", daemon=True)
        with self._lock:
            if self._error is not None:
                raise self._error
            self._under_way[future] = thread
            thread.start()
        return future.result()

    def fail(self, error: Exception) -> None:
        """Raises an error in all who wait, now or later."""
        with self._lock:
            self._error = error
            for future in self._under_way:
                if not future.done():
                    future.set_exception(error)

    def close(self, error: Exception, *, is_gone: bool) -> None:
        """Ends the session, and raises an error in all who wait.

        Args:
          error: The error.
          is_gone: Whether the server may be gone.
        """
        self.fail(error)
        with self._lock:
            threads = list(self._under_way.values())
        # To say good-bye to a server that is gone would take for ever.
        if is_gone:
            closing = threading.Thread(target=self._session.close, daemon=True)
            with contextlib.suppress(RuntimeError):
                closing.start()
                closing.join(_CLOSE_SECS)
            return
        self._session.close()
        for thread in threads:
            thread.join(_CLOSE_SECS)


def read_registry(target: str, name: str, timeout_secs: float) -> list[str]:
    """Returns what a server says of its queues; see `ServiceRecord`.

    Args:
      target: Target of the server.
      name: Name of the queue that is looked for, for errors.
      timeout_secs: How long to wait for it.

    Raises:
      ForeignStateError: If the server holds something else in its place.
      tf.errors.OpError: If it does not answer.
    """
    graph = tf.Graph()
    with graph.as_default(), tf.device(DEVICE):
        registry = Registry()
    config = tf1.ConfigProto(operation_timeout_in_ms=int(timeout_secs * 1000))
    with (
        tf1.Session(target, graph=graph, config=config) as session,
        own_state_expected(name, target),
    ):
        return registry.read(session)
