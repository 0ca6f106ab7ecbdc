"""Elements up to a number or a condition; the others count as seen.

    tagged = limited(tagged, take, skip)

tf.data's `take` would leave the items open whose records it does not ask for.
So these here read on to the end of the data, and report what they leave out.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from wq_hooks.runtime.reading import record_events as events
from wq_hooks.runtime.records.tagged import TaggedDataset
from wq_hooks.runtime.records.traced_function import TracedFunction, as_it_is


def limited(tagged: TaggedDataset, take: Any, skip: Any) -> TaggedDataset:
    """Returns tf.data.Dataset.take or tf.data.Dataset.skip for pairs.

    Args:
      tagged: The dataset.
      take: How many elements to take; -1: all of them.
      skip: How many of the first to skip; -1: all of them.
    """
    take, skip = tf.cast(take, tf.int64), tf.cast(skip, tf.int64)

    def is_within(number: Any) -> Any:
        is_taken = tf.logical_or(take < 0, number < take)
        return tf.logical_and(
            is_taken, tf.logical_and(skip >= 0, number >= skip)
        )

    return _kept_marked(
        tagged,
        tagged.pairs.enumerate().map(
            as_it_is(lambda number, pair: (is_within(number), pair))
        ),
    )


def limited_while(
    tagged: TaggedDataset, predicate: TracedFunction
) -> TaggedDataset:
    """Returns tf.data.Dataset.take_while for pairs."""

    def scan(is_taken: Any, pair: Any) -> Any:
        _, element = pair
        is_taken = tf.cond(
            is_taken, lambda: predicate(element), lambda: tf.constant(False)
        )
        return is_taken, (is_taken, pair)

    return _kept_marked(
        tagged, tagged.pairs.scan(tf.constant(True), as_it_is(scan))
    )


def _kept_marked(tagged: TaggedDataset, marked: Any) -> TaggedDataset:
    """Returns the pairs of (is_kept, pair) that are kept."""

    def with_mark(is_kept: Any, pair: Any) -> Any:
        slots, element = pair
        return tagged.slots_of(slots, element), (is_kept, element)

    kept = tagged.of(marked.map(as_it_is(with_mark)), is_numbered=False).kept(
        events.REMAINDER, lambda _, marked: marked[0]
    )
    return kept.of(
        kept.pairs.map(as_it_is(lambda slots, marked: (slots, marked[1])))
    )


def expect_end(is_endless: bool, method: str) -> None:
    """Raises an error if what is left out would be read for ever."""
    if is_endless:
        raise ValueError(
            f"Expected a queue with a last epoch for records(...).{method}, "
            "which reads what it leaves out; got num_epochs=None. To end "
            f"early, call to_dataset().{method}, or limit the steps."
        )
