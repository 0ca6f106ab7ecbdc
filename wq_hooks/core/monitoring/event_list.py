"""What happened to a job, in sentences, for a list that a person reads.

    events = EventList()
    for secs_ago, what, who, item, text in events.fresh(ledger, ...): ...

Items that are completed are not in it: there are millions. What is common to
all workers, such as that they join at first, is not in it either.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from wq_hooks.core.ledger.consumer_state import task_of
from wq_hooks.core.ledger.events import Event
from wq_hooks.core.ledger.ledger import Ledger
from wq_hooks.core.monitoring.queue_state import shown
from wq_hooks.core.monitoring.schema import done_in_words
from wq_hooks.core.monitoring.slow_workers import Slowness

# Seconds ago, what, who, item, text.
Row = list[Any]
# A worker that is slow now and then is told of once in so many seconds.
_SLOW_AGAIN_SECS = 600.0
_MAX_SLOW = 20


class EventList:
    """Knows what was told of a ledger."""

    def __init__(self) -> None:
        self._ledger: Ledger | None = None
        self._num_told = 0
        self._is_done = False
        self._told_slow: dict[str, float] = {}

    def fresh(
        self,
        ledger: Ledger,
        state: Mapping[str, Any],
        slow: Mapping[str, Slowness],
        now: float,
    ) -> list[Row]:
        """Returns what has happened since the last call, in order of time.

        Args:
          ledger: The ledger, not changed meanwhile.
          state: Its state, with the times of the job.
          slow: The slow workers, and why they are slow.
          now: Time in seconds, of the ledger's clock.
        """
        rows: list[Row] = []
        if ledger is not self._ledger:
            self._ledger, self._num_told = ledger, 0
            self._told_slow.clear()
            # One that was done before is not done now.
            self._is_done = ledger.is_done and ledger.completed > 0
            rows += _beginning(ledger, state)
        log = ledger.events
        num_fresh = min(log.num_notable - self._num_told, len(log.notable))
        self._num_told = log.num_notable
        begin = len(log.notable) - num_fresh
        fresh = itertools.islice(log.notable, begin, None)
        for _, group in itertools.groupby(fresh, _of_one_task):
            rows.append(_row_of(list(group), now))
        rows += self._slow(slow, now)
        if ledger.is_done and not self._is_done:
            self._is_done = True
            rows.append(_done(state))
        return rows

    def _slow(self, slow: Mapping[str, Slowness], now: float) -> list[Row]:
        fresh = [
            name
            for name in slow
            if now - self._told_slow.get(name, -_SLOW_AGAIN_SECS)
            >= _SLOW_AGAIN_SECS
        ][:_MAX_SLOW]
        # It is told of again when it was not slow for a while.
        self._told_slow.update(dict.fromkeys(slow, now))
        return [
            [0.0, "slow", name, "", f"{name} {slow[name].in_words()}."]
            for name in fresh
        ]


def _ago(state: Mapping[str, Any], time: float) -> float:
    """Returns how long before the state a time was, in seconds."""
    return round(max(state["time"] - time, 0.0), 2)


def _beginning(ledger: Ledger, state: Mapping[str, Any]) -> list[Row]:
    origin = ledger.items.origin
    if origin.since is None:
        return []
    ago = _ago(state, origin.since)
    total = "endless" if ledger.total is None else f"{ledger.total:,}"
    if not origin.is_resumed:
        return [[ago, "began", "", "", f"The job began; items: {total}."]]
    before = ledger.items.completed_before
    text = f"{before:,} of {total} items were completed"
    if origin.num_in_flight:
        text += f", {origin.num_in_flight:,} in flight are trained again"
    rows: list[Row] = [[ago, "resumed", "", "", f"Resumed: {text}."]]
    if origin.changes:
        changes = "; ".join(origin.changes)
        text = f"The arguments have changed: {changes}."
        rows.append([ago, "changed", "", "", text])
    return rows


def _of_one_task(event: Event) -> tuple[Any, ...]:
    """Returns what the events of the consumers of a task have in common."""
    item = None if event.item is None else event.item.ticket
    return event.kind, task_of(event.consumer), event.now, item


def _row_of(events: Sequence[Event], now: float) -> Row:
    event, num_items = events[0], sum(e.num_items for e in events)
    who = shown(task_of(event.consumer))
    item = "" if event.item is None else shown(event.item.text)
    kind = event.kind.replace("_", " ")
    verb = {
        "joined": "has joined",
        "back": "is back",
        "left": "has left",
        "lost": "was lost",
    }.get(kind)
    if verb is None:
        text = f"{item} was taken and not reported; it is handed out again."
        if kind == "given up":
            text = f"{item} was given up: it failed too often."
    elif num_items:
        goes = "item goes" if num_items == 1 else "items go"
        text = f"{who} {verb}; {num_items:,} {goes} to the others."
    else:
        text = f"{who} {verb}."
    return [round(now - event.now, 2), kind, who, item, text]


def _done(state: Mapping[str, Any]) -> Row:
    ago = 0.0 if state["ended"] is None else _ago(state, state["ended"])
    return [ago, "done", "", "", done_in_words(state)]
