"""The chief's account of all items: the one place that decides.

    ledger = Ledger(plan, lease_secs=60.0)
    for item in ledger.issue(limit=8, now=t): ...       # into the mailbox
    ledger.lease(consumer, item.ticket, now=t)          # somebody took it
    ledger.acknowledge(consumer, item.ticket, now=t)    # and completed it

It knows who holds what. The rest is asked of its parts: which items there are
(`item_account`), how often each was tried (`attempt_counts`), which are given
out twice (`backup_tasks`), who is there (`membership`), who should take no
more (`consumer_pace`) and when the data end (`end_policy`). Time is a
parameter in seconds; nothing here reads a clock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from wq_hooks.core.items.plan import Item, Plan
from wq_hooks.core.ledger.attempts import Attempts
from wq_hooks.core.ledger.backup_tasks import BackupTasks
from wq_hooks.core.ledger.consumer_pace import ConsumerPaces
from wq_hooks.core.ledger.consumer_state import Consumer, Measure, task_of
from wq_hooks.core.ledger.end_policy import EndPolicy
from wq_hooks.core.ledger.lease_book import LeaseBook
from wq_hooks.core.ledger.membership import Membership
from wq_hooks.core.position.resume import Resumption
from wq_hooks.core.position.snapshot import Snapshot

# The end is near when no more than so many items remain for each consumer.
_TAIL_ITEMS = 16


class Ledger:
    """Who has what: to do, issued, leased and completed.

    Args:
      plan: Says which item each ticket stands for.
      lease_secs: A consumer not heard of for so long loses what it holds.
      ack_on_take: If True, an item is completed when it is handed out.
      max_attempts: An item that was leased this often and never completed is
        given up; None: never.
      balance_tail: Whether consumers that would only delay the end take no
        more near it.
      backup_tasks: Whether, when nothing remains, an item that is held far
        longer than usual is given to an idle consumer as well.
      is_one_unit: Whether the lengths of all slices count the same.
      resumption: Start, if it is not the beginning of `plan`.
      known_attempts: What was kept of earlier starts; None: nothing else.

    Attributes:
      items: The account of the items.
      events: Log of the events.
      membership: The consumers.
      backups: The items that are handed out twice.
      end_policy: Decides who gets the end of data.
      records: Number of records that consumers have trained.
      dropped_rows: Number of reports that could not be read.
      durations: How long the last items were held, in seconds.
      leases: The leases by ticket; not to be changed by the caller.
      consumers: The consumers that were ever heard of, by name; likewise.
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
        self.plan = plan
        self.records = 0
        self.dropped_rows = 0
        self._ack_on_take = ack_on_take
        self._balance_tail = balance_tail
        self.membership = Membership(lease_secs)
        self.consumers = self.membership.states
        self.backups = BackupTasks(backup_tasks)
        self._book = LeaseBook(
            resumption or Resumption(plan),
            self.consumers,
            backups=self.backups,
            max_attempts=max_attempts,
            known_attempts=known_attempts,
        )
        self.items = self._book.items
        self.leases = self._book.leases
        self.events = self._book.events
        self.durations = self._book.durations
        self._paces = ConsumerPaces(plan, is_one_unit=is_one_unit)
        self.end_policy = EndPolicy(
            self.items, self.leases, self.membership, self.backups
        )

    # What the account says.

    @property
    def lease_secs(self) -> float:
        """A consumer that is silent for so many seconds loses its leases."""
        return self.membership.lease_secs

    @property
    def total(self) -> int | None:
        """Number of items, done ones included; None: without end, or open."""
        return self.items.total

    @property
    def is_open(self) -> bool:
        """Whether works may still be added."""
        return self.items.is_open

    @property
    def completed(self) -> int:
        """Number of items that are completed."""
        return self.items.completed

    @property
    def in_flight(self) -> int:
        """Number of items that are leased."""
        return len(self.leases)

    @property
    def remaining(self) -> int | None:
        """Number of items not yet handed out; None: without end."""
        return self.items.remaining

    @property
    def level(self) -> float:
        """Remaining items, in epochs; those of this epoch if without end."""
        return self.items.level

    @property
    def low_watermark(self) -> int:
        """Every item before this ticket is completed."""
        return self.items.low_watermark

    @property
    def next_ticket(self) -> int:
        """The first ticket that was never issued."""
        return self.items.next_ticket

    @property
    def num_issued(self) -> int:
        """Number of items that wait in the mailbox."""
        return len(self.items.issued)

    @property
    def given_up(self) -> list[tuple[int, str]]:
        """Tickets and texts of what was given up."""
        return self._book.attempts.given_up

    @property
    def repeated(self) -> int:
        """How often an item was leased again."""
        return self._book.repeated

    @property
    def is_exhausted(self) -> bool:
        """Whether nothing remains to be handed out; see EndPolicy."""
        return self.end_policy.is_exhausted

    @property
    def is_done(self) -> bool:
        """Whether every item is completed."""
        return self.end_policy.is_done

    @property
    def is_near_end(self) -> bool:
        """Whether so little remains that it matters who takes it."""
        remaining, num_there = self.remaining, self.membership.num_there
        return remaining is not None and remaining <= _TAIL_ITEMS * num_there

    def open_item(self, ticket: int) -> Item:
        """Returns an item that was issued and is not completed."""
        return self.items.open[ticket]

    def has_to_issue(self) -> bool:
        """Returns True when there is an item that could be issued now."""
        return self.items.has_to_issue()

    def pull_works(self) -> None:
        """Takes over works that were added, and whether more may come."""
        self.items.pull_works()

    def holders(self) -> dict[str, int]:
        """Returns how many items each task holds, of those that hold some."""
        tasks = [task_of(x.consumer.name) for x in self.leases.values()]
        return {task: tasks.count(task) for task in sorted(set(tasks))}

    def held_back(self, now: float) -> frozenset[str]:
        """Returns the consumers that should take no more at present.

        Their items would end later than those of the others together.
        """
        remaining = self.remaining
        if not self._balance_tail or not remaining or not self.is_near_end:
            return frozenset()
        return self._paces.held_back(
            self.membership.active(now),
            self.items.open,
            remaining,
            self.items.tickets_ahead,
            now,
        )

    def serve(self, task: str, *, in_step: bool) -> None:
        """Notes that the consumers are processes that come and go.

        Args:
          task: The serving task, which may read or not.
          in_step: Whether the processes train in step with each other. Then
            none of them may wait for what another one holds.
        """
        self._balance_tail &= not in_step
        self.end_policy.serve(task, in_step=in_step)

    # What happens.

    def issue(self, limit: int, now: float) -> list[Item]:
        """Returns up to `limit` items that go into the mailbox next.

        Items that were handed back come first, then the plan's order.
        """
        items: list[Item] = []
        while len(items) < limit and self.items.has_to_issue():
            item, is_new = self.items.next_item()
            if is_new:
                self._book.attempts.meet(item)
            if self._book.is_hopeless(item):
                self._book.give_up(item, now)
                continue
            self.items.note_issued(item.ticket, now)
            items.append(item)
        return items

    def heard(self, consumer: Consumer, now: float) -> bool:
        """Notes a sign of life; returns False if the incarnation is over.

        It is when the consumer has left, or a later incarnation was heard. A
        consumer seen for the first time joins; a new incarnation gives up at
        once what its predecessor held.
        """
        state = self.consumers.get(consumer.name)
        if state is not None and (
            state.consumer.incarnation == consumer.incarnation
        ):
            state.last_heard = now
            return not state.has_left
        if self.membership.is_retired(consumer):
            return False
        if state is not None and state.held:
            self._book.return_all(state, now, "lost")
        self.membership.begin_incarnation(consumer, now)
        self._book.note("joined", now, consumer)
        return True

    def heard_of_task(self, task: Consumer, now: float) -> None:
        """Notes a sign of life of a task, for all of its consumers."""
        self.membership.beating[task.name] = task.incarnation
        for name in self.membership.names_of(task.name):
            self.heard(Consumer(name, task.incarnation), now)

    def count_records(self, consumer: Consumer, num_records: int) -> None:
        """Notes that a consumer, or a task, has trained more records."""
        self.records += num_records
        self.membership.count_records(consumer.name, num_records)

    def ask(self, consumer: Consumer, now: float) -> None:
        """Notes that a consumer wants an item."""
        if self.heard(consumer, now):
            state = self.consumers[consumer.name]
            state.asking_since = now
            if state.waiting_since is None:
                state.waiting_since = now

    def lease(self, consumer: Consumer, ticket: int, now: float) -> bool:
        """Notes that a consumer took an item from the mailbox.

        Returns False for a repeat: it needs nobody any more, or is held.
        """
        is_current = self.heard(consumer, now)
        if is_current:
            state = self.consumers[consumer.name]
            state.asking_since = state.waiting_since = None
        is_leased = self._book.lease(
            consumer, ticket, now, is_current=is_current
        )
        if is_leased and is_current and self._ack_on_take:
            self._book.acknowledge(consumer, ticket, now)
        return is_leased

    def acknowledge(
        self,
        consumer: Consumer,
        ticket: int,
        now: float,
        measure: Measure | None = None,
    ) -> bool:
        """Notes that an item is completed; returns False if it was before.

        A late one, of a lease that was lost, counts while the item is open.
        """
        self.heard(consumer, now)
        return self._book.acknowledge(consumer, ticket, now, measure)

    def hand_back(self, consumer: Consumer, ticket: int, now: float) -> None:
        """Notes that a consumer gives back an item that it has not finished.

        That is no failure: it does not count as an attempt.
        """
        self.heard(consumer, now)
        self._book.hand_back(consumer, ticket, now)

    def end(self, consumer: Consumer, now: float) -> None:
        """Notes that a consumer has met the end of data: it takes no more.

        It may be there for long, if its session waits for other tasks at its
        end, and may still read what it holds.
        """
        if self.heard(consumer, now):
            self.consumers[consumer.name].has_ended = True

    def note_through(self, consumer: Consumer, now: float) -> None:
        """Notes that a step has met the end of data: all before it ran."""
        if self.heard(consumer, now):
            self.consumers[consumer.name].is_through = True

    def leave(
        self, consumer: Consumer, now: float, *, in_order: bool = False
    ) -> None:
        """Notes that a consumer is gone; in order, nothing has failed."""
        state = self.consumers.get(consumer.name)
        if state is None or state.consumer != consumer or state.has_left:
            return
        state.has_left, state.has_handed_over = True, in_order
        state.asking_since = state.waiting_since = None
        self._book.return_all(state, now, "left")

    def expire(self, now: float) -> None:
        """Takes the leases from consumers not heard of for `lease_secs`."""
        self.membership.count(now)
        for state in list(self.consumers.values()):
            is_silent = self.membership.is_silent(state, now)
            if is_silent and not state.has_left and state.held:
                self._book.return_all(state, now, "lost")

    def plan_backup(self, now: float) -> None:
        """Puts an item in line once more that is held far too long."""
        if self.remaining != 0:
            return
        ticket = self.backups.plan(
            self.leases, self.durations, self.membership.active(now), now
        )
        if ticket is not None:
            self.items.put_back(ticket)

    def find_missing(self, mailbox_size: int, now: float) -> None:
        """Returns to the line what was taken and never reported.

        See `ItemAccount.find_missing`.
        """
        for ticket in self.items.find_missing(mailbox_size, now):
            self.backups.stop_waiting(ticket)
            if ticket in self.items.open and ticket not in self.leases:
                self.items.put_back(ticket)
                self._book.note("missing", now, ticket=ticket)

    # The position.

    def snapshot(self, name: str) -> Snapshot:
        """Returns the position; see `ItemAccount.snapshot`."""
        return self.items.snapshot(
            name,
            self.given_up,
            self._book.attempts.__getitem__,
        )

    def long_lists(self) -> dict[str, Callable[[], Sequence[str]]]:
        """Returns what is kept beside it; see `ItemAccount.long_lists`."""
        return self.items.long_lists()

    # The attempts, for those who keep them.

    def failed_attempts(self, own_task: str | None) -> Attempts:
        """Returns what would be known if a task ended; see AttemptsLedger."""
        return self._book.failed_attempts(own_task)

    def forgive(self, own_task: str | None) -> None:
        """Notes that a task ends without a failure; see AttemptsLedger."""
        self._book.forgive(own_task)

    def note_readers(self, reads_records: Callable[[str], bool]) -> None:
        """Notes which consumers, by their names, read what they got last."""
        self._book.reads_records = reads_records
