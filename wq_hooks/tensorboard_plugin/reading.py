"""What the log says of a queue, through TensorBoard's data provider.

Everything in a log is data that anybody may have written: it is parsed with
limits, and what is not understood is left out.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from tensorboard.data import provider as provider_lib

from wq_hooks.tensorboard_plugin import metadata

_MAX_POINTS = 1000
_MAX_TAKES_POINTS = 1000
_MAX_JSON_BYTES = 4_000_000
_MAX_QUEUES = 500
_VERSION = 1


@dataclass
class Found:
    """What the log holds of one queue.

    Attributes:
      run: Name of the run.
      queue: Name of the queue.
      state: The last state that could be read.
      step: The step it was written at.
      points: {step: {"time": wall time, tag: value, ...}}, ascending.
      takes: The takes as written, oldest first.
      events: The other events, likewise.
    """

    run: str
    queue: str
    state: dict[str, Any]
    step: int = 0
    points: dict[int, dict[str, float]] = field(default_factory=dict)
    takes: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)


class Reader:
    """Reads queues by TensorBoard's data provider."""

    def __init__(self, provider: Any):
        self._provider = provider

    def queues(self, context: Any, experiment: str) -> list[dict[str, Any]]:
        """Returns the queues of all runs, the one written last first."""
        listed = self._provider.list_tensors(
            context,
            experiment_id=experiment,
            plugin_name=metadata.PLUGIN_NAME,
        )
        queues = [
            {
                "run": run,
                "queue": metadata.queue_of(tag),
                "time": series.max_wall_time,
            }
            for run, tags in listed.items()
            for tag, series in tags.items()
            if tag.endswith(f"/{metadata.STATE_TAG}")
        ]
        queues.sort(key=lambda q: (-q["time"], q["run"], q["queue"]))
        return queues[:_MAX_QUEUES]

    def read(
        self, context: Any, experiment: str, run: str, queue: str
    ) -> Found | None:
        """Returns what the log holds of a queue, None if there is none."""
        log = context, experiment, run
        tag = metadata.tag_of(queue, metadata.STATE_TAG)
        states = self._read_tensors(*log, tag, metadata.PLUGIN_NAME)
        if not states:
            return None
        step, state = states[-1]
        takes, events = (
            [value for _, value in self._read_tensors(*log, tag, plugin_name)]
            for tag, plugin_name in (
                (
                    metadata.tag_of(queue, metadata.TAKES_TAG),
                    metadata.TAKES_PLUGIN_NAME,
                ),
                (
                    metadata.tag_of(queue, metadata.EVENTS_TAG),
                    metadata.EVENTS_PLUGIN_NAME,
                ),
            )
        )
        points = self._read_points(*log, queue)
        return Found(run, queue, state, step, points, takes, events)

    def _read_points(
        self, context: Any, experiment: str, run: str, queue: str
    ) -> dict[int, dict[str, float]]:
        tags = {
            metadata.tag_of(queue, tag): tag for tag in metadata.SERIES_TAGS
        }
        read = self._provider.read_scalars(
            context,
            experiment_id=experiment,
            plugin_name="scalars",
            downsample=_MAX_POINTS,
            run_tag_filter=provider_lib.RunTagFilter(runs=[run], tags=tags),
        )
        points: dict[int, dict[str, float]] = {}
        for full_tag, series in read.get(run, {}).items():
            for datum in series:
                point = points.setdefault(datum.step, {"time": datum.wall_time})
                point[tags[full_tag]] = datum.value
        return dict(sorted(points.items()))

    def _read_tensors(
        self, context: Any, experiment: str, run: str, tag: str, name: str
    ) -> list[tuple[int, dict[str, Any]]]:
        read = self._provider.read_tensors(
            context,
            experiment_id=experiment,
            plugin_name=name,
            downsample=_MAX_TAKES_POINTS,
            run_tag_filter=provider_lib.RunTagFilter(runs=[run], tags=[tag]),
        )
        parsed = [
            (datum.step, parse(datum.numpy))
            for datum in read.get(run, {}).get(tag, ())
        ]
        return [(step, value) for step, value in parsed if value is not None]


def parse(array: Any) -> dict[str, Any] | None:
    """Returns the JSON object that an array of a log holds, or None."""
    if getattr(array, "size", 0) != 1:
        return None
    text = array.item()
    if not isinstance(text, (bytes, str)) or len(text) > _MAX_JSON_BYTES:
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or value.get("version") != _VERSION:
        return None
    return value
