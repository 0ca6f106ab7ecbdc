"""Waiting for another task, and when to say so: after 30 s, each minute again.

    patience = Patience()
    while not has_begun():
        if patience.is_over():
            logging.warning("... has waited %d s for ...", patience.secs)

A task that waits in silence looks broken. So each wait for another task has a
Patience, and says what it waits for. Without TensorFlow.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

# They are read at each use, so that a test may make them short.
FIRST_SECS = 30.0
AGAIN_SECS = 60.0

_MAX_NAMES = 10


class Patience:
    """How long a task has waited, `waited_secs` already, and when to say so."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        *,
        waited_secs: float = 0.0,
    ):
        self._clock = clock
        self._begin = clock() - waited_secs
        self._num_said = 0

    @property
    def secs(self) -> float:
        """Seconds since the wait began."""
        return self._clock() - self._begin

    def is_over(self) -> bool:
        """Whether it is time to say so; then not again for a while."""
        if self.secs < FIRST_SECS + self._num_said * AGAIN_SECS:
            return False
        self._num_said += 1
        return True


class Unanswered:
    """How long heartbeats were not answered while this process ran itself.

    A process that was stopped, or whose machine was, has not waited. So the
    time from one look to the next counts as a step of the loop that looks.

    Args:
      step_secs: How long that takes, at most.
      clock: Returns seconds.
    """

    def __init__(
        self, step_secs: float, clock: Callable[[], float] = time.monotonic
    ):
        self.secs = 0.0
        self._step_secs = step_secs
        self._clock = clock
        self._last_look = clock()

    def note_answer(self) -> None:
        """Notes that one was answered, or that none is sent at present."""
        self.secs = 0.0

    def look(self) -> float:
        """Returns the seconds since the last answer; to be called in a loop."""
        now = self._clock()
        self.secs += min(now - self._last_look, self._step_secs)
        self._last_look = now
        return self.secs


class Stall:
    """How long nothing was completed while a task waits for all items.

    Such a wait takes hours where all is well; only a standstill is worth a
    warning.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._completed = -1
        self.patience = Patience(clock)

    def is_over(self, completed: int) -> bool:
        """Whether to say so, where so many items are completed."""
        if completed != self._completed:
            self._completed = completed
            self.patience = Patience(self._clock)
        return self.patience.is_over()


def listed(names: Iterable[object]) -> str:
    """Returns names as people read them, the first ten."""
    texts = [str(name) for name in names]
    more = len(texts) - _MAX_NAMES
    shown = ", ".join(texts[:_MAX_NAMES])
    return f"{shown} and {more} more" if more > 0 else shown


def holders_in_words(holders: Mapping[str, int]) -> str:
    """Returns which task holds how many: "worker:1 (2), worker:3 (1)"."""
    return listed(f"{task} ({number})" for task, number in holders.items())


def reason_in_words(
    status: Mapping[str, Any],
    task: str,
    *,
    chief: str,
    is_held_back: bool,
) -> str:
    """Returns what a task waits for that asks for an item.

    Args:
      status: Text that the chief has left on the board; see
        `core.monitoring.board_status`.
      task: Name of the task that waits.
      chief: Name of the chief.
      is_held_back: Whether the chief lets it take no more at present.
    """
    holders = {
        str(worker.get("name")): int(worker.get("in_hand") or 0)
        for worker in status.get("workers") or ()
        if worker.get("in_hand") and worker.get("name") != task
    }
    held = f"others hold: {holders_in_words(holders)}" if holders else ""
    remaining = status.get("remaining")
    if is_held_back:
        return (
            "it is held back near the end of the data (balance_tail), since "
            f"others complete sooner what remains, {remaining} items; {held}"
        )
    if remaining is None:
        return (
            "the queue is open, and has no works at present: it waits for "
            f"add_works or close_works on the chief ({chief})"
        )
    if remaining == 0:
        return (
            f"nothing remains to be handed out; {held or 'others hold items'}"
        )
    return f"{remaining} items remain, and {chief} hands out none"
