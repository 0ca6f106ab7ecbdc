"""`fit` under ParameterServerStrategy, where steps are scheduled and not run.

    fit = RemoteFit(model, queue)      # in on_train_begin
    fit.wait_for_steps()               # after the last step of an epoch
    fit.close()                        # in on_train_end

Keras 2 reads ahead on the workers, and schedules all steps of an epoch at once:

* What it reads ahead would count as trained. So the steps get an iterator of
  the queue's own.
* Steps after the end of data fail. Keras sees that, and then asks the last of
  them for its logs, which would end `fit` with an error.
* When all steps are taken, a worker may wait for what another one holds that
  has no step left to train it. That one gets some more steps.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from wq_hooks.engines.eager import EagerEngine
from wq_hooks.engines.process import ProcessEngine
from wq_hooks.errors import WorkQueueError

_LOOK_EVERY_SECS = 0.02
_AFTER_THE_END = (tf.errors.OutOfRangeError, tf.errors.CancelledError)


class _Logs(tf.distribute.coordinator.RemoteValue):
    """The logs of a step that may come after the end of data."""

    def __init__(self, value: Any, fit: RemoteFit):
        self._value = value
        self._fit = fit

    def fetch(self) -> Any:
        """Waits for the step, and returns its logs."""
        return self._fit.logs(self._value.fetch)

    def get(self) -> Any:
        """Waits for the step, and returns its logs where they are."""
        return self._fit.logs(self._value.get)


class RemoteFit:
    """Watches one `fit` of a queue that was made in its strategy's scope."""

    def __init__(self, model: tf.keras.Model, engine: ProcessEngine):
        self._model = model
        self._engine = engine
        self._schedule = model.train_function
        workers = engine.workers if isinstance(engine, EagerEngine) else None
        if workers is None or workers.dataset_fn is None:
            raise WorkQueueError(
                "Expected fit(queue.dataset_creator(dataset_fn)) with a queue "
                "that was made in the strategy's scope; got another dataset or "
                "queue."
            )
        self._workers = workers
        # It is the strategy's own: there is no second one.
        self._coordinator = tf.distribute.coordinator.ClusterCoordinator(
            model.distribute_strategy
        )
        self._iterator = workers.iterator(self._coordinator, workers.dataset_fn)
        model.train_function = self._train

    def close(self) -> None:
        """Leaves the model as it was."""
        self._model.train_function = self._schedule

    def logs(self, fetch: Callable[[], Any]) -> Any:
        """Returns what `fetch` returns; after the end the model's metrics."""
        try:
            return fetch()
        except _AFTER_THE_END:
            if not (self._engine.is_done or self._engine.is_ending_early):
                raise
            return self._model.get_metrics_result()

    def wait_for_steps(self) -> None:
        """Waits until all steps are through; schedules more if one is stuck.

        Raises:
          tf.errors.OutOfRangeError: At the end of data.
        """
        # No step can be scheduled while Keras waits for them.
        while not self._coordinator.done():
            num_waiting = self._workers.num_waiting
            num_free = self._workers.num_workers - num_waiting
            if num_waiting and num_free > 0:
                # In turn, so that no more than these come after the end.
                for value in [self._train(None) for _ in range(num_free)]:
                    value.fetch()
            else:
                time.sleep(_LOOK_EVERY_SECS)

    def _train(self, iterator: Any) -> Any:
        del iterator
        return _Logs(self._schedule(self._iterator), self)
