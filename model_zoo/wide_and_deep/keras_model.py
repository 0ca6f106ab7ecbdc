"""Wide & Deep as a Keras model, for Keras 2 and Keras 3.

    wide_and_deep = new_model(config)
    dataset = lines.batch(128).map(parser(config))
    wide_and_deep.fit(dataset)

The same model as that of `model`, on the same inputs. It is compiled and built
when it is made: a checkpoint can be restored into it at once.

The trap: it has two optimizers. `optimizer`, which Keras knows of, is that of
the deep part; it counts the steps. `wide_optimizer` is an attribute of the
model and is saved with it.
"""

from __future__ import annotations

from typing import Any, Callable

import tensorflow as tf

from model_zoo.wide_and_deep import criteo, data, model

_NUM_COLUMNS = len(criteo.CATEGORICAL_COLUMNS)


def parser(config: model.ModelConfig) -> Callable[[tf.Tensor], Any]:
    """Returns what makes `(inputs, labels)` of lines, for `Dataset.map`."""

    def parse(lines: tf.Tensor) -> Any:
        features, labels = data.parse_lines(lines)
        return model.build_inputs(features, config), labels

    return parse


def new_model(config: model.ModelConfig) -> WideAndDeep:
    """Makes the model, with all its variables and those of its optimizers."""
    result = WideAndDeep(config)
    features = {
        "integers": tf.zeros([1, len(criteo.INTEGER_COLUMNS)]),
        "categories": tf.fill([1, _NUM_COLUMNS], ""),
    }
    result(model.build_inputs(features, config))
    result.compile(
        optimizer=tf.keras.optimizers.Adagrad(
            config.deep_learning_rate,
            # As of tf.compat.v1.train.AdagradOptimizer, which adds nothing.
            initial_accumulator_value=0.1,
            epsilon=1e-12,
        ),
        jit_compile=False,
    )
    result.optimizer.build(result.deep_variables)
    result.wide_optimizer.build(result.wide_variables)
    return result


class WideAndDeep(tf.keras.Model):
    """A linear model and a perceptron over embeddings, trained together.

    Inputs are those of `model.build_inputs`; outputs are logits, tf.float32
    `[batch_size]`. The logs of a train step are `"loss"`, the mean of the
    epoch so far, and `"rows"`, how many rows the step has trained.

    Args:
      config: What to build.
    """

    def __init__(self, config: model.ModelConfig):
        super().__init__(name="wide_and_deep")
        layers = tf.keras.layers
        self.weights_table = layers.Embedding(
            config.hash_buckets * (_NUM_COLUMNS + len(config.crosses)),
            1,
            embeddings_initializer="zeros",
            name="weights",
        )
        self.linear = layers.Dense(1, kernel_initializer="zeros", name="linear")
        self.vectors_table = layers.Embedding(
            config.hash_buckets * _NUM_COLUMNS,
            config.embedding_size,
            embeddings_initializer=tf.keras.initializers.RandomNormal(
                stddev=0.05
            ),
            name="embeddings",
        )
        self.hidden = [
            layers.Dense(units, activation="relu", name=f"hidden_{i}")
            for i, units in enumerate(config.hidden_units)
        ]
        self.deep_logits = layers.Dense(1, name="logits")
        self.wide_optimizer = tf.keras.optimizers.Ftrl(
            config.wide_learning_rate,
            l1_regularization_strength=config.wide_l1,
        )
        self._mean_loss = tf.keras.metrics.Mean(name="loss")
        self._embedded_size = _NUM_COLUMNS * config.embedding_size

    def call(self, inputs: Any, training: Any = None) -> tf.Tensor:
        """Returns the logits."""
        del training
        numbers = inputs["numbers"]
        weights = self.weights_table(inputs["wide_ids"])
        wide = tf.reduce_sum(weights, axis=[1, 2]) + self.linear(numbers)[:, 0]
        vectors = self.vectors_table(inputs["deep_ids"])
        embedded = tf.reshape(vectors, [-1, self._embedded_size])
        layer = tf.concat([numbers, embedded], axis=1)
        for dense in self.hidden:
            layer = dense(layer)
        return wide + self.deep_logits(layer)[:, 0]

    def train_step(self, batch: Any) -> dict[str, Any]:
        """One step of both optimizers."""
        inputs, labels = batch
        wide, deep = self.wide_variables, self.deep_variables
        with tf.GradientTape() as tape:
            loss = model.build_loss(self(inputs, training=True), labels)
        # One pass over the model for both parts.
        gradients = tape.gradient(loss, wide + deep)
        # At the end of the data a step has no loss; without this it could still
        # count as one.
        with tf.control_dependencies([loss]):
            self.wide_optimizer.apply_gradients(
                zip(gradients[: len(wide)], wide)
            )
            self.optimizer.apply_gradients(zip(gradients[len(wide) :], deep))
        self._mean_loss.update_state(loss)
        return {"loss": self._mean_loss.result(), "rows": tf.size(labels)}

    @property
    def metrics(self) -> list[Any]:
        """What Keras begins anew with each epoch."""
        return [self._mean_loss]

    @property
    def wide_variables(self) -> list[Any]:
        """What FTRL trains."""
        layers = [self.weights_table, self.linear]
        return [v for layer in layers for v in layer.trainable_variables]

    @property
    def deep_variables(self) -> list[Any]:
        """What AdaGrad trains."""
        layers = [self.vectors_table, *self.hidden, self.deep_logits]
        return [v for layer in layers for v in layer.trainable_variables]
