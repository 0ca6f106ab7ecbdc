"""Which items are to be issued, which wait in the mailbox, which are completed.

    account = ItemAccount(resumption, leases)
    item = account.next_item()          # the next in line
    account.note_issued(item.ticket, now=t)
    account.note_taken(item.ticket)
    account.complete(item.ticket)

An item is remaining, in flight or completed; the three add up to the total.
Remaining items are either not issued yet or issued, that is waiting in the
mailbox. Who holds an item is the ledger's business.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence

from wq_hooks.core.items.plan import Item
from wq_hooks.core.ledger.consumer_state import Lease
from wq_hooks.core.position.plan_encoding import PlanEncoding
from wq_hooks.core.position.resume import Resumption
from wq_hooks.core.position.snapshot import OpenItem, Snapshot

# An item may be between the mailbox and the report of its lease this long.
MISSING_GRACE_SECS = 5.0


class ItemAccount:
    """The items of a plan, and how far each is.

    Args:
      start: Resumption to begin with.
      leases: Leases of the items in flight, by ticket; the ledger changes it.
      is_settled: Returns True for an open item that need not be issued.

    Attributes:
      plan: Says which item each ticket stands for.
      completed: Number of items that are completed.
      issued: Time since which each item waits in the mailbox, by ticket.
      open: Every item that was ever issued and is not completed, by ticket.
      origin: Says when the job began, and where this account has gone on.
      completed_before: Number of items that were completed there.
    """

    def __init__(
        self,
        start: Resumption,
        leases: Mapping[int, Lease],
        is_settled: Callable[[int], bool],
    ):
        self.plan = start.plan
        self._leases = leases
        self._is_settled = is_settled
        self._next = start.next_ticket
        # Tickets that come before those that were never issued, as a heap.
        self._to_reissue = sorted(start.attempts)
        self.issued: dict[int, float] = {}
        self.open = {t: start.plan.item_at(t) for t in self._to_reissue}
        # Their tickets as a heap, with some that are not open any more.
        self._open_heap = sorted(self.open)
        self._low = min(self.open, default=self._next)
        self.completed = self._next - len(self.open)
        self.origin = start.origin
        self.completed_before = self.completed
        # Since when an item seems to have left the mailbox unreported.
        self._suspects: dict[int, float] = {}
        self._encoding = PlanEncoding(start.plan)
        # Where what is too long for a snapshot was kept, None: nowhere yet.
        self._sidecar_directory: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether works may still be added."""
        return self.plan.added is not None and self.plan.added.is_open

    @property
    def total(self) -> int | None:
        """Number of items, done ones included; None: without end, or open."""
        return None if self.is_open else self._num_known

    @property
    def _num_known(self) -> int | None:
        """Number of items that could be handed out now; None: without end."""
        added = self.plan.added
        return self.plan.total if added is None else added.end

    @property
    def remaining(self) -> int | None:
        """Number of items not yet handed out; None: without end."""
        if self.total is None:
            return None
        return self.total - self.completed - len(self._leases)

    @property
    def level(self) -> float:
        """Remaining items, in epochs; those of this epoch if without end."""
        known = self._num_known
        if known is None:
            end = self.plan.epoch_end(self._next)
            remaining = end - self._next + len(self._to_reissue)
        else:
            remaining = known - self.completed - len(self._leases)
        return remaining / self.plan.items_per_epoch

    @property
    def low_watermark(self) -> int:
        """Every item before this ticket is completed."""
        return self._low

    @property
    def next_ticket(self) -> int:
        """The first ticket that was never issued."""
        return self._next

    def pull_works(self) -> None:
        """Takes over works that were added, and whether more may come."""
        if self.plan.added is not None:
            self.plan.added.pull(self._low, self._next)

    def tickets_ahead(self) -> list[int]:
        """Returns what nobody has yet, in the order of hand-out.

        There must be an end.
        """
        waiting = self.open.keys() - self._leases.keys()
        issued = [ticket for ticket in self.issued if ticket in waiting]
        handed_back = sorted(waiting.difference(issued))
        return [*issued, *handed_back, *range(self._next, self.total or 0)]

    # What happens.

    def has_to_issue(self) -> bool:
        """Returns True when there is an item that could be issued now."""
        # Others were completed or leased late, or stand in the line twice.
        while self._to_reissue and (
            self._to_reissue[0] not in self.open
            or self._to_reissue[0] in self.issued
            or self._is_settled(self._to_reissue[0])
        ):
            heapq.heappop(self._to_reissue)
        known = self._num_known
        return bool(self._to_reissue) or known is None or self._next < known

    def next_item(self) -> tuple[Item, bool]:
        """Takes the next item out of the line, behind `has_to_issue`.

        Returns:
          The item, and whether it is the first time.
        """
        if self._to_reissue:
            return self.open[heapq.heappop(self._to_reissue)], False
        item = self.plan.item_at(self._next)
        self.open[item.ticket] = item
        heapq.heappush(self._open_heap, item.ticket)
        self._next += 1
        return item, True

    def note_issued(self, ticket: int, now: float) -> None:
        """Notes that an item goes into the mailbox."""
        self.issued[ticket] = now

    def note_taken(self, ticket: int) -> None:
        """Notes that an item has left the mailbox."""
        self.issued.pop(ticket, None)
        self._suspects.pop(ticket, None)

    def put_back(self, ticket: int) -> None:
        """Puts an item in line, before those that were never issued."""
        heapq.heappush(self._to_reissue, ticket)

    def complete(self, ticket: int) -> None:
        """Notes that an open item needs nobody any more."""
        del self.open[ticket]
        self.completed += 1
        while self._open_heap and self._open_heap[0] not in self.open:
            heapq.heappop(self._open_heap)
        self._low = self._open_heap[0] if self._open_heap else self._next

    def find_missing(self, mailbox_size: int, now: float) -> list[int]:
        """Returns what was taken and never reported.

        The mailbox is first in, first out: if it holds fewer items than were
        issued and not reported, the oldest of those have left it. A step that
        was aborted half-way loses its report; one that is merely under way
        reports soon, hence a period of grace.

        Args:
          mailbox_size: Number of items in the mailbox. It must have been read
            before the reports that the ledger has seen last.
          now: Time in seconds.
        """
        gap = len(self.issued) - mailbox_size
        suspects = list(self.issued)[:gap] if gap > 0 else []
        self._suspects = {t: self._suspects.get(t, now) for t in suspects}
        missing = [
            ticket
            for ticket, since in self._suspects.items()
            if now - since >= MISSING_GRACE_SECS
        ]
        for ticket in missing:
            self.note_taken(ticket)
        return missing

    # The position.

    def snapshot(
        self,
        name: str,
        given_up: Sequence[tuple[int, str]],
        attempts_at: Callable[[int], int],
    ) -> Snapshot:
        """Returns the position: what is done, and what is to be done again.

        Args:
          name: The queue's name.
          given_up: Tickets and texts of what was given up.
          attempts_at: Returns how often an item was leased.
        """
        works, added = self.plan.works, self.plan.added
        next_ticket = self._first_not_begun(attempts_at)
        return Snapshot(
            name=name,
            segments=self._encoding.segments(self._low),
            next_ticket=next_ticket,
            outstanding=tuple(self._outstanding(next_ticket, attempts_at)),
            given_up=tuple(given_up),
            num_works=len(works),
            fingerprint=works.fingerprint,
            packed_works=self._encoding.works,
            sidecar_directory=self._sidecar_directory,
            slicings=self._encoding.slicings,
            num_slices=self.plan.num_slices,
            added=None if added is None else added.position(self._low),
            started=self.origin.started,
        )

    def note_sidecars(self, directory: str) -> None:
        """Notes where what is too long for a snapshot was kept."""
        self._sidecar_directory = directory

    def long_lists(self) -> dict[str, Callable[[], Sequence[str]]]:
        """Returns what is too long for the snapshot, to be kept beside it.

        Returns:
          {fingerprint: function that returns the list}.
        """
        return self._encoding.long_lists(self._low)

    def _first_not_begun(self, attempts_at: Callable[[int], int]) -> int:
        """Returns the first of the last tickets that nobody has taken.

        What merely lies ready has not begun: if the arguments change before
        it is handed out, they apply to it.
        """
        ticket = self._next
        while (
            ticket - 1 in self.open
            and ticket - 1 not in self._leases
            and not attempts_at(ticket - 1)
        ):
            ticket -= 1
        return ticket

    def _outstanding(
        self, end: int, attempts_at: Callable[[int], int]
    ) -> Iterator[OpenItem]:
        for ticket in sorted(t for t in self.open if t < end):
            lease = self._leases.get(ticket)
            yield OpenItem(
                ticket,
                self.open[ticket].text,
                lease.consumer.name if lease else None,
                attempts_at(ticket),
            )
