"""A `fit` whose process is told to go: it is left between two batches.

    class WorkQueueCallback(LeavingCallback): ...

The readers get the end of data, so that no batch is waited for, and train what
they hold for a moment. Then all that the callbacks know is saved, and the
process ends. The trap: Keras takes such an end for that of the data, deletes
backups and validates. So the train function does not let it get there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from wq_hooks.core import log as logging
from wq_hooks.core.preemption import Preemption, as_preemption
from wq_hooks.engines.eager import EagerEngine
from wq_hooks.engines.process import ProcessEngine
from wq_hooks.keras_callbacks.save_now import (
    Place,
    callbacks_around,
    save_now,
)
from wq_hooks.runtime.threads import preemption
from wq_hooks.runtime.threads.process_threads import end_all_early

_ENDS = (StopIteration, tf.errors.OutOfRangeError)


class _CutShort:
    """A function of Keras that tells where it has met the end of data.

    Args:
      function: The function.
      at_end: Called there.
    """

    def __init__(self, function: Callable[[Any], Any], at_end: Any):
        self.function = function
        self._at_end = at_end

    def __call__(self, iterator: Any) -> Any:
        try:
            return self.function(iterator)
        except _ENDS:
            self._at_end()
            raise


class LeavingCallback(tf.keras.callbacks.Callback):
    """Ends the process of a `fit` in order, when it is told to go.

    Args:
      on_preemption: What to do at SIGTERM; None: leave it alone.
    """

    _engine: ProcessEngine

    def __init__(self, on_preemption: Preemption | None):
        super().__init__()
        self._settings = as_preemption(on_preemption)
        self._watch = preemption.watch(None)
        self._place = Place()
        self._callbacks: list[Any] = []
        self._is_in_fit = self._is_scheduled = self._has_trained = False

    # What a subclass has.

    def settle(self, *, is_through: bool, is_epoch_over: bool) -> None:
        """Says what was trained, and gives back the rest.

        Args:
          is_through: Whether all was trained that the readers held.
          is_epoch_over: Whether all steps of an epoch were.
        """
        raise NotImplementedError

    def keep(self) -> list[str]:
        """Saves what is this callback's; returns by what the model was."""
        raise NotImplementedError

    # Events. A subclass calls these after its own.

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Notes where the `fit` is."""
        del logs
        self._place = Place(epoch)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Notes where the `fit` is."""
        self._has_trained = True
        self._place.batch = batch
        # Those of a scheduled step are on a worker.
        self._place.logs = logs if isinstance(logs, Mapping) else {}

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Leaves if the process has to go."""
        del epoch
        if isinstance(logs, Mapping):
            self._place.logs = {**self._place.logs, **logs}
        self._end_epoch()

    def on_test_begin(self, logs: Any = None) -> None:
        """Leaves the evaluation of a `fit` if the process has to go."""
        del logs
        self._end_epoch()
        self.guard("test_function")

    def on_test_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Likewise."""
        del batch, logs
        self._leave_if_told()

    def on_test_end(self, logs: Any = None) -> None:
        """Likewise."""
        del logs
        self._leave_if_told()
        self._unguard("test_function")

    def begin_leave(
        self, engine: ProcessEngine, *, may_leave: bool, is_scheduled: bool
    ) -> None:
        """Watches from now on.

        Args:
          engine: Engine of the queue.
          may_leave: Whether no other process trains in step with this one.
          is_scheduled: Whether the steps run on the workers of a coordinator.

        Raises:
          SystemExit: If the process was told to go before.
        """
        self._watch.close()
        self._place = Place()
        self._is_in_fit, self._is_scheduled = True, is_scheduled
        self._has_trained = False
        self._callbacks = callbacks_around()
        if self._settings is not None and not may_leave:
            logging.info(
                "Work queue %s: SIGTERM is left alone, since several processes "
                "train in step; see "
                "tf.distribute.experimental.PreemptionCheckpointHandler.",
                engine.name,
            )
        self._watch = preemption.watch(
            self._settings if may_leave else None,
            end_all_early,
            name=f"the fit with work queue {engine.name}",
        )

    def close_leave(self) -> None:
        """Watches no more."""
        self._unguard("train_function")
        self._is_in_fit = False
        self._watch.close()

    def guard(self, name: str) -> None:
        """Leaves where a function of the model meets the end of data.

        Args:
          name: Name of its attribute, such as "train_function".
        """
        # One that has failed has left its own.
        self._unguard(name)
        if self._is_in_fit and not self._is_scheduled:
            inner = getattr(self.model, name)
            setattr(self.model, name, _CutShort(inner, self._leave_at_end))

    def leave_if_drained(self) -> None:
        """Leaves, between two batches, when what was begun has had its time.

        Raises:
          SystemExit: If the process was told to go.
        """
        timetable = self._watch.timetable
        if timetable is None:
            return
        # Others wait for what a process holds that has connected.
        is_own = isinstance(self._engine, EagerEngine)
        end = timetable.own_drain_until if is_own else timetable.drain_until
        if time.monotonic() >= end:
            self._leave(is_through=False)

    # Inside.

    def _unguard(self, name: str) -> None:
        guarded = getattr(self.model, name, None)
        if isinstance(guarded, _CutShort):
            setattr(self.model, name, guarded.function)

    def _end_epoch(self) -> None:
        # Steps that were only scheduled may have met the end of data.
        self._place.is_epoch_over = not self._is_scheduled
        self._leave_if_told()

    def _leave_if_told(self) -> None:
        if self._is_in_fit and self._watch.is_preempted:
            self._leave(is_through=self._is_scheduled)

    def _leave_at_end(self) -> None:
        # An evaluation may have met the end of its own data.
        is_through = not self._place.is_epoch_over
        if self._is_in_fit and self._watch.is_preempted:
            self._leave(is_through=is_through)

    def _leave(self, *, is_through: bool) -> None:
        """Gives back and saves what the callbacks of this `fit` know.

        Args:
          is_through: Whether all was trained that the readers held.

        Raises:
          SystemExit: Then.
        """
        self._is_in_fit = False
        family = [c for c in self._callbacks if isinstance(c, LeavingCallback)]
        for callback in family:
            callback.settle(
                is_through=is_through, is_epoch_over=self._place.is_epoch_over
            )
        saved = []
        if self._has_trained:
            saved = save_now(self._callbacks, self._place)
            for callback in family:
                try:
                    saved += callback.keep()
                except Exception as e:
                    logging.error(
                        "%s could not save: %r", type(callback).__name__, e
                    )
        logging.info(
            "The fit with work queue %s was left after batch %d of epoch %d; "
            "saved by %s.",
            self._engine.name,
            self._place.batch,
            self._place.epoch,
            ", ".join(saved) or "no callback",
        )
        self._watch.leave()
        # In another thread than the main one, which ends with the process.
        raise SystemExit(0)
