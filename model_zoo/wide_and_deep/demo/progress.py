"""How far a job is, from the files that it writes.

tracker = Tracker("checkpoints", ["chief:0", "worker:0"], num_items=48)
line.update(tracker.describe())
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from model_zoo.wide_and_deep.demo.account import (
    TrainedBatch,
    num_finished,
    read_batches,
)
from model_zoo.wide_and_deep.demo.console import bar


class Tracker:
    """Follows the batches and the queue's level.

    Args:
      checkpoint: Directory of the job.
      tasks: The tasks that train.
      rows_of_files: How many records each file has.
      num_processes: How many processes start.
    """

    def __init__(
        self,
        checkpoint: str,
        tasks: Sequence[str],
        rows_of_files: Mapping[str, int],
        *,
        num_processes: int,
    ) -> None:
        self._checkpoint = checkpoint
        self._tasks = tasks
        self._rows_of_files = rows_of_files
        self._num_processes = num_processes
        self._levels: list[tuple[float, float]] = []
        self._state: dict[str, Any] | None = None
        # What an earlier job has left does not count.
        self._old_state = read_queue(checkpoint)
        self._num_old = {t: len(b) for t, b in self._read().items()}
        self._new: dict[str, list[TrainedBatch]] = {}

    def poll(self) -> list[TrainedBatch]:
        """Reads the files; returns what this job has trained, in order."""
        self._new = {
            task: batches[self._num_old[task] :]
            for task, batches in self._read().items()
        }
        state = read_queue(self._checkpoint)
        if state is not None and state not in (self._old_state, self._state):
            self._state = state
            level = state["remaining"] / state["items_per_epoch"]
            self._levels.append((state["at"], level))
        together = [batch for part in self._new.values() for batch in part]
        return sorted(together, key=lambda batch: batch.at)

    def describe(self) -> str:
        """Returns how far it is: all, each task, the level."""
        if not any(self._new.values()):
            return f"starting {self._num_processes} processes"
        items = [
            num_finished(part, self._rows_of_files)
            for part in self._new.values()
        ]
        completed, total = sum(items), len(self._rows_of_files)
        if self._state is not None:
            completed = self._state["completed"]
        words = [
            bar(completed / total, width=12),
            f"{completed}/{total} items",
            f"({'+'.join(map(str, items))})",
        ]
        if self._state is not None:
            words.append(f"level {self._levels[-1][1]:.2f}")
        return "  ".join(words)

    def levels(self) -> list[tuple[float, float]]:
        """Returns the queue's levels: seconds since the first batch, level."""
        batches = self.poll()
        if not batches:
            return []
        start = batches[0].at
        return [(max(0.0, at - start), level) for at, level in self._levels]

    def _read(self) -> dict[str, list[TrainedBatch]]:
        return read_batches(self._checkpoint, self._tasks)


def read_queue(checkpoint: str) -> dict[str, Any] | None:
    """Returns the state of the queue as the chief wrote it last, or None."""
    return read_json(os.path.join(checkpoint, "queue.json"))


def read_json(path: str) -> dict[str, Any] | None:
    """Returns what a JSON file holds; None if there is none."""
    try:
        with open(path, encoding="utf-8") as f:
            value: dict[str, Any] = json.load(f)
    except FileNotFoundError:
        return None
    return value
