"""The chief's account of all items: the one place that decides.

    ledger = Ledger(plan, lease_secs=60.0)
    for item in ledger.issue(limit=8, now=t): ...       # into the mailbox
    ledger.lease(consumer, item.ticket, now=t)          # somebody took it
    ledger.acknowledge(consumer, item.ticket, now=t)    # and completed it

An item is remaining, in flight or completed; the three add up to the total.
Remaining items are either not issued yet or issued, that is waiting in the
mailbox. Time is a parameter in seconds; nothing here reads a clock.
"""

from __future__ import annotations

import heapq
import statistics
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from wq_hooks.core.items.plan import Item, Plan
from wq_hooks.core.ledger.attempts import Attempts
from wq_hooks.core.ledger.consumer_pace import Pacing
from wq_hooks.core.ledger.consumer_state import Consumer, ConsumerState, task_of
from wq_hooks.core.ledger.events import EventLog
from wq_hooks.core.ledger.membership import Members
from wq_hooks.core.position.plan_encoding import PackedPlan
from wq_hooks.core.position.resume import Resumption
from wq_hooks.core.position.snapshot import OpenItem, Snapshot

# An item may be between the mailbox and the report of its lease this long.
_MISSING_GRACE_SECS = 5.0
_KEPT_DURATIONS = 200
# The end is near when no more than so many items remain for each consumer.
_TAIL_ITEMS = 16
# Spark's default for speculation is 1.5 times the median, DLRover's 2.
_BACKUP_FACTOR = 2.0


@dataclass(frozen=True)
class Lease:
    """An item that a consumer holds, since when (seconds)."""

    consumer: Consumer
    since: float
    attempt: int


class Ledger:
    """Who has what: to do, issued, leased and completed.

    Args:
      plan: Which item each ticket stands for.
      lease_secs: A consumer that was not heard of for this many seconds
        loses what it holds.
      ack_on_take: If True, an item is completed when it is handed out.
      max_attempts: An item that was leased this often and never completed is
        given up; None: never.
      balance_tail: Whether consumers that would only delay the end take no
        more near it.
      backup_tasks: Whether, when nothing remains, an item that is held far
        longer than usual is given to an idle consumer as well.
      resumption: Where to start, if not at the beginning of `plan`.
      known_attempts: What was kept of earlier starts; None: what the
        resumption says.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        lease_secs: float = 60.0,
        ack_on_take: bool = False,
        max_attempts: int | None = None,
        balance_tail: bool = True,
        backup_tasks: bool = False,
        is_one_unit: bool = True,
        resumption: Resumption | None = None,
        known_attempts: Attempts | None = None,
    ):
        start = resumption or Resumption(plan)
        self.plan = plan
        self.events = EventLog()
        self.records = 0
        self.given_up = list(start.given_up)
        self.repeated = 0
        self.durations: deque[float] = deque(maxlen=_KEPT_DURATIONS)
        self._members = Members(lease_secs)
        # Who was ever heard of, by name; not to be changed by the caller.
        self.consumers = self._members.states
        self._ack_on_take = ack_on_take
        self._max_attempts = max_attempts
        self._balance_tail = balance_tail
        self._backup_tasks = backup_tasks
        # The task that stays to the last, where it may not read itself.
        self._server: str | None = None
        # Items to be given to a second consumer, and the second leases.
        self._waiting_backups: set[int] = set()
        self._backups: dict[int, Lease] = {}
        self._next = start.next_ticket
        self._attempts = dict(start.attempts)
        known = known_attempts or Attempts()
        if max_attempts is not None:
            known = known.judged(max_attempts)
        # Of items that were not issued yet; and what was given up.
        self._known_attempts = known.failed
        self._hopeless = dict.fromkeys(known.given_up)
        # Whether a consumer reads records; see `AttemptsKeeper`.
        self.reads_records: Callable[[str], bool] = lambda _: False
        # Of items that were handed back, as if that were a failure.
        self._handed_back: dict[int, int] = {}
        # What is leased, and has not failed if it comes back.
        self._forgiven: set[int] = set()
        self._to_reissue = sorted(start.attempts)
        self._issued: dict[int, float] = {}
        self._leases: dict[int, Lease] = {}
        # Every item that was ever issued and is not completed.
        self._open = {t: plan.item_at(t) for t in self._to_reissue}
        if known_attempts is not None:
            self._attempts = {
                ticket: self._known_attempts.pop(_key(item), 0)
                for ticket, item in self._open.items()
            }
        # Their tickets as a heap, with some that are not open any more.
        self._open_heap = sorted(self._open)
        self._low = min(self._open, default=self._next)
        self.completed = self._next - len(self._open)
        self._suspects: dict[int, float] = {}
        self._packed = PackedPlan(plan)
        self._pacing = Pacing(plan, is_one_unit=is_one_unit)

    # What the account says.

    @property
    def lease_secs(self) -> float:
        """Who was not heard of for so many seconds loses what it holds."""
        return self._members.lease_secs

    @property
    def total(self) -> int | None:
        """Number of items, done ones included; None: without end, or open."""
        return None if self.is_open else self._num_known

    @property
    def is_open(self) -> bool:
        """Whether works may still be added."""
        return self.plan.feed is not None and self.plan.feed.is_open

    @property
    def _num_known(self) -> int | None:
        """Number of items that could be handed out now; None: without end."""
        feed = self.plan.feed
        return self.plan.total if feed is None else feed.end

    def pull_works(self) -> None:
        """Takes over works that were added, and whether more may come."""
        if self.plan.feed is not None:
            self.plan.feed.pull(self._low, self._next)

    @property
    def in_flight(self) -> int:
        """Number of items that are leased."""
        return len(self._leases)

    @property
    def remaining(self) -> int | None:
        """Number of items not yet handed out; None: without end."""
        if self.total is None:
            return None
        return self.total - self.completed - len(self._leases)

    @property
    def level(self) -> float:
        """Remaining items, in epochs; those of this epoch if without end."""
        remaining = self.remaining
        known = self._num_known
        if remaining is None and known is not None:
            remaining = known - self.completed - len(self._leases)
        if remaining is None:
            end = self.plan.epoch_end(self._next)
            remaining = end - self._next + len(self._to_reissue)
        return remaining / self.plan.items_per_epoch

    @property
    def low_watermark(self) -> int:
        """Every item before this ticket is completed."""
        return self._low

    @property
    def next_ticket(self) -> int:
        """The first ticket that was never issued."""
        return self._next

    @property
    def is_exhausted(self) -> bool:
        """Whether nothing remains to be handed out."""
        return self.remaining == 0 and not self._waiting_backups

    @property
    def is_end(self) -> bool:
        """Whether consumers that ask get the end of data.

        With backup tasks they stay, in case an item is given out again; but
        one that asks while it holds items may wait for the end of data to
        complete them. Where the server reads nothing itself, they stay for
        what one of them may hand back, until each task that holds one asks.
        """
        if not self.is_exhausted:
            return False
        if self._server is not None and not self._members.is_there(
            self._server
        ):
            return self._members.are_all_asking(
                {task_of(x.consumer.name) for x in self._leases.values()}
            )
        if not self._backup_tasks:
            return True
        return not self._leases or any(
            state.held and state.asking_since is not None
            for state in self.consumers.values()
        )

    @property
    def is_done(self) -> bool:
        """Whether every item is completed."""
        return self.is_exhausted and not self._leases

    @property
    def num_issued(self) -> int:
        """Number of items that wait in the mailbox."""
        return len(self._issued)

    @property
    def leases(self) -> dict[int, Lease]:
        """The leases by ticket; not to be changed by the caller."""
        return self._leases

    def open_item(self, ticket: int) -> Item:
        """Returns an item that was issued and is not completed."""
        return self._open[ticket]

    def has_to_issue(self) -> bool:
        """Whether there is an item that could be issued now."""
        self._drop_settled()
        known = self._num_known
        return bool(self._to_reissue) or known is None or self._next < known

    def held_by_others(self, task: str) -> int:
        """Returns how many items the consumers of other tasks hold."""
        return sum(
            task_of(lease.consumer.name) != task
            for lease in self._leases.values()
        )

    def holders(self) -> dict[str, int]:
        """Returns how many items each task holds, of those that hold some."""
        tasks = [task_of(x.consumer.name) for x in self._leases.values()]
        return {task: tasks.count(task) for task in sorted(set(tasks))}

    def waiting(self, since: float) -> list[str]:
        """Returns the tasks that ask for an item since then, or for longer."""
        return sorted(
            {
                task_of(name)
                for name, state in self.consumers.items()
                if not state.has_left
                and not state.has_ended
                and state.waiting_since is not None
                and state.waiting_since <= since
            }
        )

    @property
    def is_near_end(self) -> bool:
        """Whether so little remains that it matters who takes it."""
        remaining = self.remaining
        if remaining is None:
            return False
        return remaining <= _TAIL_ITEMS * len(self.consumers)

    def barred(self, now: float) -> frozenset[str]:
        """Returns the consumers that should take no more; see `tail`.

        Their items would end later than those of the others together. It
        changes with time: who is barred now may be let in again.
        """
        remaining = self.remaining
        if not self._balance_tail or not remaining or not self.is_near_end:
            return frozenset()
        return self._pacing.barred(
            self._members.active(now),
            self._open,
            remaining,
            self._tickets_ahead,
            now,
        )

    def serve(self, task: str, *, in_step: bool) -> None:
        """Notes that the consumers are processes that come and go.

        Args:
          task: The chief's own, which may read or not.
          in_step: Whether the processes train in step with each other. Then
            none of them may wait for what another one holds.
        """
        if in_step:
            self._balance_tail = False
        else:
            self._server = task

    def others(self, task: str, now: float) -> list[str]:
        """Returns the tasks but `task` that have not left, nor fell silent."""
        return self._members.others(task, now)

    # What happens.

    def issue(self, limit: int, now: float) -> list[Item]:
        """Returns up to `limit` items that go into the mailbox next.

        Items that were handed back come first, then the plan's order.
        """
        items: list[Item] = []
        while len(items) < limit and self.has_to_issue():
            if self._to_reissue:
                item = self._open[heapq.heappop(self._to_reissue)]
            else:
                item = self.plan.item_at(self._next)
                self._open[item.ticket] = item
                heapq.heappush(self._open_heap, item.ticket)
                self._next += 1
                num_failed = self._known_attempts.pop(_key(item), 0)
                if num_failed:
                    self._attempts[item.ticket] = num_failed
            if self._is_hopeless(item.ticket):
                self._give_up(item.ticket, now)
                continue
            self._issued[item.ticket] = now
            items.append(item)
        return items

    def heard(self, consumer: Consumer, now: float) -> bool:
        """Notes a sign of life; returns False if that life is over.

        A life is over when the consumer has left or a later incarnation of it
        was heard. A consumer seen for the first time joins; a new incarnation
        gives up at once what its predecessor held.
        """
        state = self.consumers.get(consumer.name)
        if state is not None and (
            state.consumer.incarnation == consumer.incarnation
        ):
            state.last_heard = now
            return not state.has_left
        if self._members.is_retired(consumer):
            return False
        if state is not None and state.held:
            self._return_all(state, now, "lost")
        self._members.begin_life(consumer, now)
        self._note("joined", now, consumer)
        return True

    def heard_of_task(self, task: Consumer, now: float) -> None:
        """Notes a sign of life of a task, for all of its consumers."""
        for name in self._members.names_of(task.name):
            self.heard(Consumer(name, task.incarnation), now)

    def count_records(self, consumer: Consumer, num_records: int) -> None:
        """Notes that a consumer, or a task, has trained more records."""
        self.records += num_records
        self._members.count_records(consumer.name, num_records)

    def ask(self, consumer: Consumer, now: float) -> None:
        """Notes that a consumer wants an item."""
        if self.heard(consumer, now):
            state = self.consumers[consumer.name]
            state.asking_since = now
            if state.waiting_since is None:
                state.waiting_since = now

    def lease(self, consumer: Consumer, ticket: int, now: float) -> bool:
        """Notes that a consumer took an item from the mailbox.

        Returns False if the item needs nobody any more or is held by another:
        a repeat.
        """
        is_current = self.heard(consumer, now)
        self._issued.pop(ticket, None)
        self._suspects.pop(ticket, None)
        if is_current:
            state = self.consumers[consumer.name]
            state.asking_since = state.waiting_since = None
        if ticket in self._waiting_backups:
            self._waiting_backups.remove(ticket)
            first = self._leases.get(ticket)
            if is_current and first is not None and first.consumer != consumer:
                self.repeated += 1
                attempt = self._attempts.get(ticket, 0) + 1
                self._attempts[ticket] = attempt
                self._backups[ticket] = Lease(consumer, now, attempt)
                self._hold(consumer, ticket, now)
                self._note("repeated", now, consumer, ticket)
                return True
        if ticket not in self._open or ticket in self._leases:
            self.repeated += 1
            self._note("repeated", now, consumer, ticket)
            return False
        attempt = self._attempts.get(ticket, 0) + 1
        if attempt > 1:
            self.repeated += 1
        self._attempts[ticket] = attempt
        self._handed_back.pop(ticket, None)
        self._forgiven.discard(ticket)
        self._leases[ticket] = Lease(consumer, now, attempt)
        if is_current:
            self._hold(consumer, ticket, now)
            if self._ack_on_take:
                self.acknowledge(consumer, ticket, now)
        else:
            # Its holder is gone already.
            self._return(ticket, now)
        return True

    def acknowledge(self, consumer: Consumer, ticket: int, now: float) -> bool:
        """Notes that an item is completed; returns False if it was before.

        Late acknowledgements, of a lease that was lost, count as long as the
        item is open.
        """
        self.heard(consumer, now)
        item = self._open.get(ticket)
        if item is None:
            return False
        lease = self._leases.pop(ticket, None)
        backup = self._backups.pop(ticket, None)
        secs, attempt = 0.0, 0
        for holding in (lease, backup):
            if holding is not None:
                holder = self.consumers.get(holding.consumer.name)
                if holder is not None:
                    holder.held.pop(ticket, None)
        if backup is not None and backup.consumer == consumer:
            lease = backup
        state = self.consumers.get(consumer.name)
        if state is not None:
            state.completed += 1
        if lease is not None and lease.consumer == consumer:
            secs, attempt = now - lease.since, lease.attempt
            self.durations.append(secs)
            if state is not None:
                state.durations.append(secs)
                state.paces.append(now - state.busy_since)
                state.last_items.append(item)
                state.busy_since = now
        self._note("completed", now, consumer, ticket, secs, attempt)
        self._complete(ticket)
        return True

    def hand_back(self, consumer: Consumer, ticket: int, now: float) -> None:
        """Notes that a consumer gives back an item that it has not finished.

        That is no failure: it does not count as an attempt.
        """
        self.heard(consumer, now)
        state = self.consumers[consumer.name]
        if state.held.pop(ticket, None) is None:
            return
        backup = self._backups.pop(ticket, None)
        if backup is not None:
            # Somebody else goes on with it.
            if backup.consumer != consumer:
                self._leases[ticket] = backup
            return
        attempt = self._leases.pop(ticket).attempt
        self._attempts[ticket] = attempt - 1
        if ticket not in self._forgiven:
            self._handed_back[ticket] = attempt
        heapq.heappush(self._to_reissue, ticket)
        self._note("returned", now, consumer, ticket)

    def holds_only(
        self, consumer: Consumer, tickets: Sequence[int], now: float
    ) -> None:
        """Notes what a consumer knows that it holds; the rest goes back.

        A step that is aborted behind its lease leaves an item with a consumer
        that never gets it. One that is merely under way arrives soon, hence a
        period of grace.

        Args:
          consumer: Who speaks.
          tickets: What it holds.
          now: Time in seconds.
        """
        if not self.heard(consumer, now):
            return
        state = self.consumers[consumer.name]
        unknown = state.held.keys() - set(tickets)
        state.unknown = {t: state.unknown.get(t, now) for t in sorted(unknown)}
        for ticket, since in list(state.unknown.items()):
            if now - since >= _MISSING_GRACE_SECS:
                del state.unknown[ticket]
                self._note("missing", now, consumer, ticket)
                self.hand_back(consumer, ticket, now)

    def end(self, consumer: Consumer, now: float) -> None:
        """Notes that a consumer has met the end of data: it takes no more.

        It may be there for long, if its session waits for other tasks at its
        end, and may still read what it holds.
        """
        if self.heard(consumer, now):
            self.consumers[consumer.name].has_ended = True

    def leave(self, consumer: Consumer, now: float) -> None:
        """Notes that a consumer is gone; what it still holds goes back."""
        state = self.consumers.get(consumer.name)
        if state is None or state.consumer != consumer or state.has_left:
            return
        state.has_left = True
        state.asking_since = state.waiting_since = None
        self._return_all(state, now, "left")

    def expire(self, now: float) -> None:
        """Takes the leases from consumers not heard of for `lease_secs`."""
        for state in list(self.consumers.values()):
            is_silent = self._members.is_silent(state, now)
            if is_silent and not state.has_left and state.held:
                self._return_all(state, now, "lost")

    def plan_backup(self, now: float) -> None:
        """Puts an item in line once more that is held far too long.

        MapReduce calls this a backup task (Dean and Ghemawat, OSDI 2004).
        """
        if (
            not self._backup_tasks
            or self.remaining != 0
            or self._waiting_backups
            or not self.durations
        ):
            return
        is_somebody_idle = any(
            state.asking_since is not None and not state.held
            for state in self._members.active(now)
        )
        limit = _BACKUP_FACTOR * statistics.median(self.durations)
        for ticket, lease in self._leases.items():
            if (
                is_somebody_idle
                and ticket not in self._backups
                and now - lease.since > limit
            ):
                self._waiting_backups.add(ticket)
                heapq.heappush(self._to_reissue, ticket)
                return

    def find_missing(self, mailbox_size: int, now: float) -> None:
        """Returns to the line what was taken and never reported.

        The mailbox is first in, first out: if it holds fewer items than were
        issued and not reported, the oldest of those have left it. A step that
        was aborted half-way loses its report; one that is merely under way
        reports soon, hence a period of grace.

        Args:
          mailbox_size: Number of items in the mailbox. It must have been read
            before the reports that this ledger has seen last.
          now: Time in seconds.
        """
        gap = len(self._issued) - mailbox_size
        suspects = list(self._issued)[:gap] if gap > 0 else []
        self._suspects = {t: self._suspects.get(t, now) for t in suspects}
        for ticket, since in list(self._suspects.items()):
            if now - since >= _MISSING_GRACE_SECS:
                del self._suspects[ticket], self._issued[ticket]
                self._waiting_backups.discard(ticket)
                if ticket in self._open and ticket not in self._leases:
                    heapq.heappush(self._to_reissue, ticket)
                    self._note("missing", now, ticket=ticket)

    # The position.

    def snapshot(self, name: str, works_directory: str | None) -> Snapshot:
        """Returns the position: what is done, and what is to be done again.

        Args:
          name: The queue's name.
          works_directory: Where a list of works is kept that is too long to
            travel in the snapshot, or None.
        """
        works, feed = self.plan.works, self.plan.feed
        next_ticket = self._first_not_begun()
        return Snapshot(
            name=name,
            segments=self._packed.segments(self._low),
            next_ticket=next_ticket,
            outstanding=tuple(self._outstanding(next_ticket)),
            given_up=tuple(self.given_up),
            num_works=len(works),
            fingerprint=works.fingerprint,
            packed_works=self._packed.works,
            works_directory=works_directory,
            slicings=self._packed.slicings,
            num_slices=self.plan.num_slices,
            added=None if feed is None else feed.position(self._low),
        )

    def long_lists(self) -> dict[str, Callable[[], Sequence[str]]]:
        """Returns what is too long for the snapshot, to be kept beside it.

        Returns:
          {fingerprint: function that returns the list}.
        """
        return self._packed.long_lists(self._low)

    def failed_attempts(self, own_task: str | None) -> Attempts:
        """Returns how often each item would have failed if this ended now.

        Args:
          own_task: The task that ends, with what it holds; None: all do, and
            what was handed back may have failed.
        """
        failed = dict(self._known_attempts)
        held = [
            ticket
            for state in self.consumers.values()
            for ticket in self._held_in_order(state)
        ]
        for ticket in dict.fromkeys([*held, *self._attempts]):
            attempts = self._attempts.get(ticket, 0)
            if ticket not in self._leases:
                if own_task is None:
                    attempts = self._handed_back.get(ticket, attempts)
            elif ticket in self._forgiven or not self._is_held_by(
                own_task, ticket
            ):
                attempts -= 1
            if attempts > 0:
                failed[_key(self._open[ticket])] = attempts
        return Attempts(failed, tuple(self._hopeless))

    def forgive(self, own_task: str | None) -> None:
        """Notes that a task ends, or pauses, without a failure.

        What it holds is no failed attempt then, no matter who returns it.

        Args:
          own_task: The task; None: all.
        """
        self._handed_back.clear()
        self._forgiven.update(
            t for t in self._leases if self._is_held_by(own_task, t)
        )

    def _is_held_by(self, task: str | None, ticket: int) -> bool:
        holder = task_of(self._leases[ticket].consumer.name)
        return task is None or task == holder

    def _held_in_order(self, state: ConsumerState) -> list[int]:
        """Returns what a consumer holds, what it is reading now first."""
        held = list(state.held)
        return held[::-1] if self.reads_records(state.consumer.name) else held

    def _first_not_begun(self) -> int:
        """Returns the first of the last tickets that nobody has taken.

        What merely lies ready has not begun: if the arguments change before
        it is handed out, they apply to it.
        """
        ticket = self._next
        while (
            ticket - 1 in self._open
            and ticket - 1 not in self._leases
            and not self._attempts.get(ticket - 1)
        ):
            ticket -= 1
        return ticket

    def _outstanding(self, end: int) -> Iterator[OpenItem]:
        for ticket in sorted(t for t in self._open if t < end):
            lease = self._leases.get(ticket)
            yield OpenItem(
                ticket,
                self._open[ticket].text,
                lease.consumer.name if lease else None,
                self._attempts.get(ticket, 0),
            )

    # Inside.

    def _tickets_ahead(self) -> list[int]:
        """Returns what nobody has yet, in the order of hand-out.

        There must be an end.
        """
        waiting = self._open.keys() - self._leases.keys()
        issued = [ticket for ticket in self._issued if ticket in waiting]
        handed_back = sorted(waiting.difference(issued))
        return [*issued, *handed_back, *range(self._next, self.total or 0)]

    def _hold(self, consumer: Consumer, ticket: int, now: float) -> None:
        state = self.consumers[consumer.name]
        state.taken += 1
        if not state.held:
            state.busy_since = now
        state.held[ticket] = now

    def _complete(self, ticket: int) -> None:
        del self._open[ticket]
        self._attempts.pop(ticket, None)
        self._handed_back.pop(ticket, None)
        self._forgiven.discard(ticket)
        self._waiting_backups.discard(ticket)
        self.completed += 1
        while self._open_heap and self._open_heap[0] not in self._open:
            heapq.heappop(self._open_heap)
        self._low = self._open_heap[0] if self._open_heap else self._next

    def _return_all(self, state: ConsumerState, now: float, why: str) -> None:
        self._note(why, now, state.consumer)
        has_given_up = False
        for ticket in self._held_in_order(state):
            backup = self._backups.pop(ticket, None)
            if backup is None:
                # One item is the cause: the others are tried again.
                has_given_up |= self._return(ticket, now, spares=has_given_up)
            elif backup.consumer != state.consumer:
                self._leases[ticket] = backup
        state.held.clear()

    def _return(self, ticket: int, now: float, *, spares: bool = False) -> bool:
        """Returns an item to the line; returns whether it is given up.

        Args:
          ticket: The item.
          now: Time in seconds.
          spares: Whether it is not given up, though it has failed too often.
        """
        lease = self._leases.pop(ticket)
        held = now - lease.since, lease.attempt
        if ticket in self._forgiven:
            self._attempts[ticket] = lease.attempt - 1
        elif self._max_attempts and lease.attempt >= self._max_attempts:
            if not spares:
                self._give_up(ticket, now, lease.consumer, *held)
                return True
            self._attempts[ticket] = self._max_attempts - 1
        heapq.heappush(self._to_reissue, ticket)
        self._note("returned", now, lease.consumer, ticket, *held)
        return False

    def _is_hopeless(self, ticket: int) -> bool:
        """Whether an item has failed too often in earlier starts."""
        if self._max_attempts is None or ticket in self._leases:
            return False
        return (
            self._attempts.get(ticket, 0) >= self._max_attempts
            or _key(self._open[ticket]) in self._hopeless
        )

    def _give_up(
        self,
        ticket: int,
        now: float,
        consumer: Consumer | None = None,
        secs: float = 0.0,
        attempt: int = 0,
    ) -> None:
        item = self._open[ticket]
        self.given_up.append((ticket, item.text))
        self._hopeless[_key(item)] = None
        self._note("given_up", now, consumer, ticket, secs, attempt)
        self._complete(ticket)

    def _drop_settled(self) -> None:
        """Forgets the heads of the line that need not be issued any more.

        They were completed or leased late, or stand in the line twice.
        """
        while self._to_reissue and (
            self._to_reissue[0] not in self._open
            or (
                self._to_reissue[0] in self._leases
                and self._to_reissue[0] not in self._waiting_backups
            )
            or self._to_reissue[0] in self._issued
        ):
            heapq.heappop(self._to_reissue)

    def _note(
        self,
        kind: str,
        now: float,
        consumer: Consumer | None = None,
        ticket: int | None = None,
        secs: float = 0.0,
        attempt: int = 0,
    ) -> None:
        item = None if ticket is None else self._open.get(ticket)
        name = "" if consumer is None else consumer.name
        self.events.note(kind, now, name, item, secs, attempt)


def _key(item: Item) -> tuple[int, str]:
    """Returns what an item is known by at another start."""
    return item.epoch, item.text
