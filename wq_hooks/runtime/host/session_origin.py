"""What the creator of a session says: whether this is the chief, when it stops.

    origin = find_origin(session)        # in QueueRunner.create_threads
    origin.is_chief                      # True, False, or None: not known
    origin.last_step                     # of StopAtStepHook

TensorFlow tells its queue runners of the session and the Coordinator only, and
there is no public way from these to their creator. A queue without a hook has
to know which task restores and saves the model. So this module looks up the
stack for the object that is creating a session, and at what it holds: instances
of TensorFlow's public classes, under any name. With a bare `Session` there is
no such object, and nothing is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import tensorflow.compat.v1 as tf1

from wq_hooks.runtime.host.callers import owners_above
from wq_hooks.runtime.host.tensorflow_private import (
    last_step_of,
    num_steps_of,
)

_MAX_DEPTH = 4


@dataclass(frozen=True)
class SessionOrigin:
    """Where a session comes from.

    Attributes:
      is_chief: Whether its creator prepares the model; None: not known.
      stops: The hooks that stop the session at a step.
    """

    is_chief: bool | None
    stops: tuple[tf1.train.StopAtStepHook, ...] = ()

    @property
    def last_step(self) -> int | None:
        """The global step at which the session stops; None: at none."""
        return _least(map(last_step_of, self.stops))

    @property
    def last_step_of_job(self) -> int | None:
        """The global step that was given as the last; None: there is none."""
        # Each session counts a number of steps for itself.
        by_step = [hook for hook in self.stops if num_steps_of(hook) is None]
        return _least(map(last_step_of, by_step))

    @property
    def num_steps(self) -> int | None:
        """How many steps the session was asked for; None: by global step."""
        return _least(map(num_steps_of, self.stops))


def find_origin(session: tf1.Session | None = None) -> SessionOrigin | None:
    """Returns where a session comes from, while it is being created.

    Args:
      session: The session; None: it is not there yet.

    Returns:
      None where no object that is known here creates it.
    """
    for owner in owners_above():
        if isinstance(owner, tf1.train.Supervisor):
            return SessionOrigin(bool(owner.is_chief))
        if not isinstance(owner, tf1.train.SessionCreator):
            continue
        if session is None:
            return SessionOrigin(_role_of(owner))
        held = list(_held_by(owner))
        # A session of another graph may be made within a hook of this one.
        if any(value is session for value in held):
            return SessionOrigin(_role_of(owner), tuple(_stops_in(held)))
    return None


def _least(numbers: Iterable[int | None]) -> int | None:
    return min((n for n in numbers if n is not None), default=None)


def _role_of(creator: Any, depth: int = 0) -> bool | None:
    """Returns what a creator of sessions is, or the one inside of it."""
    if isinstance(creator, tf1.train.ChiefSessionCreator):
        return True
    if isinstance(creator, tf1.train.WorkerSessionCreator):
        return False
    if depth < _MAX_DEPTH:
        for value in _held_by(creator):
            if isinstance(value, tf1.train.SessionCreator):
                role = _role_of(value, depth + 1)
                if role is not None:
                    return role
    return None


def _held_by(owner: Any) -> Iterator[Any]:
    yield from getattr(owner, "__dict__", {}).values()


def _stops_in(values: list[Any]) -> Iterator[tf1.train.StopAtStepHook]:
    for value in values:
        for hook in value if isinstance(value, (list, tuple)) else ():
            if isinstance(hook, tf1.train.StopAtStepHook):
                yield hook
