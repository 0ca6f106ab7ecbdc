"""What a queue looks like at one instant: all that is written of it.

    viewer = Viewer("train")
    view = viewer.look(ledger, now=time.monotonic(), wall_time=time.time())
    view.scalars()["completed"], view.state, view.takes

Pure: from the ledger to plain values. `hooks/summary.py` makes a TensorFlow
Summary of them, the feeder a line for `wq-hooks status`.
"""

from __future__ import annotations

import collections
from dataclasses import dataclass
from typing import Any

from wq_hooks.core.ledger.ledger import Ledger
from wq_hooks.core.monitoring.event_list import EventList
from wq_hooks.core.monitoring.progress import Progress, ProgressMeter
from wq_hooks.core.monitoring.queue_state import (
    shown,
    state_of,
    takes_since,
    times_of,
)
from wq_hooks.core.monitoring.schema import line_of, scalars_of
from wq_hooks.core.monitoring.slow_workers import (
    Slowness,
    slow_in_words,
    slow_workers,
)

# A worker's rates are those of the last looks.
_KEPT_LOOKS = 4


@dataclass(frozen=True)
class View:
    """What a queue looks like.

    Attributes:
      name: Name of the queue.
      wall_time: Time of the look, in seconds since the epoch.
      progress: Progress in numbers.
      items_per_sec: Rate since the last look.
      records_per_sec: Records per second, likewise.
      state: Items of each worker; json can write it.
      takes: Outcomes of items since the last look; json can write it.
      events: What else has happened since, likewise; see `event_list.py`.
      slow: The slow workers, and why they are slow, by name.
    """

    name: str
    wall_time: float
    progress: Progress
    items_per_sec: float
    records_per_sec: float
    state: dict[str, Any]
    takes: dict[str, Any]
    events: dict[str, Any]
    slow: dict[str, Slowness]

    def scalars(self) -> dict[str, float]:
        """Returns the numbers that make curves, by their tags."""
        rates = {"items_per_sec": self.items_per_sec}
        if self.progress.records:
            rates["records_per_sec"] = self.records_per_sec
        return scalars_of({**vars(self.progress), **rates})

    def in_words(self) -> str:
        """Returns one line for the log."""
        slow = slow_in_words(self.slow)
        return line_of(self.state) + (f", slow: {slow}" if slow else "")


@dataclass(frozen=True)
class _Look:
    """What was counted at an instant: (items, records) by worker."""

    time: float
    completed: int
    records: int
    workers: dict[str, tuple[int, int]]


class Viewer:
    """Looks at a queue from time to time.

    Args:
      name: Name of the queue.
    """

    def __init__(self, name: str):
        self._name = name
        self._meter = ProgressMeter()
        self._looks: collections.deque[_Look] = collections.deque(
            maxlen=_KEPT_LOOKS
        )
        self._ledger: Ledger | None = None
        self._num_events = 0
        self._events = EventList()

    def look(self, ledger: Ledger, now: float, wall_time: float) -> View:
        """Returns what the queue looks like.

        Args:
          ledger: The ledger, not changed meanwhile. Another one than the last
            time is a session that was created again.
          now: Time in seconds, of the ledger's clock.
          wall_time: Time in seconds since the epoch.
        """
        if ledger is not self._ledger:
            self._ledger, self._num_events = ledger, 0
            self._looks.clear()
        progress = self._meter.measure(ledger, now)
        state = state_of(ledger, now)
        takes, self._num_events = takes_since(ledger, self._num_events, now)
        last = self._looks[-1] if self._looks else None
        items_per_sec, records_per_sec = (
            _rates(last.time, (last.completed, last.records), ledger, now)
            if last
            else (
                progress.recent_items_per_sec,
                progress.recent_records_per_sec or 0.0,
            )
        )
        self._add_rates(state, now)
        self._looks.append(
            _Look(
                now,
                ledger.completed,
                ledger.records,
                {
                    worker["name"]: (
                        worker["completed"],
                        worker["records"] or 0,
                    )
                    for worker in state["workers"]
                },
            )
        )
        about = {"name": self._name, "time": round(wall_time, 2)}
        state = {
            **about,
            **vars(progress),
            "oldest_holder": shown(progress.oldest_holder),
            **state,
            **times_of(ledger, now, wall_time),
        }
        slow = slow_workers(state)
        events = self._events.fresh(ledger, state, slow, now)
        return View(
            self._name,
            wall_time,
            progress,
            items_per_sec,
            records_per_sec,
            state,
            {**about, **takes},
            {**about, "version": takes["version"], "events": events},
            slow,
        )

    def _add_rates(self, state: dict[str, Any], now: float) -> None:
        first = self._looks[0] if self._looks else None
        for worker in state["workers"]:
            worker["records_per_sec"] = None
            before = first and first.workers.get(worker["name"])
            counts = worker["records"] is not None
            if counts and first and before and now > first.time:
                rate = (worker["records"] - before[1]) / (now - first.time)
                worker["records_per_sec"] = round(rate, 2)


def _rates(
    time: float, before: tuple[int, int], ledger: Ledger, now: float
) -> tuple[float, float]:
    if now <= time:
        return 0.0, 0.0
    return (
        max(ledger.completed - before[0], 0) / (now - time),
        max(ledger.records - before[1], 0) / (now - time),
    )
