"""How fast the consumers are, and who of them should take no more.

    pacing = ConsumerPaces(plan)
    pacing.held_back(states, open_items, num_ahead, tickets_ahead, now=t)

A consumer's pace is in seconds for a unit of length where all that counts are
slices, whose lengths are known, else in seconds for an item. Slices are long
at first and short towards the end (`core.factoring`): by items, those who have
just completed long ones would seem to be slow.

The trap: a plan may have ten million items. Only those near the end, and what
was completed last, are ever asked for.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence

from wq_hooks.core.items.plan import Item, Plan
from wq_hooks.core.ledger.consumer_state import ConsumerState
from wq_hooks.core.ledger.tail_scheduling import Pace, useless_at_the_end

# Nobody completes anything in no time.
_MIN_SECS = 1e-6


class ConsumerPaces:
    """Knows how long the items of a plan are.

    Args:
      plan: Plan of the items.
      is_one_unit: Whether the lengths of all slices count the same, such as
        records, or bytes of files of one kind.
    """

    def __init__(self, plan: Plan, *, is_one_unit: bool = True):
        self._plan = plan
        self._has_lengths = is_one_unit and any(
            slicing is not None for slicing in plan.slicings
        )
        # By ticket; of items near the end.
        self._lengths: dict[int, int | None] = {}

    def held_back(
        self,
        states: Sequence[ConsumerState],
        open_items: Mapping[int, Item],
        num_ahead: int,
        tickets_ahead: Callable[[], Iterable[int]],
        now: float,
    ) -> frozenset[str]:
        """Returns the consumers that would only make the end later.

        Args:
          states: States of the consumers that are there.
          open_items: Items, at least those that they hold, by ticket.
          num_ahead: Number of items that nobody has yet.
          tickets_ahead: Returns theirs, in the order in which they are handed
            out.
          now: Time in seconds.
        """
        if not any(state.paces for state in states):
            return frozenset()
        if self._has_lengths:
            try:
                return self._held_back_by_length(
                    states, open_items, tickets_ahead(), now
                )
            except _LengthNotKnownError:
                pass  # A work that is not cut: its length may be anything.
        typical = statistics.median(s for state in states for s in state.paces)
        paces = [
            _pace(
                state,
                max(_usual(state.paces or [typical]), _MIN_SECS),
                len(state.held),
                now,
                last_secs=state.paces[-1] if state.paces else 0.0,
            )
            for state in states
        ]
        return useless_at_the_end(paces, [1.0] * num_ahead, now)

    def _held_back_by_length(
        self,
        states: Sequence[ConsumerState],
        open_items: Mapping[int, Item],
        tickets_ahead: Iterable[int],
        now: float,
    ) -> frozenset[str]:
        ahead = [self._length(ticket) for ticket in tickets_ahead]
        rates = [self._secs_per_unit(state) for state in states]
        typical = statistics.median(secs for secs in rates if secs is not None)
        paces = [
            _pace(
                state,
                typical if secs is None else secs,
                sum(self._length(t, open_items[t]) for t in state.held),
                now,
            )
            for state, secs in zip(states, rates)
        ]
        return useless_at_the_end(paces, ahead, now)

    def _secs_per_unit(self, state: ConsumerState) -> float | None:
        """Returns the pace of what it has completed last; None: nothing."""
        if not state.paces:
            return None
        # Reports come in groups: times of short slices make sense together.
        length = sum(self._length(x.ticket, x) for x in state.last_items)
        return max(sum(state.paces), _MIN_SECS) / length

    def _length(self, ticket: int, item: Item | None = None) -> int:
        """Returns the length of an item, which the plan finds if need be.

        Raises:
          _LengthNotKnownError: If it is a work that is not cut.
        """
        if ticket not in self._lengths:
            if item is None:
                item = self._plan.item_at(ticket)
            self._lengths[ticket] = self._plan.length_of(item)
        length = self._lengths[ticket]
        if length is None:
            raise _LengthNotKnownError
        return length


class _LengthNotKnownError(Exception):
    """An item is a work that is not cut."""


def _usual(paces: Sequence[float]) -> float:
    """Returns what an item takes; one that took long is chance, two are not."""
    return max(statistics.median(paces), min([*paces][-2:]))


def _pace(
    state: ConsumerState,
    secs: float,
    held: float,
    now: float,
    *,
    last_secs: float = 0.0,
) -> Pace:
    """Returns the pace of a consumer.

    Args:
      state: State of the consumer.
      secs: Usual duration of one unit, in seconds.
      held: The length of all that it holds, in units.
      now: Time in seconds.
      last_secs: Duration of the last unit, in seconds.
    """
    name = state.consumer.name
    if not held:
        return Pace(name, secs, now)
    # It may have become slower just now. If it takes longer than usual for the
    # second time in a row, it has.
    lasted = (now - state.busy_since) / held
    if lasted > secs:
        secs = max(lasted, last_secs)
    return Pace(name, secs, max(now, state.busy_since + secs * held))
