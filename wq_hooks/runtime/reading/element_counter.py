"""How many elements went through a dataset, counted by tf.data itself.

tf.data has statistics of its own (`tf.raw_ops.LatencyStatsDataset`): a
histogram of how long each element took, whose sum of counts is the number of
elements. An element for which an error was raised counts, too. It costs a
fifth of what a number on each element would: no tensor, no `zip`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tensorflow.compat.v1 as tf1

from wq_hooks.errors import WorkQueueError

# Public operations, whose future TensorFlow does not promise; those of the
# documented `tf.data.experimental.StatsAggregator` are gone.
OPERATIONS = (
    "LatencyStatsDataset",
    "SetStatsAggregatorDataset",
    "StatsAggregatorHandle",
    "StatsAggregatorSummary",
)


class ElementCounter:
    """Counts the elements of datasets, by name.

    Args:
      shared_name: Name of the counts, unique in this process.
      is_remote: Whether the function that is traced runs elsewhere, and the
        counts are to be made there.

    Raises:
      WorkQueueError: If TensorFlow lacks the operations.
    """

    def __init__(self, shared_name: str, *, is_remote: bool = False):
        missing = [op for op in OPERATIONS if not hasattr(tf.raw_ops, op)]
        if missing:
            raise WorkQueueError(
                "Expected a TensorFlow with the operations that records() "
                f"counts with; TensorFlow {tf.__version__} lacks tf.raw_ops."
                f"{', '.join(missing)}. Use a version that has them, such as "
                "2.21, or input_dataset() with ack='next'."
            )
        scope = contextlib.nullcontext() if is_remote else tf.init_scope()
        with scope:
            self._handle = tf.raw_ops.StatsAggregatorHandle(
                container="", shared_name=shared_name
            )

    def counted(self, dataset: Any, name: Any) -> Any:
        """Returns the dataset, its elements counted under a name.

        To be called where a function of tf.data is traced.

        Args:
          dataset: Any dataset.
          name: tf.string scalar. What goes by the same name is added up.
        """
        return _wrapped(tf.raw_ops.LatencyStatsDataset, dataset, tag=name)

    def observed(self, dataset: Any) -> Any:
        """Returns a dataset in which the counted ones below are counted.

        To be called where a function of tf.data is traced. It costs some
        microseconds for each element: it belongs where they are batches.

        Args:
          dataset: Any dataset.
        """
        return _wrapped(
            tf.raw_ops.SetStatsAggregatorDataset,
            dataset,
            stats_aggregator=self._handle,
            tag="",
            counter_prefix="",
        )

    def read(self) -> Any:
        """Returns the counts so far, a tf.string scalar for `counts_in`."""
        return tf.raw_ops.StatsAggregatorSummary(iterator=self._handle)


def counts_in(summary: bytes) -> dict[str, int]:
    """Returns {name: how many elements} of what `ElementCounter.read` gave."""
    values = tf1.Summary.FromString(summary).value
    return {value.tag: int(value.histo.num) for value in values}


def _wrapped(make: Callable[..., Any], dataset: Any, **kwargs: Any) -> Any:
    variant = tf.data.experimental.to_variant(dataset)
    wrapped = make(
        input_dataset=variant,
        # The types of the tensors that stand for an element, which tf.data
        # tells nowhere else in public.
        output_types=variant.op.get_attr("output_types"),
        output_shapes=variant.op.get_attr("output_shapes"),
        **kwargs,
    )
    return tf.data.experimental.from_variant(wrapped, dataset.element_spec)
