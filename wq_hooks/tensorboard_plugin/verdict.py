"""Is it moving, when will it be done, who is slow: in one line.

    slow = slow_workers(state)
    verdict = verdict_of(state, points, slow, now=time.time())

Pure, from checked values. The rules have no fixed thresholds but windows, as
Burrow judges the lag of Kafka consumers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wq_hooks.core.monitoring.schema import (
    done_in_words,
    items_in_words,
    secs_in_words,
)
from wq_hooks.core.monitoring.slow_workers import Slowness, slow_in_words
from wq_hooks.core.monitoring.stall import stall_limit_secs

# Silent: for longer than the last so many points took, and than this.
_WINDOW_POINTS = 10
_MIN_SILENT_SECS = 120.0
# Stalled: nothing changed in so many points, and for too long.
_MIN_STALLED_POINTS = 3


@dataclass(frozen=True)
class Verdict:
    """The judgement of a queue.

    Attributes:
      status: "done", "draining", "ok", "straggler", "stalled" or "no data".
      text: Text of one sentence or two.
      eta_secs: Seconds to the end; None where nothing can be said.
      eta_note: Remark about the estimated end, or "".
    """

    status: str
    text: str
    eta_secs: float | None
    eta_note: str

    @property
    def is_live(self) -> bool:
        """Whether more is to come: the job is not over, nor is the log old."""
        return self.status not in ("done", "no data")


def verdict_of(
    state: Mapping[str, Any],
    points: Sequence[Mapping[str, float]],
    slow: Mapping[str, Slowness],
    now: float,
) -> Verdict:
    """Returns the judgement of a checked state, at a time in s since 1970.

    The points are in the order of time; each has "time", and "completed" and
    "in_flight" if they are known.
    """
    in_flight, remaining = state["in_flight"], state["remaining"]
    total = "" if state["total"] is None else f" of {state['total']:,}"
    completed = f"{state['completed']:,}{total} items"
    eta = None if len(points) < _MIN_STALLED_POINTS else state["eta_secs"]
    note = "tail: as long as the slowest" if remaining == 0 else ""

    def verdict(status: str, text: str) -> Verdict:
        if state["given_up"]:
            text += f" {items_in_words(state['given_up'])} GIVEN UP."
        if status in ("done", "no data", "stalled"):
            return Verdict(status, text, None, "")
        return Verdict(status, text, eta, note)

    if remaining == 0 and in_flight == 0:
        return verdict("done", done_in_words(state))
    silent_secs = _silent_secs(state, points, now)
    if silent_secs is not None:
        silence = f"No news for {secs_in_words(silent_secs)}"
        last = f"the last was that {completed} were completed"
        return verdict("no data", f"{silence}; {last}.")
    stalled_secs = _stalled_secs(state, points)
    if stalled_secs is not None:
        text = "nobody takes an item."
        if in_flight:
            text = (
                f"{items_in_words(in_flight)} in flight, the oldest held by "
                f"{state['oldest_holder']} for "
                f"{secs_in_words(state['oldest_in_flight_secs'])}."
            )
        stall = f"Nothing has moved for {secs_in_words(stalled_secs)}"
        return verdict("stalled", f"{stall}: {text}")
    if slow:
        present = sum(not w["has_left"] for w in state["workers"])
        verb = "is" if len(slow) == 1 else "are"
        number = f"{len(slow):,} of {present:,} workers {verb} slow"
        return verdict("straggler", f"{number}: {slow_in_words(slow)}.")
    if remaining == 0:
        text = f"{items_in_words(in_flight)} in flight."
        return verdict("draining", f"Nothing remains to be handed out; {text}")
    to_go = "" if eta is None else f", about {secs_in_words(eta)} to go"
    return verdict("ok", f"Moving: {completed} are completed{to_go}.")


def _silent_secs(
    state: Mapping[str, Any],
    points: Sequence[Mapping[str, float]],
    now: float,
) -> float | None:
    """Returns for how long nothing was written, if that is unusual."""
    times = [point["time"] for point in points[-_WINDOW_POINTS:]]
    if state["time"] is not None:
        times.append(state["time"])
    if not times:
        return None
    silent = now - max(times)
    usual = max(times) - min(times)
    return silent if silent > max(usual, _MIN_SILENT_SECS) else None


def _stalled_secs(
    state: Mapping[str, Any], points: Sequence[Mapping[str, float]]
) -> float | None:
    """Returns for how long nothing was taken or completed, if too long."""
    known = [p for p in points if "completed" in p and "in_flight" in p]
    if not known or (known[-1].get("records_per_sec") or 0) > 0:
        return None

    def done_of(point: Mapping[str, float]) -> tuple[float, float]:
        return point["completed"], point["completed"] + point["in_flight"]

    same = 0
    for point in reversed(known):
        if done_of(point) != done_of(known[-1]):
            break
        same += 1
    secs = known[-1]["time"] - known[-same]["time"]
    limit = stall_limit_secs(state)
    return secs if same >= _MIN_STALLED_POINTS and secs > limit else None
