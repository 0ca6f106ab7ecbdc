"""Trains on hours as they come, under MonitoredTrainingSession.

    python -m model_zoo.multi_task.train_monitored_session \
        --data_location=data --checkpoint=checkpoints

Alone, or as a task of the cluster of TF_CONFIG. It runs until `_END` stands
beside the hours, or until SIGTERM: then the chief saves model and position, and
each task ends with 143. Started again, it goes on there.
"""

from __future__ import annotations

import os
from typing import Any

import tensorflow as tf
from absl import app
from absl import flags as absl_flags

from model_zoo.common import flags, report
from model_zoo.common.cluster import Cluster, WaitForChief
from model_zoo.multi_task import data, feeder, model
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
    config = model.ModelConfig(num_partitions=max(cluster.num_ps, 1))
    train(cluster, target, config)
    if cluster.is_chief and FLAGS.eval:
        paths = data.part_files(os.path.join(FLAGS.data_location, "eval"))
        result = evaluate(paths, config)
        report.write_json(os.path.join(FLAGS.checkpoint, "result.json"), result)


def train(cluster: Cluster, target: str, config: model.ModelConfig) -> None:
    """Trains until no more hours come."""
    # Placement: variables on the parameter servers, the rest on this task.
    with tf.Graph().as_default(), tf1.device(cluster.device_setter()):
        tf1.set_random_seed(FLAGS.seed)

        # Queue. All tasks list the same works; the chief adds those that come.
        hours = feeder.HoursFile(os.path.join(FLAGS.checkpoint, "hours.json"))
        queue = WorkQueue(
            hours.listed(FLAGS.data_location, is_chief=cluster.is_chief),
            num_epochs=FLAGS.num_epochs,
            shuffle=False,
            num_slices=flags.num_slices(),
            source=sources.TFRecords,
            is_open=True,
        )
        queue.add_summary()

        # Pipeline. The session initialises what is in this collection.
        reader = data.reader(
            batch_size=FLAGS.batch_size,
            shuffle_buffer=FLAGS.shuffle_buffer,
            seed=FLAGS.seed,
        )
        dataset = queue.records(reader).prefetch(1).to_dataset()
        iterator = tf1.data.make_initializable_iterator(dataset)
        tf1.add_to_collection(
            tf1.GraphKeys.TABLE_INITIALIZERS, iterator.initializer
        )
        columns = iterator.get_next()

        # Model.
        logits = model.new_logits(columns, model.new_variables(config))
        loss = model.new_loss(columns, logits)
        tf1.summary.scalar("loss", loss)
        step = tf1.train.get_or_create_global_step()
        optimizer = tf1.train.AdamOptimizer(FLAGS.learning_rate)
        train_op = optimizer.minimize(loss, global_step=step)
        if FLAGS.log_records:
            train_op = report.log_records(
                FLAGS.checkpoint,
                cluster.task,
                tf.strings.as_string(columns["id"]),
                train_op,
            )

        # Session. The chief saves the position of the queue with the model.
        hooks = [
            report.PadSteps(flags.step_secs(cluster.task)),
            WorkQueueHook(),
        ]
        if cluster.is_chief:
            hours_feeder = feeder.Feeder(
                queue,
                FLAGS.data_location,
                hours,
                lambda hour, paths: evaluate(paths, config, hour),
            )
            hooks.append(
                feeder.FeederHook(hours_feeder, poll_secs=FLAGS.poll_secs)
            )
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


def evaluate(
    paths: list[str], config: model.ModelConfig, hour: str = "eval"
) -> dict[str, Any]:
    """Evaluates the newest checkpoint on an hour, and reports the AUC."""
    result = model.evaluate(FLAGS.checkpoint, paths, config)
    print(f"AUC of {hour}: {model.in_words(result)}", flush=True)
    return result


if __name__ == "__main__":
    flags.define(shuffle_buffer=2000, learning_rate=0.005)
    flags.define_padding()
    absl_flags.DEFINE_float(
        "poll_secs", 10.0, "How often to look for new hours.", lower_bound=0.1
    )
    app.run(main)
