"""A Keras model that is its own witness, its data, and who kills its process.

The weight of a record grows with each of its updates, so a record whose weight
is 0 at the end was skipped.
"""

from __future__ import annotations

import os
import signal

import tensorflow as tf

keras = tf.keras


def new_model(num_records, **options):
    """Returns a compiled model with a weight for each record."""
    model = keras.Sequential(
        [
            keras.layers.Input(shape=(num_records,)),
            keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros"),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.SGD(1.0),
        loss=lambda y, prediction: tf.reduce_mean(-prediction, -1) + 0.0 * y,
        **options,
    )
    return model


def write_files(directory, num_files, num_lines):
    """Writes the number of each record on a line; returns the paths."""
    paths = []
    for i in range(num_files):
        path = os.path.join(directory, f"data-{i}.txt")
        first = i * num_lines
        with open(path, "w", encoding="utf-8") as f:
            f.writelines(f"{first + k}\n" for k in range(num_lines))
        paths.append(path)
    return paths


class Killer(keras.callbacks.Callback):
    """Kills this process at the end of a step, or of the epoch it is in."""

    def __init__(self, step, at_epoch_end=False):
        super().__init__()
        self.num_steps = 0
        self._step = step
        self._at_epoch_end = at_epoch_end

    def on_train_batch_end(self, batch, logs=None):
        del batch, logs
        self.num_steps += 1
        if self.num_steps == self._step and not self._at_epoch_end:
            os.kill(os.getpid(), signal.SIGKILL)

    def on_epoch_end(self, epoch, logs=None):
        del epoch, logs
        if 0 < self._step <= self.num_steps:
            os.kill(os.getpid(), signal.SIGKILL)
