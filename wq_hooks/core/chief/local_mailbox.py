"""The mailbox of a queue whose consumers live in the chief's own process.

    mailbox = LocalMailbox(lambda: dispatcher)
    element = mailbox.take(consumer, completed=[])

Nothing travels: a take asks the ledger itself, and what is reported is known
when the call returns. A take waits only for works that may yet be added, and
not for long. Without TensorFlow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from wq_hooks.core.chief.dispatcher import Dispatcher
from wq_hooks.core.items.works import encoded
from wq_hooks.core.ledger.consumer_state import Consumer
from wq_hooks.core.protocol import messages
from wq_hooks.core.protocol.messages import Claim, Element, Report

_WAIT_SECS = 0.2


class LocalMailbox:
    """Takes from a ledger in this process, and reports to it.

    Args:
      find_dispatcher: Returns the owner of the ledger. Another one may take
        its place at any time: what belongs to the former is dropped.
    """

    def __init__(self, find_dispatcher: Callable[[], Dispatcher]):
        self._find_dispatcher = find_dispatcher

    def take(
        self, consumer: Consumer, completed: Sequence[Claim]
    ) -> Element | None:
        """Takes; None: there may be an item later, ask again."""
        dispatcher = self._find_dispatcher()
        item = dispatcher.hand_out(consumer, completed)
        if item is None and dispatcher.wait_for_works(_WAIT_SECS):
            return None
        if item is None:
            return Element(messages.END)
        return Element(
            messages.ITEM,
            dispatcher.generation,
            item.ticket,
            encoded(item.text),
        )

    def report(self, report: Report, timeout_secs: float = 0.0) -> None:
        """Tells the ledger."""
        del timeout_secs
        self._find_dispatcher().note(report)


class NoTransport:
    """The mailboxes of a Dispatcher that is asked directly: there are none."""

    def receive(self) -> list[bytes]:
        """Returns no reports."""
        return []

    def deliver(self, elements: object, board: object) -> None:
        """Has nowhere to put them."""

    def look_up(self, *keys: int) -> list[str]:
        """Returns "" for each entry."""
        return [""] * len(keys)

    def num_work(self) -> int:
        """Returns 0."""
        return 0

    def num_reports(self) -> int:
        """Returns 0: what was reported is known."""
        return 0

    def mark(self, number: int) -> bool:
        """Returns False: what was reported is known."""
        del number
        return False

    def write_position(self, position: str) -> None:
        """Has nowhere to write it."""
