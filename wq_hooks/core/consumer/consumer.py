"""A worker's side: takes items when a reader asks, and says when one is done.

A consumer is one place where items come out (a `take`, an `input_dataset`, an
`input_producer`). `serve_forever` waits for readers and gives them items.
Without TensorFlow, and tested so.

The trap: nothing is taken before a reader asks, because an item that waits in a
slow worker is the tail that the queue is there to remove.
"""

from __future__ import annotations

import collections
import itertools
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

from wq_hooks.core.ledger.consumer_state import Consumer
from wq_hooks.core.protocol import messages
from wq_hooks.core.protocol.messages import Claim
from wq_hooks.core.waits import Patience

# Who is to take no more may be let in again soon, or not until the end.
_MIN_PAUSE_SECS = 0.02
_MAX_PAUSE_SECS = 0.2


class ElementLike(Protocol):
    """What came out of the work mailbox."""

    @property
    def is_fresh(self) -> bool:
        """Whether it is of the present life of the chief."""

    @property
    def slot(self) -> int:
        """What it is: an item or the end of data."""

    @property
    def token(self) -> str:
        """The generation of an item."""

    @property
    def ticket(self) -> int:
        """The number of an item."""

    @property
    def text(self) -> bytes:
        """What the reader gets."""


def claim_in(element: ElementLike | None) -> Claim | None:
    """Returns the item that came out of the mailbox; None: it was none."""
    if element is None or not element.is_fresh:
        return None
    if element.slot != messages.ITEM:
        return None
    return Claim(element.token, element.ticket)


class Transport(Protocol):
    """What a consumer needs of the mailboxes."""

    def take(self, gate: int, sender: str, completed: str) -> Any:
        """Reports what is completed, then waits for an ElementLike.

        Returns None, without waiting, if this consumer is to take no more.
        """

    def report(
        self, kind: str, sender: str, payload: str, timeout_secs: float = 0.0
    ) -> None:
        """Puts one row into the report mailbox."""


class RecordedTakes:
    """A transport that gives an item only when it is kept who took it.

    Args:
      transport: Where items come from.
      wait_until_recorded: Called when one was taken.
    """

    def __init__(
        self, transport: Transport, wait_until_recorded: Callable[[], None]
    ):
        self._transport = transport
        self._wait_until_recorded = wait_until_recorded
        self.report = transport.report

    def take(self, gate: int, sender: str, completed: str) -> Any:
        """Takes as the transport does."""
        element = self._transport.take(gate, sender, completed)
        if claim_in(element) is not None:
            self._wait_until_recorded()
        return element


class Port(Protocol):
    """The local queue through which the readers get their items."""

    @property
    def num_ahead(self) -> int:
        """How many items it holds that no reader has asked for yet."""

    def wait_for_demand(self) -> None:
        """Waits until the readers want one item more."""

    def put(self, claim: Claim, text: bytes) -> None:
        """Gives them one; it may wait until they want the next."""

    def close(self) -> None:
        """Gives them the end of data, behind what is inside."""


@runtime_checkable
class ServingPort(Protocol):
    """A port that takes by itself what its readers ask for."""

    def serve(self, gate: int, sender: str, completed: str) -> Served:
        """Waits until a reader asks, and gives it an item, if it finds one.

        See `Transport.take` for the arguments.
        """


class Served(NamedTuple):
    """What a port has done by itself for a reader that has asked.

    Attributes:
      is_told: Whether the chief was told what the reader has completed.
      claim: What the reader has got; None: nothing yet.
    """

    is_told: bool
    claim: Claim | None


class Holdings:
    """The items that a consumer has passed on and not completed yet.

    Args:
      num_clients: How many readers draw from the consumer at a time. An item
        counts as completed when that many later ones were asked for.
    """

    def __init__(self, num_clients: int = 1):
        self._num_clients = num_clients
        self._passed_on: collections.deque[Claim] = collections.deque()

    def pass_on(self, claim: Claim) -> None:
        """Notes that a reader was given an item."""
        self._passed_on.append(claim)

    def asked_again(self, num_ahead: int) -> list[Claim]:
        """Returns what is completed now that one more item is wanted.

        Args:
          num_ahead: How many of the items passed on no reader has asked for.
        """
        completed = self.completed_by(num_ahead)
        for _ in completed:
            self._passed_on.popleft()
        return completed

    def completed_by(self, num_ahead: int) -> list[Claim]:
        """Returns what `asked_again` would."""
        keep = self._num_clients - 1 + num_ahead
        num_completed = max(len(self._passed_on) - keep, 0)
        return list(itertools.islice(self._passed_on, num_completed))

    @property
    def claims(self) -> list[Claim]:
        """What is held."""
        return list(self._passed_on)

    def finish(self) -> list[Claim]:
        """Returns what is left, when the readers are through with all."""
        completed = list(self._passed_on)
        self._passed_on.clear()
        return completed


class ConsumerLoop:
    """Feeds one port from the work mailbox.

    Args:
      consumer: Who takes.
      transport: The mailboxes.
      port: Where the items go.
      num_clients: See `Holdings`.
      is_end: Called at the end of data; False means to ask again.
      counts_records: Whether somebody else tells, through `acknowledge`, what
        is completed, instead of the questions for the next item.
      pause: Waits, for that many seconds, before a consumer that is to take no
        more asks again; None: that is the end of data for it.
      arrived: Returns which items have reached a reader since the last call,
        in this order, where that can be known; None: those given to the port
        have. Some of them may have been taken by the reader itself.
    """

    def __init__(
        self,
        consumer: Consumer,
        transport: Transport,
        port: Port,
        *,
        num_clients: int = 1,
        is_end: Callable[[], bool] = lambda: True,
        counts_records: bool = False,
        pause: Callable[[float], object] | None = time.sleep,
        arrived: Callable[[], Sequence[Claim]] | None = None,
    ):
        self.consumer = consumer
        self.has_begun = self.has_ended = False
        # Of the question for an item that is under way, or was the last one.
        self.patience = Patience()
        self._sender = messages.sender_text(consumer)
        self._gate = messages.gate_of(consumer.name)
        self._pause = pause
        self._transport = transport
        self._port = port
        self._is_end = is_end
        self._holdings = Holdings(num_clients)
        self.counts_records = counts_records
        self._arrived = arrived
        # Given to the port, and not arrived.
        self._under_way: list[Claim] = []
        self._lock = threading.Lock()
        self._completed: list[Claim] = []

    def serve_forever(self) -> None:
        """Gives items to the readers until the end of data."""
        while True:
            if self._is_served():
                continue
            fetched = self.next_item()
            if fetched is None:
                self._port.close()
                # Somebody else has to take what is handed back from now on.
                self._report(messages.ENDED, [])
                return
            self._port.put(*fetched)

    def _is_served(self) -> bool:
        """Waits for a demand; returns whether the port has met it."""
        if not isinstance(self._port, ServingPort):
            self._port.wait_for_demand()
            self.has_begun = True
            return False
        with self._lock:
            completed = self._holdings.completed_by(self._port.num_ahead)
        served = self._port.serve(
            self._gate, self._sender, messages.claims_text(completed)
        )
        self.has_begun = True
        with self._lock:
            if served.is_told:
                self._holdings.asked_again(self._port.num_ahead)
            if served.claim is not None and not self.counts_records:
                self._holdings.pass_on(served.claim)
        return served.claim is not None

    def next_item(self) -> tuple[Claim, bytes] | None:
        """Returns the item for a reader that asks, None at the end of data."""
        with self._lock:
            self._note_arrived()
            # They travel with the question for the next item.
            self._completed += self._holdings.asked_again(self._port.num_ahead)
        fetched = self._take()
        if fetched is None:
            self.has_ended = True
        elif self._arrived is not None:
            with self._lock:
                self._under_way.append(fetched[0])
        elif not self.counts_records:
            with self._lock:
                self._holdings.pass_on(fetched[0])
        return fetched

    def report_asked(self) -> None:
        """Reports what is completed if the readers ask for an item now."""
        with self._lock:
            completed = self._pop_completed()
            completed += self._holdings.asked_again(self._port.num_ahead)
        self.acknowledge(completed)

    def report_arrived(self) -> None:
        """Reports what is completed by what has reached a reader since."""
        with self._lock:
            self._note_arrived()
            completed = self._pop_completed()
        self.acknowledge(completed)

    def report_held(self) -> None:
        """Reports all that the consumer knows that it holds."""
        self.report_arrived()
        self._report(messages.HOLD, self.held())

    def held(self) -> list[Claim]:
        """Returns all that the consumer knows that it holds."""
        with self._lock:
            return [
                *self._completed,
                *self._holdings.claims,
                *self._under_way,
            ]

    def _note_arrived(self) -> None:
        for claim in self._arrived() if self._arrived is not None else ():
            # Its reader has asked for it.
            self.has_begun = True
            self._completed += self._holdings.asked_again(0)
            self._holdings.pass_on(claim)
            if claim in self._under_way:
                self._under_way.remove(claim)

    def complete_all(self) -> None:
        """Reports all that the readers were given: they are through with it."""
        with self._lock:
            completed = self._pop_completed()
            completed += self._holdings.finish()
        self.acknowledge(completed)

    def hand_back(self, claims: Sequence[Claim] = ()) -> None:
        """Gives back what the readers hold: they will not go on with it.

        Args:
          claims: What they hold, where records are counted.
        """
        with self._lock:
            completed = self._pop_completed()
            held = [*self._holdings.finish(), *claims]
        self.acknowledge(completed)
        if held:
            self._report(messages.RETURN, held)

    def _pop_completed(self) -> list[Claim]:
        """Returns what is not reported yet; called under the lock."""
        completed, self._completed = self._completed, []
        return completed

    def acknowledge(self, completed: list[Claim]) -> None:
        """Reports items that are completed, at once."""
        if completed:
            self._report(messages.ACK, completed)

    def claims_at_end(self) -> list[Claim]:
        """Returns what is completed when the session has ended well.

        After the end of data the readers have been through with all that they
        had; before it, what they hold is unfinished.
        """
        with self._lock:
            completed = self._pop_completed()
            if self.has_ended:
                completed += self._holdings.finish()
            return completed

    def _take(self) -> tuple[Claim, bytes] | None:
        pause_secs = _MIN_PAUSE_SECS
        self.patience = Patience()
        while True:
            with self._lock:
                completed = self._pop_completed()
            element = self._transport.take(
                self._gate, self._sender, messages.claims_text(completed)
            )
            if element is None:
                # Others finish sooner what remains; that may change.
                if self._pause is None:
                    return None
                self._pause(pause_secs)
                pause_secs = min(2 * pause_secs, _MAX_PAUSE_SECS)
                continue
            claim = claim_in(element)
            if claim is not None:
                return claim, element.text
            if element.is_fresh and self._is_end():
                return None

    def _report(self, kind: str, claims: list[Claim]) -> None:
        self._transport.report(kind, self._sender, messages.claims_text(claims))
