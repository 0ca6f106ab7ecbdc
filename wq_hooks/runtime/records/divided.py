"""Elements that become many, or none, and the records that they consist of.

    tagged = flat_mapped(tagged, traced)

How many elements will come of one is not known before the last was asked for.
So each counts as one record more of the same items, which is reported before
it is asked for. When all have come, those that they were made of count as seen.

The trap: a report for each element takes tens of microseconds. What the reader
divides costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from wq_hooks.runtime.ports.dataset_ops import after, when_reached
from wq_hooks.runtime.reading import record_events as events
from wq_hooks.runtime.reading.records_port import RecordsPort
from wq_hooks.runtime.records.tagged import TaggedDataset
from wq_hooks.runtime.records.traced_function import TracedFunction, as_it_is


def flat_mapped(
    tagged: TaggedDataset, function: Callable[[Any], Any], **kwargs: Any
) -> TaggedDataset:
    """Returns tf.data.Dataset.flat_map for pairs."""
    pairs = tagged.pairs.flat_map(_dividing(tagged, function), **kwargs)
    return tagged.of(pairs, is_numbered=False, is_aligned=False)


def interleaved(
    tagged: TaggedDataset, function: Callable[[Any], Any], **kwargs: Any
) -> TaggedDataset:
    """Returns tf.data.Dataset.interleave for pairs; see `flat_mapped`."""
    pairs = tagged.pairs.interleave(_dividing(tagged, function), **kwargs)
    return tagged.of(pairs, is_numbered=False, is_aligned=False)


def grouped_by_window(
    tagged: TaggedDataset,
    key_func: TracedFunction,
    reduce_func: TracedFunction,
    window_size: Any,
    window_size_func: Callable[[Any], Any] | None,
    **kwargs: Any,
) -> TaggedDataset:
    """Returns tf.data.Dataset.group_by_window for pairs."""
    tagged = tagged.in_units()
    _, spec = tagged.pairs.element_spec

    def reduce_pairs(key: Any, window: Any) -> Any:
        all_slots = window.map(as_it_is(lambda slots, _: slots))
        slots = all_slots.batch(tf.int64.max).get_single_element()
        elements = window.map(as_it_is(lambda _, element: element))
        elements = tf.data.experimental.from_variant(
            tf.data.experimental.to_variant(elements), spec
        )
        return _divided(tagged.port, slots, reduce_func((key, elements)))

    pairs = tagged.pairs.group_by_window(
        as_it_is(lambda _, element: key_func(element)),
        as_it_is(reduce_pairs),
        window_size,
        window_size_func,
        **kwargs,
    )
    return tagged.of(pairs, is_numbered=False, is_aligned=False)


def _dividing(
    tagged: TaggedDataset, function: Callable[[Any], Any]
) -> Callable[[Any, Any], Any]:
    def divide(slots: Any, element: Any) -> Any:
        slots = tagged.slots_of(slots, element)
        return _divided(tagged.port, slots, function(element))

    divided: Callable[[Any, Any], Any] = as_it_is(divide)
    return divided


def _divided(port: RecordsPort, slots: Any, elements: Any) -> Any:
    """Returns pairs for what was made of the element with these slots."""
    records = events.records_per_slot(slots)
    each, counts = tf.unstack(tf.reshape(records, [2, -1]))
    one_of_each = tf.concat([each, tf.ones_like(each)], 0)
    own = events.packed(one_of_each)
    # Asked for in turn with the elements: before each, also one at which an
    # error is raised, and before their end.
    announced = tf.data.Dataset.range(tf.int64.max).filter(
        as_it_is(lambda _: after(port.note(events.MORE, one_of_each), True))
    )
    pairs = tf.data.Dataset.zip((announced, elements)).map(
        as_it_is(lambda _, element: (own, element))
    )
    end = when_reached(
        lambda: port.note(events.DIVIDED, each, counts + 1), pairs
    )
    return pairs.concatenate(end)
