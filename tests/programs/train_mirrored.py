"""One task of a MultiWorkerMirroredStrategy job; the chief serves the queue."""

from __future__ import annotations

import argparse
import json
import os

import tensorflow as tf

from wq_hooks import WorkQueue, WorkQueueCallback
from wq_hooks.engines import engine_of

BATCH_SIZE = 4
SAVE_EVERY = 4


def parse_args():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mode", choices=["loop", "fit"], required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--num_records", type=int, required=True)
    parser.add_argument("--checkpoint", default="")
    parser.add_argument("--works", nargs="+", required=True)
    return parser.parse_args()


class Counter(tf.keras.Model):
    """A linear model that counts how often each record was trained."""

    def __init__(self, num_records):
        super().__init__()
        self.dense = tf.keras.layers.Dense(1)
        self.counts = tf.Variable(tf.zeros([num_records]), trainable=False)
        self.num_own = 0

    def call(self, x):
        return self.dense(x)

    def train_step(self, numbers):
        """Trains on the numbers of some records, none perhaps.

        Returns how many replicas had some.
        """
        x = tf.cast(numbers, tf.float32)[:, tf.newaxis] / 100.0
        context = tf.distribute.get_replica_context()
        counts = tf.math.bincount(
            numbers, minlength=self.counts.shape[0], dtype=tf.float32
        )
        counts, num_rows, num_replicas = context.all_reduce(
            "sum",
            [
                counts,
                tf.cast(tf.size(numbers), tf.float32),
                tf.cast(tf.size(numbers) > 0, tf.float32),
            ],
        )
        self.counts.assign_add(counts)
        with tf.GradientTape() as tape:
            # A mean over no rows would be NaN.
            loss = tf.reduce_sum((self(x) - x) ** 2) / num_rows
        variables = self.dense.trainable_variables
        gradients = tape.gradient(loss, variables)
        self.optimizer.apply_gradients(zip(gradients, variables))
        return {"num_replicas": num_replicas}


def run_loop(strategy, model, queue, dataset_fn, save):
    @tf.function
    def train_step(numbers):
        return strategy.run(model.train_step, args=(numbers,))

    # Ends for all at the same step; who has less data gets empty batches.
    dataset = strategy.distribute_datasets_from_function(dataset_fn)
    for step, numbers in enumerate(dataset, 1):
        (own,) = strategy.experimental_local_results(numbers)
        (logs,) = strategy.experimental_local_results(train_step(numbers))
        print(f"ROWS {own.shape[0]} OF {logs['num_replicas']:.0f}")
        # One replica, and so one batch.
        queue.mark_trained(1)
        if step % SAVE_EVERY == 0:
            save()
            print(f"SAVED {step}", flush=True)


def main():
    args = parse_args()
    # Before all else: TensorFlow wants it first.
    strategy = tf.distribute.MultiWorkerMirroredStrategy(
        communication_options=tf.distribute.experimental.CommunicationOptions(
            implementation=(
                tf.distribute.experimental.CommunicationImplementation.RING
            )
        )
    )
    task = json.loads(os.environ["TF_CONFIG"])["task"]
    is_chief = task["type"] == "chief"
    with strategy.scope():
        model = Counter(args.num_records)
        model(tf.zeros([1, 1]))
        model.compile(tf.keras.optimizers.SGD(0.1))
    if is_chief:
        queue = WorkQueue(args.works, shuffle=False)
        saved = {"model": model, "work_queue": queue}
    else:
        queue = WorkQueue.connect(
            f"grpc://localhost:{args.port}",
            task=f"{task['type']}:{task['index']}",
        )
        saved = {"model": model}
    checkpoint = tf.train.Checkpoint(**saved)
    latest = tf.train.latest_checkpoint(args.checkpoint)
    if latest:
        checkpoint.restore(latest).expect_partial()
        print(f"RESTORED {latest}")
    if is_chief:
        queue.serve(args.port, in_step=True)

    def save():
        # Each task has to save, in a place of its own.
        directory = args.checkpoint + ("" if is_chief else "-other")
        checkpoint.save(os.path.join(directory, "model"))

    def dataset_fn(context=None):
        del context
        records = queue.records(tf.data.TextLineDataset).shuffle(10, seed=1)
        records = records.batch(BATCH_SIZE).map(
            lambda lines: tf.strings.to_number(lines, tf.int32)
        )
        return records.prefetch(1).to_dataset()

    if args.mode == "loop":
        run_loop(strategy, model, queue, dataset_fn, save)
        queue.mark_trained(is_through=True)
    else:

        def say(batch, logs):
            del batch
            # Keras gives the sum of what the replicas have returned.
            num_replicas = logs["num_replicas"] / strategy.num_replicas_in_sync
            print(f"OF {num_replicas:.0f}")

        model.fit(
            dataset_fn(),
            callbacks=[
                WorkQueueCallback(queue),
                tf.keras.callbacks.LambdaCallback(on_train_batch_end=say),
            ],
            verbose=0,
        )
    counts = model.counts.numpy().astype(int)
    weights = model.get_weights()
    print(f"FINITE {all(tf.math.is_finite(w).numpy().all() for w in weights)}")
    print(f"LOST {(counts == 0).sum()} REPEATED {(counts - 1).clip(0).sum()}")
    queue.close()
    if is_chief:
        print(f"DONE {engine_of(queue).is_done}")


if __name__ == "__main__":
    main()
