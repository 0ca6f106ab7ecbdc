"""Values from a log, made what they should be: text, numbers, lists.

    state = checked_state(parsed_json)

A writer of the log may have written anything. A value of a wrong type
becomes None, or the one that says nothing; a text is cut to a length.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from wq_hooks.core.monitoring import schema
from wq_hooks.core.monitoring.schema import (
    EVENT_KINDS,
    PERCENTILES,
    Kind,
    Number,
)

_MAX_CHARS = 200
_MAX_WORKERS = 2000
_MAX_TAKES = 1000
_MAX_TEXTS = 20
_LEASE_SECS = 60.0
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


def _optional(check: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if number_of(value) is None else check(value)


def _quantiles_of(value: Any) -> list[float | None] | None:
    parts = [number_of(part) for part in list_of(value, len(PERCENTILES))]
    is_known = len(parts) == len(PERCENTILES) and None not in parts
    return parts if is_known else None


def _texts_of(value: Any) -> list[str]:
    return [text_of(text) for text in list_of(value, _MAX_TEXTS)]


_CHECKS: dict[Kind, Callable[[Any], Any]] = {
    Kind.COUNT: count_of,
    Kind.OPTIONAL_COUNT: _optional(count_of),
    Kind.NUMBER: secs_of,
    Kind.OPTIONAL_NUMBER: number_of,
    Kind.QUANTILES: _quantiles_of,
    Kind.TEXT: text_of,
    Kind.TEXTS: _texts_of,
    Kind.FLAG: lambda value: value is True,
}


def _checked(
    values: dict[str, Any], numbers: Iterable[Number]
) -> dict[str, Any]:
    return {n.name: _CHECKS[n.kind](values.get(n.name)) for n in numbers}


def checked_state(state: dict[str, Any]) -> dict[str, Any]:
    """Returns the state with all numbers of the schema, each of its kind."""
    workers = [
        _checked_worker(worker)
        for worker in list_of(state.get("workers"), _MAX_WORKERS)
        if isinstance(worker, dict)
    ]
    checked = _checked(state, schema.QUEUE)
    checked["lease_secs"] = checked["lease_secs"] or _LEASE_SECS
    time = number_of(state.get("time"))
    name = text_of(state.get("name"))
    return {**checked, "name": name, "time": time, "workers": workers}


def _checked_worker(worker: dict[str, Any]) -> dict[str, Any]:
    items = [
        {
            "text": text_of(item.get("text")),
            "held_secs": secs_of(item.get("held_secs")),
        }
        for item in list_of(worker.get("items"), 3)
        if isinstance(item, dict)
    ]
    return {**_checked(worker, schema.WORKER), "items": items}


def checked_takes(takes: Mapping[str, Any]) -> list[list[Any]]:
    """Returns what became of items, in seconds since 1970.

    [[worker, item, start, end, kind, records, training secs, waiting secs],
    ...]; the last three are None where they were not measured.
    """
    checked: list[list[Any]] = []
    for time, name, row in _rows_of_workers(takes, "takes"):
        if len(row) < 4 or row[3] not in _KINDS:
            continue
        item, began, ended, kind, *measured = row
        start, end = time - secs_of(began), time - secs_of(ended)
        row = [name, text_of(item), min(start, end), end, kind]
        numbers = [number_of(part) for part in measured[:3]]
        checked.append([*row, *numbers, *[None] * (3 - len(numbers))])
    return checked


def checked_open(takes: Mapping[str, Any]) -> list[list[Any]]:
    """Returns what was held then: [[worker, item, start, end], ...]."""
    return [
        [name, text_of(row[0]), time - secs_of(row[1]), time]
        for time, name, row in _rows_of_workers(takes, "open")
        if len(row) == 2
    ]


def _rows_of_workers(
    takes: Mapping[str, Any], key: str
) -> Iterator[tuple[float, str, list[Any]]]:
    """Yields the time of a write, a worker, and the rest of its row."""
    names = [text_of(n) for n in list_of(takes.get("workers"), _MAX_TAKES)]
    for time, (worker, *rest) in _rows_of(takes, key):
        if isinstance(worker, int) and 0 <= worker < len(names):
            yield time, names[worker], rest


def _rows_of(
    written: Mapping[str, Any], key: str
) -> Iterator[tuple[float, list[Any]]]:
    """Yields the time of a write, and its rows that are lists of something."""
    time = number_of(written.get("time"))
    for row in list_of(written.get(key), _MAX_TAKES):
        if time is not None and isinstance(row, list) and row:
            yield time, row


def checked_events(events: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns what else has happened, each with its time since 1970."""
    checked: list[dict[str, Any]] = []
    for time, row in _rows_of(events, "events"):
        if len(row) != 5:
            continue
        ago, what, who, item, text = row
        if what in EVENT_KINDS:
            checked.append(
                {
                    "time": round(time - secs_of(ago), 2),
                    "what": what,
                    "who": text_of(who),
                    "item": text_of(item),
                    "text": text_of(text),
                }
            )
    return checked
