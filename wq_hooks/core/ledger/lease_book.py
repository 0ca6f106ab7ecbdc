"""Which consumer holds which item, and what becomes of it.

    book = LeaseBook(resumption, consumers, backups=BackupTasks(is_on=False))
    book.lease(consumer, ticket, now=t, is_current=True)
    book.acknowledge(consumer, ticket, now=t)

A lease ends when its item is completed or handed back, or when its consumer
is lost: then the item is tried again, or given up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

from wq_hooks.core.items.plan import Item
from wq_hooks.core.ledger.attempt_counts import AttemptCounts
from wq_hooks.core.ledger.attempts import Attempts
from wq_hooks.core.ledger.backup_tasks import BackupTasks
from wq_hooks.core.ledger.consumer_state import (
    Consumer,
    ConsumerState,
    Lease,
    Measure,
    task_of,
)
from wq_hooks.core.ledger.events import EventLog
from wq_hooks.core.ledger.item_account import ItemAccount
from wq_hooks.core.position.resume import Resumption

_KEPT_DURATIONS = 200


class LeaseBook:
    """The leases of a ledger, and the items that they are about.

    Args:
      start: Resumption to begin with.
      consumers: States of the consumers by name.
      backups: The items that are leased twice.
      max_attempts: See `AttemptCounts`.
      known_attempts: See `AttemptCounts`.

    Attributes:
      leases: The leases by ticket; of two of an item, the first.
      items: The account of the items.
      attempts: How often each was leased.
      events: Log of the events.
      repeated: How often an item was leased again.
      durations: How long the last items were held, in seconds.
      reads_records: See `Ledger`.
    """

    def __init__(
        self,
        start: Resumption,
        consumers: Mapping[str, ConsumerState],
        *,
        backups: BackupTasks,
        max_attempts: int | None = None,
        known_attempts: Attempts | None = None,
    ):
        self.leases: dict[int, Lease] = {}
        self.items = ItemAccount(start, self.leases, self.is_settled)
        self.attempts = AttemptCounts(
            start.attempts,
            known_attempts,
            self.items.open,
            max_attempts,
            start.given_up,
        )
        self.events = EventLog()
        self.repeated = 0
        self.durations: deque[float] = deque(maxlen=_KEPT_DURATIONS)
        self.reads_records: Callable[[str], bool] = lambda _: False
        self._consumers = consumers
        self.backups = backups

    def lease(
        self, consumer: Consumer, ticket: int, now: float, *, is_current: bool
    ) -> bool:
        """Notes that a consumer took an item; see `Ledger.lease`.

        Args:
          consumer: The consumer.
          ticket: Ticket of the item.
          now: Time in seconds.
          is_current: Whether the consumer is there; else the item goes back.
        """
        self.items.note_taken(ticket)
        if self.backups.stop_waiting(ticket):
            first = self.leases.get(ticket)
            if is_current and first is not None and first.consumer != consumer:
                self.repeated += 1
                attempt = self.attempts.begin(ticket, is_backup=True)
                self.backups.lease(ticket, Lease(consumer, now, attempt))
                self._hold(consumer, ticket, now)
                self.note("repeated", now, consumer, ticket)
                return True
        if ticket not in self.items.open or ticket in self.leases:
            self.repeated += 1
            self.note("repeated", now, consumer, ticket)
            return False
        attempt = self.attempts.begin(ticket)
        if attempt > 1:
            self.repeated += 1
        self.leases[ticket] = Lease(consumer, now, attempt)
        if is_current:
            self._hold(consumer, ticket, now)
        else:
            # Its holder is gone already.
            self._return(ticket, now)
        return True

    def acknowledge(
        self,
        consumer: Consumer,
        ticket: int,
        now: float,
        measure: Measure | None = None,
    ) -> bool:
        """Notes that an item is completed; see `Ledger.acknowledge`."""
        item = self.items.open.get(ticket)
        if item is None:
            return False
        lease = self.leases.pop(ticket, None)
        backup = self.backups.pop(ticket)
        secs, attempt = 0.0, 0
        for holding in (lease, backup):
            if holding is not None:
                holder = self._consumers.get(holding.consumer.name)
                if holder is not None:
                    holder.held.pop(ticket, None)
        if backup is not None and backup.consumer == consumer:
            lease = backup
        state = self._consumers.get(consumer.name)
        if state is not None:
            state.completed += 1
            if measure is not None:
                state.measures.append(measure)
        if lease is not None and lease.consumer == consumer:
            secs, attempt = now - lease.since, lease.attempt
            self.durations.append(secs)
            if state is not None:
                state.durations.append(secs)
                state.paces.append(now - state.busy_since)
                state.last_items.append(item)
                state.busy_since = now
        self.events.note(
            "completed",
            now,
            consumer.name,
            item,
            secs,
            attempt,
            measure=measure,
        )
        self._complete(ticket)
        return True

    def hand_back(self, consumer: Consumer, ticket: int, now: float) -> None:
        """Notes that an item is given back; see `Ledger.hand_back`."""
        state = self._consumers[consumer.name]
        if state.held.pop(ticket, None) is None:
            return
        backup = self.backups.pop(ticket)
        if backup is not None:
            # Another consumer goes on with it.
            if backup.consumer != consumer:
                self.leases[ticket] = backup
            return
        self.attempts.hand_back(ticket, self.leases.pop(ticket).attempt)
        self.items.put_back(ticket)
        self.note("returned", now, consumer, ticket)

    def failed_attempts(self, own_task: str | None) -> Attempts:
        """Returns what would be known; see AttemptsLedger."""

        def is_ended(ticket: int) -> bool | None:
            if ticket not in self.leases:
                return None
            return self._is_held_by(own_task, ticket)

        held = (
            ticket
            for state in self._consumers.values()
            for ticket in self._held_in_order(state)
        )
        return self.attempts.failed(
            held,
            is_ended,
            self.items.open.__getitem__,
            counts_handed_back=own_task is None,
        )

    def forgive(self, own_task: str | None) -> None:
        """Notes that nothing has failed; see AttemptsLedger."""
        self.attempts.forgive(
            t for t in self.leases if self._is_held_by(own_task, t)
        )

    def is_settled(self, ticket: int) -> bool:
        """Returns True when an item is in flight, and not to be issued."""
        return ticket in self.leases and ticket not in self.backups.waiting

    def _is_held_by(self, task: str | None, ticket: int) -> bool:
        holder = task_of(self.leases[ticket].consumer.name)
        return task is None or task == holder

    def _held_in_order(self, state: ConsumerState) -> list[int]:
        """Returns what a consumer holds, what it is reading now first."""
        held = list(state.held)
        return held[::-1] if self.reads_records(state.consumer.name) else held

    def _hold(self, consumer: Consumer, ticket: int, now: float) -> None:
        state = self._consumers[consumer.name]
        state.taken += 1
        if not state.held:
            state.busy_since = now
        state.held[ticket] = now

    def _complete(self, ticket: int) -> None:
        self.attempts.forget(ticket)
        self.backups.stop_waiting(ticket)
        self.items.complete(ticket)

    def return_all(self, state: ConsumerState, now: float, why: str) -> None:
        """Returns to the line all that a consumer holds, and notes why."""
        if why == "lost":
            state.lost_at = now
        # At the end all leave, with nothing in hand.
        is_rare = bool(state.held) or self.items.remaining != 0
        self.events.note(
            why,
            now,
            state.consumer.name,
            num_items=len(state.held),
            is_rare=is_rare,
        )
        has_given_up = False
        for ticket in self._held_in_order(state):
            backup = self.backups.pop(ticket)
            if backup is None:
                # One item is the cause: the others are tried again.
                has_given_up |= self._return(ticket, now, spares=has_given_up)
            elif backup.consumer != state.consumer:
                self.leases[ticket] = backup
        state.held.clear()

    def _return(self, ticket: int, now: float, *, spares: bool = False) -> bool:
        """Returns an item to the line; returns whether it is given up."""
        lease = self.leases.pop(ticket)
        held = now - lease.since, lease.attempt
        state = self._consumers.get(lease.consumer.name)
        if (
            state is not None
            and state.consumer == lease.consumer
            and state.has_handed_over
        ):
            self.attempts.hand_back(ticket, lease.attempt)
        elif self.attempts.fail(ticket, lease.attempt, spares=spares):
            self.give_up(self.items.open[ticket], now, lease.consumer, *held)
            return True
        self.items.put_back(ticket)
        self.note("returned", now, lease.consumer, ticket, *held)
        return False

    def is_hopeless(self, item: Item) -> bool:
        """Returns True for an item to be given up instead of handed out."""
        return item.ticket not in self.leases and self.attempts.is_hopeless(
            item
        )

    def give_up(
        self,
        item: Item,
        now: float,
        consumer: Consumer | None = None,
        secs: float = 0.0,
        attempt: int = 0,
    ) -> None:
        """Gives an open item up; says who held it last, and for how long."""
        self.attempts.give_up(item)
        self.note("given_up", now, consumer, item.ticket, secs, attempt)
        self._complete(item.ticket)

    def note(
        self,
        kind: str,
        now: float,
        consumer: Consumer | None = None,
        ticket: int | None = None,
        secs: float = 0.0,
        attempt: int = 0,
    ) -> None:
        """Notes an event; see `events.Event`."""
        item = None if ticket is None else self.items.open.get(ticket)
        name = "" if consumer is None else consumer.name
        self.events.note(kind, now, name, item, secs, attempt)
