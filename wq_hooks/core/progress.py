"""How far a queue is, in numbers and in words; from the ledger alone.

    meter = ProgressMeter()
    progress = meter.measure(ledger, now=time.monotonic())
    logging.info("%s", progress.in_words())

The rate is that of the last minutes, so that the estimate follows a job whose
speed changes.
"""

from __future__ import annotations

import collections
import statistics
from dataclasses import dataclass
from typing import Any

from wq_hooks.core.ledger import Ledger, task_of

STATE_VERSION = 1
_WINDOW_SECS = 300.0
_MIN_WINDOW = 3


@dataclass(frozen=True)
class Progress:
    """The state of a ledger at one instant.

    Attributes:
      remaining: Items not handed out; None: without end.
      in_flight: Items that are leased.
      completed: Items that are acknowledged.
      total: Sum of the three; None: without end.
      level: Remaining items, in epochs.
      low_watermark: Every item before it is completed.
      epoch: Completed items, in epochs.
      items_per_sec: Rate over the last minutes; 0 if nothing is known.
      eta_secs: Seconds to the end at that rate; None if nothing is known.
      oldest_lease_secs: Age of the oldest lease; 0 without any.
      oldest_holder: Who holds it, or "".
      repeated: Items that were handed out once more.
      given_up: Items that were given up.
      num_consumers: Consumers that have not left.
    """

    remaining: int | None
    in_flight: int
    completed: int
    total: int | None
    level: float
    low_watermark: int
    epoch: float
    items_per_sec: float
    eta_secs: float | None
    oldest_lease_secs: float
    oldest_holder: str
    repeated: int
    given_up: int
    num_consumers: int

    def in_words(self) -> str:
        """Returns one line for the log."""
        total = "endless" if self.total is None else f"{self.total}"
        words = [
            f"{self.completed} of {total} items completed",
            f"{self.in_flight} in flight",
            f"level {self.level:.2f}",
        ]
        if self.items_per_sec:
            words.append(f"{self.items_per_sec:.3g} items/s")
        if self.eta_secs is not None:
            words.append(f"{duration_in_words(self.eta_secs)} to go")
        if self.oldest_holder:
            words.append(
                f"oldest lease {duration_in_words(self.oldest_lease_secs)} "
                f"({self.oldest_holder})"
            )
        if self.repeated:
            words.append(f"{self.repeated} handed out again")
        if self.given_up:
            words.append(f"{self.given_up} GIVEN UP")
        return ", ".join(words)


class ProgressMeter:
    """Measures a ledger from time to time, for its rate."""

    def __init__(self) -> None:
        self._points: collections.deque[tuple[float, int]] = collections.deque()

    def measure(self, ledger: Ledger, now: float) -> Progress:
        """Returns the state of the ledger.

        Args:
          ledger: The ledger, not changed meanwhile.
          now: In seconds, of the ledger's clock.
        """
        points = self._points
        if points and ledger.completed < points[-1][1]:
            # The queue went back to a checkpoint.
            points.clear()
        points.append((now, ledger.completed))
        while len(points) > _MIN_WINDOW and now - points[0][0] > _WINDOW_SECS:
            points.popleft()
        elapsed = now - points[0][0]
        done = ledger.completed - points[0][1]
        rate = done / elapsed if elapsed > 0 else 0.0
        remaining = ledger.remaining
        eta = None
        if rate > 0 and remaining is not None:
            eta = (remaining + ledger.in_flight) / rate
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
            items_per_sec=rate,
            eta_secs=eta,
            oldest_lease_secs=0.0 if oldest is None else now - oldest.since,
            oldest_holder="" if oldest is None else oldest.consumer.name,
            repeated=ledger.repeated,
            given_up=len(ledger.given_up),
            num_consumers=sum(
                not state.has_left for state in ledger.consumers.values()
            ),
        )


def state_of(ledger: Ledger, now: float) -> dict[str, Any]:
    """Returns the ledger's state as a value that json can write.

    One entry for each task; a task's consumers are added up. Names are data.

    Args:
      ledger: The ledger, not changed meanwhile.
      now: In seconds, of the ledger's clock.
    """
    workers: dict[str, dict[str, Any]] = {}
    for name, consumer in sorted(ledger.consumers.items()):
        worker = workers.setdefault(
            task_of(name),
            {
                "name": task_of(name),
                "incarnation": consumer.consumer.incarnation,
                "taken": 0,
                "completed": 0,
                "has_left": True,
                "last_heard_secs": now - consumer.last_heard,
                "item_secs": None,
                "items": [],
            },
        )
        worker["taken"] += consumer.taken
        worker["completed"] += consumer.completed
        worker["has_left"] = worker["has_left"] and consumer.has_left
        worker["last_heard_secs"] = min(
            worker["last_heard_secs"], now - consumer.last_heard
        )
        if consumer.durations:
            worker["item_secs"] = statistics.median(consumer.durations)
        worker["items"] += [
            {
                "ticket": ticket,
                "text": ledger.open_item(ticket).text,
                "held_secs": now - since,
            }
            for ticket, since in sorted(consumer.held.items())
        ]
    return {
        "version": STATE_VERSION,
        "total": ledger.total,
        "items_per_epoch": ledger.plan.items_per_epoch,
        "remaining": ledger.remaining,
        "in_flight": ledger.in_flight,
        "completed": ledger.completed,
        "low_watermark": ledger.low_watermark,
        "repeated": ledger.repeated,
        "given_up": [name for _, name in ledger.given_up],
        "workers": list(workers.values()),
    }


def duration_in_words(secs: float) -> str:
    """Returns such as "45 s", "3 min 20 s", "2 h 5 min"."""
    secs = max(0, round(secs))
    if secs < 60:
        return f"{secs} s"
    if secs < 3600:
        return f"{secs // 60} min {secs % 60} s"
    return f"{secs // 3600} h {secs % 3600 // 60} min"
