"""The threads of a queue in one session: how they start, and what ends them.

    threads = SessionThreads("train", session, coord, has_hook=...)
    threads.start(feeder.drain_forever, "drainer")

TensorFlow starts queue runners with the session and joins their threads when
it stops. A thread that waits in a remote step would be waited for until the
grace period ends, so only two kinds of threads are registered with the
Coordinator, which never wait long: the keeper of a worker (heartbeat, leaving)
and the feeder of the chief. The others are daemons; closing the session
cancels what they wait for.

Without a Coordinator nobody tells these two to end. They are daemons as well
then, and serve until the session is closed; the one thread that can be joined
ends with the data.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

import tensorflow as tf
import tensorflow.compat.v1 as tf1

from wq_hooks.core import log as logging


class Threaded(Protocol):
    """What has threads in a session."""

    def create_threads(self, *, daemon: bool) -> list[threading.Thread]:
        """Returns the threads that the Coordinator joins, not started."""


class ServiceRunner(tf1.train.QueueRunner):
    """The queue runner that starts a queue's threads with the session.

    Args:
      new_service: Returns what is to run in a session; None if it runs.
      queue: A TensorFlow queue, for the exported graph.
      enqueue_op: An op of that queue, likewise.
    """

    def __init__(
        self,
        new_service: Callable[
            [tf1.Session, tf.train.Coordinator | None], Threaded | None
        ],
        queue: Any,
        enqueue_op: Any,
    ):
        super().__init__(queue, [enqueue_op])
        self._new_service = new_service

    def create_threads(
        self,
        sess: tf1.Session,
        coord: tf.train.Coordinator | None = None,
        daemon: bool = False,
        start: bool = False,
    ) -> list[threading.Thread]:
        """Returns the threads that have to be joined; starts all of them.

        Args:
          sess: The session.
          coord: The threads end when it stops, and report errors to it.
          daemon: Whether the process may end while they run.
          start: Whether to start them now.
        """
        service = self._new_service(sess, coord)
        if service is None:
            return []
        threads = service.create_threads(daemon=daemon)
        for thread in threads:
            if coord is not None:
                coord.register_thread(thread)
            if start:
                thread.start()
        return threads


class SessionThreads:
    """The threads of one queue in one session.

    Args:
      name: Name of the queue.
      session: The session.
      coord: The session's Coordinator, or None for one of its own.
      has_hook: Returns whether a hook says how the session ends.
    """

    def __init__(
        self,
        name: str,
        session: tf1.Session,
        coord: tf.train.Coordinator | None,
        has_hook: Callable[[], bool],
    ):
        self.coord = coord or tf1.train.Coordinator()
        self.is_alone = coord is None
        self._name = name
        self._session = session
        self._has_hook = has_hook
        self._has_hook_ended = False
        # When the process was told to go, in seconds of the monotonic clock.
        self.preempted_at: float | None = None

    @property
    def is_live(self) -> bool:
        """Whether the threads have not been asked to stop."""
        return not self.coord.should_stop()

    @property
    def is_preempted(self) -> bool:
        """Whether the process was told to go."""
        return self.preempted_at is not None

    def note_preempted(self) -> None:
        """Notes that the process was told to go: nothing has failed."""
        self.preempted_at = time.monotonic()

    def note_hook_ended(self) -> None:
        """Notes, from a hook, that the session ends without an error."""
        self._has_hook_ended = True

    def has_error(self) -> bool:
        """Returns whether the session ends with an error."""
        try:
            self.coord.raise_requested_exception()
        except Exception:
            return True
        return False

    def has_ended_well(self) -> bool:
        """Returns whether the session was stopped on purpose."""
        # The Coordinator does not hear of an error in a train step, the hook
        # does: its `end` is not called.
        has_failed = self._has_hook() and not self._has_hook_ended
        return not self.has_error() and (self.is_preempted or not has_failed)

    def is_known_to_end_well(self) -> bool:
        """Returns whether a hook says so: what is in flight has not failed."""
        is_told = self._has_hook_ended or self.is_preempted
        return is_told and not self.has_error()

    def start(self, target: Callable[[], None], name: str) -> None:
        """Starts a daemon."""
        self.new_thread(target, name, daemon=True).start()

    def new_thread(
        self, target: Callable[[], None], name: str, *, daemon: bool
    ) -> threading.Thread:
        """Returns a thread, not started, whose error ends the session."""
        return threading.Thread(
            target=self._guarded,
            args=(target,),
            name=f"{self._name}-{name}",
            daemon=daemon,
        )

    def _guarded(self, target: Callable[[], None]) -> None:
        """Runs a thread; an error ends the session, as in a QueueRunner."""
        try:
            target()
        except Exception as e:
            if (
                self.coord.should_stop()
                or self.is_preempted
                or _is_closed(e, self._session)
            ):
                # Closing a session cancels what its threads wait for.
                logging.debug("Work queue %s: %s", self._name, e)
                if self.is_alone:
                    self.coord.request_stop()
                return
            self.fail(e)

    def fail(self, error: Exception) -> None:
        """Ends the session with an error."""
        if self.is_alone:
            # Nobody joins a Coordinator that could raise it.
            logging.error("Work queue %s: %s", self._name, error)
        # Of an error that nobody has raised, a Coordinator keeps none.
        self.coord.request_stop((type(error), error, error.__traceback__))


def _is_closed(error: Exception, session: tf1.Session) -> bool:
    if isinstance(error, tf.errors.CancelledError):
        return True
    return isinstance(error, RuntimeError) and "closed" in str(error).lower()
