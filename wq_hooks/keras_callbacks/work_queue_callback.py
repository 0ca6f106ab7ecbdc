"""WorkQueueCallback: log lines, summaries and a clean end under `fit`."""

from __future__ import annotations

import os
import time
from typing import Any

import tensorflow as tf
from absl import logging

from wq_hooks.core.view import Viewer
from wq_hooks.eager_queue import EagerWorkQueue
from wq_hooks.errors import WorkQueueError
from wq_hooks.keras_callbacks import skip
from wq_hooks.keras_callbacks.remote_fit import RemoteFit
from wq_hooks.runtime.parameter_servers import (
    expect_dataset_creator,
    is_on_parameter_servers,
)
from wq_hooks.runtime.position_file import PositionFile
from wq_hooks.summary import write_v2
from wq_hooks.work_queue import WorkQueue

# Their iterators hold batches on the devices that no step has asked for.
_STRATEGIES_THAT_PREFETCH = (
    tf.distribute.MirroredStrategy,
    tf.distribute.MultiWorkerMirroredStrategy,
    tf.distribute.OneDeviceStrategy,
    tf.distribute.TPUStrategy,
)


class WorkQueueCallback(tf.keras.callbacks.Callback):
    """Reports how far a queue is, and ends `fit` when it has ended.

    `on_train_begin` restores the position that belongs to the weights, if
    `beside` says where those are. After train steps the batches count as
    trained, with `steps_per_execution` all of the execution's. When an epoch
    of Keras has met the end of data, training stops. `on_train_end` reports
    once more. Under a ParameterServerStrategy, which only schedules steps, all
    this is done at the end of each epoch of Keras.

    Args:
      work_queue: A WorkQueue of eager mode.
      log_dir: Summaries go to `work_queue` in it, as of the TensorBoard
        callback; None: no summaries.
      every_n_secs: How often to report, in seconds; None: by steps.
      every_n_steps: How often to report, in steps; None: by seconds.
      beside: What another callback saves the weights to: the `backup_dir` of
        BackupAndRestore, or the `filepath` of ModelCheckpoint. The position is
        kept in a file beside it, each time that the weights there change. To
        load the weights is up to that callback, or to you.

    Example:
      backup = tf.keras.callbacks.BackupAndRestore("backup", save_freq=100)
      model.fit(
          dataset,
          callbacks=[backup, WorkQueueCallback(queue, beside="backup")],
      )
    """

    def __init__(
        self,
        work_queue: WorkQueue,
        *,
        log_dir: str | os.PathLike[str] | None = None,
        every_n_secs: float | None = 60.0,
        every_n_steps: int | None = None,
        beside: str | os.PathLike[str] | None = None,
    ):
        super().__init__()
        # Under a ParameterServerStrategy Keras 2 refuses callbacks that have
        # events of batches, but for those that say that they can do without
        # the logs.
        self._supports_tf_logs = True
        if not isinstance(work_queue, EagerWorkQueue):
            what = "one of graph mode"
            if not isinstance(work_queue, WorkQueue):
                what = repr(work_queue)
            raise TypeError(
                "Expected a WorkQueue that was made in eager mode, outside of "
                f"any tf.Graph; got {what:.200}. In graph mode use "
                "WorkQueueHook."
            )
        if beside is not None:
            expect_position(work_queue, "beside")
        if every_n_steps is not None:
            every_n_secs = None
        elif every_n_secs is None:
            raise ValueError(
                "Expected every_n_secs or every_n_steps; got None for both."
            )
        self.work_queue = work_queue
        self._log_dir = None if log_dir is None else os.fspath(log_dir)
        self._every_n_secs = every_n_secs
        self._every_n_steps = every_n_steps
        self._position_file = None if beside is None else PositionFile(beside)
        self._has_restored = False
        self._is_remote = False
        self._remote_fit: RemoteFit | None = None
        self._writer: Any = None
        self._viewer = Viewer(work_queue.name)
        self._num_steps = 0
        self._num_steps_in_epoch = 0
        self._last_report_secs = 0.0
        self._last_report_steps = 0

    # Events of Keras.

    def on_train_begin(self, logs: Any = None) -> None:
        """Restores, once for each callback, and skips a `fit` with no data."""
        del logs
        self._is_remote = is_on_parameter_servers(
            getattr(self.model, "distribute_strategy", None)
        )
        if self._is_remote:
            expect_dataset_creator()
            self._remote_fit = RemoteFit(self.model, self.work_queue)
        self._viewer = Viewer(self.work_queue.name)
        self._num_steps = self._num_steps_in_epoch = 0
        self._last_report_secs = time.monotonic()
        self._last_report_steps = 0
        if not self._has_restored:
            self._has_restored = True
            self.restore()
        if self.work_queue.is_done:
            logging.info(
                "Work queue %s: all items are completed; there is nothing to "
                "be trained.",
                self.work_queue.name,
            )
            skip.skip_fit(self.model, self.params["epochs"])

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Begins to count the steps of the epoch."""
        del epoch, logs
        self._num_steps_in_epoch = 0
        self._keep_position()

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Looks whether another callback has saved the weights."""
        del batch, logs
        if not self._is_remote:
            self._keep_position()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Reports if it is time."""
        del logs
        # With steps_per_execution, `batch` is the last one of several.
        self._num_steps += batch + 1 - self._num_steps_in_epoch
        self._num_steps_in_epoch = batch + 1
        if self._remote_fit is not None:
            if self._num_steps_in_epoch >= self.params["steps"]:
                self._remote_fit.wait_for_steps()
            return
        self._keep_position()
        if self._is_due():
            self._report()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Stops training if the epoch has met the end of data."""
        del epoch, logs
        if self._is_remote and self._is_due():
            self._report()
        is_through = self._has_met_end()
        self.mark_trained(is_through=is_through)
        self._keep_position()
        if is_through:
            self.model.stop_training = True

    def on_train_end(self, logs: Any = None) -> None:
        """Reports."""
        del logs
        if self._remote_fit is not None:
            self._remote_fit.close()
            self._remote_fit = None
        self.mark_trained()
        self._keep_position()
        skip.unskip_fit(self.model)
        self.work_queue.forgive()
        self._report()

    # For subclasses.

    def restore(self) -> None:
        """Continues where the last run has saved, if it has."""
        if self._position_file is not None:
            folder = os.path.dirname(self._position_file.path)
            self.work_queue.keep_beside(folder or os.curdir)
            position = self._position_file.read()
            if position is not None:
                self.work_queue.restore(position)

    def mark_trained(self, *, is_through: bool = False) -> None:
        """Says, between two steps, that all that was delivered was trained.

        Args:
          is_through: Whether the end of data was met, and no batch is left.
        """
        strategy = getattr(self.model, "distribute_strategy", None)
        if is_through or not isinstance(strategy, _STRATEGIES_THAT_PREFETCH):
            self.work_queue.mark_trained(is_through=is_through)

    # Inside.

    def _has_met_end(self) -> bool:
        """Whether this epoch of Keras has ended for want of data."""
        if self._is_remote:
            self.work_queue.mark_trained()
            return self.work_queue.is_done
        if not self.work_queue.has_ended or self.model.stop_training:
            return False
        steps = self.params.get("steps")
        return steps is None or self._num_steps_in_epoch < steps

    def _keep_position(self) -> None:
        file = self._position_file
        if file is not None and file.has_changed():
            self.mark_trained()
            file.write(self.work_queue.snapshot())

    def _is_due(self) -> bool:
        if self._every_n_secs is not None:
            elapsed = time.monotonic() - self._last_report_secs
            return elapsed >= self._every_n_secs
        num_steps = self._num_steps - self._last_report_steps
        return num_steps >= (self._every_n_steps or 1)

    def _report(self) -> None:
        self._last_report_secs = time.monotonic()
        self._last_report_steps = self._num_steps
        if not self.work_queue.is_chief:
            # The process that serves the queue writes the summaries.
            logging.info(
                "Work queue %s: %d items remain.",
                self.work_queue.name,
                int(self.work_queue.size()),
            )
            return
        view = self.work_queue.view(self._viewer)
        logging.info(
            "Work queue %s: %s.",
            self.work_queue.name,
            view.progress.in_words(),
        )
        if self._log_dir is None:
            return
        is_first = self._writer is None
        if is_first:
            self._writer = tf.summary.create_file_writer(
                os.path.join(self._log_dir, "work_queue")
            )
        step = int(self.model.optimizer.iterations.numpy())
        write_v2(self._writer, view, step, with_layout=is_first)


def expect_position(work_queue: EagerWorkQueue, what: str) -> None:
    """Raises an error if the position of a queue is another process'."""
    if not work_queue.is_chief:
        raise WorkQueueError(
            f"Expected {what} in the process that serves work queue "
            f"{work_queue.name!r} and keeps its position; this one has "
            "connected to it. Use a plain WorkQueueCallback(queue) here."
        )
