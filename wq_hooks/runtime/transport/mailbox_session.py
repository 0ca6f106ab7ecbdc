"""The mailboxes and the board of one queue, as a session reaches them.

    mailbox = MailboxSession(queue_mailbox, session)
    element = mailbox.take(gate, "worker:1 5f2c", "")
    mailbox.report(messages.ACK, "worker:1 5f2c", "8d1e 17")

The trap: a step whose answer was lost may have been done. One that takes out is
not simply repeated; one that puts in says which delivery it is.
"""

from __future__ import annotations

import itertools
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow.compat.v1 as tf1

from wq_hooks.core.ledger.consumer_state import Consumer
from wq_hooks.core.protocol import messages
from wq_hooks.core.protocol.dropped_rows import DroppedRows
from wq_hooks.core.protocol.lost_answers import OpenSteps
from wq_hooks.core.protocol.messages import (
    SEPARATOR,
    Claim,
    Element,
    Report,
)
from wq_hooks.runtime.host.foreign_state import own_state_expected
from wq_hooks.runtime.transport.mailbox import (
    ELEMENT_SIZE,
    REPORTS_CAPACITY,
    WORK_CAPACITY,
    Mailbox,
)
from wq_hooks.runtime.transport.prepared_steps import (
    MAX_REFUSALS,
    Steps,
    is_refusal,
)

# How soon reports are asked for again.
_REFUSED_PAUSE_SECS = 0.05


class MailboxSession:
    """The mailbox as seen through one session: plain calls, plain values.

    Its methods may be called from several threads. They raise what
    `tf.compat.v1.Session.run` raises.

    Attributes:
      open_steps: The steps that have begun and not returned.
    """

    def __init__(self, mailbox: Mailbox, session: tf1.Session):
        self.open_steps = OpenSteps()
        self._mailbox = mailbox
        self._session = session
        self._steps = Steps(session)
        self._session_id = uuid.uuid4().hex[:12]
        self._num_delivered = itertools.count()
        self._num_drained: int | None = None
        self._generation_of_reports = ""
        self._dropped = DroppedRows(mailbox.name, "an item")

    def expect_own_state(self) -> None:
        """Opens all that the queue has on its server, before anything else.

        Raises:
          ForeignStateError: If the server holds something else there.
        """
        mailbox = self._mailbox
        with own_state_expected(mailbox.name, mailbox.device):
            self.num_work()
            self.num_reports()
            self.look_up(messages.FORMAT)

    def take(
        self, consumer: Consumer, completed: Sequence[Claim]
    ) -> Element | None:
        """Takes; see `ConsumerTransport`."""
        mailbox = self._mailbox
        question = Question(consumer, completed, self.open_steps)
        # Nobody would know of what was taken out by a step that is repeated.
        with question.is_open:
            rows = self._steps.run(
                mailbox.take, [mailbox.take_feed], [question.texts]
            )
        return element_in(rows, self._dropped)

    def report(self, report: Report, timeout_secs: float = 0.0) -> None:
        """Reports; see `ConsumerTransport`."""
        mailbox = self._mailbox
        text = report.to_text()
        if not timeout_secs:
            self._run(mailbox.report, [mailbox.report_feed], [text])
            return
        options = tf1.RunOptions(timeout_in_ms=int(timeout_secs * 1000))
        feeds = {mailbox.report_feed: text}
        self._session.run(mailbox.report, feeds, options=options)

    def mark(self, number: int) -> bool:
        """Reports a mark, behind what was reported; returns True."""
        self.report(replace(messages.WAKE_UP, mark=number))
        return True

    def receive(self) -> list[bytes]:
        """Waits for reports and returns all that are there, as they are.

        Not to be called by two threads at a time.
        """
        if self._num_drained is None:
            self._num_drained = self._look_up_num_drained()
        with self.open_steps.open(
            "its question for reports",
            messages.NUM_DRAINED,
            str(self._num_drained + 1),
        ):
            try:
                rows = self._steps.run(self._mailbox.drain)
            except tf.errors.AbortedError as e:
                rows = self._receive_in_spite_of(e, self._num_drained)
        self._num_drained = int(rows[0])
        self._generation_of_reports = rows[1].decode(errors="replace")
        return list(rows[2:])

    def generation_of_reports(self) -> str:
        """Returns which generation was on the board at the last `receive`."""
        return self._generation_of_reports

    def give_back(self, rows: Sequence[bytes]) -> None:
        """Puts reports back that are for another chief."""
        for row in rows:
            self._run(self._mailbox.report, [self._mailbox.report_feed], [row])

    def _receive_in_spite_of(
        self, error: tf.errors.AbortedError, num_drained: int
    ) -> Any:
        """Returns what a step has taken out whose answer was lost, or the next.

        Args:
          error: Error of the step.
          num_drained: How often reports were taken out before it.

        Raises:
          AbortedError: If that cannot be known.
        """
        for _ in range(MAX_REFUSALS):
            if not is_refusal(error):
                break
            # What was under way of the step is over then.
            time.sleep(_REFUSED_PAUSE_SECS)
            try:
                if self._look_up_num_drained() == num_drained:
                    rows = self._steps.run(self._mailbox.drain)
                else:
                    rows = self._run(self._mailbox.drained)
            except tf.errors.AbortedError as e:
                error = e
                continue
            if int(rows[0]) == num_drained + 1:
                return rows
            break
        raise error

    def _look_up_num_drained(self) -> int:
        try:
            return messages.parse_number(self.look_up(messages.NUM_DRAINED)[0])
        except messages.UnreadableError:
            return 0  # As in the graph.

    def deliver(
        self,
        elements: Sequence[tuple[int, str, str, bytes]],
        board: Mapping[int, str],
    ) -> None:
        """Writes to the board, then puts elements into the work mailbox.

        Elements are put in by one process at a time, the chief.
        """
        mailbox = self._mailbox
        if elements:
            number = next(self._num_delivered)
            board = {
                **board,
                messages.DELIVERED: f"{self._session_id} {number}",
            }
        elif not board:
            return
        published = [[str(key) for key in board], list(board.values())]
        rows = [(str(slot), *others) for slot, *others in elements]
        self._run(
            mailbox.deliver,
            [mailbox.publish_feed, mailbox.deliver_feed],
            [published, rows or np.empty((0, ELEMENT_SIZE))],
        )

    def announce(self) -> None:
        """Adds the name to those that are told to who asks for another."""
        self._run(self._mailbox.announce)

    def invalidate_items(self) -> None:
        """Lets no item count until a chief begins: the one who takes waits."""
        self.deliver([], {messages.ITEM: messages.NOBODY})

    def look_up(self, *keys: int) -> list[str]:
        """Returns the board's entries, "" where there is none."""
        mailbox = self._mailbox
        found = self._run(
            mailbox.looked_up, [mailbox.look_up_feed], [list(keys)]
        )
        return [value.decode(errors="replace") for value in found]

    def look_at_answers(
        self, keys: Sequence[int]
    ) -> tuple[dict[int, str], bool]:
        """Looks what the server says of steps that have not returned.

        Args:
          keys: Entries of the board.

        Returns:
          The entries, and whether nobody waits for room in the mailboxes.
        """
        mailbox = self._mailbox
        found, num_work, num_reports = self._run(
            [mailbox.looked_up, mailbox.num_work, mailbox.num_reports],
            [mailbox.look_up_feed],
            [list(keys)],
        )
        texts = [value.decode(errors="replace") for value in found]
        has_room = (
            num_work < WORK_CAPACITY // 2 and num_reports < REPORTS_CAPACITY
        )
        return dict(zip(keys, texts)), has_room

    def num_work(self) -> int:
        """Returns the number of elements in the work mailbox."""
        return int(self._run(self._mailbox.num_work))

    def num_reports(self) -> int:
        """Returns the number of rows in the report mailbox."""
        return int(self._run(self._mailbox.num_reports))

    def take_restored(self) -> str:
        """Returns the position that a Saver has restored since, or ""."""
        (restored,) = self.look_up(messages.RESTORED)
        token, _, position = restored.partition(SEPARATOR)
        if token != self._mailbox.restore_token:
            position = ""
        # A session that is created again without a restore begins again.
        self.deliver([], {messages.RESTORED: "", messages.POSITION: position})
        return position

    def restore_position(self, position: str) -> None:
        """Does what a Saver does that restores the position."""
        restored = f"{self._mailbox.restore_token}{SEPARATOR}{position}"
        self.deliver(
            [], {messages.POSITION: position, messages.RESTORED: restored}
        )

    def write_position(self, position: str) -> None:
        """Writes the position, for the next save."""
        self.deliver([], {messages.POSITION: position})

    def _run(
        self,
        fetches: Any,
        feeds: Sequence[Any] = (),
        values: Sequence[Any] = (),
    ) -> Any:
        """Runs a step that may be done twice, and never waits for others."""
        with self.open_steps.open("a step that never waits"):
            return self._steps.run_repeatable(fetches, feeds, values)


class Question:
    """What asks for an element.

    Args:
      consumer: The consumer that asks.
      completed: The items that it will have completed by then.
      open_steps: The steps of the session.

    Attributes:
      texts: What is fed; see `Mailbox.taken`.
      is_open: Context in which its step is open.
    """

    def __init__(
        self,
        consumer: Consumer,
        completed: Sequence[Claim],
        open_steps: OpenSteps,
    ):
        lease = messages.lease_text(consumer, open_steps.new_number())
        self.texts = [
            str(messages.gate_of(consumer.name)),
            Report(messages.ASK, consumer, tuple(completed)).to_text(),
            lease,
        ]
        self.is_open = open_steps.open(
            "its question for an item", messages.answer_of(consumer.name), lease
        )


def element_in(rows: Any, dropped: DroppedRows) -> Element | None:
    """Returns what was taken; None: the gate is closed.

    Args:
      rows: See `Mailbox.taken`.
      dropped: Counts what cannot be read.
    """
    for row in rows:
        try:
            return messages.parse_element(*row)
        except messages.UnreadableError as e:
            dropped.note(b" ".join(row), e)
            return Element(messages.ITEM, is_fresh=False)
    return None
