"""The consumer's end of an ItemChannel.

    port = ItemPort(channel, session_port)
    port.serve(consumer, completed)        # waits until a reader asks
    port.put(claim, text)

The trap: a reader that has asked may have been replaced by another iteration.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf1

from wq_hooks.core.consumer.consumer import Given
from wq_hooks.core.ledger.consumer_state import Consumer
from wq_hooks.core.protocol.dropped_rows import DroppedRows
from wq_hooks.core.protocol.messages import Claim
from wq_hooks.runtime.ports.item_channel import (
    END,
    ERROR,
    ITEM,
    ItemChannel,
)
from wq_hooks.runtime.ports.port import Port, SessionPort, discard_op
from wq_hooks.runtime.transport.mailbox import Mailbox
from wq_hooks.runtime.transport.mailbox_session import Question, element_in


class GraphItemChannel(ItemChannel):
    """An ItemChannel of its own in a graph; see ItemChannel."""

    def __init__(
        self,
        shared_name: str,
        num_clients: int = 1,
        mailbox: Mailbox | None = None,
    ):
        super().__init__(shared_name, num_clients, mailbox)
        self._discard = discard_op(*self.queues)

    def in_session(self, session: tf1.Session) -> ItemPort:
        """Returns the port as seen through a session."""
        return ItemPort(self, SessionPort(session, self._discard))


class ItemPort(Port):
    """The consumer's end of an ItemChannel.

    Args:
      channel: The channel.
      session: Runs its steps; None: they are run eagerly, and the dataset may
        be iterated again after the end of data.
    """

    def __init__(self, channel: ItemChannel, session: SessionPort | None):
        super().__init__()
        self._channel = channel
        self._session = session
        self._iteration = 0
        self._is_asked = False
        self._has_failed = False
        self._lock = threading.Lock()
        self._dropped: DroppedRows | None = None
        if session is not None:
            # Whoever looks for lost answers may know one of the two.
            self.open_steps = session.open_steps
            if channel.mailbox is not None:
                self._dropped = DroppedRows(channel.mailbox.name, "an item")
        self._refill(int(self._call("num_ready")))

    def serve(self, consumer: Consumer, completed: Sequence[Claim]) -> Given:
        """Waits until a reader asks, and gives it an item in the same step."""
        return self.serve_slot(consumer, completed, 0, lambda *_: None)

    def serve_slot(
        self,
        consumer: Consumer,
        completed: Sequence[Claim],
        slot: int,
        on_item: Callable[[Claim, bytes], None],
    ) -> Given:
        """Serves a reader that knows an item by a number; see `serve`.

        Args:
          consumer: The consumer that asks.
          completed: The items that it will have completed by then.
          slot: Number of the item that the reader may get.
          on_item: Called with that item and its text, which the reader may
            have begun to read.
        """
        if self._dropped is None:
            return super().serve(consumer, completed)
        while True:
            expected = "" if self._channel.is_shared else str(self._iteration)
            question = Question(consumer, completed, self.open_steps)
            with question.is_open:
                iteration, num_ready, rows, *_ = self._call(
                    "serve", [*question.texts, expected, str(slot)]
                )
            element = element_in(rows, self._dropped)
            claim = None if element is None else element.claim
            if element is not None and claim is not None:
                on_item(claim, element.text)
            is_told = expected in ("", str(iteration))
            if self._has_asked(int(iteration), int(num_ready), claim):
                return Given(is_told, claim)

    def wait_for_demand(self) -> None:
        """Waits until the readers want one item more."""
        while True:
            iteration, num_ready = (int(x) for x in self._call("wait"))
            if self._has_asked(iteration, num_ready):
                return

    def _has_asked(
        self, iteration: int, num_ready: int, given: Claim | None = None
    ) -> bool:
        """Notes who asks; returns whether it is no former iteration.

        Args:
          iteration: The iteration that asks.
          num_ready: How many numbers are ready.
          given: Values that it was given in the same step.
        """
        self._refill(num_ready)
        with self._lock:
            if iteration < self._iteration and not self._channel.is_shared:
                return False
            is_new = self._note_question(iteration, is_open=given is None)
        if is_new:
            self.on_new_iteration()
        return True

    def _note_question(self, iteration: int, *, is_open: bool = True) -> bool:
        """Notes who asks; returns whether something was left by another.

        Args:
          iteration: The iteration that asks.
          is_open: Whether it is to be given an answer yet.
        """
        former, self._iteration = self._iteration, iteration
        # What was under way when it failed was never given out.
        has_failed, self._has_failed = self._has_failed, False
        self._is_asked = is_open
        # Of several clients, the others may go on with what they have.
        is_new = iteration != former and not self._channel.is_shared
        return (is_new and former > 0) or has_failed

    def put(self, claim: Claim, text: bytes) -> None:
        """Gives the readers one."""
        del claim
        self.put_slot(0, text)

    def put_slot(self, slot: int, text: bytes) -> None:
        """Gives the readers one, under the number by which they know it."""
        self._answer(ITEM, slot, text)

    def close(self) -> None:
        """Gives the readers the end of data."""
        if self._session is None:
            self._answer(END)
        else:
            self._call("end")

    def fail(self, message: str) -> None:
        """Raises an InvalidArgumentError where the dataset waits, if it does.

        May be called from any thread.
        """
        self._answer(ERROR, text=message.encode())

    def discard(self) -> None:
        """Ends what waits on the port, for good."""
        if self._session is None:
            self._channel.shut()
        else:
            self._session.discard()

    def _refill(self, num_ready: int) -> None:
        fresh = self._channel.fresh_numbers(num_ready)
        if fresh:
            self._call("add_numbers", np.array(fresh, np.int64))

    def _answer(self, kind: int, slot: int = -1, text: bytes = b"") -> None:
        with self._lock:
            if self._is_asked:
                self._is_asked = False
                self._has_failed = kind == ERROR
                self._put_row(self._iteration, kind, slot, text)

    def _put_row(
        self, iteration: int, kind: int, slot: int, text: bytes
    ) -> None:
        self._call("answer", np.array([iteration, kind, slot], np.int64), text)

    def _call(self, name: str, *values: Any) -> Any:
        """Runs one of the channel's steps."""
        if self._session is None:
            return getattr(self._channel, name)(*values)
        fetch, feeds = self._channel.steps[name]
        return self._session.run(fetch, feeds, values)
