"""Takes from a chief in the same process, without a mailbox.

    transport = LocalTransport(lambda: chief)
    element = transport.take(consumer, completed=[])

What is reported is known when the call returns. A take waits only for works
that may yet be added, and not for long. Without TensorFlow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from wq_hooks.core.chief.chief import Chief
from wq_hooks.core.items.works import encoded
from wq_hooks.core.ledger.consumer_state import Consumer
from wq_hooks.core.protocol import messages
from wq_hooks.core.protocol.messages import Claim, Element, Report

_WAIT_SECS = 0.2


class LocalTransport:
    """A ConsumerTransport that asks a chief.

    Args:
      find_chief: Returns the chief. Another one may take
        its place at any time: what belongs to the former is dropped.
    """

    def __init__(self, find_chief: Callable[[], Chief]):
        self._find_chief = find_chief

    def take(
        self, consumer: Consumer, completed: Sequence[Claim]
    ) -> Element | None:
        """Takes; None: there may be an item later, ask again."""
        chief = self._find_chief()
        item = chief.hand_out(consumer, completed)
        if item is None and chief.wait_for_works(_WAIT_SECS):
            return None
        if item is None:
            return Element(messages.END)
        return Element(
            messages.ITEM,
            chief.generation,
            item.ticket,
            encoded(item.text),
        )

    def report(self, report: Report, timeout_secs: float = 0.0) -> None:
        """Tells the ledger."""
        del timeout_secs
        self._find_chief().note(report)
