"""Single items: which took longest, and where one is.

    slowest_of(bars, state)
    found_items(found, "part-7")

Pure, from what the log holds. A log need not have all that was ever taken: the
answer says so.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from wq_hooks.core.monitoring.checked_state import (
    checked_state,
    checked_takes,
    count_of,
    list_of,
    text_of,
)
from wq_hooks.tensorboard_plugin.history import bars_of
from wq_hooks.tensorboard_plugin.reading import Found

MAX_SLOWEST = 20
MAX_FOUND = 20
MAX_TAKES = 20
OPEN = "open"
# Kinds of takes after which an item is somewhere else.
_PLACES = {
    "done": "completed",
    "again": "completed",
    "lost": "waiting",
    "given_up": "given up",
    OPEN: "in flight",
}
_MOST = 1_000_000

Bar = Sequence[Any]


def open_bars(state: Mapping[str, Any]) -> list[list[Any]]:
    """Returns the bars of what workers hold, by a checked state."""
    return [
        [
            worker["name"],
            item["text"],
            state["time"] - item["held_secs"],
            state["time"],
            OPEN,
            None,
            None,
            None,
        ]
        for worker in state["workers"]
        if not worker["has_left"]
        for item in worker["items"]
    ]


def slowest_of(
    bars: Iterable[Bar], state: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Returns the items that took longest, the slowest first.

    Args:
      bars: Bars of what was taken, and of what is held.
      state: Checked state of the queue.
    """
    taken = (bar for bar in bars if bar[4] in ("done", "again", OPEN))
    slowest = heapq.nlargest(
        MAX_SLOWEST, taken, key=lambda bar: bar[3] - bar[2]
    )
    usual = state["item_secs"][1] if state["item_secs"] else 0.0
    return [
        {
            "item": item,
            "worker": worker,
            "secs": round(end - start, 2),
            "times": round((end - start) / usual, 2) if usual else None,
            "records": records,
            "train_secs": train_secs,
            "wait_secs": wait_secs,
            "ended": None if kind == OPEN else round(end, 2),
            "kind": kind,
        }
        for worker, item, start, end, kind, records, train_secs, wait_secs in (
            slowest
        )
    ]


def found_items(found: Found, text: str) -> dict[str, Any]:
    """Returns where the items are whose name has a text in it.

    Args:
      found: Content of the log.
      text: The text, in upper and lower case as it is.
    """
    state = checked_state(found.state)
    state["time"] = state["time"] or 0.0
    bars: dict[str, list[Bar]] = {}
    for bar in [*_matching(found, state, text), *open_bars(state)]:
        if text in bar[1]:
            bars.setdefault(bar[1], []).append(bar)
    for name in state["given_up_names"]:
        if text in name:
            bars.setdefault(name, [])
    # The one of exactly this name first, then those that were taken last.
    names = sorted(
        bars,
        key=lambda name: (
            name != text,
            -max((bar[3] for bar in bars[name]), default=0.0),
        ),
    )
    return {
        "query": text_of(text),
        "num_found": len(names),
        "is_cut": len(names) > MAX_FOUND,
        "items": [_item_of(name, bars[name]) for name in names[:MAX_FOUND]],
        "note": "" if names else _note_of(found),
    }


def _matching(
    found: Found, state: Mapping[str, Any], text: str
) -> Iterator[Bar]:
    """Yields the bars of the items that match; the others cost little."""

    def matches(row: Any) -> bool:
        # [worker, item, ...]
        is_long = isinstance(row, list) and len(row) > 1
        return is_long and isinstance(row[1], str) and text in row[1]

    def matching(rows: Any) -> list[Any]:
        return [row for row in list_of(rows, _MOST) if matches(row)]

    takes = [
        {
            **written,
            "takes": matching(written.get("takes")),
            "open": matching(written.get("open")),
        }
        for written in found.takes
    ]
    yield from bars_of(takes, state, _MOST)


def _item_of(name: str, bars: list[Bar]) -> dict[str, Any]:
    bars.sort(key=lambda bar: (bar[3], bar[4] == OPEN))
    # One that was taken by somebody else as well is where it was.
    placed = [bar for bar in bars if bar[4] in _PLACES]
    last = placed[-1] if placed else None
    return {
        "item": name,
        "where": "given up" if last is None else _PLACES[last[4]],
        "worker": "" if last is None else last[0],
        "num_takes": len(bars),
        "takes": [
            [
                worker,
                round(start, 2),
                None if kind == OPEN else round(end, 2),
                kind,
                *measured,
            ]
            for worker, _, start, end, kind, *measured in reversed(
                bars[-MAX_TAKES:]
            )
        ],
    }


def _note_of(found: Found) -> str:
    num_kept = sum(len(checked_takes(written)) for written in found.takes)
    num_all = sum(count_of(written.get("num")) for written in found.takes)
    return (
        "Nothing of this name was taken yet, or it is no longer kept: the log "
        f"has {num_kept:,} of {max(num_all, num_kept):,} takes."
    )
