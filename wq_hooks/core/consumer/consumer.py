"""A worker's side: takes items when a reader asks, and says when one is done.

A consumer is one place where items come out (a `take`, an `input_dataset`, an
`input_producer`). `serve_forever` waits for readers and gives them items.
Without TensorFlow, and tested so.

The trap: nothing is taken before a reader asks, because an item that waits in a
slow worker is the tail that the queue is there to remove.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from wq_hooks.core.consumer.acknowledgement import Acknowledgement, OnNext
from wq_hooks.core.ledger.consumer_state import Consumer, Measure
from wq_hooks.core.protocol import messages
from wq_hooks.core.protocol.messages import Claim, Element, Report
from wq_hooks.core.protocol.transports import ConsumerTransport
from wq_hooks.core.waits import Patience

# Who is to take no more may be let in again soon, or not until the end.
_MIN_PAUSE_SECS = 0.02
_MAX_PAUSE_SECS = 0.2


class RecordedTakes:
    """A transport that gives an item only when it is kept who took it.

    Args:
      transport: Transport that items come from.
      wait_until_recorded: Called when one was taken.
    """

    def __init__(
        self,
        transport: ConsumerTransport,
        wait_until_recorded: Callable[[], None],
    ):
        self._transport = transport
        self._wait_until_recorded = wait_until_recorded
        self.report = transport.report

    def take(
        self, consumer: Consumer, completed: Sequence[Claim]
    ) -> Element | None:
        """Takes as the transport does."""
        element = self._transport.take(consumer, completed)
        if element is not None and element.claim is not None:
            self._wait_until_recorded()
        return element


class Port(Protocol):
    """The local queue through which the readers get their items."""

    @property
    def num_ahead(self) -> int:
        """How many items it holds that no reader has asked for yet."""

    def serve(self, consumer: Consumer, completed: Sequence[Claim]) -> Given:
        """Waits until a reader asks, and gives it an item if it can itself.

        Args:
          consumer: The consumer that asks.
          completed: The items that it will have completed by then.
        """

    def put(self, claim: Claim, text: bytes) -> None:
        """Gives them one; it may wait until they want the next."""

    def close(self) -> None:
        """Gives them the end of data, behind what is inside."""

    def end_early(self) -> None:
        """Gives them the end of data, which is not that of the queue."""


class Given(NamedTuple):
    """What a port has done by itself for a reader that has asked.

    Attributes:
      is_told: Whether the chief was told what the reader has completed.
      claim: The item that the reader has got; None: none yet.
    """

    is_told: bool = False
    claim: Claim | None = None


class ConsumerLoop:
    """Feeds one port from the work mailbox.

    Args:
      consumer: Consumer that takes the items.
      transport: The mailboxes.
      port: Port that the items go to.
      rule: Says which items are completed; None: `OnNext()`.
      is_end: Called at the end of data; False means to ask again.
      pause: Waits that many seconds before a consumer that is to take no more
        asks again; None: that is the end of data for it.

    Attributes:
      has_begun: Whether a reader has asked for an item.
      has_ended: Whether the readers were given the end of data.
      patience: Measures the question for an item that is under way, or was
        the last one.
    """

    def __init__(
        self,
        consumer: Consumer,
        transport: ConsumerTransport,
        port: Port,
        *,
        rule: Acknowledgement | None = None,
        is_end: Callable[[], bool] = lambda: True,
        pause: Callable[[float], object] | None = time.sleep,
    ):
        self.consumer = consumer
        self.has_begun = self.has_ended = False
        self.patience = Patience()
        self._pause = pause
        self._transport = transport
        self._port = port
        self._is_end = is_end
        self._rule = rule or OnNext()
        self._lock = threading.Lock()
        self._is_ending_early = False
        # What was completed and not reported yet.
        self._completed: list[Claim] = []

    def serve_forever(self) -> None:
        """Gives items to the readers until the end of data."""
        while True:
            if self._is_served():
                continue
            fetched = self.next_item()
            if fetched is None:
                self._port.close()
                if not self._is_ending_early:
                    # Somebody else has to take what is handed back from now
                    # on.
                    self._report(messages.ENDED, [])
                return
            self._port.put(*fetched)

    def _is_served(self) -> bool:
        """Waits until a reader asks; returns whether the port has served it."""
        with self._lock:
            completed = self._rule.peek(self._port.num_ahead)
        given = self._port.serve(self.consumer, completed)
        self.has_begun = True
        with self._lock:
            if given.is_told:
                self._rule.ask(self._port.num_ahead)
            if given.claim is not None:
                self._rule.give(given.claim)
        return given.claim is not None

    def next_item(self) -> tuple[Claim, bytes] | None:
        """Returns the item for a reader that asks, None at the end of data."""
        with self._lock:
            # They travel with the question for the next item.
            self._completed += self._rule.ask(self._port.num_ahead)
        fetched = self._take()
        if fetched is not None:
            with self._lock:
                self._rule.give(fetched[0])
        elif not self._is_ending_early:
            self.has_ended = True
        return fetched

    def end_early(self) -> None:
        """Gives the readers the end of data from now on, and takes no more.

        So the pipeline gives what it holds. It is not the end of the queue:
        what is not completed then goes back to the line.
        """
        self._is_ending_early = True
        self._port.end_early()

    def report_asked(self) -> None:
        """Reports what is completed if the readers ask for an item now."""
        with self._lock:
            completed = self._pop_completed()
            completed += self._rule.ask(self._port.num_ahead)
        self.acknowledge(completed)

    def report_through(self) -> None:
        """Reports that a train step has met the end of data."""
        self._report(messages.THROUGH, self.claims_at_end())

    def complete_all(self) -> None:
        """Reports all that the readers were given: they are through with it."""
        with self._lock:
            completed = self._pop_completed() + self._rule.finish()
        self.acknowledge(completed)

    def report_completed(self) -> None:
        """Reports what would travel with the next question."""
        with self._lock:
            completed = self._pop_completed()
        self.acknowledge(completed)

    def hand_back(self) -> None:
        """Gives back what the readers hold: they will not go on with it."""
        with self._lock:
            completed = self._pop_completed()
            held = self._rule.abandon()
        self.acknowledge(completed)
        if held:
            self._report(messages.RETURN, held)

    def begin_again(self) -> None:
        """Settles what the last iteration of a dataset has left.

        After the end of data it was through with its items; before it, they
        go back to the line.
        """
        if self.has_ended:
            self.complete_all()
        self.hand_back()
        self.has_ended = False

    def acknowledge(
        self,
        completed: Sequence[Claim],
        num_trained: int = 0,
        measures: Sequence[Measure] = (),
    ) -> None:
        """Reports what is completed, at once.

        Args:
          completed: The items.
          num_trained: Number of records trained since the last report.
          measures: What each of the items has cost, if somebody knows.
        """
        if completed or num_trained:
            self._report(messages.ACK, completed, num_trained, measures)

    def claims_at_end(self) -> list[Claim]:
        """Returns what is completed when the session has ended well.

        After the end of data the readers have been through with all that they
        had; before it, what they hold is unfinished.
        """
        with self._lock:
            completed = self._pop_completed()
            if self.has_ended:
                completed += self._rule.finish()
            return completed

    def _pop_completed(self) -> list[Claim]:
        """Returns what is not reported yet; called under the lock."""
        completed, self._completed = self._completed, []
        return completed

    def _take(self) -> tuple[Claim, bytes] | None:
        pause_secs = _MIN_PAUSE_SECS
        self.patience = Patience()
        while not self._is_ending_early:
            with self._lock:
                completed = self._pop_completed()
            element = self._transport.take(self.consumer, completed)
            if element is None:
                # Others finish sooner what remains; that may change.
                if self._pause is None:
                    return None
                self._pause(pause_secs)
                pause_secs = min(2 * pause_secs, _MAX_PAUSE_SECS)
                continue
            if element.claim is not None:
                return element.claim, element.text
            if element.is_fresh and self._is_end():
                return None
        return None

    def _report(
        self,
        kind: str,
        claims: Sequence[Claim],
        records: int = 0,
        measures: Sequence[Measure] = (),
    ) -> None:
        self._transport.report(
            Report(
                kind,
                self.consumer,
                tuple(claims),
                records=records,
                measures=tuple(measures),
            )
        )
