"""All that the page shows of one queue, as a value that json can write.

Pure: from what the log holds to columns, rows and bars. The page only draws.
"""

from __future__ import annotations

import math
from typing import Any

from wq_hooks.core.monitoring.advice import advice_of
from wq_hooks.core.monitoring.checked_state import (
    checked_state,
    number_of,
    text_of,
)
from wq_hooks.core.monitoring.schema import CARD, WORKER, shown_in
from wq_hooks.core.monitoring.slow_workers import (
    Slowness,
    slow_workers,
    word_of,
)
from wq_hooks.tensorboard_plugin import metadata
from wq_hooks.tensorboard_plugin.history import (
    bars_of,
    begins_of,
    events_of,
    gaps_of,
)
from wq_hooks.tensorboard_plugin.items import open_bars, slowest_of
from wq_hooks.tensorboard_plugin.reading import Found
from wq_hooks.tensorboard_plugin.verdict import verdict_of

_MAX_BARS = 1000
# Among so many, the slowest are looked for.
_MAX_TAKES = 10_000


def card_of(found: Found, now: float) -> dict[str, Any]:
    """Returns the card of a queue.

    Args:
      found: Content of the log.
      now: Time in seconds since 1970.
    """
    state = checked_state(found.state)
    points = [
        {"step": step, **point} for step, point in sorted(found.points.items())
    ]
    slow = slow_workers(state)
    by_time = sorted(points, key=lambda point: point["time"])
    verdict = verdict_of(state, by_time, slow, now)
    time = state["time"]
    if time is None:
        time = by_time[-1]["time"] if by_time else now
    state["time"] = time
    taken = bars_of(found.takes, state, _MAX_TAKES)
    held = open_bars(state)
    events, num_events = events_of(found.events, by_time)
    gaps = gaps_of(by_time, begins_of(found.takes, state), state)
    ipe, total = state["items_per_epoch"], state["total"]
    return {
        "run": text_of(found.run),
        "queue": text_of(found.queue),
        "step": found.step,
        "time": time,
        "now": now,
        "status": verdict.status,
        "is_live": verdict.is_live,
        "verdict": verdict.text,
        "eta_note": verdict.eta_note,
        "num_epochs": math.ceil(total / ipe) if total and ipe else None,
        **{name: state[name] for name in shown_in(CARD)},
        "eta_secs": verdict.eta_secs,
        "series": _columns(points),
        "workers": [_row(w, state, slow) for w in state["workers"]],
        "events": events,
        "num_events": num_events,
        "gaps": gaps,
        "slowest": slowest_of([*taken, *held], state),
        "advice": [
            {"what": a.what, "text": a.text, "set": a.setting}
            for a in (advice_of(state) if verdict.is_live else ())
        ],
        "timeline": _timeline([*taken[-_MAX_BARS:], *held], state, slow, gaps),
    }


def _columns(points: list[dict[str, float]]) -> dict[str, list[Any]]:
    """Returns the points as columns, with None where nothing was written."""
    columns = {
        tag: [number_of(point.get(tag)) for point in points]
        for tag in ("step", "time", *metadata.SERIES_TAGS)
    }
    return {
        tag: column
        for tag, column in columns.items()
        if any(value is not None for value in column)
    }


def _row(
    worker: dict[str, Any], state: dict[str, Any], slow: dict[str, Slowness]
) -> dict[str, Any]:
    item = worker["items"][0] if worker["items"] else None
    slowness = slow.get(worker["name"])
    train, wait = worker["train_secs"] or 0.0, worker["wait_secs"] or 0.0
    completed = state["completed"] - state["completed_before"]
    return {
        **{name: worker[name] for name in shown_in(CARD, WORKER)},
        "share": worker["completed"] / completed if completed > 0 else 0.0,
        "item": item["text"] if item else "",
        "age_secs": item["held_secs"] if item else None,
        "wait_share": wait / (train + wait) if train + wait > 0 else None,
        "word": word_of(worker, state, slow),
        "slow": slowness.in_words() if slowness else None,
        "cause": slowness.cause if slowness else "",
    }


def _timeline(
    bars: list[list[Any]],
    state: dict[str, Any],
    slow: dict[str, Slowness],
    gaps: list[list[Any]],
) -> dict[str, Any]:
    """Returns the last bars, and what is under way, by worker."""
    # The slow ones first, then by name: "worker:2" before "worker:10".
    names = sorted({bar[0] for bar in bars}, key=_natural)
    names.sort(key=lambda name: name not in slow)
    number = {name: i for i, name in enumerate(names)}
    origin = min((bar[2] for bar in bars), default=state["time"])
    return {
        "origin": origin,
        "workers": [{"name": n, "is_slow": n in slow} for n in names],
        "bars": [
            [
                number[name],
                text,
                round(start - origin, 2),
                round(end - origin, 2),
                kind,
                *measured,
            ]
            for name, text, start, end, kind, *measured in bars
        ],
        "gaps": [
            [round(begin - origin, 2), round(end - origin, 2), why]
            for begin, end, why in gaps
            if end > origin
        ],
    }


def _natural(name: str) -> tuple[str, int, str]:
    head = name.rstrip("0123456789")
    digits = name[len(head) :]
    # int() refuses very long numbers, and other scripts have digits, too.
    is_number = 0 < len(digits) <= 18 and digits.isascii()
    return head, int(digits) if is_number else 0, name
