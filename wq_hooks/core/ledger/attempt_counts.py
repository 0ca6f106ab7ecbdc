"""How often each item was leased and not completed, in this start.

    counts = AttemptCounts({}, known, open_items, max_attempts=3)
    attempt = counts.begin(ticket)         # 1, when it is leased first
    if counts.is_last(ticket, attempt):    # and its lease was lost
        counts.give_up(item)

What is kept from one start to the next is in `core.ledger.attempts`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from wq_hooks.core.items.plan import Item
from wq_hooks.core.ledger.attempts import Attempts, Key


class AttemptCounts:
    """Counts attempts at items.

    Args:
      counts: How often each item has failed so far, by ticket.
      known: Counts kept from earlier starts; None: those of `counts`.
      open_items: The items that `counts` is about.
      max_attempts: An item that was leased so often and never completed is
        given up; None: never.

    Attributes:
      given_up: Tickets and texts of what was given up.
    """

    def __init__(
        self,
        counts: Mapping[int, int],
        known: Attempts | None,
        open_items: Mapping[int, Item],
        max_attempts: int | None,
        given_up: Iterable[tuple[int, str]] = (),
    ):
        self.given_up = list(given_up)
        self._max_attempts = max_attempts
        self._counts = dict(counts)
        attempts = known or Attempts()
        if max_attempts is not None:
            attempts = attempts.judged(max_attempts)
        # Of items that were not issued yet; and what was given up.
        self._known = attempts.failed
        self._hopeless = dict.fromkeys(attempts.given_up)
        if known is not None:
            self._counts = {
                ticket: self._known.pop(_key(item), 0)
                for ticket, item in open_items.items()
            }
        # Of items that were handed back, as if that were a failure.
        self._handed_back: dict[int, int] = {}
        # What is leased, and has not failed if it comes back.
        self._forgiven: set[int] = set()

    def __getitem__(self, ticket: int) -> int:
        """Returns how often an item was leased, as far as that counts."""
        return self._counts.get(ticket, 0)

    def __len__(self) -> int:
        """Returns the number of items that have a count."""
        return len(self._counts)

    def meet(self, item: Item) -> None:
        """Notes that an item is issued that was never issued before."""
        num_failed = self._known.pop(_key(item), 0)
        if num_failed:
            self._counts[item.ticket] = num_failed

    def is_hopeless(self, item: Item) -> bool:
        """Returns True when an item has failed too often in earlier starts."""
        return self._max_attempts is not None and (
            self[item.ticket] >= self._max_attempts
            or _key(item) in self._hopeless
        )

    def begin(self, ticket: int, *, is_backup: bool = False) -> int:
        """Notes that an item is leased; returns how often it has been then."""
        attempt = self._counts[ticket] = self[ticket] + 1
        if not is_backup:
            self._handed_back.pop(ticket, None)
            self._forgiven.discard(ticket)
        return attempt

    def hand_back(self, ticket: int, attempt: int) -> None:
        """Notes that the last lease was no failure."""
        self._counts[ticket] = attempt - 1
        if ticket not in self._forgiven:
            self._handed_back[ticket] = attempt

    def fail(self, ticket: int, attempt: int, *, spares: bool) -> bool:
        """Notes that a lease was lost; returns True to give the item up.

        Args:
          ticket: Ticket of the item.
          attempt: Number of the lease among those of the item.
          spares: Whether it is not given up, though it has failed too often.
        """
        if ticket in self._forgiven:
            self._counts[ticket] = attempt - 1
        elif self._max_attempts and attempt >= self._max_attempts:
            if not spares:
                return True
            self._counts[ticket] = self._max_attempts - 1
        return False

    def give_up(self, item: Item) -> None:
        """Notes that an item is given up."""
        self.given_up.append((item.ticket, item.text))
        self._hopeless[_key(item)] = None

    def forget(self, ticket: int) -> None:
        """Notes that an item is completed."""
        self._counts.pop(ticket, None)
        self._handed_back.pop(ticket, None)
        self._forgiven.discard(ticket)

    def forgive(self, tickets: Iterable[int]) -> None:
        """Notes that what is leased has not failed, if it comes back."""
        self._handed_back.clear()
        self._forgiven.update(tickets)

    def failed(
        self,
        held: Iterable[int],
        is_ended: Callable[[int], bool | None],
        item_at: Callable[[int], Item],
        *,
        counts_handed_back: bool,
    ) -> Attempts:
        """Returns how often each item would have failed if a task ended now.

        Args:
          held: Tickets of what is leased; the likeliest cause comes first.
          is_ended: Returns, for a ticket, whether the task holds the item;
            None: nobody does.
          item_at: Returns the item of a ticket.
          counts_handed_back: Whether what was handed back may have failed.
        """
        failed = dict(self._known)
        for ticket in dict.fromkeys([*held, *self._counts]):
            attempts = self[ticket]
            is_of_task = is_ended(ticket)
            if is_of_task is None:
                if counts_handed_back:
                    attempts = self._handed_back.get(ticket, attempts)
            elif ticket in self._forgiven or not is_of_task:
                attempts -= 1
            if attempts > 0:
                failed[_key(item_at(ticket))] = attempts
        return Attempts(failed, tuple(self._hopeless))


def _key(item: Item) -> Key:
    """Returns what an item is known by at another start."""
    return item.epoch, item.text
