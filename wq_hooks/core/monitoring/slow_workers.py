"""Who is slow, and why: one rule for the log, the status and the tab."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wq_hooks.core.monitoring.schema import SLOW_FACTOR, secs_in_words

# Of very short items, an age in milliseconds says nothing.
_MIN_AGE_SECS = 1.0
_MIN_ITEM_SECS = 0.05


def slow_workers(state: Mapping[str, Any]) -> dict[str, str]:
    """Returns {name: why} of the workers that are slow against the median.

    Args:
      state: State of a queue; see `queue_state.py`.
    """
    if state["item_secs"] is None:
        return {}
    usual = state["item_secs"][1]
    limit = SLOW_FACTOR * usual
    present = [w for w in state["workers"] if not w["has_left"]]
    slow: dict[str, str] = {}
    for worker in present:
        age = max((i["held_secs"] for i in worker["items"]), default=0.0)
        secs = worker["item_secs"] or 0.0
        # What it holds at the same time, it reads at the same time.
        age_limit = limit * max(worker["in_hand"], 1)
        if age > max(age_limit, _MIN_AGE_SECS):
            slow[worker["name"]] = (
                f"has held {worker['items'][0]['text']} for "
                f"{secs_in_words(age)}, {_times(age, usual)} the usual time"
            )
        elif len(present) > 1 and secs > max(limit, _MIN_ITEM_SECS):
            slow[worker["name"]] = (
                f"takes {secs_in_words(secs)} for an item, "
                f"{_times(secs, usual)} the usual time"
            )
    return slow


def slow_in_words(slow: Mapping[str, str]) -> str:
    """Returns who is slow in words, "" if nobody is."""
    if not slow:
        return ""
    name, why = next(iter(slow.items()))
    others = f" and {len(slow) - 1} more" if len(slow) > 1 else ""
    return f"{name} {why}{others}"


def _times(secs: float, usual: float) -> str:
    return f"{secs / usual:.1f}\N{MULTIPLICATION SIGN}" if usual else "beyond"
