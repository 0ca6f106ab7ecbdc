"""Batches of elements that know their records, and rows of batches.

    tagged = Batching(make, batch_size, drop_remainder)(tagged)

What `drop_remainder=True` leaves at the end is reported: tf.data would drop it
without a word.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from wq_hooks.runtime.reading import record_events as events
from wq_hooks.runtime.records.tagged import TaggedDataset, has_rows
from wq_hooks.runtime.records.traced_function import TracedFunction, as_it_is

# Makes batches of a dataset, with or without the remainder. The slots, if they
# are with the elements, are scalars.
MakeBatches = Callable[[Any, bool, bool], Any]


@dataclass(frozen=True)
class Batching:
    """One of the methods of tf.data that make batches of a fixed size.

    Args:
      make: Function of a dataset, whether it is of (slots, element), and of
        drop_remainder.
      batch_size: See tf.data.Dataset.batch.
      drop_remainder: See tf.data.Dataset.batch.
      runs_ahead: Whether batches are made before they are asked for.
      pads: Whether a batch can be made of elements of any shape.
    """

    make: MakeBatches
    batch_size: Any
    drop_remainder: bool
    runs_ahead: bool = False
    pads: bool = False

    def __post_init__(self) -> None:
        # tf.data would say so only after the first item.
        if isinstance(self.batch_size, int) and self.batch_size < 1:
            raise ValueError(
                f"Expected batch_size >= 1; got {self.batch_size}."
            )

    def of_elements(self, dataset: Any) -> Any:
        """Returns the batches of a plain dataset."""
        return self.make(dataset, False, self.drop_remainder)

    def with_remainder(self, dataset: Any) -> Any:
        """Returns them with the remainder."""
        return self.make(dataset, False, False)

    def __call__(self, tagged: TaggedDataset) -> TaggedDataset:
        """Returns batches."""
        tagged = tagged.in_units()
        if not self.takes_remainder(tagged.pairs.element_spec):
            return self._of_windows(tagged)
        batches = tagged.of(
            self.make(tagged.pairs, True, False), is_aligned=True
        )
        return self.without_remainder(batches)

    def takes_remainder(self, spec: Any) -> bool:
        """Whether the remainder can be made a batch, to be left out then."""
        if self.pads or not self.drop_remainder:
            return True
        return all(
            isinstance(part, tf.TensorSpec) and part.shape.is_fully_defined()
            for part in tf.nest.flatten(spec)
        )

    def _of_windows(self, tagged: TaggedDataset) -> TaggedDataset:
        size = tf.cast(self.batch_size, tf.int64)

        def batch(_: Any, window: Any) -> Any:
            all_slots = window.map(as_it_is(lambda slots, _: slots))
            slots = all_slots.batch(size).get_single_element()
            is_full = tf.equal(tf.shape(slots, tf.int64)[0], size)
            noted = tagged.port.note_dropped(events.REMAINDER, slots, is_full)
            with tf.control_dependencies([noted]):
                every = tf.identity(tf.constant(-1, tf.int64))
            return self.make(window, True, True).take(every)

        pairs = tagged.pairs.group_by_window(
            as_it_is(lambda *_: tf.constant(0, tf.int64)),
            as_it_is(batch),
            window_size=size,
        )
        return tagged.of(pairs, is_aligned=True)

    def without_remainder(self, batches: TaggedDataset) -> TaggedDataset:
        """Returns the batches that are full, if these are wanted."""
        if not self.drop_remainder:
            return batches
        size = tf.cast(self.batch_size, tf.int64)
        return batches.kept(
            events.REMAINDER,
            lambda slots, batch: tf.equal(
                tf.shape(batches.slots_of(slots, batch), tf.int64)[0], size
            ),
        )


def padded(make: Callable[..., Any], shapes: Any, values: Any) -> MakeBatches:
    """Returns a function that makes padded batches by `make`."""

    def make_batches(dataset: Any, is_of_pairs: bool, drop: bool) -> Any:
        if not is_of_pairs:
            return make(dataset, shapes, values, drop)
        dtype = dataset.element_spec[0].dtype
        return make(dataset, *_beside(dtype, shapes, values), drop)

    return make_batches


def bucketed(
    tagged: TaggedDataset,
    length_func: TracedFunction,
    bucket_boundaries: Any,
    bucket_batch_sizes: Any,
    shapes: Any,
    values: Any,
    *,
    drop_remainder: bool,
    **kwargs: Any,
) -> TaggedDataset:
    """Returns tf.data.Dataset.bucket_by_sequence_length for pairs.

    With `drop_remainder`, elements know how many make a batch, as this differs
    from bucket to bucket.
    """
    tagged = tagged.in_units()
    pairs = tagged.pairs

    def with_size(slots: Any, element: Any) -> Any:
        length = tf.cast(length_func(element), tf.int64)
        boundaries = tf.constant(bucket_boundaries, tf.int64)
        (bucket,) = tf.unstack(
            tf.searchsorted(boundaries, [length], side="right")
        )
        sizes = tf.constant(bucket_batch_sizes, tf.int64)
        return slots, (tf.gather(sizes, bucket), element)

    def length_of(_: Any, element: Any) -> Any:
        return length_func(element[1] if drop_remainder else element)

    if drop_remainder:
        pairs = pairs.map(as_it_is(with_size))
        shapes, values = _beside(tf.int64, shapes, values)
    shapes, values = _beside(pairs.element_spec[0].dtype, shapes, values)
    batches = pairs.bucket_by_sequence_length(
        as_it_is(length_of),
        bucket_boundaries,
        bucket_batch_sizes,
        shapes,
        values,
        drop_remainder=False,
        **kwargs,
    )
    if not drop_remainder:
        return tagged.of(batches, is_aligned=True)
    return tagged.of(batches, is_aligned=True).kept_marked(
        lambda slots, sizes: tf.equal(tf.shape(slots, tf.int64)[0], sizes[0])
    )


def _beside(dtype: Any, shapes: Any, values: Any) -> tuple[Any, Any]:
    """Returns shapes and values for padding with a scalar before elements."""
    if shapes is not None:
        shapes = ([], shapes)
    if values is not None:
        filler = tf.constant("" if dtype == tf.string else 0, dtype)
        values = (filler, values)
    return shapes, values


def unbatched(tagged: TaggedDataset, **kwargs: Any) -> TaggedDataset:
    """Returns tf.data.Dataset.unbatch for pairs."""
    tagged = tagged.by_rows()
    return tagged.of(tagged.pairs.unbatch(**kwargs), is_aligned=False)


def rebatched(
    tagged: TaggedDataset, batch_size: Any, drop_remainder: bool, **kwargs: Any
) -> TaggedDataset:
    """Returns tf.data.Dataset.rebatch for pairs."""
    tagged = tagged.by_rows()
    batches = tagged.of(tagged.pairs.rebatch(batch_size, False, **kwargs))
    if not drop_remainder:
        return batches
    sizes = tf.reshape(tf.cast(batch_size, tf.int64), [-1])
    numbered = batches.pairs.enumerate().map(
        as_it_is(lambda number, pair: (pair[0], (number, pair[1])))
    )
    return batches.of(numbered).kept_marked(
        lambda slots, number: tf.equal(
            tf.shape(slots, tf.int64)[0],
            tf.gather(sizes, number % tf.size(sizes, tf.int64)),
        )
    )


def expect_rows(spec: Any, method: str) -> None:
    """Raises ValueError where elements like this cannot be taken apart."""
    if not has_rows(spec):
        raise ValueError(
            f"Expected elements with a tensor for {method} after "
            f"records(...); got {spec}. Call {method} in the reader."
        )
