"""WorkQueueCheckpoint: model, optimizer and queue in one checkpoint."""

from __future__ import annotations

import os
import time
from typing import Any

import tensorflow as tf
from absl import logging

from wq_hooks.keras_callbacks.work_queue_callback import (
    WorkQueueCallback,
    expect_position,
)
from wq_hooks.work_queue import WorkQueue


class WorkQueueCheckpoint(WorkQueueCallback):
    """Saves model, optimizer and queue together, and restores them.

    It is a WorkQueueCallback, so that one callback is enough. The first
    `on_train_begin` restores the newest checkpoint of the directory; later
    `fit` calls go on with what is in memory. It saves after train steps or at
    the end of each epoch of Keras, and always at the end of training.

    Args:
      work_queue: A WorkQueue of eager mode.
      directory: Of the checkpoints.
      every_n_steps: Save after so many steps.
      every_n_secs: Save when so many seconds have gone by. If both are None:
        at the end of each epoch.
      max_to_keep: How many checkpoints to keep; None: all.
      log_dir: See WorkQueueCallback.
      report_every_n_secs: How often to report.

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
    ):
        super().__init__(
            work_queue, log_dir=log_dir, every_n_secs=report_every_n_secs
        )
        expect_position(self.work_queue, "WorkQueueCheckpoint")
        for key, value in (
            ("every_n_steps", every_n_steps),
            ("every_n_secs", every_n_secs),
            ("max_to_keep", max_to_keep),
        ):
            if value is not None and value <= 0:
                raise ValueError(f"Expected {key} > 0 or None; got {value}.")
        self._directory = os.fspath(directory)
        self._save_every_n_steps = every_n_steps
        self._save_every_n_secs = every_n_secs
        self._max_to_keep = max_to_keep
        self._manager: Any = None
        self._last_save_secs = 0.0
        self._last_save_steps = 0
        self._saved_step: int | None = None

    def on_train_begin(self, logs: Any = None) -> None:
        """Restores the newest checkpoint, the first time."""
        self._last_save_secs = time.monotonic()
        self._last_save_steps = 0
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
        is_due = self._is_remote and self._is_save_due()
        is_by_epochs = (
            self._save_every_n_steps is None and self._save_every_n_secs is None
        )
        if is_due or is_by_epochs:
            self._save()

    def on_train_end(self, logs: Any = None) -> None:
        """Saves once more if anything has changed."""
        super().on_train_end(logs)
        if self._num_steps and self._saved_step != self._num_steps:
            self._save()

    def restore(self) -> None:
        """Restores the newest checkpoint, if there is one."""
        model = self.model
        optimizer = model.optimizer
        if not model.built and hasattr(optimizer, "build"):
            raise ValueError(
                "Expected a model that is built before fit; got one that is "
                "not. Give it an Input layer, or call it on a batch."
            )
        if hasattr(optimizer, "built") and not optimizer.built:
            # So that its variables are there to be restored.
            optimizer.build(model.trainable_variables)
        self.work_queue.keep_beside(self._directory)
        self._manager = tf.train.CheckpointManager(
            tf.train.Checkpoint(
                model=model, optimizer=optimizer, work_queue=self.work_queue
            ),
            self._directory,
            self._max_to_keep,
        )
        path = self._manager.latest_checkpoint
        if path is None:
            return
        self._manager.checkpoint.restore(path)
        logging.info("Restored %s.", path)

    def _is_save_due(self) -> bool:
        if self._save_every_n_steps is not None:
            num_steps = self._num_steps - self._last_save_steps
            if num_steps >= self._save_every_n_steps:
                return True
        if self._save_every_n_secs is not None:
            elapsed = time.monotonic() - self._last_save_secs
            return elapsed >= self._save_every_n_secs
        return False

    def _save(self) -> None:
        self.mark_trained()
        step = int(self.model.optimizer.iterations.numpy())
        self._manager.save(checkpoint_number=step)
        self._last_save_secs = time.monotonic()
        self._last_save_steps = self._saved_step = self._num_steps
