"""Trains with Keras, is killed at a step, and goes on when started again.

    keras_fit.py MODE DIRECTORY KILL_AT

The model tells what it has seen; see tests/support/keras_witness.py.
"""

from __future__ import annotations

import json
import os
import sys

import numpy as np
import tensorflow as tf

from tests.support.keras_witness import Killer, new_model, write_files
from wq_hooks import WorkQueue, WorkQueueCallback, WorkQueueCheckpoint
from wq_hooks.engines import engine_of

NUM_FILES = 12
NUM_RECORDS = 8
BATCH_SIZE = 4
SAVE_STEPS = 5
TOTAL = NUM_FILES * NUM_RECORDS

keras = tf.keras


class Saver(keras.callbacks.Callback):
    """What a user writes with tf.train.Checkpoint alone."""

    def __init__(self, checkpoint, directory):
        super().__init__()
        self._manager = tf.train.CheckpointManager(checkpoint, directory, 2)
        self._num_steps = 0
        if self._manager.latest_checkpoint:
            checkpoint.restore(self._manager.latest_checkpoint)

    def on_train_batch_end(self, batch, logs=None):
        del batch, logs
        self._num_steps += 1
        if self._num_steps % SAVE_STEPS == 0:
            self._manager.save()


def new_dataset(queue):
    def parse(lines):
        numbers = tf.strings.to_number(lines, tf.int32)
        return tf.one_hot(numbers, TOTAL), tf.zeros(tf.shape(numbers))

    records = queue.records(tf.data.TextLineDataset).shuffle(6, seed=1)
    return records.batch(BATCH_SIZE).map(parse).prefetch(1).to_dataset()


def main(mode, directory, kill_at):
    queue = WorkQueue(write_files(directory, NUM_FILES, NUM_RECORDS), seed=1)
    model = new_model(TOTAL)
    model.optimizer.build(model.trainable_variables)
    killer = Killer(kill_at, at_epoch_end=mode == "backup")
    steps = {}
    model_dir = os.path.join(directory, "model")
    if mode == "checkpoint":
        checkpoint = tf.train.Checkpoint(
            model=model, optimizer=model.optimizer, work_queue=queue
        )
        saver = Saver(checkpoint, model_dir)
        callbacks = [saver, killer, WorkQueueCallback(queue)]
    elif mode == "callback":
        callbacks = [
            WorkQueueCheckpoint(queue, model_dir, every_n_steps=SAVE_STEPS),
            killer,
        ]
    elif mode == "backup":
        # Killed between weights and position. Keras 2 cannot go on in the
        # middle of an epoch of unknown size.
        steps = {"steps_per_epoch": SAVE_STEPS, "epochs": 100}
        callbacks = [
            keras.callbacks.BackupAndRestore(model_dir),
            killer,
            WorkQueueCallback(queue, beside=model_dir),
        ]
    elif mode == "weights":
        path = f"{model_dir}.weights.h5"
        if os.path.exists(path):
            model.load_weights(path)
        callbacks = [
            WorkQueueCallback(queue, beside=path),
            keras.callbacks.ModelCheckpoint(
                path, save_weights_only=True, save_freq=SAVE_STEPS
            ),
            killer,
        ]
    model.fit(new_dataset(queue), callbacks=callbacks, verbose=0, **steps)
    weights = np.ravel(model.get_weights()[0])
    print(
        json.dumps(
            {
                "num_steps": killer.num_steps,
                "missing": int(np.sum(weights <= 0)),
                "most": float(weights.max() * BATCH_SIZE),
                "is_done": engine_of(queue).is_done,
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
