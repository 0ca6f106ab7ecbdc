"""A session leaves in order, when its process is told to go.

    leaver = SessionLeaver(services, coord, watch)
    leaver.begin_step()            # OutOfRangeError: there is no further step
    leaver.end_step()
    leaver.leave()                 # in a thread, at SIGTERM

The readers get the end of data, so that a step that waits for an item ends,
and one that has begun may be finished. Then the program comes to its next step
and meets the end of data there, as at any other end: TensorFlow's hooks save,
and the session is closed. A program that does something else for long is not
waited for.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
import tensorflow.compat.v1 as tf1

from wq_hooks.runtime.threads.preemption import Watch
from wq_hooks.runtime.threads.session_service import Service


class SessionLeaver:
    """Ends the steps of one session.

    Args:
      services: What runs for the queues in the session.
      coord: The Coordinator of the session.
      watch: Knows whether the process was told to go.
      saves: Whether the session saves at its end: it is waited for.
    """

    def __init__(
        self,
        services: Sequence[Service],
        coord: tf.train.Coordinator,
        watch: Watch,
        *,
        saves: bool,
    ):
        self._services = services
        self._coord = coord
        self._watch = watch
        self._saves = saves
        self._changed = threading.Condition()
        self._has_stepped = self._is_stepping = False
        # Whether the program was told that there is no further step.
        self._is_told = False
        self._is_shut = False

    def begin_step(self) -> None:
        """Notes that a step begins.

        Raises:
          OutOfRangeError: If there is no further one.
        """
        with self._changed:
            timetable = self._watch.timetable
            if timetable is None or not (
                self._is_shut
                or not self._has_stepped
                or time.monotonic() >= timetable.drain_until
            ):
                self._has_stepped = self._is_stepping = True
                return
        self.note_end()
        raise tf.errors.OutOfRangeError(
            None, None, "The process was told to go: there is no further step."
        )

    def end_step(self) -> None:
        """Notes that a step has ended without an error."""
        with self._changed:
            self._is_stepping = False
            self._changed.notify_all()

    def note_end(self) -> None:
        """Notes that the program knows of the end."""
        with self._changed:
            self._is_told = True
            self._is_stepping = False
            self._changed.notify_all()

    def leave(self) -> None:
        """Sees to it that the session hands back what it has, and saves."""
        timetable = self._watch.timetable
        if timetable is None:
            return
        for service in self._services:
            service.begin_to_leave()
        with self._changed:
            self._wait(lambda: self._is_told, timetable.drain_until)
            self._is_shut = True
            self._wait(lambda: not self._is_stepping, timetable.wait_until)
            if self._saves:
                self._wait(lambda: self._is_told, timetable.wait_until)
        if self._saves:
            # It is on its way: hooks save before the threads of queues end.
            self._coord.wait_for_stop(timetable.wait_until - time.monotonic())
        self._coord.request_stop()

    def _wait(self, condition: Callable[[], bool], until: float) -> None:
        self._changed.wait_for(condition, max(0.0, until - time.monotonic()))


def on_close(session: tf1.Session, callback: Callable[[], None]) -> None:
    """Calls a function when a session has been closed, once.

    Args:
      session: The session.
      callback: What it raises, `close` raises.
    """
    close: Callable[[], Any] = session.close

    def close_and_call() -> None:
        session.close = close
        try:
            close()
        finally:
            callback()

    session.close = close_and_call
