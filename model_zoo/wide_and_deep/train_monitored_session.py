"""Trains Wide & Deep under MonitoredTrainingSession.

    python -m model_zoo.wide_and_deep.train_monitored_session \
        --data_location=data --checkpoint=checkpoints

Alone, or as a task of a cluster by TF_CONFIG or by the classic flags. A
parameter server never ends by itself: whoever started it ends it when the
chief and the workers have left. The chief evaluates; an evaluator is not
needed and leaves at once.
"""

from __future__ import annotations

import tensorflow as tf
from absl import app, logging
from absl import flags as absl_flags

from model_zoo.wide_and_deep import evaluate, flags, report, training
from model_zoo.wide_and_deep.cluster import EVALUATOR, PS, Cluster

tf1 = tf.compat.v1

FLAGS = absl_flags.FLAGS


def train(
    flag_values: absl_flags.FlagValues, cluster: Cluster, master: str
) -> None:
    """Trains until the end of the data or `--steps`.

    Args:
      flag_values: The parsed flags.
      cluster: The job's tasks.
      master: Target of this task's server; `""`: without a cluster.
    """
    with tf.Graph().as_default(), tf1.device(_device_setter(cluster)):
        tf1.set_random_seed(flag_values.seed)
        dataset = training.input_dataset(flag_values, cluster)
        iterator = tf1.data.make_initializable_iterator(dataset)
        # The session runs what is in this collection, on each task.
        tf1.add_to_collection(
            tf1.GraphKeys.TABLE_INITIALIZERS, iterator.initializer
        )
        features, labels = iterator.get_next()
        built = training.build_training(features, labels, flag_values, cluster)
        hooks = list(built.hooks)
        if flag_values.steps:
            hooks.append(tf1.train.StopAtStepHook(last_step=flag_values.steps))
        hooks += training.session_hooks(flag_values, cluster, master)
        by_steps = flag_values.save_steps > 0
        with tf1.train.MonitoredTrainingSession(
            master=master,
            is_chief=cluster.is_chief,
            checkpoint_dir=flag_values.checkpoint,
            hooks=hooks,
            save_checkpoint_steps=flag_values.save_steps if by_steps else None,
            save_checkpoint_secs=None if by_steps else flag_values.save_secs,
            config=training.session_config(cluster),
        ) as session:
            # The end of the data leaves the `with` block, not only the loop.
            while not session.should_stop():
                session.run(built.train_op)


def run(flag_values: absl_flags.FlagValues, cluster: Cluster) -> None:
    """Does this task's part of the job; does not return on a PS."""
    if cluster.job == EVALUATOR:
        logging.info("The chief evaluates; nothing to do for an evaluator.")
        return
    master = ""
    if not cluster.is_local:
        server = tf.distribute.Server(
            tf.train.ClusterSpec(dict(cluster.spec)),
            job_name=cluster.job,
            task_index=cluster.index,
        )
        master = server.target
        if cluster.job == PS:
            server.join()
    train(flag_values, cluster, master)
    if cluster.is_chief and flag_values.eval:
        outcome = evaluate.evaluate(
            flag_values.checkpoint,
            flag_values.data_location,
            flags.model_config(flag_values, cluster),
        )
        if outcome is None:
            logging.info("No eval files in %s.", flag_values.data_location)
            return
        report.write_result(flag_values.checkpoint, outcome)
        print(report.format_result(outcome), flush=True)


def _device_setter(cluster: Cluster) -> object:
    """Variables on the parameter servers, the rest on this task."""
    if cluster.is_local:
        return None
    return tf1.train.replica_device_setter(
        cluster=dict(cluster.spec),
        worker_device=f"/job:{cluster.job}/task:{cluster.index}",
    )


def main(argv: list[str]) -> None:
    """Checks the flags and runs the task."""
    if len(argv) > 1:
        raise app.UsageError(f"Expected flags only; got {argv[1:]}.")
    try:
        cluster = training.check_flags(FLAGS)
    except ValueError as e:
        raise app.UsageError(str(e)) from e
    run(FLAGS, cluster)


if __name__ == "__main__":
    flags.define()
    absl_flags.adopt_module_key_flags(flags)
    app.run(main)
