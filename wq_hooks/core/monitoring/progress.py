"""How far a queue is, in numbers and in words; from the ledger alone.

    meter = ProgressMeter()
    progress = meter.measure(ledger, now=time.monotonic())
    logging.info("%s", progress.in_words())

The rate is that of the last minutes, so that the estimate follows a job whose
speed changes.
"""

from __future__ import annotations

import collections
import itertools
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from wq_hooks.core.ledger.ledger import Ledger
from wq_hooks.core.monitoring.schema import line_of

_WINDOW_SECS = 300.0
_MIN_WINDOW = 3
# Of an item under way, no more than this counts as done.
_MAX_PART = 0.95


@dataclass(frozen=True)
class Progress:
    """The state of a ledger at one instant, in the numbers of `schema.py`."""

    remaining: int | None
    in_flight: int
    completed: int
    total: int | None
    level: float
    low_watermark: int
    epoch: float
    recent_items_per_sec: float
    eta_secs: float | None
    oldest_in_flight_secs: float
    oldest_holder: str
    repeated: int
    given_up: int
    records: int | None = None
    recent_records_per_sec: float | None = None
    item_secs: tuple[float, float, float] | None = None
    idle_secs: float = 0.0

    def in_words(self) -> str:
        """Returns one line for the log."""
        return line_of(vars(self))


@dataclass(frozen=True)
class _Point:
    """What was done at an instant; items under way count in part."""

    time: float
    completed: int
    done: float
    records: int


class ProgressMeter:
    """Measures a ledger from time to time, for its rate."""

    def __init__(self) -> None:
        self._points: collections.deque[_Point] = collections.deque()

    def measure(self, ledger: Ledger, now: float) -> Progress:
        """Returns the state of the ledger.

        Args:
          ledger: The ledger, not changed meanwhile.
          now: Time in seconds, of the ledger's clock.
        """
        item_secs = quantiles_of(ledger.durations)
        usual = usual_secs(ledger)
        parts, longest = _under_way(ledger, usual, now)
        done = ledger.completed + parts
        first = self._add(ledger, done, now)
        elapsed = now - first.time
        rate = records_rate = parts_rate = 0.0
        if elapsed > 0:
            rate = (ledger.completed - first.completed) / elapsed
            records_rate = (ledger.records - first.records) / elapsed
            parts_rate = max(done - first.done, 0.0) / elapsed
        remaining = ledger.remaining
        eta = None
        if remaining is not None and rate > 0 and parts_rate > 0:
            to_do = remaining + ledger.in_flight - parts
            # Near the end, the slowest of the items under way decides.
            eta = max(to_do / parts_rate, longest)
        oldest = min(
            ledger.leases.values(), key=lambda lease: lease.since, default=None
        )
        return Progress(
            remaining=remaining,
            in_flight=ledger.in_flight,
            completed=ledger.completed,
            total=ledger.total,
            level=ledger.level,
            low_watermark=ledger.low_watermark,
            epoch=ledger.completed / ledger.plan.items_per_epoch,
            recent_items_per_sec=rate,
            eta_secs=eta,
            oldest_in_flight_secs=0.0 if oldest is None else now - oldest.since,
            oldest_holder="" if oldest is None else oldest.consumer.name,
            repeated=ledger.repeated,
            given_up=len(ledger.given_up),
            # Nobody counts them where there are none.
            records=ledger.records or None,
            recent_records_per_sec=records_rate if ledger.records else None,
            item_secs=item_secs,
            idle_secs=_idle_secs(ledger, now),
        )

    def _add(self, ledger: Ledger, done: float, now: float) -> _Point:
        """Notes a point; returns the one to measure the rate from."""
        points = self._points
        if points and ledger.completed < points[-1].completed:
            # The queue went back to a checkpoint.
            points.clear()
        if points and points[-1].done == points[0].completed:
            # Nothing was done: the clock starts with the first consumer, not
            # with the session.
            begun = min(
                (state.joined for state in ledger.consumers.values()),
                default=now,
            )
            first = points[0]
            points.clear()
            points.append(replace(first, time=max(first.time, begun)))
        points.append(_Point(now, ledger.completed, done, ledger.records))
        while len(points) > _MIN_WINDOW and now - points[0].time > _WINDOW_SECS:
            points.popleft()
        return points[0]


def _idle_secs(ledger: Ledger, now: float) -> float:
    """Returns the time since an item was taken or completed.

    Before the first one, since a worker came.
    """
    times = [lease.since for lease in ledger.leases.values()]
    times += [state.joined for state in ledger.consumers.values()]
    of_items = (e.now for e in reversed(ledger.events.latest) if e.item)
    last = max([*times, *itertools.islice(of_items, 1)], default=now)
    return max(now - last, 0.0)


def usual_secs(ledger: Ledger) -> dict[str, float]:
    """Returns the median time for an item, by consumer; "": of all items."""
    usual = {
        name: statistics.median(state.durations)
        for name, state in ledger.consumers.items()
        if state.durations
    }
    if ledger.durations:
        usual[""] = statistics.median(ledger.durations)
    return usual


def _under_way(
    ledger: Ledger, usual: Mapping[str, float], now: float
) -> tuple[float, float]:
    """Returns how many items are done in parts, and secs to the last of them.

    An item under way counts by its age, measured in the time that its
    consumer usually takes.
    """
    parts = longest = 0.0
    for lease in ledger.leases.values():
        secs = usual.get(lease.consumer.name, usual.get("", 0.0))
        if secs > 0:
            age = now - lease.since
            parts += min(age / secs, _MAX_PART)
            longest = max(longest, secs - age, age * (1 - _MAX_PART))
    return parts, longest


def quantiles_of(
    durations: Iterable[float],
) -> tuple[float, float, float] | None:
    """Returns p10, p50 and p90; None of nothing."""
    ordered = sorted(durations)
    if not ordered:
        return None
    p10, p50, p90 = (
        ordered[min(len(ordered) * tenths // 10, len(ordered) - 1)]
        for tenths in (1, 5, 9)
    )
    return p10, p50, p90
