"""Wide & Deep (Cheng et al., 2016) as a graph, for sessions and Estimator.

    features, labels = iterator.get_next()
    logits = build_logits(features, config)
    loss = build_loss(logits, labels)
    train_op = build_train_op(loss, config)

After "Wide & Deep Learning for Recommender Systems"
(https://arxiv.org/abs/1606.07792): a linear model of the columns and of
crossed columns, and a multi-layer perceptron over embeddings, whose logits are
added and trained together, the wide part by FTRL with L1 regularisation and
the deep part by AdaGrad. It differs from the paper in that the integer columns
are `log1p` of the value with an indicator for missing ones, instead of
quantiles, so that nothing needs to be known of the data beforehand.

The trap: variables are created by `tf.compat.v1.get_variable` in the current
graph and device scope; build once per graph. `build_inputs`, which has no
variables, serves the Keras model of `keras_model` too.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import tensorflow as tf

from model_zoo.wide_and_deep import data

tf1 = tf.compat.v1

WIDE = "wide"
DEEP = "deep"


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """What the model is made of.

    Attributes:
      hash_buckets: Rows in the tables for each column; values that hash alike
        share a row.
      embedding_size: Length of the vector of each value.
      hidden_units: Sizes of the hidden layers.
      crosses: Pairs of categorical columns that the wide part crosses.
      deep_learning_rate: AdaGrad's, for the deep part.
      wide_learning_rate: FTRL's, for the wide part.
      wide_l1: L1 regularisation of the wide part.
      num_partitions: Into how many parts the tables are cut, in general the
        number of parameter servers.
    """

    hash_buckets: int = 1000
    embedding_size: int = 8
    hidden_units: tuple[int, ...] = (64, 32)
    crosses: tuple[tuple[str, str], ...] = (("C5", "C17"), ("C6", "C14"))
    deep_learning_rate: float = 0.05
    wide_learning_rate: float = 1.0
    wide_l1: float = 0.05
    num_partitions: int = 1


def build_inputs(
    features: dict[str, Any], config: ModelConfig
) -> dict[str, tf.Tensor]:
    """What the two parts are fed with: numbers, and rows of their tables.

    Args:
      features: See `data.parse_lines`.
      config: The model.

    Returns:
      `"numbers"`, tf.float32 `[batch_size, 26]`; `"wide_ids"`, tf.int64
      `[batch_size, 26 + len(config.crosses)]`; `"deep_ids"`, tf.int64
      `[batch_size, 26]`.
    """
    categories = features["categories"]
    names = data.CATEGORICAL_COLUMNS
    columns = [categories[:, i] for i in range(len(names))]
    crossed = [
        tf.strings.join(
            [columns[names.index(first)], columns[names.index(second)]],
            separator="_X_",
        )
        for first, second in config.crosses
    ]
    return {
        "numbers": _normalize(features["integers"]),
        "wide_ids": _row_ids(columns + crossed, config.hash_buckets),
        "deep_ids": _row_ids(columns, config.hash_buckets),
    }


def build_logits(features: dict[str, Any], config: ModelConfig) -> tf.Tensor:
    """Builds the model; returns tf.float32 logits, `[batch_size]`.

    Args:
      features: See `data.parse_lines`.
      config: What to build.
    """
    inputs = build_inputs(features, config)
    numbers = inputs["numbers"]
    with tf1.variable_scope(WIDE):
        ids = inputs["wide_ids"]
        num_rows = config.hash_buckets * ids.shape[1]
        weights = _lookup("weights", ids, num_rows, 1, config)
        wide = tf.reduce_sum(weights, axis=[1, 2])
        wide += _dense(numbers, 1, "linear", tf1.zeros_initializer())[:, 0]
    with tf1.variable_scope(DEEP):
        ids = inputs["deep_ids"]
        num_rows = config.hash_buckets * ids.shape[1]
        width = config.embedding_size
        vectors = _lookup("embeddings", ids, num_rows, width, config)
        embedded = tf.reshape(vectors, [-1, ids.shape[1] * width])
        layer = tf.concat([numbers, embedded], axis=1)
        for i, units in enumerate(config.hidden_units):
            layer = tf.nn.relu(_dense(layer, units, f"hidden_{i}"))
        deep = _dense(layer, 1, "logits")[:, 0]
    return wide + deep


def build_loss(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Mean cross entropy, a tf.float32 scalar."""
    return tf.reduce_mean(
        tf.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=logits)
    )


def build_train_op(loss: tf.Tensor, config: ModelConfig) -> tf.Operation:
    """One step of both optimizers; raises the global step by one."""
    global_step = tf1.train.get_or_create_global_step()
    optimizers = {
        WIDE: tf1.train.FtrlOptimizer(
            config.wide_learning_rate, l1_regularization_strength=config.wide_l1
        ),
        DEEP: tf1.train.AdagradOptimizer(config.deep_learning_rate),
    }
    variables = {scope: tf1.trainable_variables(scope) for scope in optimizers}
    # One pass over the graph for both parts.
    gradients = tf.gradients(loss, [v for vs in variables.values() for v in vs])
    steps = []
    for scope, optimizer in optimizers.items():
        part, gradients = (
            gradients[: len(variables[scope])],
            gradients[len(variables[scope]) :],
        )
        steps.append(optimizer.apply_gradients(zip(part, variables[scope])))
    # Both parts first, so that step N counts N complete updates.
    with tf.control_dependencies(steps):
        return tf1.assign_add(global_step, 1).op


def _normalize(integers: tf.Tensor) -> tf.Tensor:
    """`[batch, 13]`, NaN = missing, to `[batch, 26]`: logarithm, indicator."""
    is_missing = tf.math.is_nan(integers)
    # Zero in place of NaN *before* the logarithm: a NaN would come back
    # through the gradient of `where`. Some columns have values below zero.
    values = tf.where(is_missing, tf.zeros_like(integers), integers)
    logs = tf.math.log1p(tf.maximum(values, 0.0)) / math.log(10.0)
    return tf.concat([logs, tf.cast(is_missing, tf.float32)], axis=1)


def _row_ids(columns: list[tf.Tensor], hash_buckets: int) -> tf.Tensor:
    """Hashes each column into its own rows: int64 `[batch, columns]`."""
    return tf.stack(
        [
            tf.strings.to_hash_bucket_fast(column, hash_buckets)
            + i * hash_buckets
            for i, column in enumerate(columns)
        ],
        axis=1,
    )


def _lookup(
    name: str, ids: tf.Tensor, num_rows: int, width: int, config: ModelConfig
) -> tf.Tensor:
    """Looks `ids` up in a table: `[batch, columns, width]`."""
    table = tf1.get_variable(
        name,
        [num_rows, width],
        tf.float32,
        initializer=tf1.zeros_initializer()
        if width == 1
        else tf1.random_normal_initializer(stddev=0.05),
        partitioner=tf1.fixed_size_partitioner(config.num_partitions)
        if config.num_partitions > 1
        else None,
        use_resource=True,
    )
    return tf1.nn.embedding_lookup(table, ids, partition_strategy="div")


def _dense(
    inputs: tf.Tensor, units: int, name: str, initializer: Any = None
) -> tf.Tensor:
    """A fully connected layer without activation."""
    with tf1.variable_scope(name):
        kernel = tf1.get_variable(
            "kernel",
            [inputs.shape[1], units],
            initializer=initializer or tf1.glorot_uniform_initializer(),
            use_resource=True,
        )
        bias = tf1.get_variable(
            "bias",
            [units],
            initializer=tf1.zeros_initializer(),
            use_resource=True,
        )
    return tf.matmul(inputs, kernel) + bias
