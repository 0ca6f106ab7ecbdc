"""Runs the examples of the callbacks' docstrings, interrupted and once more."""

from __future__ import annotations

import inspect
import textwrap

import pytest
import tensorflow as tf

from wq_hooks import WorkQueue, WorkQueueCallback
from wq_hooks.engines import engine_of
from wq_hooks.keras_callbacks import WorkQueueCheckpoint

NUM_FILES, NUM_LINES = 12, 50
# The examples save after so many steps, or a multiple of them.
SAVED = 500
keras = tf.keras
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*input ran out of data:UserWarning",
    "ignore:`shuffle=True` was passed:UserWarning",
)


class InterruptedFitError(Exception):
    pass


class Steps(keras.callbacks.Callback):
    def __init__(self, last=None):
        super().__init__()
        self.last = last
        self.num = 0

    def on_train_batch_end(self, batch, logs=None):
        del batch, logs
        self.num += 1
        if self.num == self.last:
            raise InterruptedFitError


class Model:
    """A model whose `fit` may be interrupted."""

    def __init__(self, last):
        self.steps = Steps(last)
        self._model = keras.Sequential(
            [keras.layers.Input((1,)), keras.layers.Dense(1)]
        )
        self._model.compile("sgd", "mse")

    def fit(self, dataset, *, callbacks, **options):
        callbacks = [*callbacks, self.steps]
        self._model.fit(dataset, callbacks=callbacks, verbose=0, **options)


@pytest.mark.parametrize("callback", [WorkQueueCallback, WorkQueueCheckpoint])
def test_it_goes_on_where_it_had_saved(tmp_path, monkeypatch, callback):
    _, _, example = inspect.getdoc(callback).partition("Example:\n")
    paths = [tmp_path / f"{i}.txt" for i in range(NUM_FILES)]
    for path in paths:
        path.write_text("1\n" * NUM_LINES)
    monkeypatch.chdir(tmp_path)

    def run(last):
        with WorkQueue(paths, shuffle=False) as queue:
            lines = queue.records(tf.data.TextLineDataset).batch(1)
            numbers = lines.map(tf.strings.to_number)
            pairs = numbers.map(lambda x: (x[:, None], x[:, None]))
            names = {
                "tf": tf,
                "queue": queue,
                "dataset": pairs.to_dataset(),
                "model": Model(last),
                "WorkQueueCallback": WorkQueueCallback,
                "WorkQueueCheckpoint": WorkQueueCheckpoint,
            }
            try:
                exec(textwrap.dedent(example), names)
            finally:
                num_steps = names["model"].steps.num
            return num_steps, engine_of(queue).is_done

    with pytest.raises(InterruptedFitError):
        run(SAVED + 30)
    assert run(None) == (NUM_FILES * NUM_LINES - SAVED, True)
