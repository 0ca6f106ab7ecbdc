"""Which objects of TensorFlow are at work, found on the call stack.

    for owner in owners_above():
        if isinstance(owner, tf1.train.Saver): ...

TensorFlow tells its queue runners and what it saves of the session, and of
nothing else. The trap: to look at the names of a frame keeps their values as
long as it runs. So frames of users' functions are not looked at.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

_PACKAGES = ("tensorflow",)


def owners_above(packages: tuple[str, ...] = _PACKAGES) -> Iterator[Any]:
    """Yields the objects whose methods have called us, the innermost first.

    Args:
      packages: Packages whose methods are looked at.
    """
    frame = inspect.currentframe()
    while frame is not None:
        owner = _owner_of(frame, packages)
        frame = frame.f_back
        if owner is not None:
            yield owner


def _owner_of(frame: Any, packages: tuple[str, ...] = _PACKAGES) -> Any:
    """Returns the object of a method of TensorFlow, None of other frames."""
    if frame.f_code.co_varnames[:1] != ("self",):
        return None
    if not str(frame.f_globals.get("__name__")).startswith(packages):
        return None
    return frame.f_locals.get("self")
