"""The names of the queues of one place: a graph, or an eager process.

    names = Names("the process", lambda: [queue.name for queue in open_queues])
    with names.claimed(None) as name:       # "work_queue", "work_queue_1", ...
        ...                                 # make the queue of that name

The name of a queue is in the checkpoint and on the board, so all tasks of a job
must come to the same one. That is why a queue without a name gets the first
one that is free, in the order of making, and no random one.

The trap: a name is chosen when a queue is made. To give a later queue a name
that one without a name has got is an error.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable, Collection, Iterator

DEFAULT = "work_queue"


class Names:
    """The names of the queues of one place.

    Args:
      place: Owner of the names, for errors, such as the graph.
      taken: Returns the names of the queues that are open there.
      fix: Another remedy for a name that is taken, for errors.
    """

    def __init__(
        self, place: str, taken: Callable[[], Collection[str]], fix: str = ""
    ):
        self._place = place
        self._taken = taken
        self._fix = fix
        # Names of queues that other threads are making.
        self._claimed: set[str] = set()
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def claimed(self, name: str | None) -> Iterator[str]:
        """Yields the name of the queue that the block makes, and keeps it.

        Args:
          name: The name that was given; None: the first one that is free.

        Raises:
          ValueError: If another queue has the name that was given.
        """
        with self._lock:
            taken = {*self._taken(), *self._claimed}
            if name is None:
                name = first_free(taken)
            elif name in taken:
                raise ValueError(
                    f"Expected a name that no other open queue of "
                    f"{self._place} has; got name={name!r} twice. Give one of "
                    f"them another name{self._fix}. A queue without a name is "
                    f"{DEFAULT!r}, {DEFAULT}_1 and so on."
                )
            self._claimed.add(name)
        try:
            yield name
        finally:
            with self._lock:
                self._claimed.discard(name)


def first_free(taken: Collection[str]) -> str:
    """Returns the name of a queue that was given none: one not `taken`."""
    names = (f"{DEFAULT}_{number}" for number in itertools.count(1))
    return next(n for n in itertools.chain([DEFAULT], names) if n not in taken)
