"""Deep Interest Network (Zhou et al., 2018), for sessions and strategies.

    model = Din(hash_buckets=1000, num_partitions=2)
    logits = model(features)
    update = Adagrad(model, 0.05).minimize(tape.gradient(...))

After "Deep Interest Network for Click-Through Rate Prediction"
(https://arxiv.org/abs/1706.06978): an attention unit compares the item that is
shown with each of the history, and the history is summed up with these weights,
which are not normalised: their sum tells how strong the interest is. It differs
from the paper in that the activations are ReLU and the optimizer is AdaGrad.

The trap: all variables are made in the constructors, in the current graph and
device scope, or in the scope of a strategy. Each table is cut into variables of
its own, which are spread over the parameter servers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

EMBEDDING_SIZE = 8
ATTENTION_UNITS = (32, 16)
HIDDEN_UNITS = (64, 32)


class Din:
    """The model.

    Args:
      hash_buckets: Rows in the table of items; items that differ by a multiple
        share one. That of categories has as many.
      num_partitions: Into how many parts each table is cut.
    """

    def __init__(self, hash_buckets: int, num_partitions: int = 1) -> None:
        self._num_rows = num_partitions * -(-hash_buckets // num_partitions)
        size = 2 * EMBEDDING_SIZE
        self.tables = {
            name: [
                _variable(
                    f"{name}_{part}",
                    [self._num_rows // num_partitions, EMBEDDING_SIZE],
                    EMBEDDING_SIZE**-0.5,
                )
                for part in range(num_partitions)
            ]
            for name in ("item", "category")
        }
        self.attention = _layers("attention", [3 * size, *ATTENTION_UNITS, 1])
        self.hidden = _layers("hidden", [3 * size, *HIDDEN_UNITS, 1])

    @property
    def variables(self) -> list[Any]:
        """All that is trained."""
        layers = [*self.attention, *self.hidden]
        return [
            *(part for parts in self.tables.values() for part in parts),
            *(variable for layer in layers for variable in layer),
        ]

    def __call__(self, features: dict[str, Any]) -> tf.Tensor:
        """Returns the logits, `[batch_size]`; see `data.to_features`."""
        shown = self._embed(features["item"], features["category"])
        history = self._embed(
            features["history"], features["history_categories"]
        )
        # [batch_size, length, ...]
        beside = tf.zeros_like(history) + shown[:, tf.newaxis]
        pairs = tf.concat([history, beside, history * beside], axis=2)
        weights = _apply(self.attention, pairs)
        is_there = tf.cast(features["history"] > 0, tf.float32)
        weights *= is_there[:, :, tf.newaxis]
        interest = tf.reduce_sum(weights * history, axis=1)
        layer = tf.concat([shown, interest, shown * interest], axis=1)
        return _apply(self.hidden, layer)[:, 0]

    def _embed(self, items: tf.Tensor, categories: tf.Tensor) -> tf.Tensor:
        """`[..., 2 * EMBEDDING_SIZE]`."""
        vectors = [
            tf.nn.embedding_lookup(self.tables[name], ids % self._num_rows)
            for name, ids in (("item", items), ("category", categories))
        ]
        return tf.concat(vectors, axis=-1)


class Adagrad:
    """AdaGrad (Duchi et al., 2011) for sessions and strategies alike.

    Keras' optimizers know no sessions, and those of tf.compat.v1 make their
    variables in the first step, which no remote worker can.

    Args:
      variables: What is trained.
      learning_rate: The learning rate.
    """

    def __init__(self, variables: Sequence[Any], learning_rate: float) -> None:
        self._variables = variables
        self._learning_rate = learning_rate
        self.accumulators = [
            _variable(f"adagrad_{number}", variable.shape, 0.0, value=0.01)
            for number, variable in enumerate(variables)
        ]

    def apply(self, gradients: Sequence[Any]) -> list[Any]:
        """Returns the operations of one step."""
        updates = []
        for variable, accumulator, gradient in zip(
            self._variables, self.accumulators, gradients
        ):
            args = {
                "var": variable.handle,
                "accum": accumulator.handle,
                "lr": self._learning_rate,
                "epsilon": 1e-7,
            }
            with tf.device(variable.device):
                if isinstance(gradient, tf.IndexedSlices):
                    update = tf.raw_ops.ResourceSparseApplyAdagradV2(
                        grad=gradient.values, indices=gradient.indices, **args
                    )
                else:
                    update = tf.raw_ops.ResourceApplyAdagradV2(
                        grad=gradient, **args
                    )
            updates.append(update)
        return updates


def train_step(
    model: Din,
    optimizer: Adagrad,
    features: dict[str, Any],
    labels: tf.Tensor,
) -> tuple[tf.Tensor, list[Any]]:
    """One step: returns the mean cross entropy and the updates."""
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(
            tf.nn.sigmoid_cross_entropy_with_logits(
                labels=labels, logits=model(features)
            )
        )
    return loss, optimizer.apply(tape.gradient(loss, model.variables))


def _variable(
    name: str, shape: Sequence[int], stddev: float, value: float = 0.0
) -> Any:
    return tf.Variable(
        lambda: tf.random.normal(shape, value, stddev), name=name
    )


def _layers(name: str, units: Sequence[int]) -> list[tuple[Any, Any]]:
    """Kernels and biases of fully connected layers."""
    return [
        (
            _variable(f"{name}_kernel_{i}", shape, (2.0 / shape[0]) ** 0.5),
            _variable(f"{name}_bias_{i}", shape[1:], 0.0),
        )
        for i, shape in enumerate(map(list, zip(units, units[1:])))
    ]


def _apply(layers: Sequence[tuple[Any, Any]], inputs: tf.Tensor) -> tf.Tensor:
    """A perceptron whose last layer is linear."""
    for number, (kernel, bias) in enumerate(layers):
        if number:
            inputs = tf.nn.relu(inputs)
        inputs = tf.tensordot(inputs, kernel, axes=1) + bias
    return inputs
