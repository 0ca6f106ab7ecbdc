"""Trains Wide & Deep under tf.estimator, which TensorFlow has up to 2.15.

    python -m model_zoo.wide_and_deep.train_estimator \
        --data_location=data --checkpoint=checkpoints

Alone, or as a task of a cluster by TF_CONFIG or by the classic flags. The chief
evaluates after the training. As with any Estimator, parameter servers never end
by themselves, and an evaluator task, which evaluates every checkpoint, ends
only if `--steps` is given.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any

import tensorflow as tf
from absl import app, logging
from absl import flags as absl_flags

from model_zoo.wide_and_deep import (
    criteo,
    data,
    evaluate,
    flags,
    model,
    report,
    training,
)
from model_zoo.wide_and_deep.cluster import Cluster

tf1 = tf.compat.v1

FLAGS = absl_flags.FLAGS

NO_ESTIMATOR = (
    f"TensorFlow {tf.__version__} has no tf.estimator (2.15 was the last with "
    "it). Use model_zoo.wide_and_deep.train_monitored_session instead; it "
    "takes the same flags."
)


def make_model_fn(flag_values: absl_flags.FlagValues, cluster: Cluster) -> Any:
    """Makes the model_fn of training and evaluation."""

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        if mode == tf.estimator.ModeKeys.EVAL:
            config = flags.model_config(flag_values, cluster)
            logits = model.build_logits(features, config)
            return tf.estimator.EstimatorSpec(
                mode,
                loss=model.build_loss(logits, labels),
                eval_metric_ops=model.build_metrics(logits, labels),
            )
        built = training.build_training(features, labels, flag_values, cluster)
        return tf.estimator.EstimatorSpec(
            mode,
            loss=built.loss,
            train_op=built.train_op,
            training_hooks=built.hooks,
        )

    return model_fn


def train(flag_values: absl_flags.FlagValues, cluster: Cluster) -> None:
    """Does this task's part of the training; does not return on a PS."""
    by_steps = flag_values.save_steps > 0
    with _tf_config(cluster.tf_config()):
        config = tf.estimator.RunConfig(
            model_dir=flag_values.checkpoint,
            tf_random_seed=flag_values.seed,
            session_config=training.session_config(cluster),
            save_checkpoints_steps=flag_values.save_steps if by_steps else None,
            save_checkpoints_secs=None if by_steps else flag_values.save_secs,
            # Estimator would let worker k sleep for 5 * (k + 1) seconds.
            experimental_max_worker_delay_secs=0,
        )
        estimator = tf.estimator.Estimator(
            make_model_fn(flag_values, cluster), config=config
        )
        train_spec = tf.estimator.TrainSpec(
            lambda: training.input_dataset(flag_values, cluster),
            max_steps=flag_values.steps or None,
            hooks=training.session_hooks(flag_values, cluster, config.master),
        )
        if cluster.is_local:
            estimator.train(
                train_spec.input_fn,
                hooks=train_spec.hooks,
                max_steps=train_spec.max_steps,
            )
            return
        eval_spec = tf.estimator.EvalSpec(
            lambda: _eval_dataset(flag_values), steps=None, throttle_secs=10
        )
        tf.estimator.train_and_evaluate(estimator, train_spec, eval_spec)


def final_evaluation(
    flag_values: absl_flags.FlagValues, cluster: Cluster
) -> dict[str, Any] | None:
    """Evaluates the newest checkpoint; None if there are no eval files."""
    if not criteo.find_files(flag_values.data_location, "eval"):
        return None
    # Without the cluster: its sessions would look for parameter servers.
    with _tf_config(Cluster().tf_config()):
        estimator = tf.estimator.Estimator(
            make_model_fn(flag_values, cluster),
            config=tf.estimator.RunConfig(model_dir=flag_values.checkpoint),
        )
    # The name keeps its summaries apart from those of an evaluator task.
    values = estimator.evaluate(
        lambda: _eval_dataset(flag_values), name="final"
    )
    return evaluate.make_result(flag_values.data_location, values)


def _eval_dataset(flag_values: absl_flags.FlagValues) -> tf.data.Dataset:
    paths = criteo.find_files(flag_values.data_location, "eval")
    return data.eval_batches(paths, batch_size=evaluate.BATCH_SIZE)


@contextlib.contextmanager
def _tf_config(value: str) -> Iterator[None]:
    """Sets TF_CONFIG, which is the one way to tell RunConfig of a cluster."""
    before = os.environ.get("TF_CONFIG")
    os.environ["TF_CONFIG"] = value
    try:
        yield
    finally:
        del os.environ["TF_CONFIG"]
        if before is not None:
            os.environ["TF_CONFIG"] = before


def run(flag_values: absl_flags.FlagValues, cluster: Cluster) -> None:
    """Does this task's part of the job; does not return on a PS."""
    train(flag_values, cluster)
    if cluster.is_chief and flag_values.eval:
        outcome = final_evaluation(flag_values, cluster)
        if outcome is None:
            logging.info("No eval files in %s.", flag_values.data_location)
            return
        report.write_result(flag_values.checkpoint, outcome)
        print(report.format_result(outcome), flush=True)


def main(argv: list[str]) -> None:
    """Checks the flags and the version, and runs the task."""
    if len(argv) > 1:
        raise app.UsageError(f"Expected flags only; got {argv[1:]}.")
    if not hasattr(tf, "estimator"):
        sys.exit(NO_ESTIMATOR)
    try:
        cluster = training.check_flags(FLAGS)
    except ValueError as e:
        raise app.UsageError(str(e)) from e
    run(FLAGS, cluster)


if __name__ == "__main__":
    flags.define()
    absl_flags.adopt_module_key_flags(flags)
    app.run(main)
