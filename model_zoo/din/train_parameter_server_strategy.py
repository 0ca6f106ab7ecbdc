"""Trains the Deep Interest Network under ParameterServerStrategy.

    wq-hooks launch --ps 2 --workers 2 -- \
        python -m model_zoo.din.train_parameter_server_strategy \
        --data_location=data --checkpoint=checkpoints

A task of the cluster of TF_CONFIG. The chief hands out train steps; workers run
no Python, and read whole text files. Workers and parameter servers serve until
they are ended, as by ctrl-C.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import tensorflow as tf
from absl import app

from model_zoo.common import flags, report
from model_zoo.common.cluster import Cluster
from model_zoo.din import data
from model_zoo.din import model as din
from wq_hooks import PreemptionScope, WorkQueue

FLAGS = flags.FLAGS


def main(argv: list[str]) -> None:
    """Runs this task of the job."""
    del argv
    cluster = Cluster.from_environment()
    if not cluster.spec:
        raise app.UsageError("Expected a cluster in TF_CONFIG; got none.")
    if not cluster.is_chief:
        cluster.serve()
    model, step = train(cluster)
    if FLAGS.eval:
        batches = data.eval_batches(FLAGS.data_location)
        results = [(labels, model(features)) for features, labels in batches]
        labels, logits = map(np.concatenate, zip(*results))
        report.report_auc(
            FLAGS.checkpoint, FLAGS.data_location, labels, logits, step
        )


def train(cluster: Cluster) -> tuple[din.Din, int]:
    """Trains until the end of the data, or `--steps`; for the chief."""
    strategy = tf.distribute.ParameterServerStrategy(
        tf.distribute.cluster_resolver.TFConfigClusterResolver()
    )
    coordinator = tf.distribute.coordinator.ClusterCoordinator(strategy)
    tf.random.set_seed(FLAGS.seed or 0)

    # Placement: all variables, and the queue, are on the parameter servers.
    with strategy.scope():
        queue: Any = WorkQueue(
            data.find_files(FLAGS.data_location, "train", ".tsv"),
            num_epochs=FLAGS.num_epochs,
            seed=FLAGS.seed,
        )
        model = din.Din(FLAGS.hash_buckets, cluster.num_ps)
        optimizer = din.Adagrad(model.variables, FLAGS.learning_rate)
        step = tf.Variable(0, dtype=tf.int64)

    def dataset_fn() -> tf.data.Dataset:
        rows = queue.records(data.read_text)
        rows = rows.shuffle(FLAGS.shuffle_buffer, seed=FLAGS.seed)
        batches = rows.map(data.to_features).padded_batch(FLAGS.batch_size)
        return batches.prefetch(1).to_dataset()

    def train_step(iterator: Any) -> tf.Tensor:
        features, labels = next(iterator)
        loss, updates = din.train_step(model, optimizer, features, labels)
        with tf.control_dependencies(updates):
            step.assign_add(1)
        if FLAGS.log_records:
            # They do not say which of them ran the step.
            report.log_records(
                FLAGS.checkpoint, "workers", features["id"], updates
            )
        return loss

    # Model and position go into one checkpoint.
    manager = tf.train.CheckpointManager(
        tf.train.Checkpoint(
            variables=model.variables,
            accumulators=optimizer.accumulators,
            step=step,
            queue=queue,
        ),
        FLAGS.checkpoint,
        max_to_keep=5,
    )
    manager.restore_or_initialize()
    saved_at = time.monotonic()
    # At SIGTERM the loop ends, and what is trained is saved.
    with PreemptionScope(save=manager.save), queue:
        for _ in queue.schedule_steps(
            coordinator, tf.function(train_step, autograph=False), dataset_fn
        ):
            if 0 < FLAGS.steps <= int(step):
                break
            if time.monotonic() - saved_at >= FLAGS.save_secs:
                manager.save()
                saved_at = time.monotonic()
        manager.save()
    return model, int(step)


if __name__ == "__main__":
    flags.define(shuffle_buffer=1000, learning_rate=0.1)
    app.run(main)
