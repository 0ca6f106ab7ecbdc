"""What the trainers share: input, training graph, hooks.

    cluster = check_flags(FLAGS)
    dataset = input_dataset(FLAGS, cluster)
    training = build_training(features, labels, FLAGS, cluster)
    hooks = [*training.hooks, *session_hooks(FLAGS, cluster, master)]

Everything is built in the current graph and device scope.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import tensorflow as tf
from absl import flags as absl_flags

from model_zoo.wide_and_deep import criteo, data, flags, model, slow
from model_zoo.wide_and_deep.cluster import PS, Cluster
from model_zoo.wide_and_deep.report import (
    Batch,
    QueueStateHook,
    TaskReportHook,
)
from model_zoo.wide_and_deep.wait import WaitForModelHook

tf1 = tf.compat.v1


@dataclasses.dataclass(frozen=True)
class Training:
    """The training graph.

    Attributes:
      loss: tf.float32 scalar.
      train_op: One step.
      hooks: Those that need the graph's tensors.
    """

    loss: tf.Tensor
    train_op: tf.Operation
    hooks: list[Any]


def check_flags(flag_values: absl_flags.FlagValues) -> Cluster:
    """Checks what parsing the flags could not; returns the cluster.

    Raises:
      ValueError: If flags or environment do not make a training.
    """
    cluster = flags.cluster(flag_values)
    flags.model_config(flag_values, cluster)
    slow.slow_factor()
    if cluster.job != PS:
        train_files(flag_values)
    return cluster


def input_dataset(
    flag_values: absl_flags.FlagValues, cluster: Cluster
) -> tf.data.Dataset:
    """The batches this task trains on; `(features, labels)`.

    The one difference between a work queue and a fixed share of the files is
    where the file names come from.

    Raises:
      ValueError: If there are no files to train on.
    """
    paths = train_files(flag_values)
    if flag_values.workqueue:
        # Here and not above: what does without a queue needs no package.
        from wq_hooks import WorkQueue

        queue = WorkQueue(
            paths,
            num_epochs=flag_values.num_epochs,
            shuffle=True,
            seed=flag_values.seed,
            is_chief=cluster.is_chief,
        )
        queue.add_summary()
        files = queue.input_dataset()
    else:
        files = data.static_files(
            paths,
            task_index=cluster.trainer_index,
            num_tasks=cluster.num_trainers,
            num_epochs=flag_values.num_epochs,
            seed=flag_values.seed,
        )
    return data.train_batches(
        files,
        batch_size=flag_values.batch_size,
        shuffle_buffer=flag_values.shuffle_buffer,
        seed=flag_values.seed,
    )


def build_training(
    features: data.Features,
    labels: tf.Tensor,
    flag_values: absl_flags.FlagValues,
    cluster: Cluster,
) -> Training:
    """Builds the model and one step of its training."""
    config = flags.model_config(flag_values, cluster)
    loss = model.build_loss(model.build_logits(features, config), labels)
    tf1.summary.scalar("loss", loss)
    report_hook = TaskReportHook(
        Batch(tf.size(labels), features["file"], features["batch"]),
        checkpoint=flag_values.checkpoint,
        task=cluster.task,
        log_batches=flag_values.log_batches,
    )
    slow_hook = slow.SlowStepHook(flag_values.step_secs, slow.slow_factor())
    return Training(
        loss, model.build_train_op(loss, config), [report_hook, slow_hook]
    )


def session_hooks(
    flag_values: absl_flags.FlagValues, cluster: Cluster, master: str
) -> list[Any]:
    """The hooks that need nothing of the graph; to be given last.

    Args:
      flag_values: The parsed flags.
      cluster: The job's tasks.
      master: Target of the session that will train.
    """
    hooks: list[Any] = []
    if flag_values.workqueue:
        from wq_hooks import WorkQueueHook

        secs = flag_values.report_secs
        hooks.append(WorkQueueHook(every_n_secs=secs))
        if cluster.is_chief:
            hooks.append(
                QueueStateHook(flag_values.checkpoint, every_n_secs=secs)
            )
    if not cluster.is_chief:
        hooks.append(WaitForModelHook(master, session_config(cluster)))
    return hooks


def session_config(cluster: Cluster) -> tf.compat.v1.ConfigProto:
    """The configuration of a training session of this task."""
    return tf1.ConfigProto(
        allow_soft_placement=True, device_filters=cluster.device_filters
    )


def train_files(flag_values: absl_flags.FlagValues) -> list[str]:
    """The files to train on.

    Raises:
      ValueError: If there is none.
    """
    paths = criteo.find_files(flag_values.data_location, "train")
    if not paths:
        raise ValueError(
            "Expected files train/* or train* in --data_location; found none "
            f"in {flag_values.data_location!r}. To generate some: python -m "
            "model_zoo.wide_and_deep.generate --output_dir=..."
        )
    return paths
