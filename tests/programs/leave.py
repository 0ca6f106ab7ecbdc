"""Trains for some time, leaves, and prints how long that took: `LEFT 0.4`.

python tests/programs/leave.py --how=session --secs=60 --works a b
"""

from __future__ import annotations

import argparse
import gc
import time

import tensorflow as tf
import tensorflow.compat.v1 as tf1

from wq_hooks import WorkQueue

AUTOTUNE = tf.data.AUTOTUNE
# A step trains for so long.
STEP_SECS = 0.05


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--how", choices=("session", "sessions", "keras"))
    parser.add_argument("--is_tuned", action="store_true")
    parser.add_argument("--secs", type=float)
    parser.add_argument("--works", nargs="+")
    args = parser.parse_args()
    if args.how == "keras":
        fit(args)
        return
    server = tf1.train.Server.create_local_server()
    for _ in range(2 if args.how == "sessions" else 1):
        with tf.Graph().as_default():
            train(args, server.target)


def new_dataset(args):
    queue = WorkQueue(args.works, num_epochs=None)
    lines = queue.records(tf.data.TextLineDataset).shuffle(100).batch(8)
    calls = AUTOTUNE if args.is_tuned else 2
    batches = lines.map(parse, num_parallel_calls=calls)
    return batches.prefetch(2).to_dataset()


def parse(line):
    length = tf.cast(tf.strings.length(line), tf.float32)
    return length[:, None], length


def train(args, target):
    iterator = tf1.data.make_initializable_iterator(new_dataset(args))
    tf1.add_to_collection(
        tf1.GraphKeys.TABLE_INITIALIZERS, iterator.initializer
    )
    features, _ = iterator.get_next()
    step = tf1.train.get_or_create_global_step()
    with tf.control_dependencies([features]):
        train_op = step.assign_add(1)
    session = tf1.train.MonitoredTrainingSession(
        target, log_step_count_steps=None
    )
    end = time.monotonic() + args.secs
    while time.monotonic() < end:
        session.run(train_op)
        time.sleep(STEP_SECS)
    begin = time.monotonic()
    session.close()
    print(f"LEFT {time.monotonic() - begin:.2f}", flush=True)


class _Stop(tf.keras.callbacks.Callback):
    """Ends `fit` after some seconds, and notes when."""

    def __init__(self, secs):
        super().__init__()
        self.end = time.monotonic() + secs
        self.begin = 0.0

    def on_train_batch_end(self, batch, logs=None):
        time.sleep(STEP_SECS)
        if time.monotonic() >= self.end and not self.begin:
            self.model.stop_training = True
            self.begin = time.monotonic()


def fit(args):
    model = tf.keras.Sequential([tf.keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    stop = _Stop(args.secs)
    model.fit(new_dataset(args), verbose=0, epochs=2, callbacks=[stop])
    del model
    gc.collect()
    print(f"LEFT {time.monotonic() - stop.begin:.2f}", flush=True)


if __name__ == "__main__":
    main()
