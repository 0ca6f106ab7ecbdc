"""What has happened to a queue, by the wall clock: events, gaps, bars.

Pure: from what the log holds, over all the chiefs that have written it, to
rows and bars. A job that was killed wrote nothing of it: the next chief says
when it began, and what was open in the last write before that was lost.
"""

from __future__ import annotations

import bisect
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from wq_hooks.core.monitoring.checked_state import (
    checked_events,
    checked_open,
    checked_takes,
    number_of,
)
from wq_hooks.core.monitoring.stall import stall_limit_secs

MAX_EVENTS = 200
DEAD, SILENT, STALLED = "dead", "silent", "stalled"
LOST = "lost"
# Silent: nothing was written for so many times the usual pause, and for so
# long. TensorBoard leaves out points of a long log, of which many may be
# neighbours.
_SILENT_FACTOR = 5.0
_SILENT_FACTOR_OF_SAMPLE = 20.0
_SAMPLE_POINTS = 900
_MIN_SILENT_SECS = 120.0
_SAME_SECS = 0.5

Point = Mapping[str, float]


def begins_of(
    takes: Iterable[Mapping[str, Any]], state: Mapping[str, Any]
) -> list[float]:
    """Returns when each chief of the job began, ascending, in s since 1970."""
    times = [number_of(written.get("since")) for written in takes]
    known = sorted({t for t in (*times, state["since"]) if t is not None})
    return [
        time
        for before, time in zip([float("-inf"), *known], known)
        if time - before > _SAME_SECS
    ]


def events_of(
    written: Iterable[Mapping[str, Any]], points: Sequence[Point]
) -> tuple[list[dict[str, Any]], int]:
    """Returns the last events, the newest first, and how many there are.

    Args:
      written: The events as they were written.
      points: Points in the order of time, with "time" and "step".
    """
    events = [event for one in written for event in checked_events(one)]
    events.sort(key=lambda event: -event["time"])
    times = [point["time"] for point in points]
    shown = events[:MAX_EVENTS]
    for event in shown:
        begins = event["what"] in ("began", "resumed")
        place = bisect.bisect_right(times, event["time"]) - (not begins)
        event["step"] = (
            int(points[place]["step"]) if 0 <= place < len(points) else None
        )
        if event["what"] == "resumed" and event["step"] is not None:
            event["text"] = event["text"].replace(
                "Resumed:", f"Resumed at step {event['step']:,}:", 1
            )
    return shown, len(events)


def gaps_of(
    points: Sequence[Point], begins: Sequence[float], state: Mapping[str, Any]
) -> list[list[Any]]:
    """Returns when the job was dead, silent or stood still.

    Args:
      points: Points in the order of time.
      begins: Times at which its chiefs began.
      state: Checked state of the queue.

    Returns:
      [[begin, end, why], ...] in seconds since 1970, ascending.
    """
    times = [point["time"] for point in points]
    gaps: dict[tuple[float, float], str] = {}
    for begin in begins:
        place = bisect.bisect_left(times, begin - _SAME_SECS)
        if 0 < place < len(times):
            gaps[times[place - 1], times[place]] = DEAD
    pauses = [after - before for before, after in zip(times, times[1:])]
    if pauses:
        is_sample = len(points) >= _SAMPLE_POINTS
        factor = _SILENT_FACTOR_OF_SAMPLE if is_sample else _SILENT_FACTOR
        usual = statistics.median(pauses)
        limit = max(factor * usual, _MIN_SILENT_SECS)
        for before, after in zip(times, times[1:]):
            if after - before > limit:
                gaps.setdefault((before, after), SILENT)
    for stall in _stalls(points, stall_limit_secs(state)):
        gaps.setdefault(stall, STALLED)
    return [[*span, why] for span, why in sorted(gaps.items())]


def _stalls(
    points: Sequence[Point], limit_secs: float
) -> Iterable[tuple[float, float]]:
    """Yields when nothing was taken or completed for too long."""
    known = [p for p in points if "completed" in p and "in_flight" in p]
    begin = 0
    for end in range(1, len(known) + 1):
        if end < len(known) and _is_same(known[begin], known[end]):
            continue
        first, last = known[begin], known[end - 1]
        is_over = not last["in_flight"] and not last.get("remaining", 1)
        if last["time"] - first["time"] > limit_secs and not is_over:
            yield first["time"], last["time"]
        begin = end


def _is_same(first: Point, other: Point) -> bool:
    return (
        first["completed"] == other["completed"]
        and first["in_flight"] == other["in_flight"]
        and not other.get("records_per_sec")
    )


def bars_of(
    takes: Sequence[Mapping[str, Any]], state: Mapping[str, Any], limit: int
) -> list[list[Any]]:
    """Returns the last bars, [worker, item, start, end, kind, ...].

    Args:
      takes: The takes as they were written.
      state: Checked state of the queue.
      limit: How many to return at most.
    """
    ordered = sorted(takes, key=lambda one: number_of(one.get("time")) or 0.0)
    followers = [one.get("since") for one in ordered[1:]]
    bars: list[list[Any]] = []
    for written, since in reversed(
        list(zip(ordered, [*followers, state["since"]]))
    ):
        if len(bars) >= limit:
            break
        before = checked_takes(written)
        own = number_of(written.get("since"))
        if own is not None and since is not None and not _is_near(own, since):
            # Another chief has gone on: nobody has handed this back.
            before += [
                [worker, item, start, end, LOST, None, None, None]
                for worker, item, start, end in checked_open(written)
            ]
        bars = before + bars
    bars.sort(key=lambda bar: bar[3])
    return bars[-limit:]


def _is_near(time: float, other: Any) -> bool:
    other = number_of(other)
    return other is not None and abs(other - time) <= _SAME_SECS
