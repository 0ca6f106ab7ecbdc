"""What TensorFlow and Keras say of a ParameterServerStrategy.

    if is_on_parameter_servers(tf.distribute.get_strategy()):
        num_workers = count_workers()

`fit` knows that strategy in Keras 2 only, and reads what `dataset_creator`
returns.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from wq_hooks.errors import WorkQueueError
from wq_hooks.runtime.ports.dataset_ops import after


def is_on_parameter_servers(strategy: Any) -> bool:
    """Whether a tf.distribute.Strategy is a ParameterServerStrategy."""
    return isinstance(strategy, tf.distribute.ParameterServerStrategy)


def count_workers() -> int:
    """Returns how many workers a ParameterServerStrategy has connected to."""
    devices = tf.config.list_logical_devices("CPU")
    return sum("/job:worker/" in device.name for device in devices)


def expect_dataset_creator() -> Any:
    """Returns Keras 2's DatasetCreator; raises WorkQueueError with Keras 3."""
    experimental = getattr(tf.keras.utils, "experimental", None)
    creator = getattr(experimental, "DatasetCreator", None)
    if creator is None:
        raise WorkQueueError(
            "Expected Keras 2, whose fit knows ParameterServerStrategy; got "
            "Keras 3, which does not support it. Install tf-keras and set the "
            "environment variable TF_USE_LEGACY_KERAS=1 before tensorflow is "
            "imported, or use a loop of your own, with schedule_steps() or "
            "schedule_items()."
        )
    return creator


def without_callback(context: Any) -> Any:
    """A dataset function for Keras, which reads it if nobody intervenes.

    Keras would let batches wait on the device of a worker, where they would
    count as trained. So the callback hands it the queue's own iterator.
    """
    del context

    def fail(_: Any) -> Any:
        return tf.debugging.Assert(
            False,
            [
                "Expected a WorkQueueCallback or WorkQueueCheckpoint among the "
                "callbacks of fit, which the dataset of dataset_creator() "
                "needs; got none."
            ],
        )

    dataset = tf.data.Dataset.range(1)
    return dataset.filter(
        tf.autograph.experimental.do_not_convert(
            lambda x: after(fail(x), tf.equal(x, 0))
        )
    )
