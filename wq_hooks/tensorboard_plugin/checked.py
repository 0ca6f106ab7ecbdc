"""Values from a log, made what they should be: text, numbers, lists.

    state = checked_state(parsed_json)

A writer of the log may have written anything. A value of a wrong type
becomes None, or the one that says nothing; a text is cut to a length.
"""

from __future__ import annotations

import math
from typing import Any

_MAX_CHARS = 200
_MAX_WORKERS = 2000
_MAX_TAKES = 1000
_KINDS = ("done", "again", "lost", "given_up", "repeat")


def text_of(value: Any) -> str:
    """Returns a text, cut to a length that a person can read."""
    if not isinstance(value, str):
        return ""
    if len(value) > _MAX_CHARS:
        value = value[: _MAX_CHARS - 1] + "\N{HORIZONTAL ELLIPSIS}"
    # Half of a surrogate pair cannot be sent.
    return value.encode("utf-8", "replace").decode("utf-8")


def number_of(value: Any) -> float | None:
    """Returns a finite number, or None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return value if math.isfinite(value) else None
    except OverflowError:
        return None


def count_of(value: Any) -> int:
    """Returns a number of things; 0 where there is none."""
    number = number_of(value)
    return 0 if number is None else max(int(number), 0)


def secs_of(value: Any) -> float:
    """Returns a time span; 0 where there is none."""
    number = number_of(value)
    return 0.0 if number is None else max(float(number), 0.0)


def list_of(value: Any, limit: int) -> list[Any]:
    """Returns a list, no longer than `limit`."""
    return value[:limit] if isinstance(value, list) else []


def checked_state(state: dict[str, Any]) -> dict[str, Any]:
    """Returns the state with all its keys, each of its type."""
    remaining, total = (number_of(state.get(k)) for k in ("remaining", "total"))
    item_secs = [number_of(v) for v in list_of(state.get("item_secs"), 3)]
    is_known = len(item_secs) == 3 and None not in item_secs
    workers = [
        _checked_worker(worker)
        for worker in list_of(state.get("workers"), _MAX_WORKERS)
        if isinstance(worker, dict)
    ]
    counts = (
        "items_per_epoch",
        "in_flight",
        "completed",
        "low_watermark",
        "repeated",
        "records",
        "num_given_up",
        "num_workers",
    )
    return {
        **{key: count_of(state.get(key)) for key in counts},
        "time": number_of(state.get("time")),
        "remaining": None if remaining is None else max(int(remaining), 0),
        "total": None if total is None else max(int(total), 0),
        "epoch": secs_of(state.get("epoch")),
        "items_per_sec": secs_of(state.get("items_per_sec")),
        "records_per_sec": secs_of(state.get("records_per_sec")),
        "eta_secs": number_of(state.get("eta_secs")),
        "lease_secs": secs_of(state.get("lease_secs")) or 60.0,
        "oldest_lease_secs": secs_of(state.get("oldest_lease_secs")),
        "oldest_holder": text_of(state.get("oldest_holder")),
        "item_secs": item_secs if is_known else None,
        "given_up": [text_of(n) for n in list_of(state.get("given_up"), 20)],
        "workers": workers,
    }


def _checked_worker(worker: dict[str, Any]) -> dict[str, Any]:
    items = [
        {
            "text": text_of(item.get("text")),
            "held_secs": secs_of(item.get("held_secs")),
        }
        for item in list_of(worker.get("items"), 3)
        if isinstance(item, dict)
    ]
    counts = ("lives", "taken", "completed", "records", "in_hand")
    return {
        **{key: count_of(worker.get(key)) for key in counts},
        "name": text_of(worker.get("name")),
        "incarnation": text_of(worker.get("incarnation")),
        "has_left": worker.get("has_left") is True,
        "last_heard_secs": secs_of(worker.get("last_heard_secs")),
        "item_secs": number_of(worker.get("item_secs")),
        "records_per_sec": number_of(worker.get("records_per_sec")),
        "items": items,
    }


def checked_takes(takes: dict[str, Any]) -> list[list[Any]]:
    """Returns [[worker, item, start, end, kind], ...] in seconds since 1970."""
    time = number_of(takes.get("time"))
    names = [text_of(n) for n in list_of(takes.get("workers"), _MAX_TAKES)]
    checked: list[list[Any]] = []
    for take in list_of(takes.get("takes"), _MAX_TAKES):
        if time is None or not isinstance(take, list) or len(take) != 5:
            continue
        worker, item, began, ended, kind = take
        if not isinstance(worker, int) or not 0 <= worker < len(names):
            continue
        if kind not in _KINDS:
            continue
        start, end = time - secs_of(began), time - secs_of(ended)
        checked.append(
            [names[worker], text_of(item), min(start, end), end, kind]
        )
    return checked
