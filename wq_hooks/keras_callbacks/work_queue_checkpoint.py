"""WorkQueueCheckpoint: model, optimizer and queue in one checkpoint."""

from __future__ import annotations

import fnmatch
import os
from typing import Any

import tensorflow as tf

from wq_hooks.core import log as logging
from wq_hooks.core.preemption import PREEMPTION, Preemption
from wq_hooks.core.step_timer import StepTimer
from wq_hooks.keras_callbacks.work_queue_callback import (
    WorkQueueCallback,
    expect_position,
)
from wq_hooks.work_queue import WorkQueue


class _NumSteps(tf.train.experimental.PythonState):
    """A number in a checkpoint; a variable would be made on all tasks."""

    value = 0

    def serialize(self) -> str:
        """Returns it for a checkpoint."""
        return str(self.value)

    def deserialize(self, string_value: str | bytes) -> None:
        """Takes it from a checkpoint."""
        self.value = int(tf.compat.as_str(string_value))


class WorkQueueCheckpoint(WorkQueueCallback):
    """Saves model, optimizer and queue together, and restores them.

    It is a WorkQueueCallback, so that one callback is enough. The first
    `on_train_begin` restores the newest checkpoint of the directory; later
    `fit` calls go on with what is in memory. It saves after train steps or at
    the end of each epoch of Keras, and always at the end of training.

    Args:
      work_queue: A WorkQueue of eager mode.
      directory: Directory of the checkpoints.
      every_n_steps: Save after so many steps.
      every_n_secs: Save when so many seconds have gone by. If both are None:
        at the end of each epoch.
      max_to_keep: How many checkpoints to keep; None: all.
      log_dir: See WorkQueueCallback.
      report_every_n_secs: How often to report.
      on_preemption: See WorkQueueCallback.

    Example:
      checkpoint = WorkQueueCheckpoint(queue, "model", every_n_steps=500)
      model.fit(dataset, callbacks=[checkpoint])
    """

    def __init__(
        self,
        work_queue: WorkQueue,
        directory: str | os.PathLike[str],
        *,
        every_n_steps: int | None = None,
        every_n_secs: float | None = None,
        max_to_keep: int | None = 5,
        log_dir: str | os.PathLike[str] | None = None,
        report_every_n_secs: float = 60.0,
        on_preemption: Preemption | None = PREEMPTION,
    ):
        super().__init__(
            work_queue,
            log_dir=log_dir,
            every_n_secs=report_every_n_secs,
            on_preemption=on_preemption,
        )
        self._owner = expect_position(self._engine, "WorkQueueCheckpoint")
        for key, value in (
            ("every_n_steps", every_n_steps),
            ("every_n_secs", every_n_secs),
            ("max_to_keep", max_to_keep),
        ):
            if value is not None and value <= 0:
                raise ValueError(f"Expected {key} > 0 or None; got {value}.")
        self._directory = _readable(os.fspath(directory))
        # None of them: at the end of each epoch.
        self._save_timers = []
        if every_n_steps is not None:
            self._save_timers.append(StepTimer(every_n_steps=every_n_steps))
        if every_n_secs is not None:
            self._save_timers.append(StepTimer(every_n_secs=every_n_secs))
        self._max_to_keep = max_to_keep
        self._manager: Any = None
        self._saved_step: int | None = None
        self._saved_steps = _NumSteps()

    def on_train_begin(self, logs: Any = None) -> None:
        """Restores the newest checkpoint, the first time."""
        self._note_save(0)
        self._saved_step = None
        super().on_train_begin(logs)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Saves if it is time."""
        super().on_train_batch_end(batch, logs)
        if not self._is_remote and self._is_save_due():
            self._save()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Saves, unless it is done by steps or seconds."""
        super().on_epoch_end(epoch, logs)
        # Where steps are only scheduled, an epoch is the first chance.
        if not self._save_timers or (self._is_remote and self._is_save_due()):
            self._save()

    def on_train_end(self, logs: Any = None) -> None:
        """Saves once more if anything has changed."""
        super().on_train_end(logs)
        if self._num_steps and self._saved_step != self._num_steps:
            self._save()

    def keep(self) -> list[str]:
        """Saves unless that was done after the last step."""
        if self._saved_step == self._num_steps:
            return [type(self).__name__]
        self._save()
        return [type(self).__name__]

    def restore(self) -> None:
        """Restores the newest checkpoint, if there is one."""
        model = self.model
        if not _has_weights(model):
            raise ValueError(
                "Expected a model that is built before fit; got one that is "
                "not. Give it an Input layer, or call it on a batch."
            )
        saved = {"model": model, "work_queue": self.work_queue}
        # Others that a model has are its attributes, and so saved with it.
        optimizer = getattr(model, "optimizer", None)
        if optimizer is not None:
            saved["optimizer"] = optimizer
            if hasattr(optimizer, "built") and not optimizer.built:
                # So that its variables are there to be restored.
                optimizer.build(model.trainable_variables)
        saved["num_steps"] = self._saved_steps
        self._owner.keep_beside(self._directory)
        self._manager = tf.train.CheckpointManager(
            tf.train.Checkpoint(**saved), self._directory, self._max_to_keep
        )
        path = self._manager.latest_checkpoint
        if path is None:
            return
        self._manager.checkpoint.restore(path)
        self.continue_from(self._saved_steps.value)
        logging.info("Restored %s.", path)

    def _is_save_due(self) -> bool:
        return any(timer.is_due(self._num_steps) for timer in self._save_timers)

    def _note_save(self, num_steps: int) -> None:
        for timer in self._save_timers:
            timer.note(num_steps)

    def _save(self) -> None:
        self.mark_trained()
        self._saved_steps.value = self.step
        self._manager.save(checkpoint_number=self.step)
        self._saved_step = self._num_steps
        self._note_save(self._num_steps)


def _readable(directory: str) -> str:
    """Returns a directory of checkpoints that TensorFlow can read again."""
    # It looks for the files of a checkpoint by its path as a pattern.
    if "\\" in directory or not fnmatch.fnmatchcase(directory, directory):
        raise ValueError(
            "Expected a directory without brackets and backslashes, as "
            "TensorFlow writes checkpoints into one and does not find them "
            f"again; got {directory!r}. Name it otherwise, or save weights by "
            "another callback with WorkQueueCallback(queue, beside=...)."
        )
    return directory


def _has_weights(model: Any) -> bool:
    """Whether there is something to restore; its parts may have been built."""
    if model.built:
        return True
    try:
        return bool(model.weights)
    except ValueError:
        # What Keras 2 raises where there are none yet.
        return False
