"""Who is slow, and why: one rule for the log, the status and the tab.

    slow = slow_workers(state)         # {"worker:4": Slowness(...)}
    word_of(worker, state, slow)       # "slow", "lost", ...

A worker may be slow for three reasons: what it has got is bigger than usual,
its data come late, or it trains slowly. The measures of its last items tell.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wq_hooks.core.monitoring.schema import SLOW_FACTOR, secs_in_words

BIG_FILE = "big file"
SLOW_DISK = "slow disk"
SLOW_MACHINE = "slow machine"
# Of very short items, an age in milliseconds says nothing.
_MIN_AGE_SECS = 1.0
_MIN_ITEM_SECS = 0.05
# So many times the usual is more than usual; a rate of so much is usual.
_MUCH = 1.5
_USUAL_RATE = 0.6

Worker = Mapping[str, Any]


@dataclass(frozen=True)
class Slowness:
    """Why a worker is slow.

    Attributes:
      why: What it does, behind its name: "takes 9 s for an item, ...".
      cause: `BIG_FILE`, `SLOW_DISK` or `SLOW_MACHINE`; "": not known.
    """

    why: str
    cause: str = ""

    def in_words(self) -> str:
        """Returns it behind the name of the worker."""
        return f"{self.why} ({self.cause})" if self.cause else self.why


def slow_workers(state: Mapping[str, Any]) -> dict[str, Slowness]:
    """Returns the workers that are slow against the median, by name.

    Args:
      state: State of a queue; see `queue_state.py`.
    """
    if state["item_secs"] is None:
        return {}
    usual = state["item_secs"][1]
    limit = SLOW_FACTOR * usual
    present = [w for w in state["workers"] if is_present(w, state)]
    slow: dict[str, Slowness] = {}
    for worker in present:
        age = max((i["held_secs"] for i in worker["items"]), default=0.0)
        secs = worker["item_secs"] or 0.0
        # What it holds at the same time, it reads at the same time.
        at_a_time = max(worker["in_hand"], 1)
        is_usually = len(present) > 1 and secs > max(limit, _MIN_ITEM_SECS)
        if is_usually and age <= SLOW_FACTOR * secs * at_a_time:
            cause, more = _cause_of(worker, present)
            slow[worker["name"]] = Slowness(
                f"takes {secs_in_words(secs)} for an item, "
                f"{_times(secs, usual)} the usual time{more}",
                cause,
            )
        elif age > max(limit * at_a_time, _MIN_AGE_SECS):
            find = _cause_of if is_usually else _cause_of_age
            cause, more = find(worker, present)
            slow[worker["name"]] = Slowness(
                f"has held {worker['items'][0]['text']} for "
                f"{secs_in_words(age)}, {_times(age, usual)} the usual time"
                f"{more}",
                cause,
            )
    return slow


def _cause_of(worker: Worker, present: Sequence[Worker]) -> tuple[str, str]:
    """Returns why its last items took long: the cause, and a phrase."""
    train, wait = worker.get("train_secs"), worker.get("wait_secs")
    records = worker.get("records_per_item")
    if not records:
        return "", ""
    usual_records = _usual(present, worker, lambda w: w["records_per_item"])
    is_big = usual_records and records > _MUCH * usual_records
    if train is None or wait is None or train + wait <= 0:
        if not is_big:
            return "", ""
        return BIG_FILE, f": its items have {records:,.0f} records"
    usual_train = _usual(present, worker, _per_record("train_secs")) or 0.0
    usual_wait = _usual(present, worker, _per_record("wait_secs")) or 0.0
    usual_secs = usual_train + usual_wait
    if is_big and (train + wait) / records <= _MUCH * usual_secs:
        times = _times(records, usual_records)
        return BIG_FILE, f": its items have {times} the usual records"
    if wait / records - usual_wait > train / records - usual_train:
        share = wait / (train + wait)
        return SLOW_DISK, f", of which {share:.0%} waiting for data"
    share = train / (train + wait)
    return SLOW_MACHINE, f", of which {share:.0%} training"


def _cause_of_age(worker: Worker, present: Sequence[Worker]) -> tuple[str, str]:
    """Returns why it still holds an item: the cause, and a phrase.

    The item has no measure yet. Whoever trains as many records a second as
    the others has more of them.
    """
    rate = worker.get("records_per_sec")
    usual = _usual(present, worker, lambda w: w.get("records_per_sec"))
    if rate and usual and rate >= _USUAL_RATE * usual:
        return BIG_FILE, "; it trains at the usual rate"
    return "", ""


def _per_record(name: str) -> Callable[[Worker], float | None]:
    def per_record(worker: Worker) -> float | None:
        secs, records = worker[name], worker["records_per_item"]
        return None if secs is None or not records else secs / records

    return per_record


def _usual(
    present: Sequence[Worker],
    worker: Worker,
    value_of: Callable[[Worker], float | None],
) -> float | None:
    """Returns the median of the others."""
    values = [value_of(other) for other in present if other is not worker]
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def is_present(worker: Worker, state: Mapping[str, Any]) -> bool:
    """Returns whether a worker has not left, was not lost and is heard of."""
    return word_of(worker, state) == ""


def word_of(
    worker: Worker,
    state: Mapping[str, Any],
    slow: Mapping[str, Any] | None = None,
) -> str:
    """Returns how a worker is: "left", "lost", "silent", "slow" or "".

    Args:
      worker: The worker, as in the state.
      state: State of the queue.
      slow: The slow workers.
    """
    if worker["has_left"]:
        return "left"
    if worker["is_lost"]:
        return "lost"
    if worker["last_heard_secs"] > state["lease_secs"]:
        return "silent"
    return "slow" if worker["name"] in (slow or ()) else ""


def slow_in_words(slow: Mapping[str, Slowness]) -> str:
    """Returns who is slow in words, "" if nobody is."""
    if not slow:
        return ""
    name, slowness = next(iter(slow.items()))
    others = f" and {len(slow) - 1} more" if len(slow) > 1 else ""
    return f"{name} {slowness.in_words()}{others}"


def _times(secs: float, usual: float | None) -> str:
    return f"{secs / usual:.1f}\N{MULTIPLICATION SIGN}" if usual else "beyond"
