"""Works that are added while the queue runs.

    log = FeedLog()                      # what this process has added
    feed = Feed(first_ticket=2, log=log)
    log.add(["c"])
    feed.pull(low_watermark=0)
    feed.name_at(2)                      # "c"

They come behind all epochs of the listed works, once each, in the order in
which they were added. The trap: a ledger that starts again from an older
position must not lose what was added since; so the log stays with the queue,
and a position says how much of which log it knows.
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
      first_ticket: That of the first name; all before it are done.
      names: Of works that are not done, and of some that are.
      num_added: How many were ever added, those done and forgotten too.
      log: The token of the log that they came from last.
      num_logged: How many entries of that log are among them.
    """

    begin: int
    first_ticket: int
    names: tuple[str, ...]
    num_added: int
    log: str
    num_logged: int


class FeedLog:
    """All that one process has added to its queue; for any thread."""

    def __init__(self) -> None:
        self.token = uuid.uuid4().hex[:12]
        self._names: list[str] = []
        self._is_closed = False
        self._lock = threading.Lock()

    @property
    def is_closed(self) -> bool:
        """Whether no more works come."""
        return self._is_closed

    def add(self, names: Sequence[str]) -> bool:
        """Appends works; returns False, and does not, if it is closed."""
        with self._lock:
            if not self._is_closed:
                self._names += names
            return not self._is_closed

    def close(self) -> None:
        """Says that no more works come."""
        with self._lock:
            self._is_closed = True

    def read(self, start: int) -> tuple[list[str], bool]:
        """Returns the works from number `start` on, and `is_closed`."""
        with self._lock:
            return self._names[start:], self._is_closed


class Feed:
    """The added works as a ledger sees them.

    Args:
      begin: The first ticket behind the listed works.
      log: Where added works come from.
      names: Works added before, from ticket `begin` on.
      num_added: How many were ever added, if not just `names`.
      num_logged: How many entries of the log are among them.
    """

    def __init__(
        self,
        begin: int,
        log: FeedLog,
        names: Sequence[str] = (),
        num_added: int | None = None,
        num_logged: int = 0,
    ):
        self.begin = begin
        self.num_added = len(names) if num_added is None else num_added
        self.is_open = True
        self._log = log
        self._first_ticket = begin
        self._names = list(names)
        self._num_logged = num_logged
        self.pull(begin)

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

    def pull(self, low_watermark: int) -> None:
        """Takes over what was added to the log since, and whether it closed.

        Args:
          low_watermark: Every item before this ticket is done.
        """
        num_done = min(low_watermark - self._first_ticket, len(self._names))
        if num_done > max(_MIN_DONE, len(self._names) // 2):
            del self._names[:num_done]
            self._first_ticket += num_done
        names, is_closed = self._log.read(self._num_logged)
        self._names += names
        self._num_logged += len(names)
        self.num_added += len(names)
        self.is_open = not is_closed

    def position(self, low_watermark: int) -> Added:
        """Returns what a snapshot keeps.

        Args:
          low_watermark: Every item before this ticket is done.
        """
        first = min(max(low_watermark, self._first_ticket), self.end)
        return Added(
            begin=self.begin,
            first_ticket=first,
            names=tuple(self._names[first - self._first_ticket :]),
            num_added=self.num_added,
            log=self._log.token,
            num_logged=self._num_logged,
        )
