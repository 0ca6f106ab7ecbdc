"""Elements up to a number or a condition; the others count as seen.

    tagged = limited(tagged, take, skip)

tf.data's `take` would leave the items open whose records it does not ask for.
So these here read on to the end of the data, and report what they leave out.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

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

    def mark(number: Any, pair: Any) -> Any:
        is_taken = tf.logical_or(take < 0, number < take)
        is_skipped = tf.logical_or(skip < 0, number < skip)
        return tf.logical_and(is_taken, tf.logical_not(is_skipped)), pair

    return _kept(tagged, tagged.pairs.enumerate().map(as_it_is(mark)))


def limited_while(
    tagged: TaggedDataset, predicate: TracedFunction
) -> TaggedDataset:
    """Returns tf.data.Dataset.take_while for pairs."""

    def scan(is_taken: Any, pair: Any) -> Any:
        is_taken = tf.cond(
            is_taken, lambda: predicate(pair[1]), lambda: tf.constant(False)
        )
        return is_taken, (is_taken, pair)

    return _kept(tagged, tagged.pairs.scan(tf.constant(True), as_it_is(scan)))


def _kept(tagged: TaggedDataset, marked: Any) -> TaggedDataset:
    """Returns the pairs of a dataset of (is_kept, pair) that are kept."""

    def with_mark(is_kept: Any, pair: Any) -> Any:
        return tagged.slots_of(*pair), (is_kept, pair[1])

    pairs = marked.map(as_it_is(with_mark))
    return tagged.of(pairs, is_numbered=False).kept_marked(
        lambda _, is_kept: is_kept
    )


def expect_end(is_endless: bool, method: str) -> None:
    """Raises an error if what is left out would be read for ever."""
    if is_endless:
        raise ValueError(
            f"Expected a queue with a last epoch for records(...).{method}, "
            "which reads what it leaves out; got num_epochs=None. To end "
            f"early, call to_dataset().{method}, or limit the steps."
        )
