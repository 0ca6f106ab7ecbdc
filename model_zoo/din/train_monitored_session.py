"""Trains the Deep Interest Network under MonitoredTrainingSession.

    python -m model_zoo.din.train_monitored_session \
        --data_location=data --checkpoint=checkpoints

Alone, or as a task of the cluster of TF_CONFIG. Parquet files, or the tables
of `--tables`, are cut into slices, which become shorter towards the end. The
tables of the model are cut as well, into a part for each parameter server.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from absl import app
from absl import flags as absl_flags

from model_zoo.common import flags, report
from model_zoo.common.cluster import Cluster, WaitForChief
from model_zoo.din import data
from model_zoo.din import model as din
from wq_hooks import WorkQueue, WorkQueueHook

tf1 = tf.compat.v1

FLAGS = flags.FLAGS


def main(argv: list[str]) -> None:
    """Runs this task of the job."""
    del argv
    cluster = Cluster.from_environment()
    if cluster.job == "evaluator":
        return
    target = cluster.start_server()
    train(cluster, target)
    if cluster.is_chief and FLAGS.eval:
        labels, logits, step = report.evaluate_checkpoint(
            FLAGS.checkpoint,
            lambda: data.eval_batches(FLAGS.data_location),
            lambda features: new_model(cluster)(features),
        )
        report.report_auc(
            FLAGS.checkpoint, FLAGS.data_location, labels, logits, step
        )


def new_model(cluster: Cluster) -> din.Din:
    """Makes the model in the current graph."""
    return din.Din(FLAGS.hash_buckets, max(1, cluster.num_ps))


def train(cluster: Cluster, target: str) -> None:
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
        model = new_model(cluster)
        optimizer = din.Adagrad(model.variables, FLAGS.learning_rate)
        loss, updates = din.train_step(model, optimizer, features, labels)
        tf1.summary.scalar("loss", loss)
        step = tf1.train.get_or_create_global_step()
        with tf.control_dependencies(updates):
            train_op = tf1.assign_add(step, 1).op
        if FLAGS.log_records:
            train_op = report.log_records(
                FLAGS.checkpoint, cluster.task, features["id"], train_op
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
    """The batches that this task trains on; see `data.to_features`."""
    works = FLAGS.tables or data.find_files(
        FLAGS.data_location, "train", ".parquet"
    )
    if FLAGS.workqueue:
        # Each task has the same queue; the chief keeps its account.
        queue = WorkQueue(
            works,
            num_epochs=FLAGS.num_epochs,
            seed=FLAGS.seed,
            num_slices=flags.num_slices(),
        )
        queue.add_summary()
        rows = queue.records(data.read_table)
    else:
        # A fixed share of the files, to compare.
        number, tasks = cluster.trainers.index(cluster.task), cluster.trainers
        share = tf.constant(works[number :: len(tasks)], tf.string)
        files = tf.data.Dataset.from_tensor_slices(share)
        rows = files.repeat(FLAGS.num_epochs).flat_map(data.read_table)
    rows = rows.shuffle(FLAGS.shuffle_buffer, seed=FLAGS.seed)
    batches = rows.map(data.to_features).padded_batch(FLAGS.batch_size)
    batches = batches.prefetch(1)
    return batches.to_dataset() if FLAGS.workqueue else batches


if __name__ == "__main__":
    flags.define(shuffle_buffer=1000, learning_rate=0.1, num_slices="auto")
    flags.define_comparison()
    absl_flags.DEFINE_list(
        "tables",
        [],
        "Tables to train on in place of files, separated by commas, such as "
        "postgresql://host/db#clicks.",
    )
    app.run(main)
