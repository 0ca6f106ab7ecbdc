"""Closing a session takes two seconds at most.

    bound_close(session)
    session.close()

TensorFlow destroys the iterators of a session when it is closed. Each waits
for the thread that tunes its pipeline, and that thread can miss that it is to
end (`docs/decisions/35-tuning-is-off.md`). Then it sleeps for up to a minute,
and for longer if the clock is set back. A server that is gone is waited for as
well. By then the steps are cancelled, so nothing is left to wait for.

The trap: a session that is deleted must not be closing. The thread that closes
it holds it.
"""

from __future__ import annotations

import atexit
import functools
import inspect
import threading
import time
import weakref
from typing import Any

import tensorflow.compat.v1 as tf1

from wq_hooks.core import log as logging

CLOSE_SECS = 2.0
# How long the process waits at its end. A thread that comes back from
# TensorFlow while Python ends would abort the process.
_EXIT_SECS = 2.5
_closing: set[threading.Thread] = set()


def bound_close(session: tf1.Session) -> None:
    """Makes `close` of a session return after CLOSE_SECS at the latest.

    Args:
      session: The session. What has a `close` of its own, such as a
        tf.compat.v1.InteractiveSession, stays as it is.
    """
    is_plain = type(session).close is tf1.Session.close
    if is_plain and "close" not in vars(session):
        session.close = _Close(session)


class _Close:
    """Replaces `close` of one session."""

    def __init__(self, session: tf1.Session):
        # No session may be kept alive by its own `close`.
        self._session = weakref.ref(session)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None

    def __call__(self) -> None:
        """Closes the session, in another thread.

        Raises:
          tf.errors.OpError: What closing it has raised in time.
        """
        session = self._session()
        if session is None:
            return
        if _is_being_deleted():
            # It is gone when this returns.
            tf1.Session.close(session)
            return
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run,
                    args=(session,),
                    name="session-close",
                    daemon=True,
                )
                _wait_at_exit()
                _closing.add(self._thread)
                self._thread.start()
        self._thread.join(CLOSE_SECS)
        if self._thread.is_alive():
            logging.debug("A session is closed in the background.")
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _run(self, session: Any) -> None:
        try:
            tf1.Session.close(session)
        except Exception as e:
            self._error = e
        finally:
            _closing.discard(threading.current_thread())


@functools.cache
def _wait_at_exit() -> None:
    atexit.register(_wait_for_closing)


def _wait_for_closing() -> None:
    """Waits for sessions that are being closed, but not for long."""
    end = time.monotonic() + _EXIT_SECS
    for thread in list(_closing):
        thread.join(max(0.0, end - time.monotonic()))


def _is_being_deleted() -> bool:
    """Whether a `__del__` has led here, through whatever wraps `close`."""
    frame = inspect.currentframe()
    while frame is not None and frame.f_code.co_name != "__del__":
        frame = frame.f_back
    return frame is not None
