"""Who has what, as values that json can write: for the view and for programs.

    state = state_of(ledger, now=time.monotonic())
    takes, num_events = takes_since(ledger, num_events, now=time.monotonic())

Names of works and workers are data: cut to a length that a person can read,
and made of characters that UTF-8 can hold.
"""

from __future__ import annotations

import itertools
import statistics
from typing import Any

from wq_hooks.core.items.works import encoded
from wq_hooks.core.ledger.consumer_state import task_of
from wq_hooks.core.ledger.events import Event
from wq_hooks.core.ledger.ledger import Ledger

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
    workers: dict[str, dict[str, Any]] = {}
    for name, consumer in sorted(ledger.consumers.items()):
        task = task_of(name)
        worker = workers.get(task)
        if worker is None:
            worker = workers[task] = {
                "name": shown(task),
                "incarnation": shown(consumer.consumer.incarnation),
                "num_starts": consumer.num_starts,
                "taken": 0,
                "completed": 0,
                "records": 0,
                "has_left": True,
                "last_heard_secs": _rounded(now - consumer.last_heard),
                "item_secs": None,
                "in_hand": 0,
                "items": [],
            }
        worker["taken"] += consumer.taken
        worker["completed"] += consumer.completed
        worker["records"] += consumer.records
        worker["has_left"] = worker["has_left"] and consumer.has_left
        worker["last_heard_secs"] = min(
            worker["last_heard_secs"], _rounded(now - consumer.last_heard)
        )
        if consumer.durations:
            worker["item_secs"] = _rounded(
                statistics.median(consumer.durations)
            )
        worker["in_hand"] += len(consumer.held)
        # In the order in which they were taken: the oldest is told.
        room = MAX_ITEMS_OF_WORKER - len(worker["items"])
        worker["items"] += [
            {
                "ticket": ticket,
                "text": shown(ledger.open_item(ticket).text),
                "held_secs": _rounded(now - since),
            }
            for ticket, since in itertools.islice(consumer.held.items(), room)
        ]
    return list(workers.values())


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
      [index in "workers", item, began secs ago, ended secs ago, kind]; "num"
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
