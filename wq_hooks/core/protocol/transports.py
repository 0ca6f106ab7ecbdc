"""What consumers and the chief need of the mailboxes between them.

`wq_hooks.runtime.transport` moves what these say through a TensorFlow server;
in eager mode a consumer asks the ledger of its own process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from wq_hooks.core.ledger.consumer_state import Consumer
from wq_hooks.core.protocol.messages import Claim, Element, Report


class ConsumerTransport(Protocol):
    """A consumer's side: items come, and reports go."""

    def take(
        self, consumer: Consumer, completed: Sequence[Claim]
    ) -> Element | None:
        """Reports what is completed, then waits for an element.

        Args:
          consumer: The consumer that asks.
          completed: The items that it has completed.

        Returns:
          The element; None, without waiting, if this consumer is to take no
          more at present.
        """

    def report(self, report: Report, timeout_secs: float = 0.0) -> None:
        """Tells the chief something.

        Args:
          report: The report.
          timeout_secs: Give up after that long; 0: never.
        """


class ChiefTransport(Protocol):
    """The chief's side: reports come, items and the board go."""

    def receive(self) -> list[bytes]:
        """Waits for reports and returns them as they are."""

    def generation_of_reports(self) -> str:
        """Returns which generation was on the board at the last `receive`."""

    def give_back(self, rows: Sequence[bytes]) -> None:
        """Puts reports back that are for another chief."""

    def deliver(
        self,
        elements: Sequence[tuple[int, str, str, bytes]],
        board: Mapping[int, str],
    ) -> None:
        """Writes to the board, then puts elements into the work mailbox.

        With `messages.FENCE` first, only where that generation counts.
        """

    def look_up(self, *keys: int) -> list[str]:
        """Returns entries of the board, "" where there is none."""

    def num_work(self) -> int:
        """Returns the number of elements in the work mailbox."""

    def num_reports(self) -> int:
        """Returns the number of rows in the report mailbox."""

    def mark(self, number: int) -> bool:
        """Reports a mark, behind what was reported.

        Returns:
          False if nothing that was reported can be on its way.
        """

    def write_position(self, position: str) -> None:
        """Writes the position for the Saver."""
