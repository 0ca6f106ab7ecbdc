"""What each task did and what came of it, as small files.

    <checkpoint>/tasks/worker_1.json           by TaskReportHook, on each task
    <checkpoint>/tasks/worker_1.batches.tsv    likewise, if asked for
    <checkpoint>/queue.json                    by QueueStateHook, on the chief
    <checkpoint>/result.json                   by write_result, on the chief

The trap: a task that is killed or fails writes no report, and a task of a
resumed job replaces the report of the run before. The list of batches is
written step by step, and a resumed task goes on in it.
"""

from __future__ import annotations

import dataclasses
import json
import os
import time
from typing import Any, Callable

import tensorflow as tf

_FLUSH_SECS = 2.0


@dataclasses.dataclass(frozen=True)
class Batch:
    """What a step trains on, as scalar tensors.

    Attributes:
      records: Integer, how many.
      file: tf.string, where they are from.
      number: tf.int64, the batch's number in the file, from 0.
    """

    records: tf.Tensor
    file: tf.Tensor
    number: tf.Tensor


class TaskReportHook(tf.compat.v1.train.SessionRunHook):
    """Counts this task's steps, records and items; on every task that trains.

    `before_run` fetches what the batch is beside the step and `after_run` adds
    it up. `end`, which comes at the last step and at end of data but not on
    failure, writes the file. After a restore within the process the counts go
    on: they tell what was done, not what is in the model.

    The file has `task`; `steps`, `records` and `items` (files begun) of this
    task; `first_step_at` and `ended_at` in seconds since the epoch, null
    without a step; `secs` between the two.

    With `log_batches`, `after_run` also appends a line to the list of batches:
    time, number, records and file, separated by tabs. It has reached the file
    before the next step, so that it survives a SIGKILL.

    Args:
      batch: What a step trains on.
      checkpoint: Directory of the job.
      task: This task's name, such as `worker:1`.
      log_batches: Whether to list the batches.
      clock: Wall time in seconds.
    """

    def __init__(
        self,
        batch: Batch,
        *,
        checkpoint: str,
        task: str,
        log_batches: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._batch = batch
        self._path = task_report_path(checkpoint, task)
        self._batches_path = batches_path(checkpoint, task)
        self._task = task
        self._log_batches = log_batches
        self._clock = clock
        self._num_steps = 0
        self._num_records = 0
        self._num_items = 0
        self._first_step_at: float | None = None
        self._batches_file: Any = None

    def before_run(self, run_context: Any) -> Any:
        """Asks what the batch is; notes when the first step begins."""
        if self._first_step_at is None:
            self._first_step_at = self._clock()
        return tf.compat.v1.train.SessionRunArgs(vars(self._batch))

    def after_run(self, run_context: Any, run_values: Any) -> None:
        """Counts the step."""
        batch = run_values.results
        self._num_steps += 1
        self._num_records += int(batch["records"])
        self._num_items += int(batch["number"] == 0)
        if self._log_batches:
            self._append(batch)

    def end(self, session: Any) -> None:
        """Writes the file."""
        if self._batches_file is not None:
            self._batches_file.close()
            self._batches_file = None
        write_task_report(
            self._path,
            task=self._task,
            num_steps=self._num_steps,
            num_records=self._num_records,
            num_items=self._num_items,
            started_at=self._first_step_at,
            ended_at=self._clock(),
        )

    def _append(self, batch: dict[str, Any]) -> None:
        if self._batches_file is None:
            tf.io.gfile.makedirs(os.path.dirname(self._batches_path))
            self._batches_file = tf.io.gfile.GFile(self._batches_path, "a")
        file = batch["file"].decode("utf-8", "backslashreplace")
        self._batches_file.write(
            f"{self._clock():.3f}\t{batch['number']}\t{batch['records']}\t"
            f"{file}\n"
        )
        self._batches_file.flush()


class QueueStateHook(tf.compat.v1.train.SessionRunHook):
    """Writes the state of the graph's work queue to a file; on the chief.

    The file has what `WorkQueue.state` tells (how many items remain, are in
    flight and completed, and who has what), `at`, in seconds since the epoch,
    and `completed_at_start`: how many items were completed when this session
    was created, that is what the checkpoint says that is done. It is written
    when the session is created, also again, after a step every `every_n_secs`
    and at the `end`; give the hook behind WorkQueueHook, which waits until the
    queue has read its position.

    Args:
      checkpoint: Directory of the job.
      every_n_secs: How often to write.
      clock: Wall time in seconds.
    """

    def __init__(
        self,
        checkpoint: str,
        *,
        every_n_secs: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._path = queue_state_path(checkpoint)
        self._every_n_secs = every_n_secs
        self._clock = clock
        self._engine: Any = None
        self._completed_at_start: int | None = None
        self._written_at = 0.0

    def begin(self) -> None:
        """Finds the queue."""
        from wq_hooks.engines.graph import engines_in

        (self._engine,) = engines_in(tf.compat.v1.get_default_graph())

    def after_create_session(self, session: Any, coord: Any) -> None:
        """Notes where the queue begins."""
        self._completed_at_start = None
        self._write()

    def after_run(self, run_context: Any, run_values: Any) -> None:
        """Writes the file if it is time."""
        if self._clock() - self._written_at >= self._every_n_secs:
            self._write()

    def end(self, session: Any) -> None:
        """Writes the file once more, with all that was reported before."""
        feeder = self._engine.feeder
        if feeder is not None:
            feeder.flush(_FLUSH_SECS)
        self._write()

    def _write(self) -> None:
        chief = self._engine.chief
        if chief is None:
            return
        state = chief.state()
        if self._completed_at_start is None:
            self._completed_at_start = state["completed"]
        self._written_at = self._clock()
        added = {
            "at": self._written_at,
            "completed_at_start": self._completed_at_start,
        }
        _write_json(self._path, {**added, **state})


def batches_path(checkpoint: str, task: str) -> str:
    """Where the list of batches of a task such as `worker:1` stands."""
    name = f"{task.replace(':', '_')}.batches.tsv"
    return os.path.join(checkpoint, "tasks", name)


def queue_state_path(checkpoint: str) -> str:
    """Where the state of the queue stands."""
    return os.path.join(checkpoint, "queue.json")


def task_report_path(checkpoint: str, task: str) -> str:
    """Where the report of a task such as `worker:1` stands."""
    return os.path.join(checkpoint, "tasks", f"{task.replace(':', '_')}.json")


def write_task_report(
    path: str,
    *,
    task: str,
    num_steps: int,
    num_records: int,
    num_items: int | None,
    started_at: float | None,
    ended_at: float,
) -> None:
    """Writes what a task did; see TaskReportHook. None: not known."""
    secs = None if started_at is None else ended_at - started_at
    _write_json(
        path,
        {
            "task": task,
            "steps": num_steps,
            "records": num_records,
            "items": num_items,
            "secs": secs,
            "first_step_at": started_at,
            "ended_at": ended_at,
        },
    )


def result(
    *,
    auc: float,
    num_rows: int,
    global_step: int,
    optimal_auc: float | None = None,
) -> dict[str, Any]:
    """The outcome of a training, as in `result.json`.

    Args:
      auc: AUC of the model on the eval files.
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
