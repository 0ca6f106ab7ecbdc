"""Items that are given to a second consumer, near the end of the job.

    backups = BackupTasks(is_on=True)
    ticket = backups.plan(leases, durations, states, now=t)

MapReduce calls this a backup task (Dean and Ghemawat, OSDI 2004): when nothing
remains, an item that is held far longer than usual is put in line once more,
for an idle consumer. The first of the two that completes it counts.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence

from wq_hooks.core.ledger.consumer_state import ConsumerState, Lease

# Spark's default for speculation is 1.5 times the median, DLRover's 2.
_FACTOR = 2.0


class BackupTasks:
    """Knows which items are handed out twice.

    Args:
      is_on: Whether any are.

    Attributes:
      waiting: Tickets of the items that wait for their second consumer.
      leases: The second leases by ticket.
    """

    def __init__(self, is_on: bool):
        self.is_on = is_on
        self.waiting: set[int] = set()
        self.leases: dict[int, Lease] = {}

    def stop_waiting(self, ticket: int) -> bool:
        """Ends the wait of an item; returns False if it did not wait."""
        was_waiting = ticket in self.waiting
        self.waiting.discard(ticket)
        return was_waiting

    def lease(self, ticket: int, lease: Lease) -> None:
        """Notes the second lease of an item."""
        self.leases[ticket] = lease

    def pop(self, ticket: int) -> Lease | None:
        """Ends the second lease of an item, if there is one; returns it."""
        return self.leases.pop(ticket, None)

    def plan(
        self,
        leases: Mapping[int, Lease],
        durations: Sequence[float],
        states: Iterable[ConsumerState],
        now: float,
    ) -> int | None:
        """Returns an item to be put in line once more, None if there is none.

        Args:
          leases: The first leases by ticket; nothing remains beside them.
          durations: How long items were held, in seconds.
          states: States of the consumers that are there.
          now: Time in seconds.
        """
        if not self.is_on or self.waiting or not durations:
            return None
        if not any(
            state.asking_since is not None and not state.held
            for state in states
        ):
            return None
        limit = _FACTOR * statistics.median(durations)
        for ticket, lease in leases.items():
            if ticket not in self.leases and now - lease.since > limit:
                self.waiting.add(ticket)
                return ticket
        return None
