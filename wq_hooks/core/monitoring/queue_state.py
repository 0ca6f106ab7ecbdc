"""Who has what, as values that json can write: for the view and for programs.

    state = state_of(ledger, now=time.monotonic())
    takes, num_events = takes_since(ledger, num_events, now=time.monotonic())

Names of works and workers are data: cut to a length that a person can read,
and made of characters that UTF-8 can hold.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from wq_hooks.core.items.works import encoded
from wq_hooks.core.ledger.consumer_state import (
    ConsumerState,
    Measure,
    place_of,
    task_of,
)
from wq_hooks.core.ledger.events import Event
from wq_hooks.core.ledger.ledger import Ledger
from wq_hooks.core.monitoring.progress import quantiles_of

STATE_VERSION = 1
MAX_CHARS = 120
MAX_WORKERS = 2000
MAX_ITEMS_OF_WORKER = 3
MAX_GIVEN_UP = 20
MAX_TAKES = 500
MAX_OPEN = 200
_CUT = "\N{HORIZONTAL ELLIPSIS}"

# What became of an item that somebody took.
DONE = "done"
AGAIN = "again"  # completed by a second or later holder
LOST = "lost"  # handed back: its holder died or left
GIVEN_UP = "given_up"
REPEAT = "repeat"  # taken by somebody else as well, to no use
_KINDS = {"returned": LOST, "given_up": GIVEN_UP, "repeated": REPEAT}


def state_of(ledger: Ledger, now: float) -> dict[str, Any]:
    """Returns the ledger's state.

    One entry for each task; a task's consumers are added up. Of more than
    `MAX_WORKERS` tasks those are told that hold something.

    Args:
      ledger: The ledger, not changed meanwhile.
      now: Time in seconds, of the ledger's clock.
    """
    workers = _workers_of(ledger, now)
    num_workers = len(workers)
    if num_workers > MAX_WORKERS:
        workers.sort(
            key=lambda worker: (worker["has_left"], -worker["in_hand"])
        )
        workers = workers[:MAX_WORKERS]
    return {
        "version": STATE_VERSION,
        "total": ledger.total,
        "items_per_epoch": ledger.plan.items_per_epoch,
        "remaining": ledger.remaining,
        "in_flight": ledger.in_flight,
        "completed": ledger.completed,
        "completed_before": ledger.items.completed_before,
        "low_watermark": ledger.low_watermark,
        "repeated": ledger.repeated,
        "records": ledger.records or None,
        "dropped_rows": ledger.dropped_rows,
        "lease_secs": ledger.lease_secs,
        "given_up": len(ledger.given_up),
        "given_up_names": [
            shown(name) for _, name in ledger.given_up[:MAX_GIVEN_UP]
        ],
        "num_workers": num_workers,
        "num_lost": ledger.events.num_lost,
        "last_save_secs": None
        if ledger.events.last_save is None
        else _rounded(now - ledger.events.last_save),
        "workers": workers,
    }


def times_of(
    ledger: Ledger, now: float, wall_time: float
) -> dict[str, float | None]:
    """Returns when the job began and ended, in seconds since 1970.

    Args:
      ledger: The ledger, not changed meanwhile.
      now: Time in seconds, of the ledger's clock.
      wall_time: The same in seconds since 1970.
    """
    origin, last = ledger.items.origin, ledger.events.last_completed
    ended = None
    if ledger.is_done and last is not None:
        ended = _rounded(wall_time - (now - last))
    elapsed = None
    if origin.started is not None and (ended is not None or not ledger.is_done):
        elapsed = _rounded(max((ended or wall_time) - origin.started, 0.0))
    return {
        "started": origin.started and _rounded(origin.started),
        "since": origin.since and _rounded(origin.since),
        "ended": ended,
        "elapsed_secs": elapsed,
    }


def _workers_of(ledger: Ledger, now: float) -> list[dict[str, Any]]:
    by_task: dict[str, list[ConsumerState]] = {}
    for name, consumer in sorted(ledger.consumers.items()):
        by_task.setdefault(task_of(name), []).append(consumer)
    return [
        _worker_of(ledger, task, consumers, now)
        for task, consumers in by_task.items()
    ]


def _worker_of(
    ledger: Ledger, task: str, consumers: Sequence[ConsumerState], now: float
) -> dict[str, Any]:
    first = consumers[0]
    records = sum(consumer.records for consumer in consumers)
    host, pid = place_of(first.consumer.incarnation)
    quantiles = quantiles_of(d for c in consumers for d in c.durations)
    held = (item for consumer in consumers for item in consumer.held.items())
    return {
        "name": shown(task),
        "incarnation": shown(first.consumer.incarnation),
        "host": shown(host),
        "pid": pid,
        "num_starts": first.num_starts,
        "taken": sum(consumer.taken for consumer in consumers),
        "completed": sum(consumer.completed for consumer in consumers),
        "records": records if ledger.records else None,
        "has_left": all(consumer.has_left for consumer in consumers),
        "is_lost": all(
            max(consumer.lost_at, consumer.found_dead) >= consumer.last_heard
            for consumer in consumers
        ),
        "last_heard_secs": _rounded(
            now - max(consumer.last_heard for consumer in consumers)
        ),
        "item_secs": quantiles and _rounded(quantiles[1]),
        "item_quantiles": quantiles and [_rounded(part) for part in quantiles],
        **_cost_of([m for c in consumers for m in c.measures]),
        "in_hand": sum(len(consumer.held) for consumer in consumers),
        # In the order in which they were taken: the oldest is told.
        "items": [
            {
                "ticket": ticket,
                "text": shown(ledger.open_item(ticket).text),
                "held_secs": _rounded(now - since),
            }
            for ticket, since in itertools.islice(held, MAX_ITEMS_OF_WORKER)
        ],
    }


def _cost_of(measures: Sequence[Measure]) -> dict[str, float | None]:
    """Returns the means for one item, None where nobody has measured it."""

    def mean(values: Iterable[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return round(statistics.fmean(known), 3) if known else None

    return {
        "records_per_item": mean(m.records for m in measures),
        "train_secs": mean(m.train_secs for m in measures),
        "wait_secs": mean(m.wait_secs for m in measures),
    }


def takes_since(
    ledger: Ledger, num_events: int, now: float
) -> tuple[dict[str, Any], int]:
    """Returns what became of items since the last call.

    Args:
      ledger: The ledger, not changed meanwhile.
      num_events: Value that the last call returned; 0 at first.
      now: Time in seconds, of the ledger's clock.

    Returns:
      The takes, and how many events there were so far. A take is
      [index in "workers", item, began secs ago, ended secs ago, kind], and,
      where they were measured, records, secs of training and of waiting. "num"
      says how many there were, also of those that are left out since there
      were more than `MAX_TAKES`. What is "open" is held now: the oldest of
      it, [index in "workers", item, began secs ago]. "since" tells one chief
      from the next: what was open then was lost.
    """
    fresh = ledger.events.total - num_events
    skipped = max(len(ledger.events.latest) - fresh, 0)
    events = [
        (event, kind)
        for event in itertools.islice(ledger.events.latest, skipped, None)
        for kind in [_kind_of(event)]
        if kind is not None
    ]
    numbers: dict[str, int] = {}
    takes = [
        [
            numbers.setdefault(shown(task_of(event.consumer)), len(numbers)),
            "" if event.item is None else shown(event.item.text),
            _rounded(now - event.now + event.secs),
            _rounded(now - event.now),
            kind,
            *_measured(event),
        ]
        for event, kind in events[-MAX_TAKES:]
    ]
    # In the order in which they were taken.
    oldest = itertools.islice(ledger.leases.items(), MAX_OPEN)
    held = [
        [
            numbers.setdefault(
                shown(task_of(lease.consumer.name)), len(numbers)
            ),
            shown(ledger.open_item(ticket).text),
            _rounded(now - lease.since),
        ]
        for ticket, lease in oldest
    ]
    return {
        "version": STATE_VERSION,
        "since": ledger.items.origin.since,
        "num": len(events),
        "workers": list(numbers),
        "takes": takes,
        "open": held,
    }, ledger.events.total


def _measured(event: Event) -> list[float | None]:
    measure = event.measure
    if measure is None:
        return []
    return [measure.records, measure.train_secs, measure.wait_secs]


def _kind_of(event: Event) -> str | None:
    if event.kind == "completed":
        return AGAIN if event.attempt > 1 else DONE
    return _KINDS.get(event.kind)


def shown(text: str) -> str:
    """Returns a name as it is shown: no longer than `MAX_CHARS` characters."""
    if len(text) > MAX_CHARS:
        # File names differ at their ends.
        head = MAX_CHARS // 3
        text = text[:head] + _CUT + text[head + 1 - MAX_CHARS :]
    if text.isascii():
        return text
    return encoded(text).decode("utf-8", "replace")


def _rounded(secs: float) -> float:
    return round(secs, 2)
