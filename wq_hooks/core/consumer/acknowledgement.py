"""When an item counts as completed: one class for each rule.

    rule = OnNext(num_clients=1)
    rule.give(claim)             # a reader was given an item
    rule.ask(num_ahead=0)        # one more is wanted: returns what is completed

A consumer asks its rule, and reports what the rule returns. The trap: what a
reader holds when it ends is completed only if it has met the end of data.
"""

from __future__ import annotations

import collections
import itertools
from collections.abc import Callable
from typing import Protocol

from wq_hooks.core.protocol.messages import Claim


class Acknowledgement(Protocol):
    """A rule that says which items of one consumer are completed."""

    def give(self, claim: Claim) -> None:
        """Notes that the readers were given an item."""

    def ask(self, num_ahead: int) -> list[Claim]:
        """Returns what is completed now that the readers want one more.

        Args:
          num_ahead: Number of given items that no reader has asked for yet.
        """

    def peek(self, num_ahead: int) -> list[Claim]:
        """Returns what `ask` would, and keeps it."""

    def finish(self) -> list[Claim]:
        """Returns what is completed when the readers are through with all."""

    def abandon(self) -> list[Claim]:
        """Returns what goes back to the line when the readers stop early."""


class _Silent:
    """Says nothing of an item: somebody else knows when it is completed."""

    def give(self, claim: Claim) -> None:
        """Keeps nothing."""

    def ask(self, num_ahead: int) -> list[Claim]:
        """Returns nothing."""
        del num_ahead
        return []

    peek = ask

    def finish(self) -> list[Claim]:
        """Returns nothing."""
        return []

    def abandon(self) -> list[Claim]:
        """Returns nothing."""
        return []


class OnTake(_Silent):
    """Completes an item when it is handed out, as DeepRec does.

    The ledger does so with the lease, so a consumer has nothing to say.
    """


class OnNext:
    """Completes an item when the readers ask for the next one.

    Args:
      num_clients: Number of readers that draw from the consumer at a time. An
        item is completed when that many later ones were asked for.
    """

    def __init__(self, num_clients: int = 1):
        self._num_clients = num_clients
        self._given: collections.deque[Claim] = collections.deque()

    def give(self, claim: Claim) -> None:
        """Notes that the readers were given an item."""
        self._given.append(claim)

    def ask(self, num_ahead: int) -> list[Claim]:
        """Returns all but the latest items, one for each reader."""
        return [self._given.popleft() for _ in self.peek(num_ahead)]

    def peek(self, num_ahead: int) -> list[Claim]:
        """Returns what `ask` would, and keeps it."""
        num_held = self._num_clients - 1 + num_ahead
        num_completed = max(len(self._given) - num_held, 0)
        return list(itertools.islice(self._given, num_completed))

    def finish(self) -> list[Claim]:
        """Returns all items that were given and not completed."""
        given = list(self._given)
        self._given.clear()
        return given

    def abandon(self) -> list[Claim]:
        """Returns the same: nobody goes on with them."""
        return self.finish()


class OnLastRecord(_Silent):
    """Completes an item when its last record has been trained.

    A `RecordTracker` counts the records and tells the consumer; questions for
    the next item say nothing.

    Args:
      abandon: Returns the items of which not all records were trained, and
        forgets them.
    """

    def __init__(self, abandon: Callable[[], list[Claim]]):
        self._abandon = abandon

    def abandon(self) -> list[Claim]:
        """Returns the items of which not all records were trained."""
        return self._abandon()
