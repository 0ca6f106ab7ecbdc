"""The numbers of a queue as metrics: names, kinds, values.

    for metric in METRICS: ...
    samples_of(state)       # {metric name: [(labels, value), ...]}

Names and units follow Prometheus' conventions: base units, `_total` for what
only rises (https://prometheus.io/docs/practices/naming/). Pure: the library
that writes the text is used in `wq_hooks/metrics`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wq_hooks.core.monitoring.slow_workers import slow_workers
from wq_hooks.core.monitoring.stall import is_stalled

PREFIX = "wq_hooks_"
# Labels, and the value.
Sample = tuple[tuple[str, ...], float]


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
      name: Name without the prefix, and without `_total`.
      help: One sentence of help.
      number: Name of the number in the state; see `schema.py`.
      is_counter: Whether it only rises, but for a resume.
      of_worker: Whether each worker has one.
    """

    name: str
    help: str
    number: str
    is_counter: bool = False
    of_worker: bool = False

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of its labels."""
        return ("queue", "worker") if self.of_worker else ("queue",)


METRICS = (
    Metric("items_completed", "Items completed.", "completed", True),
    Metric("items_in_flight", "Items that workers hold.", "in_flight"),
    Metric("items_remaining", "Items that nobody has taken yet.", "remaining"),
    Metric("items_planned", "All items of the job, in all epochs.", "total"),
    Metric("items_repeated", "Items taken again.", "repeated", True),
    Metric("items_given_up", "Items given up.", "given_up", True),
    Metric(
        "items_per_second", "Rate of the last minutes.", "recent_items_per_sec"
    ),
    Metric("records_trained", "Records trained.", "records", True),
    Metric(
        "records_per_second",
        "Rate of the last minutes.",
        "recent_records_per_sec",
    ),
    Metric("level_epochs", "Items that remain, in epochs.", "level"),
    Metric("epoch", "Items completed, in epochs.", "epoch"),
    Metric(
        "low_watermark_items",
        "Number of items before which all are completed.",
        "low_watermark",
    ),
    Metric("eta_seconds", "Estimated time to the end.", "eta_secs"),
    Metric(
        "oldest_lease_seconds",
        "Time for which the oldest item in flight was held.",
        "oldest_in_flight_secs",
    ),
    Metric(
        "idle_seconds",
        "Time since an item was taken or completed.",
        "idle_secs",
    ),
    Metric("stalled", "Whether the queue stands still: 0 or 1.", "stalled"),
    Metric(
        "dropped_rows", "Messages that could not be read.", "dropped_rows", True
    ),
    Metric("workers", "Workers ever seen.", "num_workers"),
    Metric("workers_present", "Workers that have not left.", "present"),
    Metric("workers_lost", "How often a worker was lost.", "num_lost", True),
    Metric("workers_slow", "Workers twice as slow as usual.", "slow"),
    Metric(
        "last_save_age_seconds",
        "Time since the position was saved with the model.",
        "last_save_secs",
    ),
    Metric("state_timestamp_seconds", "Time of the state.", "time"),
    Metric(
        "worker_items_completed",
        "Items that a worker has completed.",
        "completed",
        is_counter=True,
        of_worker=True,
    ),
    Metric(
        "worker_items_in_flight",
        "Items that a worker holds.",
        "in_hand",
        of_worker=True,
    ),
    Metric(
        "worker_records_trained",
        "Records that a worker has trained.",
        "records",
        is_counter=True,
        of_worker=True,
    ),
    Metric(
        "worker_item_seconds",
        "Median time of a worker for an item.",
        "item_secs",
        of_worker=True,
    ),
    Metric(
        "worker_last_heard_seconds",
        "Time since a worker was heard of.",
        "last_heard_secs",
        of_worker=True,
    ),
)


def samples_of(state: Mapping[str, Any]) -> dict[str, list[Sample]]:
    """Returns the samples of each metric, by its name.

    Args:
      state: State of a queue, checked; see `queue_state.py`. A number that is
        not known has no sample.
    """
    present = [w for w in state["workers"] if not w["has_left"]]
    values = {
        **state,
        "present": len(present),
        "slow": len(slow_workers(state)),
        "stalled": is_stalled(state),
    }
    queue = str(state["name"])
    samples: dict[str, list[Sample]] = {}
    for metric in METRICS:
        rows: list[tuple[tuple[str, ...], Any]]
        if metric.of_worker:
            rows = [((queue, w["name"]), w[metric.number]) for w in present]
        else:
            rows = [((queue,), values[metric.number])]
        samples[metric.name] = [
            (labels, float(value))
            for labels, value in rows
            if value is not None
        ]
    return samples
