"""Trains with Keras until SIGTERM, and goes on when started again.

    keras_preempted.py SAVER DIRECTORY WHERE

SAVER says which callbacks save, WHERE when SIGTERM comes; "": never. The model
tells what it has seen; see tests/support/keras_witness.py.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

import numpy as np
import tensorflow as tf

from tests.support.keras_version import has_keras_2
from tests.support.keras_witness import new_model, write_files
from wq_hooks import WorkQueue, WorkQueueCallback, WorkQueueCheckpoint
from wq_hooks.engines import engine_of

NUM_FILES = 8
NUM_LINES = 6
BATCH_SIZE = 4
TOTAL = NUM_FILES * NUM_LINES
AT_STEP = 5

keras = tf.keras


def stop():
    print(json.dumps({"stopped": time.monotonic()}), flush=True)
    os.kill(os.getpid(), signal.SIGTERM)


def stop_when(condition):
    """Sends SIGTERM when a condition holds, from another thread."""
    # Python's own timer, which is no synchronisation: it looks again.
    pause = threading.Event()

    def wait():
        while not condition():
            pause.wait(0.02)
        stop()

    threading.Thread(target=wait, daemon=True).start()


def is_waiting(queue):
    """Whether a reader asks for an item, and there is none."""
    chief = engine_of(queue).chief
    return chief.is_somebody_asking() and not chief.ledger.has_to_issue()


class Stopper(keras.callbacks.Callback):
    """Sends SIGTERM to this process."""

    def __init__(self, where):
        super().__init__()
        self.where = where
        self.num_steps = 0

    def on_train_begin(self, logs=None):
        del logs
        if self.where == "before":
            stop()

    def on_train_batch_end(self, batch, logs=None):
        del batch, logs
        self.num_steps += 1
        if self.where == "step" and self.num_steps == AT_STEP:
            stop()

    def on_test_batch_end(self, batch, logs=None):
        del batch, logs
        if self.where == "evaluate":
            stop()


def parse(lines):
    # The loss is a mean: each record adds one to its weight.
    numbers = tf.strings.to_number(lines, tf.int32)
    size = tf.shape(numbers)[0]
    return tf.one_hot(numbers, TOTAL, tf.cast(size, tf.float32)), tf.zeros(
        [size, 1]
    )


def new_callbacks(saver, queue, model, directory):
    """Returns callbacks, and options of fit."""
    if saver == "none":
        return [WorkQueueCallback(queue, on_preemption=None)], {}
    path = directory / "model"
    if saver in ("checkpoint", "executions"):
        several = saver == "executions"
        # In steps_per_execution=7 there are 5 that wait.
        options = {"steps_per_epoch": 14, "epochs": 9} if several else {}
        return [WorkQueueCheckpoint(queue, path)], options
    # Keras 2 cannot go on in the middle of an epoch of unknown size.
    options = {"steps_per_epoch": 3, "epochs": 100}
    if saver.startswith("backup"):
        freq = {"save_freq": 2} if saver == "backup_steps" else {}
        # First, since it sets the first epoch, which is none at the end.
        return [
            keras.callbacks.BackupAndRestore(str(path), **freq),
            WorkQueueCallback(queue, beside=path),
        ], options
    path = f"{path}.weights.h5"
    if os.path.exists(path):
        model.load_weights(path)
    freq = {"save_freq": 4} if saver == "weights_steps" else {}
    return [
        WorkQueueCallback(queue, beside=path),
        keras.callbacks.ModelCheckpoint(path, save_weights_only=True, **freq),
    ], options


def main(saver, directory, where):
    files = write_files(directory, NUM_FILES, NUM_LINES)
    queue = WorkQueue(files, shuffle=False, is_open=True)
    several = saver == "executions"
    model = new_model(TOTAL, **({"steps_per_execution": 7} if several else {}))
    model.optimizer.build(model.trainable_variables)
    records = queue.records(tf.data.TextLineDataset)
    if where.startswith("shuffled"):
        records = records.shuffle(9, seed=1)
    dataset = records.batch(BATCH_SIZE).map(parse).prefetch(1).to_dataset()
    callbacks, options = new_callbacks(saver, queue, model, directory)
    stopper = Stopper(where.replace("shuffled", ""))
    if where == "first":
        held = [queue.take() for _ in files]
        assert len(held) == NUM_FILES
    if where.startswith("evaluate"):
        options = {"steps_per_epoch": 3, "epochs": 100}
        plain = tf.data.Dataset.range(8).map(
            lambda x: (tf.one_hot(x, TOTAL), tf.zeros([1]))
        )
        data = plain.batch(2)
        if where == "evaluate_wait":
            other = WorkQueue(files[:1], name="evaluation", is_open=True)
            data = other.records(tf.data.TextLineDataset).batch(4).map(parse)
            data = data.to_dataset()
            stop_when(lambda: is_waiting(other))
        options["validation_data"] = data
    if stopper.where in ("wait", "first"):
        stop_when(lambda: is_waiting(queue))
    if where == "":
        queue.close_works()
    model.fit(dataset, callbacks=[*callbacks, stopper], verbose=0, **options)
    weights = np.ravel(model.get_weights()[0])
    print(
        json.dumps(
            {
                "lost": int(np.sum(weights < 0.99)),
                "repeated": round(float(np.sum(weights - 1)), 2),
                "num_steps": stopper.num_steps,
                "is_done": engine_of(queue).is_done,
                "keras": 2 if has_keras_2 else 3,
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
