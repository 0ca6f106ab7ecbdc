"""Trains Wide & Deep under MonitoredTrainingSession.

    python -m model_zoo.wide_and_deep.train_monitored_session \
        --data_location=data --checkpoint=checkpoints

Alone, or as a task of the cluster of TF_CONFIG. A parameter server serves until
it is ended. The chief evaluates when all have trained.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from absl import app

from model_zoo.common import flags, report
from model_zoo.common.cluster import Cluster, WaitForChief
from model_zoo.wide_and_deep import data, model
from wq_hooks import WorkQueue, WorkQueueHook, sources

tf1 = tf.compat.v1

FLAGS = flags.FLAGS


def main(argv: list[str]) -> None:
    """Runs this task of the job."""
    del argv
    cluster = Cluster.from_environment()
    if cluster.job == "evaluator":
        return
    target = cluster.start_server()
    config = model.ModelConfig(
        hash_buckets=FLAGS.hash_buckets,
        deep_learning_rate=FLAGS.learning_rate,
        num_partitions=cluster.num_ps,
    )
    train(cluster, target, config)
    if cluster.is_chief and FLAGS.eval:
        labels, logits, step = report.evaluate_checkpoint(
            FLAGS.checkpoint,
            lambda: data.eval_batches(FLAGS.data_location),
            lambda features: model.build_logits(features, config),
        )
        report.report_auc(
            FLAGS.checkpoint, FLAGS.data_location, labels, logits, step
        )


def train(cluster: Cluster, target: str, config: model.ModelConfig) -> None:
    """Trains until the end of the data, or `--steps`."""
    # Placement: variables on the parameter servers, the rest on this task.
    with tf.Graph().as_default(), tf1.device(cluster.device_setter()):
        tf1.set_random_seed(FLAGS.seed)

        # The session initialises what is in this collection, on each task.
        iterator = tf1.data.make_initializable_iterator(input_dataset(cluster))
        tf1.add_to_collection(
            tf1.GraphKeys.TABLE_INITIALIZERS, iterator.initializer
        )
        features, labels = iterator.get_next()

        # Model.
        loss = model.build_loss(model.build_logits(features, config), labels)
        tf1.summary.scalar("loss", loss)
        train_op = model.build_train_op(loss, config)
        if FLAGS.log_records:
            train_op = report.log_records(
                FLAGS.checkpoint, cluster.task, features["items"], train_op
            )

        # Session. The chief saves the position of the queue with the model.
        hooks = [report.PadSteps(flags.step_secs(cluster.task))]
        if FLAGS.workqueue:
            hooks.append(WorkQueueHook(every_n_secs=FLAGS.report_secs))
        if FLAGS.steps:
            hooks.append(tf1.train.StopAtStepHook(last_step=FLAGS.steps))
        with tf1.train.MonitoredTrainingSession(
            master=target,
            is_chief=cluster.is_chief,
            checkpoint_dir=FLAGS.checkpoint,
            save_checkpoint_secs=FLAGS.save_secs,
            hooks=[*hooks, WaitForChief(cluster, target)],
            config=cluster.session_config(),
        ) as session:
            # The end of the data leaves the `with` block, not only the loop.
            while not session.should_stop():
                session.run(train_op)


def input_dataset(cluster: Cluster) -> Any:
    """The batches that this task trains on; see `data.parse`."""
    paths = data.find_files(FLAGS.data_location, "train")
    if FLAGS.workqueue:
        # Each task has the same queue; the chief keeps its account.
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


if __name__ == "__main__":
    flags.define(shuffle_buffer=1000)
    flags.define_comparison()
    app.run(main)
