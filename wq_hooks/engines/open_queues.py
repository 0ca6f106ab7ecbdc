"""The queues of eager mode that are open in this process, and their names.

    make_room("train")
    with names().claimed("train") as name: ...
    add(engine)

A name is free when nobody will read from the queue that has it: when it is
done, was closed or interrupted, or nobody holds it any more. A cell of a
notebook that makes a queue again closes the former one.
"""

from __future__ import annotations

import gc
import weakref
from typing import Protocol

from wq_hooks.core import log as logging
from wq_hooks.core.names import Names
from wq_hooks.runtime.host.statement import Statement, typed_statement


class OpenQueue(Protocol):
    """An engine of eager mode, as far as its name goes.

    Attributes:
      name: Name of the queue.
      made_by: Statement of a notebook or console that has made it, or None.
    """

    name: str
    made_by: Statement | None

    @property
    def has_begun(self) -> bool:
        """Whether it has, or had, a reader."""

    @property
    def has_its_name(self) -> bool:
        """Whether no other queue of the process may have its name."""

    def close(self, *, is_through: bool) -> None:
        """Ends it."""


_open: weakref.WeakValueDictionary[str, OpenQueue] = (
    weakref.WeakValueDictionary()
)


def names() -> Names:
    """Returns the names of the queues of this process."""
    return _names


def make_room(name: str | None) -> None:
    """Closes the open queue of a name if a notebook makes it again.

    Args:
      name: Name that was given; None: nothing is closed, since a queue without
        a name gets another one.
    """
    former = None if name is None else _open.get(name)
    if former is None or not former.has_its_name or former.made_by is None:
        return
    statement = typed_statement()
    if statement is None or not former.made_by.is_made_again_by(statement):
        return
    logging.warning(
        "Work queue %s: it is made again; the former one was still open, and "
        "is closed.",
        name,
    )
    former.close(is_through=True)


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
