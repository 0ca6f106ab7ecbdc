"""When something is due, every so many steps or seconds.

    timer = StepTimer(every_n_secs=60.0)
    if timer.is_due(step):
        timer.note(step)

TensorFlow's SecondOrStepTimer asks the wall clock, and does nothing for an hour
after that was set back by one.
"""

from __future__ import annotations

import time
from collections.abc import Callable


class StepTimer:
    """Tells whether it is time; the first step is due.

    Args:
      every_n_secs: How often, in seconds; or None.
      every_n_steps: How often, in steps; or None. One of the two is given.
      clock: Returns seconds; it must not be set.

    Raises:
      ValueError: If both are given, or none.
    """

    def __init__(
        self,
        every_n_secs: float | None = None,
        every_n_steps: int | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ):
        if (every_n_secs is None) == (every_n_steps is None):
            raise ValueError(
                "Expected one of every_n_secs and every_n_steps; got "
                f"{every_n_secs} and {every_n_steps}."
            )
        self._every_n_secs = every_n_secs
        self._every_n_steps = every_n_steps
        self._clock = clock
        self._last_step: int | None = None
        self._last_time = 0.0

    def reset(self) -> None:
        """Lets the next step be due."""
        self._last_step = None

    def is_due(self, step: int) -> bool:
        """Returns whether it is time, at a step that was not noted before."""
        if self._last_step is None:
            return True
        if step == self._last_step:
            return False
        if self._every_n_secs is not None:
            return self._clock() >= self._last_time + self._every_n_secs
        return step >= self._last_step + (self._every_n_steps or 1)

    def note(self, step: int) -> None:
        """Notes that it was done at a step."""
        self._last_step = step
        self._last_time = self._clock()
