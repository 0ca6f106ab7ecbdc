"""Trains under ParameterServerStrategy, and says how often each record came.

    python train_coordinator.py --mode=fit --works a.txt b.txt

A task of a cluster by TF_CONFIG. Each record is a number; the model is a table
that counts, on the parameter server, how often each was trained. The
coordinator prints `STEP n` as a sign of life, and at the end what the table
says.
"""

import argparse
import os
import sys

import tensorflow as tf

from wq_hooks import WorkQueue, WorkQueueCallback, WorkQueueCheckpoint
from wq_hooks.engines import engine_of


def parse_args():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mode", choices=["fit", "loop", "items"])
    parser.add_argument("--checkpoint", default="")
    parser.add_argument("--num_records", type=int)
    parser.add_argument("--step_secs", type=float, default=0.0)
    parser.add_argument("--steps_per_epoch", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=1000)
    parser.add_argument("--in_order", action="store_true", help="no shuffle")
    parser.add_argument("--works", nargs="+")
    return parser.parse_args()


def slow(values, secs):
    """Passes values on after a while, without Python."""
    end = tf.timestamp() + secs
    with tf.control_dependencies([values]):
        now = tf.while_loop(
            lambda now: now < end, lambda _: (tf.timestamp(),), [tf.timestamp()]
        )
    with tf.control_dependencies(now):
        return tf.identity(values)


class Counter(tf.keras.Model):
    """Counts how often each record was trained."""

    def __init__(self, num_records, step_secs):
        super().__init__()
        self.counts = tf.Variable(tf.zeros([num_records], tf.int32))
        self.step_secs = step_secs
        self.mean = tf.keras.metrics.Mean(name="rows")

    @property
    def metrics(self):
        return [self.mean]

    def train_step(self, values):
        values = slow(values, self.step_secs)
        self.counts.scatter_add(
            tf.IndexedSlices(tf.ones_like(values, tf.int32), values)
        )
        self.optimizer.iterations.assign_add(1)
        self.mean.update_state(tf.size(values))
        return {"rows": self.mean.result()}


def main():
    args = parse_args()
    resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
    if resolver.task_type in ("worker", "ps"):
        server = tf.distribute.Server(
            resolver.cluster_spec(),
            job_name=resolver.task_type,
            task_index=resolver.task_id,
            protocol="grpc",
        )
        server.join()
    strategy = tf.distribute.ParameterServerStrategy(resolver)
    with strategy.scope():
        queue = WorkQueue(args.works, shuffle=False)
        counter = Counter(args.num_records, args.step_secs)

    def dataset_fn(context=None):
        del context
        records = queue.records(tf.data.TextLineDataset)
        records = records.filter(lambda line: tf.strings.length(line) > 0)
        if not args.in_order:
            records = records.shuffle(50, seed=1)
        records = records.batch(8).map(
            lambda lines: tf.strings.to_number(lines, tf.int64)
        )
        return records.prefetch(1).to_dataset()

    def say(step):
        print(f"STEP {step}", flush=True)

    if args.mode == "fit":
        counter.compile("sgd")
        counter.built = True
        callbacks = [WorkQueueCallback(queue)]
        if args.checkpoint:
            callbacks = [WorkQueueCheckpoint(queue, args.checkpoint)]
        callbacks.append(
            tf.keras.callbacks.LambdaCallback(
                on_epoch_end=lambda epoch, logs: say(epoch)
            )
        )
        counter.fit(
            queue.dataset_creator(dataset_fn),
            steps_per_epoch=args.steps_per_epoch,
            epochs=args.epochs,
            callbacks=callbacks,
            verbose=0,
        )
    else:
        coordinator = tf.distribute.coordinator.ClusterCoordinator(strategy)
        if args.mode == "loop":

            @tf.function
            def train_step(iterator):
                values = slow(next(iterator), args.step_secs)
                counter.counts.scatter_add(
                    tf.IndexedSlices(tf.ones_like(values, tf.int32), values)
                )

            steps = queue.schedule_steps(coordinator, train_step, dataset_fn)
            for step, _ in enumerate(steps):
                say(step)
        else:

            @tf.function
            def train_file(path):
                for lines in tf.data.TextLineDataset(path).batch(8):
                    values = tf.strings.to_number(lines, tf.int64)
                    values = slow(values, args.step_secs)
                    counter.counts.scatter_add(
                        tf.IndexedSlices(tf.ones_like(values, tf.int32), values)
                    )

            for path in queue.schedule_items(coordinator, train_file):
                say(path)
    counts = counter.counts.numpy()
    print(f"LOST {(counts == 0).sum()} REPEATED {(counts - 1).clip(0).sum()}")
    print(f"DONE {engine_of(queue).is_done}", flush=True)
    # Workers of the strategy run until somebody ends them.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
