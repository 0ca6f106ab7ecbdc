"""Ends a session in which the answer to a step was lost.

    watch = AnswerWatch(queue, mailbox, lambda: group.ports)
    watch.watch(session_is_over.wait)          # in a thread of its own

TensorFlow loses an answer now and then, on a machine that is busy: the server
has done a step, and the one who waits for it never hears. An item that was
taken in such a step would be held for ever by a task that is alive. In another
session it comes back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

import tensorflow as tf

from wq_hooks.core import log as logging
from wq_hooks.core.protocol.lost_answers import (
    LostAnswers,
    OpenStep,
    OpenSteps,
)
from wq_hooks.runtime.host.session_queue import SessionQueue
from wq_hooks.runtime.transport.mailbox_session import MailboxSession

# Also with a short lease.
_MIN_PATIENCE_SECS = 10.0
_LOOKS = 6


class HasSteps(Protocol):
    """What runs steps on the server, beside the mailbox."""

    open_steps: OpenSteps


class AnswerWatch:
    """Watches the steps of one queue in one session.

    Args:
      queue: The queue.
      mailbox: The mailbox, which is asked.
      others: Returns what else runs steps on the server.
    """

    def __init__(
        self,
        queue: SessionQueue,
        mailbox: MailboxSession,
        others: Callable[[], Iterable[HasSteps]],
    ):
        self._queue = queue
        self._mailbox = mailbox
        patience_secs = max(queue.options.lease_secs / 2, _MIN_PATIENCE_SECS)
        self._pause_secs = patience_secs / _LOOKS
        self._answers = LostAnswers(
            lambda: [
                step
                for source in (mailbox, *others())
                for step in source.open_steps
            ],
            patience_secs=patience_secs,
            step_secs=2 * self._pause_secs,
        )

    def watch(
        self, pause: Callable[[float], bool]
    ) -> tf.errors.AbortedError | None:
        """Watches until the session is over, or an answer is lost.

        Args:
          pause: Waits for that many seconds; returns whether it is over.

        Returns:
          The error with which a session is created again; None: it is over.
        """
        while not pause(self._pause_secs):
            suspects = self._answers.suspects()
            if not suspects:
                continue
            keys = [step.key for step in suspects if step.key is not None]
            found, has_room = self._mailbox.look_at_answers(keys)
            lost = self._answers.look(suspects, found, has_room=has_room)
            if lost is not None:
                return self._error(lost)
        return None

    def _error(self, lost: OpenStep) -> tf.errors.AbortedError:
        message = (
            f"Work queue {self._queue.name}: {self._queue.task.name} has got "
            f"no answer to {lost.what}, which the parameter server has done. "
            "The session is created again, and what was on its way comes back."
        )
        logging.warning("%s", message)
        return tf.errors.AbortedError(None, None, message)
