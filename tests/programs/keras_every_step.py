"""Trains a few steps with Keras, saves each, and is killed behind one of them.

    keras_every_step.py MODE DIRECTORY KILL_AT

The model tells what it has seen; see tests/support/keras_witness.py.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

from tests.support.keras_version import has_keras_2
from tests.support.keras_witness import Killer, new_model, write_files
from wq_hooks import WorkQueue, WorkQueueCallback, WorkQueueCheckpoint
from wq_hooks.engines import engine_of

NUM_FILES = 3
NUM_LINES = 4
BATCH_SIZE = 2
TOTAL = NUM_FILES * NUM_LINES

keras = tf.keras


def parse(lines):
    numbers = tf.strings.to_number(lines, tf.int32)
    return tf.one_hot(numbers, TOTAL), tf.zeros([tf.shape(numbers)[0], 1])


def main(mode, directory, kill_at):
    files = write_files(directory, NUM_FILES, NUM_LINES)
    queue = WorkQueue(files, shuffle=False)
    model = new_model(TOTAL)
    model.optimizer.build(model.trainable_variables)
    records = queue.records(tf.data.TextLineDataset)
    if "shuffled" in mode:
        records = records.shuffle(5, seed=1)
    dataset = records.batch(BATCH_SIZE).map(parse).to_dataset()
    if mode == "beside":
        # TensorFlow does not find its checkpoints in one with brackets.
        folder = directory / ("run" if has_keras_2 else "run[lr=0.1]")
        folder.mkdir(exist_ok=True)
        # Each save has files of its own, which Keras names by its epoch. The
        # names of Keras 2 fit the file of the position as well.
        suffix = "" if has_keras_2 else ".weights.h5"
        pattern = str(folder / f"cp-{{epoch:04d}}{suffix}")
        options = {"steps_per_epoch": 1, "epochs": 100}
        saved = sorted(folder.glob(f"cp-*{suffix or '.index'}"))
        if saved:
            model.load_weights(str(saved[-1]).replace(".index", ""))
            options["initial_epoch"] = int(saved[-1].name[3:7])
        callbacks = [
            keras.callbacks.ModelCheckpoint(pattern, save_weights_only=True),
            WorkQueueCallback(queue, beside=pattern),
        ]
    else:
        options = {"class_weight": {0: 1.0, 1: 2.0}}
        callbacks = [
            WorkQueueCheckpoint(queue, directory / "model", every_n_steps=1)
        ]
    killer = Killer(kill_at)
    model.fit(dataset, callbacks=[*callbacks, killer], verbose=0, **options)
    # A step adds its part of a batch to the weight of a record.
    seen = np.ravel(model.get_weights()[0]) * BATCH_SIZE
    outcome = {"seen": np.rint(seen).astype(int).tolist()}
    print(json.dumps({**outcome, "is_done": engine_of(queue).is_done}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
