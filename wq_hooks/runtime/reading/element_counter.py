"""How many elements went through a dataset, by name.

    counter = new_counter("counts")
    dataset = counter.observed(counter.counted(dataset, name))
    counts_in(session.run(counter.read()))    # {"name": 3}

An element for which an error was raised counts, too. tf.data counts by itself:
it has statistics of its own (`tf.raw_ops.LatencyStatsDataset`), a histogram of
how long each element took, whose sum of counts is the number of elements.
Where a TensorFlow lacks them, a table in a zipped dataset counts, which is
slower.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, Protocol

import tensorflow as tf
import tensorflow.compat.v1 as tf1

from wq_hooks.core import log as logging
from wq_hooks.runtime.ports.dataset_ops import when_reached

# Public operations, whose future TensorFlow does not promise; those of the
# documented `tf.data.experimental.StatsAggregator` are gone.
OPERATIONS = (
    "LatencyStatsDataset",
    "SetStatsAggregatorDataset",
    "StatsAggregatorHandle",
    "StatsAggregatorSummary",
)
_MAX_COUNT = 1 << 62
# Begins the counts of a table; a Summary begins otherwise.
_TABLE = b"table"


class ElementCounter(Protocol):
    """Counts the elements of datasets, by name."""

    def counted(self, dataset: Any, name: Any) -> Any:
        """Returns the dataset, its elements counted under a name.

        To be called where a function of tf.data is traced.

        Args:
          dataset: Any dataset.
          name: tf.string scalar. What goes by the same name is added up.
        """

    def timed(self, dataset: Any, name: Any) -> Any:
        """Returns the dataset, the waits for its elements timed if they can be.

        Args:
          dataset: Any dataset.
          name: See `counted`.
        """

    def observed(self, dataset: Any) -> Any:
        """Returns a dataset in which the counted ones below are counted.

        To be called where a function of tf.data is traced. It costs some
        microseconds for each element: it belongs where they are batches.

        Args:
          dataset: Any dataset.
        """

    def read(self) -> Any:
        """Returns the counts so far, a tf.string scalar for `counts_in`."""


def new_counter(shared_name: str, *, is_remote: bool = False) -> ElementCounter:
    """Returns a counter, the fastest that this TensorFlow has.

    Args:
      shared_name: Name of the counts, unique in this process.
      is_remote: Whether the function that is traced runs elsewhere, and the
        counts are to be made there.
    """
    missing = [op for op in OPERATIONS if not hasattr(tf.raw_ops, op)]
    with contextlib.nullcontext() if is_remote else tf.init_scope():
        if not missing:
            return _StatisticsCounter(shared_name)
        logging.warning_once(
            "TensorFlow %s lacks tf.raw_ops.%s: records() counts in another, "
            "slower way.",
            tf.__version__,
            ", ".join(missing),
        )
        return _TableCounter(shared_name)


def counts_in(summary: bytes) -> dict[str, int]:
    """Returns {name: how many elements} of what `ElementCounter.read` gave."""
    if summary.startswith(_TABLE):
        pairs = (line.split() for line in summary.decode().splitlines()[1:])
        return {name: int(count) for name, count in pairs}
    values = tf1.Summary.FromString(summary).value
    return {value.tag: int(value.histo.num) for value in values}


def secs_in(summary: bytes) -> dict[str, float]:
    """Returns {name: seconds spent in asking for the elements}.

    What is not timed is not in it.

    Args:
      summary: See `counts_in`.
    """
    if summary.startswith(_TABLE):
        return {}
    values = tf1.Summary.FromString(summary).value
    return {value.tag: value.histo.sum / 1e6 for value in values}


class _StatisticsCounter:
    """tf.data counts: a fifth of what a number on each element would cost."""

    def __init__(self, shared_name: str):
        self._handle = tf.raw_ops.StatsAggregatorHandle(
            container="", shared_name=shared_name
        )

    def counted(self, dataset: Any, name: Any) -> Any:
        return _wrapped(tf.raw_ops.LatencyStatsDataset, dataset, tag=name)

    timed = counted

    def observed(self, dataset: Any) -> Any:
        return _wrapped(
            tf.raw_ops.SetStatsAggregatorDataset,
            dataset,
            stats_aggregator=self._handle,
            tag="",
            counter_prefix="",
        )

    def read(self) -> Any:
        return tf.raw_ops.StatsAggregatorSummary(iterator=self._handle)


class _TableCounter:
    """A table of counts; each name is written by one iterator at a time."""

    def __init__(self, shared_name: str):
        self._table = tf.raw_ops.MutableHashTableV2(
            key_dtype=tf.string, value_dtype=tf.int64, shared_name=shared_name
        )

    def counted(self, dataset: Any, name: Any) -> Any:
        # `zip` asks all of them in turn, also where one has raised an error or
        # has ended.
        ticks = tf.data.Dataset.range(_MAX_COUNT).map(
            lambda _: self._add(name, 1)
        )
        end = when_reached(lambda: self._add(name, -1).op, dataset)
        return tf.data.Dataset.zip((dataset.concatenate(end), ticks)).map(
            lambda element, _: element
        )

    def timed(self, dataset: Any, name: Any) -> Any:
        del name
        return dataset

    def observed(self, dataset: Any) -> Any:
        return dataset

    def read(self) -> Any:
        exported = tf.raw_ops.LookupTableExportV2(
            table_handle=self._table, Tkeys=tf.string, Tvalues=tf.int64
        )
        counts = tf.strings.as_string(exported.values)
        lines = tf.strings.join([exported.keys, counts], separator=" ")
        return tf.strings.reduce_join(
            tf.concat([[_TABLE], lines], 0), separator="\n"
        )

    def _add(self, name: Any, number: int) -> Any:
        count = tf.raw_ops.LookupTableFindV2(
            table_handle=self._table,
            keys=name,
            default_value=tf.constant(0, tf.int64),
        )
        inserted = tf.raw_ops.LookupTableInsertV2(
            table_handle=self._table, keys=name, values=count + number
        )
        with tf.control_dependencies([inserted]):
            return tf.identity(count)


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
