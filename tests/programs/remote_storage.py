"""Trains with everything on a remote file system, and is killed once.

    remote_storage.py KIND DIRECTORY KILL_AT WORK [WORK ...]

KIND is "text", "tfrecord", "parquet", "keras" or "list" (the works are numbers,
in a list so long that it is kept beside the checkpoints). At step
KILL_AT the process kills itself; 0: never. The model counts how often each
record, a number, was trained; at its end it prints TRAINED and the counts.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
from random import Random

import numpy as np
import tensorflow as tf

from wq_hooks import WorkQueue, WorkQueueHook, readers, sources
from wq_hooks.keras_callbacks import WorkQueueCallback

NUM_RECORDS = 400
BATCH = 10
SAVE_STEPS = 7

tf1 = tf.compat.v1


def main(kind, directory, kill_at, works):
    # Not on every TensorFlow, where the tests are skipped.
    importlib.import_module("tensorflow_io")
    if kind == "keras":
        fit(directory, kill_at, works)
    else:
        train(kind, directory, kill_at, works)


def kill_at_step(step, kill_at):
    if step == kill_at:
        os.kill(os.getpid(), signal.SIGKILL)


def told(counts):
    print("TRAINED", json.dumps(np.asarray(counts).astype(int).tolist()))
    # With tensorflow-io a Python that ends in order is aborted.
    sys.stdout.flush()
    os._exit(0)


def train(kind, directory, kill_at, works):
    with tf.Graph().as_default():
        tf1.train.get_or_create_global_step()
        counts = tf1.get_variable(
            "counts", [NUM_RECORDS], tf.int32, tf1.zeros_initializer()
        )
        numbers = numbers_of(kind, works)
        counted = counts.scatter_add(
            tf.IndexedSlices(tf.ones_like(numbers), numbers)
        )
        with tf.control_dependencies([counted]):
            stepped = tf1.train.get_global_step().assign_add(1)
        with tf1.train.MonitoredTrainingSession(
            checkpoint_dir=directory,
            hooks=[WorkQueueHook()],
            save_checkpoint_steps=SAVE_STEPS,
            save_summaries_steps=None,
            log_step_count_steps=None,
        ) as session:
            while not session.should_stop():
                kill_at_step(session.run(stepped), kill_at)
    told(tf.train.load_variable(directory, "counts"))


def numbers_of(kind, works):
    args = {"num_epochs": 1, "seed": 3}
    if kind == "list":
        queue = WorkQueue([long_name(i) for i in range(NUM_RECORDS)], **args)
        dataset = queue.records(
            lambda name: tf.data.Dataset.from_tensors(
                tf.strings.split(name, "-")[1]
            )
        )
    else:
        source = {"text": sources.TextLines, "tfrecord": sources.TFRecords}
        queue = WorkQueue(works, num_slices=20, source=source.get(kind), **args)
        dataset = queue.records(
            {
                "text": readers.text_lines,
                "tfrecord": readers.tf_records,
                "parquet": lambda item: readers.table_records(item, [""]),
            }[kind]
        )
    iterator = tf1.data.make_initializable_iterator(
        dataset.batch(BATCH).to_dataset()
    )
    tf1.add_to_collection(
        tf1.GraphKeys.TABLE_INITIALIZERS, iterator.initializer
    )
    texts = iterator.get_next()
    texts = texts[0] if isinstance(texts, tuple) else texts
    return tf.strings.to_number(texts, tf.int32)


def long_name(number):
    """Returns a name that no compression makes short."""
    random = Random(number)
    return f"{random.getrandbits(1200):x}-{number}"


def fit(directory, kill_at, works):
    keras = tf.keras
    queue = WorkQueue(works, num_slices=20, source=sources.TextLines, seed=3)

    def one_hot(text):
        number = tf.strings.to_number(text, tf.int32)
        return tf.one_hot(number, NUM_RECORDS), tf.zeros([1])

    model = keras.Sequential(
        [keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")]
    )
    model.build([None, NUM_RECORDS])
    # Each step adds 1 to the weights of the records of its batch.
    model.compile(
        keras.optimizers.SGD(float(BATCH)),
        loss=lambda y, prediction: y - prediction,
    )
    path = f"{directory}/weights"
    if tf.io.gfile.exists(f"{path}.index"):
        model.load_weights(path)
    killer = keras.callbacks.LambdaCallback(
        on_batch_end=lambda batch, logs: kill_at_step(batch + 1, kill_at)
    )
    checkpoint = keras.callbacks.ModelCheckpoint(
        path, save_weights_only=True, save_freq=SAVE_STEPS
    )
    callbacks = [WorkQueueCallback(queue, beside=path), checkpoint, killer]
    dataset = queue.records(readers.text_lines).map(one_hot).batch(BATCH)
    model.fit(dataset.to_dataset(), callbacks=callbacks, verbose=0)
    told(np.ravel(model.get_weights()[0]).round())


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:])
