"""What each task did and what came of it, as small JSON files.

    <checkpoint>/tasks/worker_1.json    by TaskReportHook, on each task
    <checkpoint>/result.json            by write_result, on the chief

The trap: a task that is killed or fails writes nothing, and a task of a
resumed job replaces the file of the run before.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any, Callable

import tensorflow as tf


class TaskReportHook(tf.compat.v1.train.SessionRunHook):
    """Counts this task's steps and records; on every task that trains.

    `before_run` fetches the batch size beside the step and `after_run` adds it
    up. `end`, which comes at the last step and at end of data but not on
    failure, writes the file. After a restore within the process the counts go
    on: they tell what was done, not what is in the model.

    The file has `task`; `steps` and `records` of this task; `items`, null as
    long as the queue does not tell; `first_step_at` and `ended_at` in seconds
    since the epoch, null without a step; `secs` between the two.

    Args:
      batch_size: Scalar integer tensor, the records of a step.
      checkpoint: Directory of the job.
      task: This task's name, such as `worker:1`.
      clock: Wall time in seconds.
    """

    def __init__(
        self,
        batch_size: tf.Tensor,
        *,
        checkpoint: str,
        task: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._batch_size = batch_size
        self._path = task_report_path(checkpoint, task)
        self._task = task
        self._clock = clock
        self._num_steps = 0
        self._num_records = 0
        self._first_step_at: float | None = None

    def before_run(self, run_context: Any) -> Any:
        """Asks for the batch size; notes when the first step begins."""
        if self._first_step_at is None:
            self._first_step_at = self._clock()
        return tf.compat.v1.train.SessionRunArgs(self._batch_size)

    def after_run(self, run_context: Any, run_values: Any) -> None:
        """Counts the step."""
        self._num_steps += 1
        self._num_records += int(run_values.results)

    def end(self, session: Any) -> None:
        """Writes the file."""
        ended_at = self._clock()
        started_at = self._first_step_at
        _write_json(
            self._path,
            {
                "task": self._task,
                "steps": self._num_steps,
                "records": self._num_records,
                "items": None,
                "secs": None if started_at is None else ended_at - started_at,
                "first_step_at": started_at,
                "ended_at": ended_at,
            },
        )


def task_report_path(checkpoint: str, task: str) -> str:
    """Where the report of a task such as `worker:1` stands."""
    return os.path.join(checkpoint, "tasks", f"{task.replace(':', '_')}.json")


def result(
    *,
    auc: float,
    num_rows: int,
    global_step: int,
    optimal_auc: float | None = None,
) -> dict[str, Any]:
    """The outcome of a training, as in `result.json`.

    Args:
      auc: Of the model on the eval files.
      num_rows: How many rows these have.
      global_step: The step of the checkpoint.
      optimal_auc: The most that can be reached; None: not known.

    Returns:
      The arguments and `reached`, the part of the way from chance to the
      optimum: 0.0 for an AUC of 0.5, 1.0 for `optimal_auc`, else None.
    """
    reached = None
    if optimal_auc is not None and optimal_auc != 0.5:
        reached = (auc - 0.5) / (optimal_auc - 0.5)
    return {
        "auc": auc,
        "optimal_auc": optimal_auc,
        "reached": reached,
        "rows": num_rows,
        "global_step": global_step,
    }


def format_result(outcome: dict[str, Any]) -> str:
    """The outcome as one line: `AUC 0.7712 (optimal 0.8000, ...)`."""
    parts = []
    if outcome["reached"] is not None:
        parts.append(f"optimal {outcome['optimal_auc']:.4f}")
        parts.append(f"{outcome['reached']:.1%} of the way from chance")
    parts.append(f"{outcome['rows']} rows")
    parts.append(f"step {outcome['global_step']}")
    return f"AUC {outcome['auc']:.4f} ({', '.join(parts)})"


def write_result(checkpoint: str, outcome: dict[str, Any]) -> str:
    """Writes `<checkpoint>/result.json`; returns its path."""
    path = os.path.join(checkpoint, "result.json")
    _write_json(path, outcome)
    return path


def _write_json(path: str, value: dict[str, Any]) -> None:
    """Writes a file that is seen whole or not at all."""
    tf.io.gfile.makedirs(os.path.dirname(path))
    temporary = f"{path}.tmp"
    with tf.io.gfile.GFile(temporary, "w") as f:
        f.write(json.dumps(value, indent=2) + "\n")
    tf.io.gfile.rename(temporary, path, overwrite=True)
