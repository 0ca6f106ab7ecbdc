"""Datasets whose elements know of which records they consist.

    tagged = TaggedDataset(port, pairs)      # of (slots, element)
    tagged = tagged.mapped(parse)            # a function of the element

The slots of an element have one of three forms: a tf.int64 for each record; one
tf.int64 for a batch that a lane has made, all of whose records have it; or one
tf.string in which slots are counted (`record_events.packed`). An element of
several records takes the last of these before it is put in a batch with others,
since these have other numbers of records.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import tensorflow as tf

from wq_hooks.runtime.ports.dataset_ops import after
from wq_hooks.runtime.reading import record_events as events
from wq_hooks.runtime.reading.records_port import RecordsPort
from wq_hooks.runtime.records.traced_function import as_it_is

_ROWS = (tf.TensorSpec, tf.RaggedTensorSpec, tf.SparseTensorSpec)


@dataclass(frozen=True)
class TaggedDataset:
    """A dataset of (slots, element); see the module."""

    port: RecordsPort
    pairs: Any
    # Whether the slot of an element is the number of a batch.
    is_numbered: bool = False
    # Whether the n-th slot of an element is that of its n-th row.
    is_aligned: bool = False

    def of(self, pairs: Any, **changes: Any) -> TaggedDataset:
        """Returns the same with other pairs."""
        return replace(self, pairs=pairs, **changes)

    def with_spec(self, spec: Any) -> TaggedDataset:
        """Returns the same, its elements known to be what `spec` says."""
        slots, known = self.pairs.element_spec
        if known == spec:
            return self
        variant = tf.data.experimental.to_variant(self.pairs)
        pairs = tf.data.experimental.from_variant(variant, (slots, spec))
        # What the variant stands for lives as long as it does.
        pairs._wq_hooks_input = self.pairs
        return self.of(pairs)

    def slots_of(self, slots: Any, element: Any) -> Any:
        """Returns the slots of an element, one for each record, or packed."""
        if not self.is_numbered:
            return slots
        return tf.fill([_num_rows(element)], slots)

    def mapped(
        self, function: Callable[[Any], Any], *args: Any, **kwargs: Any
    ) -> TaggedDataset:
        """Returns the dataset with a function applied to each element."""

        def map_pair(slots: Any, element: Any) -> Any:
            return self.slots_of(slots, element), function(element)

        pairs = self.pairs.map(as_it_is(map_pair), *args, **kwargs)
        return self.of(pairs, is_numbered=False, is_aligned=False)

    def kept(
        self,
        kind: int,
        predicate: Callable[[Any, Any], Any],
        **kwargs: Any,
    ) -> TaggedDataset:
        """Returns the elements that are kept; others are reported as `kind`."""

        def keep(slots: Any, element: Any) -> Any:
            is_kept = tf.convert_to_tensor(predicate(slots, element), tf.bool)
            slots = self.slots_of(slots, element)
            return after(self.port.note_dropped(kind, slots, is_kept), is_kept)

        return self.of(self.pairs.filter(as_it_is(keep), **kwargs))

    def kept_marked(
        self, predicate: Callable[[Any, Any], Any]
    ) -> TaggedDataset:
        """Returns (slots, element) of (slots, (mark, element)), where kept.

        The predicate is a function of slots and mark.
        """
        kept = self.kept(
            events.REMAINDER, lambda slots, marked: predicate(slots, marked[0])
        )
        return kept.of(
            kept.pairs.map(as_it_is(lambda slots, marked: (slots, marked[1])))
        )

    def in_units(self) -> TaggedDataset:
        """Returns the same with slots that batches can be made of: scalars."""
        if not self.is_numbered and not self.pairs.element_spec[0].shape.rank:
            return self

        def pack(slots: Any, element: Any) -> Any:
            records = events.records_per_slot(self.slots_of(slots, element))
            return events.packed(records), element

        return self.of(
            self.pairs.map(as_it_is(pack)), is_numbered=False, is_aligned=False
        )

    def by_rows(self) -> TaggedDataset:
        """Returns the same with a slot for each row of an element.

        A function may have given a batch another number of rows. Then each of
        them is one of all records.
        """
        if self.is_aligned:
            return self

        def align(slots: Any, element: Any) -> Any:
            records = events.records_per_slot(self.slots_of(slots, element))
            each, counts = tf.unstack(tf.reshape(records, [2, -1]))
            num_rows = _num_rows(element)
            more = tf.concat([each, num_rows - counts], 0)
            own = after(
                self.port.note(events.MORE, more),
                events.packed(tf.concat([each, tf.ones_like(each)], 0)),
            )
            return tf.fill([num_rows], own), element

        return self.of(
            self.pairs.map(as_it_is(align)), is_numbered=False, is_aligned=True
        )


def has_rows(spec: Any) -> bool:
    """Whether it can be told how many rows an element like this has."""
    return any(isinstance(part, _ROWS) for part in tf.nest.flatten(spec))


def _num_rows(batch: Any) -> Any:
    """Returns how many rows an element has, a tf.int64 scalar."""
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
