"""Trains Wide & Deep with `model.fit`, on Keras 2 and Keras 3.

    python -m model_zoo.wide_and_deep.train_keras \
        --data_location=data --checkpoint=checkpoints

One process; with `--strategy=parameter_server` a cluster, by TF_CONFIG or by
flags, whose chief hands out train steps (Keras 2 only). Killed and started
again, it goes on where the newest checkpoint stands. The flags are those of the
other trainers, and `--strategy`.

The trap: batches go over the ends of files, so that an epoch may have fewer
steps than with the other trainers.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from absl import app, logging
from absl import flags as absl_flags

from model_zoo.wide_and_deep import (
    criteo,
    data,
    evaluate,
    flags,
    keras_callbacks,
    keras_model,
    report,
    slow,
    training,
)
from model_zoo.wide_and_deep.cluster import Cluster

FLAGS = absl_flags.FLAGS

NO_STRATEGY = "none"
PARAMETER_SERVER = "parameter_server"
# Of one of Keras' epochs on a cluster, which are no epochs of the data: the
# chief looks at what was trained, and saves, behind each.
_STEPS_PER_EPOCH = 50
_NUM_EPOCHS = 1_000_000  # fit ends with the data


def define_flags(flag_values: absl_flags.FlagValues = FLAGS) -> None:
    """Defines the flags of all trainers and those of this one."""
    flags.define(flag_values)
    absl_flags.DEFINE_enum(
        "strategy",
        NO_STRATEGY,
        [NO_STRATEGY, PARAMETER_SERVER],
        "The tf.distribute strategy. parameter_server needs Keras 2 and a "
        "cluster; workers and parameter servers then run until they are ended.",
        flag_values=flag_values,
    )


def check_flags(flag_values: absl_flags.FlagValues) -> Cluster:
    """Checks what parsing the flags could not.

    Raises:
      ValueError: If flags or environment do not make a training.
    """
    cluster = training.check_flags(flag_values)
    if flag_values.strategy == PARAMETER_SERVER:
        _check_strategy(flag_values, cluster)
    elif not cluster.is_local:
        raise ValueError(
            f"Expected one process; got the task {cluster.task} of a cluster, "
            f"by TF_CONFIG or flags. On a cluster use --strategy="
            f"{PARAMETER_SERVER} or "
            "model_zoo.wide_and_deep.train_monitored_session."
        )
    if flag_values.log_batches:
        raise ValueError(
            "Expected --nolog_batches; got --log_batches, but a batch of this "
            "trainer may span files. Use another trainer."
        )
    return cluster


def _check_strategy(
    flag_values: absl_flags.FlagValues, cluster: Cluster
) -> None:
    if cluster.is_local:
        raise ValueError(
            f"Expected a cluster for --strategy={PARAMETER_SERVER}, by "
            "TF_CONFIG or by flags; got a single process."
        )
    wrong = [
        f"--{name}"
        for name, is_wrong in (
            ("noworkqueue", not flag_values.workqueue),
            ("steps", flag_values.steps > 0),
            ("step_secs", flag_values.step_secs > 0),
        )
        if is_wrong
    ]
    if wrong:
        raise ValueError(
            f"Expected no {' and no '.join(wrong)} with --strategy="
            f"{PARAMETER_SERVER}: the steps are not run by this process."
        )
    # Here and not above: what does without a queue needs no package.
    from wq_hooks.errors import WorkQueueError
    from wq_hooks.runtime.strategies.parameter_servers import (
        expect_dataset_creator,
    )

    try:
        expect_dataset_creator()
    except WorkQueueError as e:
        raise ValueError(f"--strategy={PARAMETER_SERVER}: {e}") from e


def train(flag_values: absl_flags.FlagValues) -> keras_model.WideAndDeep:
    """Trains until the end of the data or `--steps`; returns the model."""
    config = flags.model_config(flag_values, Cluster())
    if flag_values.seed is not None:
        tf.keras.utils.set_random_seed(flag_values.seed)
    model = keras_model.new_model(config)
    checkpoint: Any

    def read_lines(path: Any) -> tf.data.Dataset:
        return _read_lines(path, flag_values)

    if flag_values.workqueue:
        queue = _new_queue(flag_values)
        checkpoint = _new_checkpoint(queue, flag_values)
        with queue:
            lines = queue.records(read_lines)
            dataset = _batches(lines, flag_values, config).to_dataset()
            _fit(model, dataset, checkpoint, flag_values)
    else:
        checkpoint = keras_callbacks.PlainCheckpoint(
            flag_values.checkpoint,
            flag_values.save_steps or None,
            flag_values.save_secs,
        )
        files = data.static_files(
            training.train_files(flag_values),
            num_epochs=flag_values.num_epochs,
            seed=flag_values.seed,
        )
        lines = files.flat_map(read_lines)
        dataset = _batches(lines, flag_values, config)
        _fit(model, dataset, checkpoint, flag_values)
    return model


def train_on_cluster(
    flag_values: absl_flags.FlagValues, cluster: Cluster
) -> keras_model.WideAndDeep:
    """Trains on the workers of a cluster; returns the model. For the chief."""
    config = flags.model_config(flag_values, cluster)
    if flag_values.seed is not None:
        tf.keras.utils.set_random_seed(flag_values.seed)
    strategy = tf.distribute.ParameterServerStrategy(
        tf.distribute.cluster_resolver.SimpleClusterResolver(
            tf.train.ClusterSpec(cluster.spec),
            task_type=cluster.job,
            task_id=cluster.index,
            rpc_layer="grpc",
        )
    )
    with strategy.scope():
        queue = _new_queue(flag_values)
        model = keras_model.new_model(config)
    checkpoint = _new_checkpoint(queue, flag_values)

    def dataset_fn() -> tf.data.Dataset:
        lines = queue.records(lambda path: _read_lines(path, flag_values))
        return _batches(lines, flag_values, config).to_dataset()

    with queue:
        model.fit(
            queue.dataset_creator(dataset_fn),
            steps_per_epoch=_STEPS_PER_EPOCH,
            epochs=_NUM_EPOCHS,
            verbose=0,
            callbacks=[checkpoint],
        )
    return model


def serve(cluster: Cluster) -> None:
    """Runs what the chief asks for, until the process is ended."""
    server = tf.distribute.Server(
        tf.train.ClusterSpec(cluster.spec),
        job_name=cluster.job,
        task_index=cluster.index,
        protocol="grpc",
    )
    server.join()


def final_evaluation(
    model: keras_model.WideAndDeep, flag_values: absl_flags.FlagValues
) -> dict[str, Any] | None:
    """Computes the AUC; None if there are no eval files.

    The model's step and the AUC's thresholds are those of `evaluate`.
    """
    paths = criteo.find_files(flag_values.data_location, "eval")
    if not paths:
        return None
    config = flags.model_config(flag_values, Cluster())
    auc = tf.keras.metrics.AUC(num_thresholds=1000, from_logits=True)
    lines = tf.data.TextLineDataset(paths).batch(evaluate.BATCH_SIZE)
    num_rows = 0
    for inputs, labels in lines.map(keras_model.parser(config)):
        auc.update_state(labels, model(inputs, training=False))
        num_rows += len(labels)
    values = {
        "auc": auc.result(),
        "rows": num_rows,
        "global_step": model.optimizer.iterations.numpy(),
    }
    return evaluate.make_result(flag_values.data_location, values)


def _new_queue(flag_values: absl_flags.FlagValues) -> Any:
    # Here and not above: what does without a queue needs no package.
    from wq_hooks import WorkQueue

    # Typed as graph mode's, which has no dataset_creator.
    return WorkQueue(
        training.train_files(flag_values),
        num_epochs=flag_values.num_epochs,
        shuffle=True,
        seed=flag_values.seed,
    )


def _new_checkpoint(queue: Any, flag_values: absl_flags.FlagValues) -> Any:
    from wq_hooks import WorkQueueCheckpoint

    save_steps = flag_values.save_steps or None
    return WorkQueueCheckpoint(
        queue,
        flag_values.checkpoint,
        every_n_steps=save_steps,
        every_n_secs=None if save_steps else float(flag_values.save_secs),
        log_dir=flag_values.checkpoint,
        report_every_n_secs=flag_values.report_secs,
    )


def _read_lines(
    path: Any, flag_values: absl_flags.FlagValues
) -> tf.data.Dataset:
    # Shuffled within the file, as --shuffle_buffer says. Behind records()
    # nothing would be lost either, but no item would be completed before its
    # last line has left the buffer, and a resume would repeat more.
    lines = tf.data.TextLineDataset(path)
    if flag_values.shuffle_buffer > 1:
        lines = lines.shuffle(flag_values.shuffle_buffer, seed=flag_values.seed)
    return lines


def _batches(
    lines: Any, flag_values: absl_flags.FlagValues, config: Any
) -> Any:
    """Batches and parses; `lines` are a dataset or records."""
    batches = lines.batch(flag_values.batch_size)
    return batches.map(keras_model.parser(config)).prefetch(1)


def _fit(
    model: keras_model.WideAndDeep,
    dataset: tf.data.Dataset,
    checkpoint: Any,
    flag_values: absl_flags.FlagValues,
) -> None:
    if 0 < flag_values.steps <= _saved_step(flag_values.checkpoint):
        logging.info("The checkpoint is at --steps; nothing to be trained.")
        checkpoint.set_model(model)
        checkpoint.restore()
        return
    callbacks = [checkpoint]
    if flag_values.steps:
        callbacks.append(keras_callbacks.StopAtStep(flag_values.steps))
    callbacks += [
        keras_callbacks.StepReport(flag_values.checkpoint, Cluster().task),
        keras_callbacks.SlowStep(flag_values.step_secs, slow.slow_factor()),
    ]
    # All epochs of the data are in one of Keras.
    model.fit(dataset, verbose=0, callbacks=callbacks)


def _saved_step(directory: str) -> int:
    """The step of the newest checkpoint, which its name ends with; or 0."""
    path = tf.train.latest_checkpoint(directory)
    return 0 if path is None else int(path.rpartition("-")[2])


def main(argv: list[str]) -> None:
    """Checks the flags, trains and evaluates."""
    if len(argv) > 1:
        raise app.UsageError(f"Expected flags only; got {argv[1:]}.")
    try:
        cluster = check_flags(FLAGS)
    except ValueError as e:
        raise app.UsageError(str(e)) from e
    if cluster.is_local:
        model = train(FLAGS)
    elif cluster.is_chief:
        model = train_on_cluster(FLAGS, cluster)
    else:
        serve(cluster)
        return
    if not FLAGS.eval:
        return
    outcome = final_evaluation(model, FLAGS)
    if outcome is None:
        logging.info("No eval files in %s.", FLAGS.data_location)
        return
    report.write_result(FLAGS.checkpoint, outcome)
    print(report.format_result(outcome), flush=True)


if __name__ == "__main__":
    define_flags()
    absl_flags.adopt_module_key_flags(flags)
    app.run(main)
