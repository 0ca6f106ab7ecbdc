"""Records that know which item they came from, through a tf.data pipeline.

    dataset = queue.records(tf.data.TextLineDataset)
    dataset = dataset.shuffle(20000).batch(512).map(parse).prefetch(1)
    dataset = dataset.to_dataset()

Between `records` and `to_dataset` each element is of the form
`(slot, what the user sees)`, where slot, a tf.int64, says which item it is of,
or in which batch it has stood; see `core/record_tracker.py`. The methods here
are those of tf.data.Dataset, applied to what the user sees.

The trap: the batches that come out of `to_dataset` must go straight into the
train step. Put `prefetch` before it, not behind: a batch counts as trained when
the next one is asked for. (In eager mode it is looked at who asks: see
`watched.py`.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

import tensorflow as tf
import tensorflow.compat.v1 as tf1

from wq_hooks.runtime import record_events as events
from wq_hooks.runtime.dataset_ops import (
    after,
    new_number,
    queue_options,
    when_reached,
)
from wq_hooks.runtime.records_port import RecordsPort

# Makes batches of a dataset, with or without the remainder.
Batching = Callable[[Any, bool], Any]

# Marked as stateful lest it be left out; it changes nothing.
_ASSERT = "Assert"
_NO_DATASET = (
    "Expected a dataset, such as records(...).batch(512).prefetch(1)"
    ".to_dataset(); got records without to_dataset() at the end."
)
_NO_METHOD = (
    "Expected one of shuffle, map, filter, batch, padded_batch, prefetch and "
    "with_options, then to_dataset(), behind records(...); got {name!r}. What "
    "else tf.data has goes into the reader, for each item: "
    "records(lambda path: TextLineDataset(path).skip(1))."
)


class Records:
    """A pipeline of records that know their item; see the module.

    Args:
      port: The local queues.
      pairs: Dataset of (slot, element).
      run_ahead: Lets the thread of a `prefetch` behind them run ahead.
      is_of_batches: Whether the elements are batches with one slot for all
        records of each.
    """

    def __init__(
        self,
        port: RecordsPort,
        pairs: Any,
        run_ahead: Callable[[Any], Any] | None = None,
        *,
        is_of_batches: bool = False,
    ):
        self._port = port
        self._pairs = pairs
        self._run_ahead = run_ahead
        self._is_of_batches = is_of_batches

    @property
    def pairs(self) -> Any:
        """The dataset of (slot, element)."""
        if self._run_ahead is None:
            return self._pairs
        return self._run_ahead(self._pairs)

    def __repr__(self) -> str:
        return f"Records({self.element_spec!r})"

    def __iter__(self) -> NoReturn:
        raise TypeError(_NO_DATASET)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            if name == "_variant_tensor":
                # What TensorFlow looks for in a dataset.
                raise AttributeError(_NO_DATASET)
            raise AttributeError(_NO_METHOD.format(name=name))

    @property
    def element_spec(self) -> Any:
        """What the elements are, as of tf.data.Dataset.element_spec."""
        return self._pairs.element_spec[1]

    def shuffle(self, *args: Any, **kwargs: Any) -> Records:
        """As tf.data.Dataset.shuffle."""
        return self._with(self.pairs.shuffle(*args, **kwargs))

    def batch(
        self, batch_size: Any, drop_remainder: bool = False, **kwargs: Any
    ) -> Records:
        """As tf.data.Dataset.batch.

        What `drop_remainder=True` leaves at the end counts as seen.
        """

        def batch(dataset: Any, drop_remainder: bool) -> Any:
            return dataset.batch(
                batch_size, drop_remainder=drop_remainder, **kwargs
            )

        _expect_batch_size(batch_size)
        runs_ahead = kwargs.get("num_parallel_calls") is not None
        return self._batched(
            batch, None if runs_ahead else batch, batch_size, drop_remainder
        )

    def padded_batch(
        self,
        batch_size: Any,
        padded_shapes: Any = None,
        padding_values: Any = None,
        drop_remainder: bool = False,
        **kwargs: Any,
    ) -> Records:
        """As tf.data.Dataset.padded_batch; see `batch`."""
        _expect_batch_size(batch_size)

        def batch_elements(
            dataset: Any,
            drop_remainder: bool,
            shapes: Any = padded_shapes,
            values: Any = padding_values,
        ) -> Any:
            return dataset.padded_batch(
                batch_size,
                shapes,
                values,
                drop_remainder=drop_remainder,
                **kwargs,
            )

        def batch_pairs(dataset: Any, drop_remainder: bool) -> Any:
            shapes, values = padded_shapes, padding_values
            if shapes is not None:
                shapes = ([], shapes)
            if values is not None:
                values = (tf.constant(0, tf.int64), values)
            return batch_elements(dataset, drop_remainder, shapes, values)

        return self._batched(
            batch_pairs, batch_elements, batch_size, drop_remainder
        )

    def map(self, map_func: Callable[..., Any], **kwargs: Any) -> Records:
        """As tf.data.Dataset.map.

        A function without state is called in parallel, as tf.data does on its
        own accord; `num_parallel_calls=None` says otherwise.
        """
        pairs, _ = self._mapped(map_func, kwargs)
        return Records(self._port, pairs)

    def _mapped(
        self, map_func: Callable[..., Any], kwargs: Mapping[str, Any]
    ) -> tuple[Any, Mapping[str, Any]]:
        """Returns pairs whose elements are mapped, and the arguments for it."""
        is_stateful = False

        def map_pair(slot: Any, element: Any) -> Any:
            nonlocal is_stateful
            slots = self._slots_of(slot, element)
            element = _call(map_func, element)
            is_stateful |= _has_state(tf1.get_default_graph())
            return slots, element

        pairs = self.pairs.map(map_pair, **kwargs)
        if "num_parallel_calls" in kwargs or is_stateful:
            return pairs, kwargs
        # What tf.data would do, had `queue_options` not to forbid it
        # everywhere: it would run ahead behind `to_dataset`, too.
        kwargs = {**kwargs, "num_parallel_calls": tf.data.AUTOTUNE}
        return self.pairs.map(map_pair, **kwargs), kwargs

    def filter(self, predicate: Callable[..., Any], **kwargs: Any) -> Records:
        """As tf.data.Dataset.filter; what is left out counts as seen.

        Behind `WorkQueue.records` and maps it costs about what it costs without
        a queue. Further down each record that is left out is reported, which
        takes tens of microseconds.
        """
        return self._with(
            self._filtered(
                events.FILTERED,
                lambda _, element: _call(predicate, element),
                **kwargs,
            )
        )

    def prefetch(self, *args: Any, **kwargs: Any) -> Records:
        """As tf.data.Dataset.prefetch."""
        return self._with(
            self.pairs, lambda dataset: dataset.prefetch(*args, **kwargs)
        )

    def with_options(self, options: tf.data.Options) -> Records:
        """As tf.data.Dataset.with_options."""
        return self._with(self._pairs.with_options(options), self._run_ahead)

    def repeat(self, count: int | None = None) -> Records:
        """Not to be had: the queue repeats.

        Raises:
          ValueError: Always.
        """
        raise ValueError(
            f"Expected num_epochs={count} of the WorkQueue in the place of "
            f"repeat({count}): when the queue has ended there is nothing to "
            "repeat."
        )

    def to_dataset(self) -> Any:
        """Returns a tf.data.Dataset of what the user sees.

        A batch counts as trained when the train loop asks for the next one.
        In eager mode that holds behind `map` and `prefetch`, too; see
        `runtime/watched.py` for what else may follow.
        """

        def iterated(_: Any) -> Any:
            # A name for this iteration.
            iteration = new_number()
            iteration = after(
                self._port.note_counts(events.BEGIN, iteration), iteration
            )
            batches = self._batches(iteration)
            end = when_reached(
                lambda: self._port.note(events.END_OF_DATA, iteration), batches
            )
            return self._port.counter.observed(batches.concatenate(end))

        once = tf.data.Dataset.from_tensors(0).flat_map(iterated)
        batches = self._port.in_passes(once).with_options(queue_options())
        return self._port.watched(batches)

    def _batches(self, iteration: Any) -> Any:
        """Returns the batches, which report the slots of their records.

        A function that stands between two train steps keeps them waiting, for
        a tenth of a step where all cores are busy. So a batch reports itself
        in the thread that runs ahead, and tf.data counts which were fetched.
        It does so in a filter, which leaves none out: a function that returned
        the batch would cost an op for each of its tensors.
        """
        port = self._port
        if self._run_ahead is None:
            reported = self._pairs.filter(
                lambda *pair: after(
                    port.note_batch(iteration, self._slots_of(*pair)), True
                )
            )
            return reported.map(lambda _, batch: batch)
        # A batch in which there is an error has a number, too, and counts as
        # fetched when the error has been raised.
        ready = self._pairs.enumerate(1).filter(
            lambda number, pair: after(
                port.note_ready(iteration, number, self._slots_of(*pair)), True
            )
        )
        return port.counter.counted(
            self._run_ahead(ready.map(lambda _, pair: pair[1])),
            events.count_name(events.FETCHED, iteration),
        )

    def _with(
        self, pairs: Any, run_ahead: Callable[[Any], Any] | None = None
    ) -> Records:
        return Records(
            self._port, pairs, run_ahead, is_of_batches=self._is_of_batches
        )

    def _slots_of(self, slot: Any, element: Any) -> Any:
        """Returns the slots of the records of an element, tf.int64."""
        if not self._is_of_batches:
            return slot
        return tf.fill([_num_rows(element)], slot)

    def _of_records(self) -> Any:
        """Returns `pairs` with a slot for each record."""
        if not self._is_of_batches:
            return self.pairs
        return self.pairs.map(
            lambda slot, element: (self._slots_of(slot, element), element)
        )

    def _batched(
        self,
        of_pairs: Batching,
        of_elements: Batching | None,
        batch_size: Any,
        drop_remainder: bool,
    ) -> Records:
        """Returns batches.

        Args:
          of_pairs: Makes batches of (slot, element).
          of_elements: Makes them of elements; None: it runs ahead.
          batch_size: As of tf.data.Dataset.batch.
          drop_remainder: Likewise.
        """
        del of_elements
        pairs = self._of_records()
        batches = Records(self._port, of_pairs(pairs, False))
        if not drop_remainder:
            return batches
        _, spec = of_pairs(pairs, True).element_spec
        return batches._full_ones(batch_size, spec)

    def _full_ones(self, batch_size: Any, spec: Any) -> Records:
        """Returns the batches that are full; the others are reported.

        tf.data would drop the rest without a word.

        Args:
          batch_size: How many records a full one has.
          spec: What those are.
        """
        full = self._filtered(
            events.REMAINDER,
            lambda slots, _: tf.equal(tf.shape(slots, tf.int64)[0], batch_size),
        )
        return self._with(
            full.map(lambda slot, batch: (slot, _of_shape(batch, spec)))
        )

    def _filtered(
        self, kind: int, predicate: Callable[..., Any], **kwargs: Any
    ) -> Any:
        port = self._port

        def keep(slot: Any, element: Any) -> Any:
            slots = self._slots_of(slot, element)
            is_kept = tf.convert_to_tensor(predicate(slots, element), tf.bool)
            return after(port.note_dropped(kind, slots, is_kept), is_kept)

        return self.pairs.filter(keep, **kwargs)


def _expect_batch_size(batch_size: Any) -> None:
    """Says so at once: tf.data would, behind the first item."""
    if isinstance(batch_size, int) and batch_size < 1:
        raise ValueError(f"Expected batch_size >= 1; got {batch_size}.")


def _has_state(graph: Any) -> bool:
    """Whether it matters how often and in which order a function is called."""
    return any(
        op.op_def.is_stateful and op.type != _ASSERT
        for op in graph.get_operations()
    )


def _call(function: Callable[..., Any], element: Any) -> Any:
    """Calls a function of the user's as tf.data does.

    Tuples are spread, named ones are not.
    """
    return function(*element) if type(element) is tuple else function(element)


def has_rows(spec: Any) -> bool:
    """Whether `_num_rows` of a batch of elements like this can be told."""
    return any(
        isinstance(x, (tf.TensorSpec, tf.RaggedTensorSpec, tf.SparseTensorSpec))
        for x in tf.nest.flatten(spec)
    )


def _num_rows(batch: Any) -> Any:
    """Returns how many records a batch has, a tf.int64 scalar."""
    first = next(
        x
        for x in tf.nest.flatten(batch)
        if isinstance(x, (tf.Tensor, tf.RaggedTensor, tf.SparseTensor))
    )
    if isinstance(first, tf.RaggedTensor):
        return first.nrows(tf.int64)
    if isinstance(first, tf.SparseTensor):
        return first.dense_shape[0]
    return tf.shape(first, tf.int64)[0]


def _of_shape(values: Any, spec: Any) -> Any:
    """Returns `values` with the shapes of `spec`, which are known to hold."""

    def shaped(value: Any, expected: Any) -> Any:
        if isinstance(value, tf.Tensor):
            return tf.ensure_shape(value, expected.shape)
        if isinstance(value, tf.SparseTensor):
            value = tf.sparse.map_values(tf.identity, value)
            value.set_shape(expected.shape)
        return value

    return tf.nest.map_structure(shaped, values, spec)
