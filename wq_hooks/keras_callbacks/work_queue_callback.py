"""WorkQueueCallback: log lines, summaries and a clean end under `fit`."""

from __future__ import annotations

import os
from typing import Any

import tensorflow as tf

from wq_hooks.core import log as logging
from wq_hooks.core.monitoring.view import Viewer
from wq_hooks.core.preemption import PREEMPTION, Preemption
from wq_hooks.core.step_timer import StepTimer
from wq_hooks.engines import Engine, engine_of
from wq_hooks.engines.eager import EagerEngine
from wq_hooks.engines.process import ProcessEngine
from wq_hooks.errors import WorkQueueError
from wq_hooks.hooks.summary import write_v2
from wq_hooks.keras_callbacks import skip
from wq_hooks.keras_callbacks.leaving import LeavingCallback
from wq_hooks.keras_callbacks.remote_fit import RemoteFit
from wq_hooks.metrics.chief_metrics import ChiefMetrics
from wq_hooks.runtime.saving.position_file import PositionFile
from wq_hooks.runtime.strategies.parameter_servers import (
    expect_dataset_creator,
    is_on_parameter_servers,
)
from wq_hooks.work_queue import WorkQueue

# Iterators of these hold batches that no step has asked for. A batch is divided
# among all replicas of a job; a task's own replicas take their share of it in
# one step.
_STRATEGIES_THAT_PREFETCH = (
    tf.distribute.MirroredStrategy,
    tf.distribute.MultiWorkerMirroredStrategy,
    tf.distribute.OneDeviceStrategy,
)


class WorkQueueCallback(LeavingCallback):
    """Reports how far a queue is, and ends `fit` when it has ended.

    `on_train_begin` restores the position that belongs to the weights, if
    `beside` says where those are. After train steps their batches count as
    trained, with `steps_per_execution` all of the execution's; not those that
    Keras or a strategy has fetched ahead. (So it is for `records`: the items of
    an `input_dataset` are completed when the next one is asked for.) When an
    epoch of Keras has met the end of data, training stops. `on_train_end`
    reports once more. Under a ParameterServerStrategy, which only schedules
    steps, all this is done at the end of each epoch of Keras.

    At SIGTERM the batch that runs ends. What the readers hold may be trained
    for a moment more, without new items. Then model and position are saved by
    those callbacks of this `fit` that save: BackupAndRestore, ModelCheckpoint
    unless it saves the best model only, and WorkQueueCheckpoint. An epoch that
    was cut short is trained once more as a whole after BackupAndRestore, with
    the records that follow. The process ends with exit code 143.

    Args:
      work_queue: A WorkQueue of eager mode.
      log_dir: Summaries go to `work_queue` in it, as of the TensorBoard
        callback; None: no summaries.
      every_n_secs: How often to report, in seconds; None: by steps.
      every_n_steps: How often to report, in steps; None: by seconds.
      beside: Path that another callback saves weights to: the `backup_dir` of
        BackupAndRestore, or the `filepath` of ModelCheckpoint. The position is
        kept in a file beside it, each time that the weights there change. To
        load the weights is up to that callback, or to you.
      metrics_port: TCP port on which Prometheus, and `wq-hooks status`, find
        the numbers during `fit`; see WorkQueueHook.
      on_preemption: What to do at SIGTERM, or at a notice; None: leave it
        alone. It is left alone where several processes train in step under a
        MultiWorkerMirroredStrategy, which none may leave on its own.

    Example:
      backup = tf.keras.callbacks.BackupAndRestore("backup")
      model.fit(
          dataset,
          steps_per_epoch=100,  # Keras 2 cannot go on in an epoch of unknown
          epochs=1000,  # size; the callback stops at the end of the data.
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
        metrics_port: int | None = None,
        on_preemption: Preemption | None = PREEMPTION,
    ):
        super().__init__(on_preemption)
        # Under a ParameterServerStrategy Keras 2 refuses callbacks that have
        # events of batches, but for those that say that they can do without
        # the logs.
        self._supports_tf_logs = True
        self._engine = _process_engine_of(work_queue)
        if beside is not None:
            expect_position(self._engine, "beside")
        if every_n_steps is None and every_n_secs is None:
            raise ValueError(
                "Expected every_n_secs or every_n_steps; got None for both."
            )
        self._report_timer = StepTimer(
            every_n_secs if every_n_steps is None else None, every_n_steps
        )
        self.work_queue = work_queue
        self._engine.service.readers.expect_step_counter()
        self._log_dir = None if log_dir is None else os.fspath(log_dir)
        self._position_file = None if beside is None else PositionFile(beside)
        self._metrics = ChiefMetrics(metrics_port)
        self._has_restored = False
        self._is_remote = False
        self._remote_fit: RemoteFit | None = None
        self._writer: Any = None
        self._viewer = Viewer(work_queue.name)
        # It is counted here: a model may have several optimizers, or none.
        self._first_step = 0
        self._num_steps = 0
        self._num_steps_in_epoch = 0
        # How many batches the queue was told to be trained.
        self._num_told = 0

    def on_train_begin(self, logs: Any = None) -> None:
        """Restores, once for each callback, and skips a `fit` with no data."""
        del logs
        self._is_remote = is_on_parameter_servers(
            getattr(self.model, "distribute_strategy", None)
        )
        if self._is_remote:
            expect_dataset_creator()
            self._remote_fit = RemoteFit(self.model, self._engine)
        self.begin_leave(
            self._engine,
            may_leave=self._is_remote or _num_processes(self.model) == 1,
            is_scheduled=self._is_remote,
        )
        self._viewer = Viewer(self.work_queue.name)
        self._first_step = self.step
        self._num_steps = self._num_steps_in_epoch = self._num_told = 0
        self._report_timer.note(0)
        if not self._has_restored:
            self._has_restored = True
            # Another callback has restored the model, which may have no
            # optimizer, or one that its steps do not use.
            self.continue_from(_iterations_of(self.model))
            self.restore()
        if isinstance(self._engine, EagerEngine):
            self._metrics.start([self._engine])
        if self._engine.is_done:
            logging.info(
                "Work queue %s: all items are completed; there is nothing to "
                "be trained.",
                self.work_queue.name,
            )
            skip.skip_fit(self.model, self.params["epochs"])
        self.guard("train_function")

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Begins to count the steps of the epoch."""
        super().on_epoch_begin(epoch, logs)
        self._num_steps_in_epoch = 0
        self._keep_position()

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Looks whether another callback has saved the weights."""
        del logs
        # After a restore the first batch may be any one of the epoch.
        self._num_steps_in_epoch = batch
        if not self._is_remote:
            self._keep_position()
            self.leave_if_drained()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Reports if it is time."""
        super().on_train_batch_end(batch, logs)
        # With steps_per_execution, `batch` is the last one of several.
        self._num_steps += batch + 1 - self._num_steps_in_epoch
        self._num_steps_in_epoch = batch + 1
        if self._remote_fit is not None:
            if self._num_steps_in_epoch >= self.params["steps"]:
                self._remote_fit.wait_for_steps()
            return
        self._keep_position()
        if self._is_report_due():
            self._report()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Stops training if the epoch has met the end of data."""
        if self._is_remote and self._is_report_due():
            self._report()
        is_through = self._has_met_end()
        self.mark_trained(is_through=is_through)
        self._keep_position()
        if is_through:
            self.model.stop_training = True
        super().on_epoch_end(epoch, logs)

    def on_train_end(self, logs: Any = None) -> None:
        """Reports."""
        del logs
        if self._remote_fit is not None:
            self._remote_fit.close()
            self._remote_fit = None
        self.mark_trained()
        self._keep_position()
        skip.unskip_fit(self.model)
        self.close_leave()
        self._engine.forgive()
        self._report()
        self._metrics.close()

    @property
    def step(self) -> int:
        """How many steps were trained, those of former runs included."""
        return self._first_step + self._num_steps

    def restore(self) -> None:
        """Continues where the last run has saved, if it has."""
        if self._position_file is not None:
            folder = os.path.dirname(self._position_file.path)
            expect_position(self._engine, "beside").keep_beside(
                folder or os.curdir
            )
            position = self._position_file.read()
            if position is not None:
                self.work_queue.restore(position)
                self.continue_from(self._position_file.step)

    def continue_from(self, step: int) -> None:
        """Says how many steps were trained before this `fit`."""
        self._first_step = step

    def mark_trained(self, *, is_through: bool = False) -> None:
        """Says, between two steps, what they have trained; all, at the end."""
        if self._is_remote:
            self.work_queue.mark_trained(is_through=is_through)
            return
        strategy = getattr(self.model, "distribute_strategy", None)
        steps_per_batch = _steps_per_batch(strategy)
        num_batches = self._num_steps // (steps_per_batch or 1)
        self._engine.service.readers.mark_trained(
            num_batches - self._num_told,
            is_through=is_through,
            # What a strategy does with the batches is known, but for what
            # stands between it and `to_dataset`.
            is_sure=lambda readers: (
                steps_per_batch is not None and not readers.is_regrouped
            ),
        )
        self._num_told = num_batches

    def settle(self, *, is_through: bool, is_epoch_over: bool) -> None:
        """Says what was trained, and gives back the rest."""
        has_met_end = is_epoch_over and self._has_met_end()
        self.mark_trained(is_through=is_through or has_met_end)
        self._engine.leave()

    def keep(self) -> list[str]:
        """Keeps the position of the weights that another callback has saved."""
        self._keep_position()
        return []

    def _has_met_end(self) -> bool:
        """Whether this epoch of Keras has met the end of data."""
        if self._is_remote:
            self.work_queue.mark_trained()
            return self._engine.is_done
        if not self._engine.has_ended or self.model.stop_training:
            return False
        steps = self.params.get("steps")
        return steps is None or self._num_steps_in_epoch < steps

    def _keep_position(self) -> None:
        file = self._position_file
        if file is not None and file.has_changed():
            self.mark_trained()
            file.write(self.work_queue.snapshot(), self.step)

    def _is_report_due(self) -> bool:
        return self._report_timer.is_due(self._num_steps)

    def _report(self) -> None:
        self._report_timer.note(self._num_steps)
        if not isinstance(self._engine, EagerEngine):
            # The process that serves the queue writes the summaries.
            logging.info(
                "Work queue %s: %d items remain.",
                self.work_queue.name,
                int(self.work_queue.size()),
            )
            return
        view = self._engine.chief.view(self._viewer)
        logging.info(
            "Work queue %s: %s.",
            self.work_queue.name,
            view.in_words(),
        )
        if self._log_dir is None:
            return
        is_first = self._writer is None
        if is_first:
            self._writer = tf.summary.create_file_writer(
                os.path.join(self._log_dir, "work_queue")
            )
        write_v2(self._writer, view, self.step, with_layout=is_first)


def _steps_per_batch(strategy: Any) -> int | None:
    """Returns in how many steps a task trains a batch; None: not known."""
    if not isinstance(strategy, _STRATEGIES_THAT_PREFETCH):
        return None
    num_own = len(strategy.extended.worker_devices)
    return int(strategy.num_replicas_in_sync) // num_own


def _num_processes(model: Any) -> int:
    """Returns how many processes train a model in step."""
    return _steps_per_batch(getattr(model, "distribute_strategy", None)) or 1


def _iterations_of(model: Any) -> int:
    """Returns how many steps the optimizer of a model has made, if it says."""
    iterations = getattr(getattr(model, "optimizer", None), "iterations", None)
    return 0 if iterations is None else int(iterations.numpy())


def _process_engine_of(work_queue: object) -> ProcessEngine:
    """Returns the engine of a queue of eager mode; raises TypeError."""
    what = repr(work_queue)
    if isinstance(work_queue, WorkQueue):
        what = "one of graph mode"
        engine = engine_of(work_queue)
        if isinstance(engine, ProcessEngine):
            return engine
    raise TypeError(
        "Expected a WorkQueue that was made in eager mode, outside of any "
        f"tf.Graph; got {what:.200}. In graph mode use WorkQueueHook."
    )


def expect_position(engine: Engine, what: str) -> EagerEngine:
    """Returns an engine; raises an error if another one has its position."""
    if not isinstance(engine, EagerEngine):
        raise WorkQueueError(
            f"Expected {what} in the process that serves work queue "
            f"{engine.name!r} and keeps its position; this one has "
            "connected to it. Use a plain WorkQueueCallback(queue) here."
        )
    return engine
