"""Trains Wide & Deep under tf.estimator, which TensorFlow has up to 2.15.

    python -m model_zoo.wide_and_deep.train_estimator \
        --data_location=data --checkpoint=checkpoints

Alone, or as a task of the cluster of TF_CONFIG, which names a chief. As with
any Estimator, parameter servers serve until they are ended, and an evaluator
ends only if `--steps` is given. The chief evaluates when all have trained.
"""

from __future__ import annotations

import sys
from typing import Any

import tensorflow as tf
from absl import app

from model_zoo.common import flags, report
from model_zoo.common.cluster import Cluster, WaitForChief
from model_zoo.wide_and_deep import data, model
from wq_hooks import WorkQueue, WorkQueueHook, sources

tf1 = tf.compat.v1

FLAGS = flags.FLAGS

NO_ESTIMATOR = (
    f"TensorFlow {tf.__version__} has no tf.estimator (2.15 was the last with "
    "it). Use model_zoo.wide_and_deep.train_monitored_session instead; it "
    "takes the same flags."
)


def main(argv: list[str]) -> None:
    """Runs this task of the job."""
    del argv
    if not hasattr(tf, "estimator"):
        sys.exit(NO_ESTIMATOR)
    cluster = Cluster.from_environment()
    config = model.ModelConfig(
        hash_buckets=FLAGS.hash_buckets,
        deep_learning_rate=FLAGS.learning_rate,
        num_partitions=cluster.num_ps,
    )
    train(cluster, config)
    if cluster.is_chief and FLAGS.eval:
        labels, logits, step = report.evaluate_checkpoint(
            FLAGS.checkpoint,
            lambda: data.eval_batches(FLAGS.data_location),
            lambda features: model.build_logits(features, config),
        )
        report.report_auc(
            FLAGS.checkpoint, FLAGS.data_location, labels, logits, step
        )


def train(cluster: Cluster, config: model.ModelConfig) -> None:
    """Trains until the end of the data, or `--steps`."""
    # Placement and servers are Estimator's, which reads TF_CONFIG.
    run_config = tf.estimator.RunConfig(
        model_dir=FLAGS.checkpoint,
        tf_random_seed=FLAGS.seed,
        session_config=cluster.session_config(),
        save_checkpoints_secs=FLAGS.save_secs,
        # Estimator would let worker k sleep for 5 * (k + 1) seconds.
        experimental_max_worker_delay_secs=0,
    )
    hooks = [report.PadSteps(flags.step_secs(cluster.task))]
    if FLAGS.workqueue:
        hooks.append(WorkQueueHook(every_n_secs=FLAGS.report_secs))
    hooks.append(WaitForChief(cluster, run_config.master))
    train_spec = tf.estimator.TrainSpec(
        lambda: input_dataset(cluster),
        max_steps=FLAGS.steps or None,
        hooks=hooks,
    )
    # Only an evaluator evaluates during the training.
    eval_spec = tf.estimator.EvalSpec(
        lambda: data.eval_batches(FLAGS.data_location), steps=None
    )
    estimator = tf.estimator.Estimator(
        new_model_fn(cluster, config), config=run_config
    )
    if cluster.spec:
        tf.estimator.train_and_evaluate(estimator, train_spec, eval_spec)
    else:
        estimator.train(
            train_spec.input_fn, hooks, max_steps=train_spec.max_steps
        )


def input_dataset(cluster: Cluster) -> Any:
    """The batches that this task trains on; see `data.parse`."""
    paths = data.find_files(FLAGS.data_location, "train")
    if FLAGS.workqueue:
        # Each task has the same queue; the chief keeps its account, and saves
        # its position with the model.
        queue = WorkQueue(
            paths,
            num_epochs=FLAGS.num_epochs,
            seed=FLAGS.seed,
            num_slices=flags.num_slices(),
            source=sources.TextLines,
        )
        queue.add_summary()
        lines = queue.records(data.read)
    else:
        # A fixed share of the files, to compare.
        number, tasks = cluster.trainers.index(cluster.task), cluster.trainers
        share = tf.constant(paths[number :: len(tasks)], tf.string)
        files = tf.data.Dataset.from_tensor_slices(share)
        lines = files.repeat(FLAGS.num_epochs).flat_map(data.read)
    lines = lines.shuffle(FLAGS.shuffle_buffer, seed=FLAGS.seed)
    batches = lines.batch(FLAGS.batch_size).map(data.parse).prefetch(1)
    return batches.to_dataset() if FLAGS.workqueue else batches


def new_model_fn(cluster: Cluster, config: model.ModelConfig) -> Any:
    """Makes the model_fn of training and evaluation."""

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        logits = model.build_logits(features, config)
        loss = model.build_loss(logits, labels)
        if mode == tf.estimator.ModeKeys.EVAL:
            auc = tf1.metrics.auc(labels, tf.sigmoid(logits))
            return tf.estimator.EstimatorSpec(
                mode, loss=loss, eval_metric_ops={"auc": auc}
            )
        train_op = model.build_train_op(loss, config)
        if FLAGS.log_records:
            train_op = report.log_records(
                FLAGS.checkpoint, cluster.task, features["items"], train_op
            )
        return tf.estimator.EstimatorSpec(mode, loss=loss, train_op=train_op)

    return model_fn


if __name__ == "__main__":
    flags.define(shuffle_buffer=1000)
    flags.define_comparison()
    app.run(main)
