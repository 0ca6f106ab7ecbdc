"""What the datasets of a queue are made of, beside tf.data's own parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tensorflow.compat.v1 as tf1

from wq_hooks.runtime.ports.tuning import untuned


def queue_options() -> tf.data.Options:
    """Returns options that keep tf.data from what would harm a queue.

    Of its own accord it adds a prefetch at the end, and makes plain maps (and,
    where it is told to, plain batches) parallel ones; all take what nobody has
    asked for yet. And under
    MultiWorkerMirroredStrategy it gives each worker a share of its own dataset
    and drops the rest, where the queue has handed out shares already.
    """
    options = tf.data.Options()
    options.experimental_optimization.inject_prefetch = False
    options.experimental_optimization.map_parallelization = False
    options.experimental_optimization.parallel_batch = False
    options.experimental_distribute.auto_shard_policy = (
        tf.data.experimental.AutoShardPolicy.OFF
    )
    return options


def texts_of(items: Any, engine: Any) -> Any:
    """Returns the texts of a dataset of (slot, text).

    In a graph it is a tf.compat.v1.data.Dataset: programs of TensorFlow 1 call
    methods of it that later datasets lack.

    Args:
      items: The dataset.
      engine: Engine of the queue, which lives as long as what is derived from
        the texts. Readers of tables see by it that items are shared out.
    """
    text_of = tf.autograph.experimental.do_not_convert(lambda _, text: text)
    texts = items.map(text_of)
    if not tf.executing_eagerly():
        as_it_is = tf.autograph.experimental.do_not_convert(lambda _: texts)
        texts = tf1.data.Dataset.from_tensors(0).flat_map(as_it_is)
    texts = texts.with_options(queue_options())
    dataset = untuned(texts)
    texts._wq_hooks_engine = dataset._wq_hooks_engine = engine
    return dataset


def when_reached(note: Callable[[], Any], dataset: Any) -> Any:
    """Returns an empty dataset like `dataset` that runs an op when reached.

    Behind another dataset it is reached when all before it was asked for.
    """

    def run(count: Any) -> Any:
        with tf.control_dependencies([note()]):
            return dataset.take(tf.identity(count))

    return tf.data.Dataset.from_tensors(tf.constant(0, tf.int64)).flat_map(run)


def after(op: Any, element: Any) -> Any:
    """Returns an element that is there when an op was run."""
    with tf.control_dependencies([op]):
        return tf.nest.map_structure(
            tf.identity, element, expand_composites=True
        )
