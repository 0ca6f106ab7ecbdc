"""Callbacks of the Keras trainer: when to stop, how fast, what was done.

    model.fit(dataset, callbacks=[
        checkpoint, StopAtStep(1000), StepReport("checkpoints", "chief:0")])

The trap: the checkpoint's callback comes first, since it restores the step
that the others look at.
"""

from __future__ import annotations

import time
from typing import Any, Callable

import tensorflow as tf

from model_zoo.wide_and_deep import report, slow


class StopAtStep(tf.keras.callbacks.Callback):
    """Ends `fit` behind the train step `last_step`, resumes included."""

    def __init__(self, last_step: int):
        super().__init__()
        self._last_step = last_step

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Looks at the optimizer's count of steps."""
        del batch, logs
        if int(self.model.optimizer.iterations.numpy()) >= self._last_step:
            self.model.stop_training = True


class SlowStep(tf.keras.callbacks.Callback):
    """Pads each step as `slow.SlowStepHook` does."""

    def __init__(self, step_secs: float, factor: float):
        super().__init__()
        self._step_secs = step_secs
        self._factor = factor
        self._started_at = 0.0

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Notes when the step begins."""
        del batch, logs
        self._started_at = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Sleeps for what is missing."""
        del batch, logs
        elapsed_secs = time.monotonic() - self._started_at
        secs = slow.sleep_secs(elapsed_secs, self._step_secs, self._factor)
        if secs > 0:
            time.sleep(secs)


class StepReport(tf.keras.callbacks.Callback):
    """Counts steps and records; `on_train_end` writes the task's report.

    The file is that of `report.TaskReportHook`, but for `items`, which is
    null: a batch of records may span items.

    Args:
      checkpoint: Directory of the job.
      task: This task's name, such as `chief:0`.
      clock: Wall time in seconds.
    """

    def __init__(
        self,
        checkpoint: str,
        task: str,
        clock: Callable[[], float] = time.time,
    ):
        super().__init__()
        self._path = report.task_report_path(checkpoint, task)
        self._task = task
        self._clock = clock
        self._num_steps = 0
        self._num_records = 0
        self._first_step_at: float | None = None

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Notes when the first step begins."""
        del batch, logs
        if self._first_step_at is None:
            self._first_step_at = self._clock()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Counts the step."""
        del batch
        self._num_steps += 1
        self._num_records += int(logs["rows"])

    def on_train_end(self, logs: Any = None) -> None:
        """Writes the file."""
        del logs
        report.write_task_report(
            self._path,
            task=self._task,
            num_steps=self._num_steps,
            num_records=self._num_records,
            num_items=None,
            started_at=self._first_step_at,
            ended_at=self._clock(),
        )


class PlainCheckpoint(tf.keras.callbacks.Callback):
    """Saves and restores the model where there is no work queue.

    The first `on_train_begin` restores the newest checkpoint of the
    directory; the data begins anew all the same. It saves after train steps
    and at the end.

    Args:
      directory: Directory of the checkpoints.
      every_n_steps: Save after so many steps; None: by seconds.
      every_n_secs: Save when so many seconds have gone by.
    """

    def __init__(
        self, directory: str, every_n_steps: int | None, every_n_secs: float
    ):
        super().__init__()
        self._directory = directory
        self._every_n_steps = every_n_steps
        self._every_n_secs = every_n_secs
        self._manager: Any = None
        self._saved_at = (0, 0.0)

    def on_train_begin(self, logs: Any = None) -> None:
        """Restores the newest checkpoint."""
        del logs
        self.restore()
        self._saved_at = (self._step(), time.monotonic())

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Saves if it is time."""
        del batch, logs
        step, secs = self._saved_at
        if self._every_n_steps is not None:
            is_due = self._step() - step >= self._every_n_steps
        else:
            is_due = time.monotonic() - secs >= self._every_n_secs
        if is_due:
            self._save()

    def on_train_end(self, logs: Any = None) -> None:
        """Saves what has changed."""
        del logs
        if self._step() != self._saved_at[0]:
            self._save()

    def restore(self) -> None:
        """Restores the newest checkpoint, if there is one."""
        checkpoint = tf.train.Checkpoint(
            model=self.model, optimizer=self.model.optimizer
        )
        self._manager = tf.train.CheckpointManager(
            checkpoint, self._directory, max_to_keep=5
        )
        newest = self._manager.latest_checkpoint
        if newest is not None:
            # One of a run with a queue has a position, which is not wanted.
            checkpoint.restore(newest).expect_partial()

    def _step(self) -> int:
        return int(self.model.optimizer.iterations.numpy())

    def _save(self) -> None:
        self._manager.save(checkpoint_number=self._step())
        self._saved_at = (self._step(), time.monotonic())
