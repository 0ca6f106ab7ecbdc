"""Notices a step that the server has done and whose answer is lost.

    steps = OpenSteps()
    with steps.open("its question for an item", key, text): ...
    watch = LostAnswers(lambda: list(steps), patience_secs=30.0)
    lost = watch.look(found, has_room=True)     # when the server has answered

A step that takes long is no sign: a question waits for hours where no item
remains. So a step counts as lost only when the server itself says, again and
again, that it is done. Without TensorFlow.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

# So often the server has to say so.
_MIN_LOOKS = 5


@dataclass(frozen=True, eq=False)
class OpenStep:
    """A step that has begun and has not returned.

    Attributes:
      what: What it is, as people read it.
      key: Entry of the board that tells whether it is done; None: it never
        waits, where the mailboxes have room.
      text: What the entry says then.
    """

    what: str
    key: int | None = None
    text: str = ""


class OpenSteps:
    """The steps of one session that have begun and not returned.

    May be used from several threads.
    """

    def __init__(self) -> None:
        self._steps: dict[int, OpenStep] = {}
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)

    def __iter__(self) -> Iterator[OpenStep]:
        """The steps that are open now."""
        with self._lock:
            return iter(list(self._steps.values()))

    def new_number(self) -> int:
        """Returns a number that no other question of the session has."""
        return next(self._numbers)

    @contextlib.contextmanager
    def open(
        self, what: str, key: int | None = None, text: str = ""
    ) -> Iterator[None]:
        """A context in which a step is open; see OpenStep."""
        step = OpenStep(what, key, text)
        with self._lock:
            self._steps[id(step)] = step
        try:
            yield
        finally:
            with self._lock:
                del self._steps[id(step)]


class LostAnswers:
    """Decides which step has lost its answer.

    Args:
      steps: Returns the steps that are open now.
      patience_secs: How long the server has said that a step is done before it
        counts as lost. Only the time counts in which this process runs: one
        that was stopped gets its answers when it goes on.
      step_secs: The longest time from one look to the next that counts.
      clock: Returns seconds.
    """

    def __init__(
        self,
        steps: Callable[[], list[OpenStep]],
        *,
        patience_secs: float,
        step_secs: float,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._steps = steps
        self._patience_secs = patience_secs
        self._step_secs = step_secs
        self._clock = clock
        self._last_look = clock()
        self._open: list[OpenStep] = []
        # Of the steps that are said to be done: how often, and for how long.
        self._done: dict[OpenStep, tuple[int, float]] = {}

    def suspects(self) -> list[OpenStep]:
        """Returns the steps that are open, and were at the last call."""
        former, self._open = self._open, self._steps()
        return [step for step in self._open if step in former]

    def look(
        self,
        suspects: list[OpenStep],
        found: Mapping[int, str],
        *,
        has_room: bool,
    ) -> OpenStep | None:
        """Returns a step whose answer is lost, if there is one.

        Args:
          suspects: See `suspects`.
          found: What the board said of them, after that.
          has_room: Whether nobody waited for room in the mailboxes.
        """
        now = self._clock()
        secs = min(now - self._last_look, self._step_secs)
        self._last_look = now
        still_open = self._steps()
        former, self._done = self._done, {}
        for step in suspects:
            is_done = (
                has_room
                if step.key is None
                else found.get(step.key) == step.text
            )
            if not is_done or step not in still_open:
                continue
            num_looks, done_secs = former.get(step, (0, -secs))
            self._done[step] = num_looks, done_secs = (
                num_looks + 1,
                done_secs + secs,
            )
            if num_looks >= _MIN_LOOKS and done_secs >= self._patience_secs:
                return step
        return None
