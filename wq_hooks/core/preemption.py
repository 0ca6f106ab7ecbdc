"""A process that is told to go: its settings, and when it does what.

    settings = Preemption(grace_secs=25.0)
    timetable = Timetable(begun=now, grace_secs=settings.grace_secs)
    if now < timetable.drain_until: ...        # what was begun may be finished

A cluster that takes a machine away sends SIGTERM, and SIGKILL some 30 s later.
Without TensorFlow, and nothing here reads a clock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from wq_hooks.core.values import as_int, as_secs

# A signal that follows another one within this time is the same: a launcher
# passes on what the process group has got as well.
_SAME_SIGNAL_SECS = 0.5
_DRAIN_SECS = 1.0
# Shares of the grace period: for what was begun, and until the process does
# not wait any more for a program that does not come to its next step.
_DRAIN_SHARE = 0.2
_PATIENCE_SHARE = 0.4
_MAX_EXIT_CODE = 255


@dataclass(frozen=True)
class Preemption:
    """What a process does at SIGTERM.

    The step that runs ends, what was trained is acknowledged, and what is held
    goes back to the line at once. The chief saves model and position, and
    leaves the queue open. Then the process ends.

    Attributes:
      grace_secs: The process is gone after that long, in seconds, whatever it
        does. Less than what the cluster waits before it kills.
      exit_code: Its exit code. 143 is what a shell says of a process
        that SIGTERM has ended; clusters restart it.
      notice: Is called every second, in a thread of its own; True means that
        the machine is going to be taken: the process does what it does at
        SIGTERM. It may ask a metadata server, or look for a file. None: only
        SIGTERM counts.

    Raises:
      TypeError: If one is of a wrong type.
      ValueError: If one is out of its range.
    """

    grace_secs: float = 25.0
    exit_code: int = 143
    notice: Callable[[], bool] | None = None

    def __post_init__(self) -> None:
        # A frozen dataclass has no other way.
        object.__setattr__(
            self, "grace_secs", as_secs("grace_secs", self.grace_secs)
        )
        object.__setattr__(
            self, "exit_code", as_int("exit_code", self.exit_code, 0)
        )
        if self.exit_code > _MAX_EXIT_CODE:
            raise ValueError(
                f"Expected exit_code <= {_MAX_EXIT_CODE}; got "
                f"exit_code={self.exit_code}."
            )
        if self.notice is not None and not callable(self.notice):
            raise TypeError(
                "Expected notice to be a function without arguments, or None; "
                f"got {self.notice!r:.80}."
            )


# What a process does if its user says nothing.
PREEMPTION = Preemption()


def as_preemption(value: Any) -> Preemption | None:
    """Returns the argument `on_preemption` of a hook or a callback.

    Raises:
      TypeError: If it is neither a Preemption nor None.
    """
    if value is not None and not isinstance(value, Preemption):
        raise TypeError(
            "Expected on_preemption to be a Preemption, or None, which leaves "
            f"SIGTERM alone; got {value!r:.80}."
        )
    return value


@dataclass(frozen=True)
class Timetable:
    """When a preempted process does what; all times in seconds.

    Attributes:
      begun: Time when it was told to go.
      grace_secs: See `Preemption`.
    """

    begun: float
    grace_secs: float

    @property
    def drain_until(self) -> float:
        """Until when steps may finish what was begun, without new items."""
        return self.begun + min(_DRAIN_SECS, _DRAIN_SHARE * self.grace_secs)

    @property
    def own_drain_until(self) -> float:
        """Likewise, where nobody else waits for what this process holds."""
        return self.begun + _DRAIN_SHARE * self.grace_secs

    @property
    def wait_until(self) -> float:
        """Until when the program may come to its next step by itself."""
        return self.begun + _PATIENCE_SHARE * self.grace_secs

    @property
    def end(self) -> float:
        """When the process ends, whatever it does."""
        return self.begun + self.grace_secs


class Signals:
    """Tells a second signal from the first one.

    A signal is heard of twice, by those that read the wakeup descriptor and by
    the handler, which may run much later. So each of them counts for itself.
    """

    def __init__(self) -> None:
        self._heard: dict[str, float] = {}

    def is_second(self, source: str, now: float) -> bool:
        """Notes that a source hears a signal; returns whether again.

        Args:
          source: Object that hears it.
          now: Time in seconds.
        """
        first = self._heard.setdefault(source, now)
        return now - first >= _SAME_SIGNAL_SECS
