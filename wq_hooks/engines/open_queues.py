"""The queues of eager mode that are open in this process, and their names.

    with names().claimed("train") as name: ...
    add(engine)

A name is free when nobody will read from the queue that has it: when it is
done, was closed or interrupted, or nobody holds it any more.
"""

from __future__ import annotations

import gc
import weakref
from typing import Protocol

from wq_hooks.core.names import Names


class OpenQueue(Protocol):
    """An engine of eager mode, as far as its name goes."""

    name: str

    @property
    def has_begun(self) -> bool:
        """Whether it has, or had, a reader."""

    @property
    def has_its_name(self) -> bool:
        """Whether no other queue of the process may have its name."""


_open: weakref.WeakValueDictionary[str, OpenQueue] = (
    weakref.WeakValueDictionary()
)


def names() -> Names:
    """Returns the names of the queues of this process."""
    return _names


def add(queue: OpenQueue) -> None:
    """Notes a new queue, as long as something holds it."""
    _open[queue.name] = queue


def discard(queue: OpenQueue) -> None:
    """Notes that a queue was closed."""
    if _open.get(queue.name) is queue:
        del _open[queue.name]


def _taken() -> list[str]:
    if any(queue.has_begun for queue in _made()):
        # A model, its callbacks and so the queue may hold one another.
        gc.collect()
    return [queue.name for queue in _made() if queue.has_its_name]


def _made() -> list[OpenQueue]:
    # In one go: another thread may make a queue meanwhile.
    queues = [reference() for reference in _open.valuerefs()]
    return [queue for queue in queues if queue is not None]


_names = Names("the process", _taken, ", or close() the first")
