"""Works that are added while the queue runs.

    log = AddedLog()                      # what this process has added
    added = AddedWorks(first_ticket=2, log=log)
    log.add(["c"])
    added.pull(low_watermark=0, next_ticket=0)
    added.name_at(2)                      # "c"

They come behind all epochs of the listed works, once each, those of a higher
priority first, else in the order in which they were added. The trap: a ledger
that starts again from an older position must not lose what was added since; so
the log stays with the queue, and a position says how much of which log it
knows.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

# So many names that are done are kept at most before they are forgotten.
_MIN_DONE = 1000


@dataclass(frozen=True)
class Added:
    """What a snapshot keeps of the works that were added.

    Attributes:
      begin: The first ticket behind the listed works.
      first_ticket: Ticket of the first name; all before it are done.
      names: Names of works that are not done, and of some that are.
      num_added: How many were ever added, those done and forgotten too.
      log: The token of the log that they came from last.
      num_logged: How many entries of that log are among them.
      priorities: Priorities of the names; empty: all are 0.
    """

    begin: int
    first_ticket: int
    names: tuple[str, ...]
    num_added: int
    log: str
    num_logged: int
    priorities: tuple[int, ...] = ()


class AddedLog:
    """All that one process has added to its queue; for any thread."""

    def __init__(self) -> None:
        self.token = uuid.uuid4().hex[:12]
        self._names: list[str] = []
        self._priorities: list[int] = []
        self._is_closed = False
        self._lock = threading.Lock()

    @property
    def is_closed(self) -> bool:
        """Whether no more works come."""
        return self._is_closed

    def add(self, names: Sequence[str], priority: int = 0) -> bool:
        """Appends works; returns False, and does not, if it is closed."""
        with self._lock:
            if not self._is_closed:
                self._names += names
                self._priorities += [priority] * len(names)
            return not self._is_closed

    def close(self) -> None:
        """Says that no more works come."""
        with self._lock:
            self._is_closed = True

    def read(self, start: int) -> tuple[list[str], list[int], bool]:
        """Returns works from `start` on, their priorities, `is_closed`."""
        with self._lock:
            priorities = self._priorities[start:]
            return self._names[start:], priorities, self._is_closed


class AddedWorks:
    """The added works as a ledger sees them.

    Args:
      begin: The first ticket behind the listed works.
      log: Log that added works come from.
      names: Works added before, from ticket `begin` on.
      priorities: Priorities of these works; empty: all are 0.
      num_begun: How many of them were handed out, and so keep their place.
      num_added: How many were ever added, if not just `names`.
      num_logged: How many entries of the log are among them.
    """

    def __init__(
        self,
        begin: int,
        log: AddedLog,
        names: Sequence[str] = (),
        num_added: int | None = None,
        num_logged: int = 0,
        *,
        priorities: Sequence[int] = (),
        num_begun: int = 0,
    ):
        self.begin = begin
        self.num_added = len(names) if num_added is None else num_added
        self.is_open = True
        self._log = log
        self._first_ticket = begin
        self._names = list(names)
        self._priorities = list(priorities) or [0] * len(self._names)
        self._num_logged = num_logged
        self.pull(begin, begin + num_begun)

    @property
    def end(self) -> int:
        """The first ticket behind the works that were added so far."""
        return self._first_ticket + len(self._names)

    def name_at(self, ticket: int) -> str:
        """Returns the work of a ticket that is not done.

        Raises:
          IndexError: If there is no such ticket.
        """
        if not self._first_ticket <= ticket < self.end:
            raise IndexError(f"Expected a ticket of the plan; got {ticket}.")
        return self._names[ticket - self._first_ticket]

    def pull(self, low_watermark: int, next_ticket: int) -> None:
        """Takes over what was added to the log since, and whether it closed.

        Args:
          low_watermark: Every item before this ticket is done.
          next_ticket: Works from this ticket on have not been handed out, so
            that those of a higher priority may come before them.
        """
        num_done = min(low_watermark - self._first_ticket, len(self._names))
        if num_done > max(_MIN_DONE, len(self._names) // 2):
            del self._names[:num_done], self._priorities[:num_done]
            self._first_ticket += num_done
        names, priorities, is_closed = self._log.read(self._num_logged)
        self.is_open = not is_closed
        if not names:
            return
        self._num_logged += len(names)
        self.num_added += len(names)
        first = max(next_ticket - self._first_ticket, 0)
        # What waits is sorted: the last has the least priority.
        waiting = self._priorities[max(first, len(self._priorities) - 1) :]
        self._names += names
        self._priorities += priorities
        if max(priorities) > min([*waiting, *priorities]):
            self._sort(first)

    def _sort(self, first: int) -> None:
        """Lets the higher priorities come first, from a place on."""
        order = sorted(
            range(first, len(self._names)), key=lambda i: -self._priorities[i]
        )
        self._names[first:] = [self._names[i] for i in order]
        self._priorities[first:] = [self._priorities[i] for i in order]

    def position(self, low_watermark: int) -> Added:
        """Returns what a snapshot keeps.

        Args:
          low_watermark: Every item before this ticket is done.
        """
        first = min(max(low_watermark, self._first_ticket), self.end)
        priorities = self._priorities[first - self._first_ticket :]
        return Added(
            begin=self.begin,
            first_ticket=first,
            names=tuple(self._names[first - self._first_ticket :]),
            num_added=self.num_added,
            log=self._log.token,
            num_logged=self._num_logged,
            priorities=tuple(priorities) if any(priorities) else (),
        )
