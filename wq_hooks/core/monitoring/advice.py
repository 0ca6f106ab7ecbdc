"""What would make a job end sooner, with the number and what to set.

    for advice in advice_of(state):
        advice.text, advice.setting

From the state of a queue alone. The end of the job is computed as the tail rule
computes it (`core/ledger/tail_scheduling.py`), for items as they are and for
shorter ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wq_hooks.core.ledger.tail_scheduling import Pace, end_of_equal
from wq_hooks.core.monitoring.schema import secs_in_words
from wq_hooks.core.monitoring.slow_workers import is_present

TAIL, SHORT, BUFFER = "tail", "short", "buffer"
# A gain of less than this of the whole job, and of so many seconds, is none.
_MIN_GAIN = 0.05
_MIN_GAIN_SECS = 5.0
# What is tried: items that are so many times shorter. The least is told that
# brings most of the gain.
_CUTS = (2, 4, 8, 16)
_MOST = 0.8
# A take is one round trip to the parameter server, some 2 ms with what is
# around it (docs/performance.md).
_TAKE_SECS = 0.002
_MAX_TAKE_SHARE = 0.02
# A consumer holds one item, and another one while it passes on to it.
_USUAL_IN_HAND = 2


@dataclass(frozen=True)
class Advice:
    """One piece of advice.

    Attributes:
      what: `TAIL`, `SHORT` or `BUFFER`.
      text: A sentence or two, with the number.
      setting: What to set, such as "num_slices=96".
    """

    what: str
    text: str
    setting: str


def advice_of(state: Mapping[str, Any]) -> list[Advice]:
    """Returns what would help a job that runs.

    Args:
      state: Checked state of its queue; see `queue_state.py`.
    """
    present = [w for w in state["workers"] if is_present(w, state)]
    found = (
        _of_tail(state, present),
        _of_short_items(state, present),
        _of_buffer(state, present),
    )
    return [advice for advice in found if advice is not None]


def _secs_of(worker: Mapping[str, Any]) -> float | None:
    """Returns the time of a worker for one item, None if it is not known."""
    train, wait = worker["train_secs"], worker["wait_secs"]
    if train is not None and wait is not None and train + wait > 0:
        return float(train + wait)
    # What it holds at the same time, it reads at the same time.
    secs = worker["item_secs"]
    return secs / max(worker["in_hand"], 1) if secs else None


def _of_tail(
    state: Mapping[str, Any], present: Sequence[Mapping[str, Any]]
) -> Advice | None:
    """Returns advice where the end waits for one item of the slowest."""
    remaining, elapsed = state["remaining"], state["elapsed_secs"]
    known = [(w, _secs_of(w)) for w in present]
    if not remaining or elapsed is None or not known:
        return None
    # Of a few that have completed nothing yet, nothing could be said.
    paces = [
        Pace(w["name"], secs, max(secs * w["in_hand"] - _age_of(w), 0.0))
        for w, secs in known
        if secs
    ]
    if len(paces) < len(known):
        return None
    end = max(end_of_equal(paces, remaining, 1.0), _last_of(paces))
    gains = {cut: end - _end_if_cut(paces, remaining, cut) for cut in _CUTS}
    most = max(gains.values())
    if most < max(_MIN_GAIN * (elapsed + end), _MIN_GAIN_SECS):
        return None
    cut = next(cut for cut in _CUTS if gains[cut] >= _MOST * most)
    slowest = max(paces, key=lambda pace: pace.secs_per_unit)
    num_slices = state["items_per_epoch"] * cut
    return Advice(
        TAIL,
        f"The end will wait for single items: one takes {slowest.name} "
        f"{secs_in_words(slowest.secs_per_unit)}. With items {cut} times "
        f"shorter the job would end {secs_in_words(gains[cut])} sooner: "
        f"num_slices={num_slices}.",
        f"num_slices={num_slices}",
    )


def _age_of(worker: Mapping[str, Any]) -> float:
    return max((item["held_secs"] for item in worker["items"]), default=0.0)


def _last_of(paces: Sequence[Pace]) -> float:
    return max(pace.free_at for pace in paces)


def _end_if_cut(paces: Sequence[Pace], remaining: int, cut: int) -> float:
    """Returns when all would be done if items were so many times shorter."""
    # What is held and not done would be in line, too.
    undone = sum(pace.free_at / pace.secs_per_unit for pace in paces)
    shorter = [Pace(p.name, p.secs_per_unit / cut, 0.0) for p in paces]
    return end_of_equal(shorter, round((remaining + undone) * cut), 1.0)


def _of_short_items(
    state: Mapping[str, Any], present: Sequence[Mapping[str, Any]]
) -> Advice | None:
    """Returns advice where taking an item costs much of its time."""
    known = sorted(secs for secs in map(_secs_of, present) if secs)
    if not known:
        return None
    usual = known[len(known) // 2]
    share = _TAKE_SECS / (_TAKE_SECS + usual)
    if share <= _MAX_TAKE_SHARE or state["remaining"] == 0:
        return None
    return Advice(
        SHORT,
        f"Items are short: a worker has one done in {usual * 1000:.0f} ms, "
        f"and taking it costs {share:.0%} of the time. Make items longer (a "
        "smaller num_slices), or take ahead: end the pipeline in prefetch(1).",
        "prefetch(1)",
    )


def _of_buffer(
    state: Mapping[str, Any], present: Sequence[Mapping[str, Any]]
) -> Advice | None:
    """Returns advice where a buffer holds more items than are completed."""
    most = max(present, key=lambda worker: worker["in_hand"], default=None)
    if (
        most is None
        or most["in_hand"] <= _USUAL_IN_HAND
        or not 0 < state["completed"] < state["in_flight"]
        or not most["records_per_item"]
    ):
        return None
    records = max(int(most["records_per_item"]), 1)
    return Advice(
        BUFFER,
        f"{state['in_flight']:,} items are open and {state['completed']:,} "
        f"completed: a shuffle buffer keeps {most['in_hand']:,} of "
        f"{most['name']} open, which are trained again after a kill. A buffer "
        f"of {records:,} records, an item, keeps {_USUAL_IN_HAND} open: "
        f"shuffle({records}), or cut items shorter.",
        f"shuffle({records})",
    )
