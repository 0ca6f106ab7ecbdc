"""Makes a task slow, to see what the queue does about it.

    WQ_HOOKS_SLOW=4 python -m model_zoo.wide_and_deep.train_... --step_secs=0.02

The trap: without `step_secs` a task's pace is that of its steps, which on a
machine that is shared by all tasks of a demo says little; give it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any, Callable

import tensorflow as tf

SLOW_VARIABLE = "WQ_HOOKS_SLOW"


def slow_factor(environ: Mapping[str, str] = os.environ) -> float:
    """How many times slower than others this task is to be; 1.0: not slow.

    Raises:
      ValueError: If the variable is no number of at least 1.
    """
    text = environ.get(SLOW_VARIABLE, "") or "1"
    try:
        factor = float(text)
    except ValueError:
        factor = float("nan")
    if not 1.0 <= factor < float("inf"):
        raise ValueError(f"Expected {SLOW_VARIABLE} >= 1; got {text!r}.")
    return factor


def sleep_secs(elapsed_secs: float, step_secs: float, factor: float) -> float:
    """How long to sleep after a step.

    Args:
      elapsed_secs: What the step took.
      step_secs: What each step is to take at least; 0: what it takes.
      factor: How many times slower this task is.
    """
    if step_secs > 0:
        return max(0.0, factor * step_secs - elapsed_secs)
    return (factor - 1.0) * elapsed_secs


class SlowStepHook(tf.compat.v1.train.SessionRunHook):
    """Pads each step to a number of seconds; on every task that trains.

    `before_run` notes the time and `after_run` sleeps; nothing else happens at
    end of data, on failure or on restore.

    Args:
      step_secs: What each step is to take at least, in seconds.
      factor: How many times slower this task is.
      clock: Monotonic time in seconds.
      sleep: Sleeps for a number of seconds.
    """

    def __init__(
        self,
        step_secs: float,
        factor: float = 1.0,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if step_secs < 0:
            raise ValueError(f"Expected step_secs >= 0; got {step_secs}.")
        self._step_secs = step_secs
        self._factor = factor
        self._clock = clock
        self._sleep = sleep
        self._started_at = 0.0

    def before_run(self, run_context: Any) -> None:
        """Notes when the step begins."""
        self._started_at = self._clock()

    def after_run(self, run_context: Any, run_values: Any) -> None:
        """Sleeps for what is missing."""
        elapsed_secs = self._clock() - self._started_at
        secs = sleep_secs(elapsed_secs, self._step_secs, self._factor)
        if secs > 0:
            self._sleep(secs)
