"""Trains Wide & Deep with `model.fit`, on Keras 2 and Keras 3.

    python -m model_zoo.wide_and_deep.train_keras \
        --data_location=data --checkpoint=checkpoints

One process; as the chief of the cluster of TF_CONFIG it hands out steps to
the workers by ParameterServerStrategy, for which `fit` needs Keras 2. Workers
and parameter servers then serve until they are ended.
"""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import tensorflow as tf
from absl import app

from model_zoo.common import flags, report
from model_zoo.common.cluster import Cluster
from model_zoo.wide_and_deep import data, model
from wq_hooks import WorkQueue, WorkQueueCheckpoint

FLAGS = flags.FLAGS

NUM_COLUMNS = len(data.CATEGORICAL_COLUMNS)
# On a cluster Keras saves between its epochs, which are none of the data.
CLUSTER_EPOCHS = {"steps_per_epoch": 50, "epochs": 1_000_000}


def main(argv: list[str]) -> None:
    """Runs this task of the job."""
    del argv
    if FLAGS.seed is not None:
        tf.keras.utils.set_random_seed(FLAGS.seed)
    cluster = Cluster.from_environment()
    if not cluster.is_chief:
        cluster.serve()
    scope: Any = contextlib.nullcontext()
    if cluster.spec:
        scope = tf.distribute.ParameterServerStrategy(
            tf.distribute.cluster_resolver.TFConfigClusterResolver()
        ).scope()
    # Only servers are on a cluster, which do not say who ran a step.
    task = "workers" if cluster.spec else cluster.task

    # Placement: the model and the position of the queue are of the scope.
    with scope:
        queue: Any = WorkQueue(
            data.find_files(FLAGS.data_location, "train"),
            num_epochs=FLAGS.num_epochs,
            seed=FLAGS.seed,
        )
        wide_and_deep = WideAndDeep(model.ModelConfig(FLAGS.hash_buckets), task)
        wide_and_deep.compile(
            tf.keras.optimizers.Adam(FLAGS.learning_rate),
            tf.keras.losses.BinaryCrossentropy(from_logits=True),
            jit_compile=False,  # XLA knows no strings
        )
        # With all its variables a checkpoint can be restored into it at once.
        wide_and_deep(data.example())
        wide_and_deep.optimizer.build(wide_and_deep.trainable_variables)

    def dataset_fn() -> tf.data.Dataset:
        lines = queue.records(data.read)
        lines = lines.shuffle(FLAGS.shuffle_buffer, seed=FLAGS.seed)
        batches = lines.batch(FLAGS.batch_size).map(data.parse)
        return batches.prefetch(1).to_dataset()

    # Restores the newest checkpoint, and saves model and position in one.
    checkpoint = WorkQueueCheckpoint(
        queue,
        FLAGS.checkpoint,
        every_n_secs=float(FLAGS.save_secs),
        log_dir=FLAGS.checkpoint,
        report_every_n_secs=FLAGS.report_secs,
    )
    with queue:
        wide_and_deep.fit(
            queue.dataset_creator(dataset_fn) if cluster.spec else dataset_fn(),
            callbacks=[checkpoint, *([] if cluster.spec else [StopAtStep()])],
            verbose=0,
            **(CLUSTER_EPOCHS if cluster.spec else {}),
        )
    if FLAGS.eval:
        evaluate(wide_and_deep)


class WideAndDeep(tf.keras.Model):
    """The model of `model.build_logits`; one optimizer trains both parts."""

    def __init__(self, config: model.ModelConfig, task: str):
        super().__init__(name="wide_and_deep")
        layers, buckets = tf.keras.layers, config.hash_buckets
        num_wide = NUM_COLUMNS + len(config.crosses)
        self.weight = layers.Embedding(buckets * num_wide, 1, "zeros")
        self.vector = layers.Embedding(
            buckets * NUM_COLUMNS, config.embedding_size
        )
        self.linear = layers.Dense(1)
        self.deep = tf.keras.Sequential(
            [layers.Dense(units, "relu") for units in config.hidden_units]
            + [layers.Dense(1)]
        )
        self.flatten = layers.Flatten()
        self.config, self.task = config, task

    def call(self, features: Any) -> tf.Tensor:
        """Returns the logits, `[batch_size, 1]`."""
        inputs = model.build_inputs(features, self.config)
        numbers = inputs["numbers"]
        wide = tf.reduce_sum(self.weight(inputs["wide_ids"]), axis=1)
        vectors = self.flatten(self.vector(inputs["deep_ids"]))
        deep = self.deep(tf.concat([numbers, vectors], axis=1))
        return self.linear(numbers) + wide + deep

    def train_step(self, batch: Any) -> Any:
        """Lists what it trains, if asked to."""
        logs = super().train_step(batch)
        if FLAGS.log_records:
            items = batch[0]["items"]
            after = list(logs.values())
            report.log_records(FLAGS.checkpoint, self.task, items, after)
        return logs


class StopAtStep(tf.keras.callbacks.Callback):
    """Ends `fit` at `--steps`, those before a resume included."""

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Looks at the optimizer's count of steps."""
        if 0 < FLAGS.steps <= int(self.model.optimizer.iterations):
            self.model.stop_training = True


def evaluate(wide_and_deep: Any) -> None:
    """Reports the AUC of the model on the files to evaluate on."""
    batches = data.eval_batches(FLAGS.data_location)
    results = [(y, wide_and_deep(x)[:, 0]) for x, y in batches]
    labels, logits = map(np.concatenate, zip(*results))
    step = int(wide_and_deep.optimizer.iterations)
    report.report_auc(
        FLAGS.checkpoint, FLAGS.data_location, labels, logits, step
    )


if __name__ == "__main__":
    flags.define(shuffle_buffer=1000, learning_rate=0.005)
    app.run(main)
