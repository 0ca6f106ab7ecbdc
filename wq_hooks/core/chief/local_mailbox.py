"""The mailbox of a queue whose consumers live in the chief's own process.

    mailbox = LocalMailbox(lambda: dispatcher)
    element = mailbox.take(gate, sender, "")

Nothing travels: a take asks the ledger itself, and what is reported is known
when the call returns. A take waits only for works that may yet be added, and
not for long. Without TensorFlow.
"""

from __future__ import annotations

from collections.abc import Callable

from wq_hooks.core.chief.dispatcher import Dispatcher
from wq_hooks.core.items.works import encoded
from wq_hooks.core.protocol import messages
from wq_hooks.core.protocol.messages import Element

_WAIT_SECS = 0.2


class LocalMailbox:
    """Takes from a ledger in this process, and reports to it.

    Args:
      find_dispatcher: Returns the owner of the ledger. Another one may take
        its place at any time: what belongs to the former is dropped.
    """

    def __init__(self, find_dispatcher: Callable[[], Dispatcher]):
        self._find_dispatcher = find_dispatcher

    def take(self, gate: int, sender: str, completed: str) -> Element | None:
        """Reports what is completed, and returns an item or the end.

        None: there may be one later; ask again.
        """
        del gate  # Nobody else is there to finish sooner.
        dispatcher = self._find_dispatcher()
        item = dispatcher.hand_out(sender, completed)
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

    def report(
        self, kind: str, sender: str, payload: str, timeout_secs: float = 0.0
    ) -> None:
        """Tells the ledger; see `wq_hooks.core.protocol.messages`."""
        del timeout_secs
        text = messages.report_text(kind, sender, payload)
        self._find_dispatcher().apply([text.encode()])


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
