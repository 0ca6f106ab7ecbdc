"""The mailbox of a queue that another process serves.

    mailbox = RemoteMailbox("grpc://10.0.0.7:2222", "work_queue")
    mailbox.take(consumer, completed=[])

A session of TensorFlow on the other process' server. Where that is lost, the
mailbox looks for the server again, for as long as `connect` may take: one that
was restarted on the same port goes on from its own position.

The trap: a take whose answer was lost has leased an item in our name. So each
new connection is a new incarnation of all our consumers, and the server gives
to others what they held. What they complete of it all the same still counts.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import tensorflow as tf

from wq_hooks.core import log as logging
from wq_hooks.core.ledger.consumer_state import Consumer
from wq_hooks.core.protocol import messages
from wq_hooks.core.protocol.messages import Claim, Element, Report
from wq_hooks.core.protocol.service_record import (
    NotServedError,
    ServiceRecord,
    find_served,
)
from wq_hooks.core.waits import Patience
from wq_hooks.errors import WorkQueueError
from wq_hooks.runtime.transport.connection import Connection, read_registry
from wq_hooks.runtime.transport.mailbox_session import MailboxSession

T = TypeVar("T")

# One attempt to connect: Python hears of ctrl-C only between two of them.
_ATTEMPT_SECS = 4.0
_PAUSE_SECS = 0.2
# A queue may be served a little later than another one on the same server.
_NAME_GRACE_SECS = 5.0
# Who was told of the end waits no longer for a server that is gone.
_GONE_SECS = 2.0
_MAX_ATTEMPTS = 3
# A server that is slow is not gone yet.
_MAX_SILENT = 2
_HELD_BACK_POLL_SECS = 0.2
_LOST = (
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
    tf.errors.NotFoundError,
    tf.errors.UnavailableError,
    tf.errors.UnknownError,
    # What a closed session raises.
    RuntimeError,
)


class RemoteMailbox:
    """Takes from a queue that is served, and reports to it.

    Args:
      target: Target of the server, such as "grpc://10.0.0.7:2222".
      name: Name of the queue.
      timeout_secs: How long to look for the server, at first and again.

    Raises:
      WorkQueueError: If nobody answers, or serves no such queue.
    """

    def __init__(self, target: str, name: str, timeout_secs: float):
        self._is_closing: Callable[[], bool] = lambda: False
        self._target = target
        self._name = name
        self._timeout_secs = timeout_secs
        self._num_reconnects = 0
        self._has_ended = False
        self._failure: WorkQueueError | None = None
        self._reconnecting = threading.Lock()
        self.served = self._find(timeout_secs)
        self._connection = Connection(target, name)
        self._num_silent = 0
        # Until it has answered.
        self._is_gone = True
        self._call(lambda mailbox, _: mailbox.expect_own_state())

    def heed(self, is_closing: Callable[[], bool]) -> None:
        """Asks from now on whether what takes from it is being closed."""
        self._is_closing = is_closing

    def take(
        self, consumer: Consumer, completed: Sequence[Claim]
    ) -> Element | None:
        """Takes; see `ConsumerTransport`."""
        try:
            element = self._call(
                lambda mailbox, number: mailbox.take(
                    _reconnected(consumer, number), completed
                )
            )
        except WorkQueueError:
            if not self._has_ended or self._is_closing():
                raise
            # The server has served all, and its process has ended.
            return Element(messages.END)
        if element is None:
            time.sleep(_HELD_BACK_POLL_SECS)
            return None
        if element.is_fresh:
            self._has_ended = element.slot == messages.END
        return element

    def report(self, report: Report, timeout_secs: float = 0.0) -> None:
        """Reports; see `ConsumerTransport`.

        A sign of life that fails is not repeated, nor is a farewell.
        """
        connection, number = self._connection, self._num_reconnects

        def send(mailbox: MailboxSession, number: int) -> None:
            sender = _reconnected(report.sender, number)
            mailbox.report(replace(report, sender=sender), timeout_secs)

        is_farewell = report.kind in (messages.LEAVE, messages.HAND_OVER)
        if is_farewell or self._is_closing():
            # Python starts no threads while it ends.
            timeout_secs = timeout_secs or _GONE_SECS
            self._is_gone = True
            send(connection.mailbox, number)
            self._is_gone = False
        elif report.kind == messages.ALIVE:
            try:
                send(connection.mailbox, number)
                self._num_silent = 0
                self._is_gone = False
            except _LOST as e:
                self._hear_nothing(number, e)
        else:
            self._call(send)

    def look_up(self, *keys: int) -> list[str]:
        """Returns the board's entries, "" where there is none."""
        return self._call(lambda mailbox, _: mailbox.look_up(*keys))

    def close(self) -> None:
        """Ends the session, and what waits in it."""
        self._connection.close(self._closed(), is_gone=self._is_gone)

    def _call(self, step: Callable[[MailboxSession, int], T]) -> T:
        """Runs a step, on a new connection if the present one is lost."""
        for _ in range(_MAX_ATTEMPTS):
            number, connection = self._num_reconnects, self._connection
            if self._failure is not None:
                raise self._failure
            try:
                return connection.run(functools.partial(_run, step, number))
            except _LOST as e:
                self._reconnect(number, e)
        number, connection = self._num_reconnects, self._connection
        return connection.run(functools.partial(_run, step, number))

    def _hear_nothing(self, number: int, error: Exception) -> None:
        """Notes that a sign of life has not got through."""
        self._num_silent += 1
        is_slow = isinstance(error, tf.errors.DeadlineExceededError)
        if is_slow and self._num_silent < _MAX_SILENT:
            return
        self._num_silent = 0
        try:
            self._reconnect(number, error)
        except WorkQueueError as e:
            # For those who wait for an item; this thread goes on.
            logging.debug("Work queue %s: %s", self._name, e)

    def _reconnect(self, number: int, error: Exception) -> None:
        if self._is_closing():
            raise self._closed() from error
        with self._reconnecting:
            if self._num_reconnects != number or self._failure is not None:
                return  # Another thread was first.
            secs = _GONE_SECS if self._has_ended else self._timeout_secs
            logging.warning(
                "Work queue %s: lost the connection to %s; looking for it for "
                "%g s (%s).",
                self._name,
                self._target,
                secs,
                type(error).__name__,
            )
            old = self._connection
            try:
                self.served = self._find(secs)
            except WorkQueueError as e:
                self._failure = e
                old.fail(e)
                raise
            self._connection = Connection(self._target, self._name)
            self._num_reconnects += 1
            logging.info(
                "Work queue %s: connected to %s again.",
                self._name,
                self._target,
            )
        old.close(error, is_gone=True)

    def _closed(self) -> WorkQueueError:
        return WorkQueueError(
            f"Work queue {self._name!r} was closed while a reader waited for "
            "an item."
        )

    def _find(self, timeout_secs: float) -> ServiceRecord:
        """Returns what the server says of the queue, when it answers."""
        begin = time.monotonic()
        deadline = begin + timeout_secs
        patience = Patience()
        while True:
            error = self._try(max(0.1, deadline - time.monotonic()))
            if isinstance(error, ServiceRecord):
                return error
            now = time.monotonic()
            if isinstance(error, NotServedError):
                # Others are served here: a wrong name, most likely.
                is_over = error.names and now - begin > _NAME_GRACE_SECS
            else:
                is_over = False
            if is_over or now >= deadline or self._is_closing():
                raise error
            if patience.is_over():
                logging.warning(
                    "Work queue %s: has waited %d of %g s for %s to serve it "
                    "(%s).",
                    self._name,
                    patience.secs,
                    timeout_secs,
                    self._target,
                    error,
                )
            time.sleep(_PAUSE_SECS)

    def _try(self, secs: float) -> ServiceRecord | WorkQueueError:
        """Returns what the server says of the queue, or what is wrong now."""
        try:
            texts = read_registry(
                self._target, self._name, min(_ATTEMPT_SECS, secs)
            )
        except (tf.errors.InvalidArgumentError, tf.errors.NotFoundError) as e:
            raise WorkQueueError(
                "Expected the target of a queue that is served, such as "
                f"'grpc://10.0.0.7:2222'; got {self._target!r:.200}. "
                f"({e.message})"
            ) from e
        except tf.errors.OpError as e:
            return WorkQueueError(
                f"Expected a work queue to be served at {self._target}; "
                f"nobody has answered for {self._timeout_secs:g} s "
                f"({type(e).__name__}). Is the process that calls serve(port) "
                "running, and may this machine reach it?"
            )
        try:
            return find_served(texts, self._name, self._target)
        except NotServedError as e:
            return e


def _run(
    step: Callable[[MailboxSession, int], T],
    number: int,
    mailbox: MailboxSession,
) -> T:
    return step(mailbox, number)


def _reconnected(consumer: Consumer, number: int) -> Consumer:
    """Returns a consumer as the server knows it after so many reconnects."""
    if not number:
        return consumer
    return replace(consumer, incarnation=f"{consumer.incarnation}.{number}")
