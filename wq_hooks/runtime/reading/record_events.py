"""What `records` reports: the form of its events, and the names of its counts.

    row = event(OPENED, [lane, slot])
    kind, *numbers = numbers_of(row)

An event is a vector of numbers, its kind first, in one tf.string.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

OPENED = 0  # an item begins: its lane, its slot; with the counts so far
# Its reader has given a dataset of its records: its slot, and whether that was
# kept (0 or 1).
READING = 1
LANE_ENDED = 2  # its lane; with the counts so far
BATCH = 3  # a batch leaves the pipeline: its iteration, how many records of
# which slots
READY = 4  # one will: iteration, number, and likewise
FILTERED = 5  # left out by a filter: how many records of which slots
REMAINDER = 6  # left out by drop_remainder: likewise
END_OF_DATA = 7  # of an iteration
TRAINED = 8  # how many batches, or one of the below; with the counts
FLUSH = 9  # somebody waits until all events before were counted; likewise
BEGIN = 10  # an iteration takes the place of the one before; likewise
# As OPENED, in a lane that makes batches; also of how many records.
OPENED_IN_BATCHES = 11
WATCHED = 12  # the next iteration is: a Watch, the number of its watch
END_SEEN = 13  # the train loop has met the end: the number of a watch
# One more element comes of records that are divided: slots, one of each; and
# all of them have come: how many records of which slots these were, and one.
MORE = 14
DIVIDED = 15

# Instead of a slot there may be the number of a batch: see
# `core/consumer/record_tracker.py`.

# What is counted: items, which shows that there are counts; the records of a
# lane, and the batches that it makes; the batches of an iteration that were
# fetched, and those that have passed what is watched. Of the last two, and of
# the batches of an iteration that are not fetched ahead, the time counts.
ITEMS = "items"
LANE = "lane/"
BATCHES = "batches/"
FETCHED = "fetched/"
PASSED = "passed/"
ASKED = "asked/"

# What TRAINED says: so many batches more; all that was fetched; or all, as the
# loops are through.
ALL_FETCHED = -1
ALL_THROUGH = -2


def waited_secs(secs: Mapping[str, float]) -> float | None:
    """Returns for how long the train loop has waited; None: not known.

    What is watched behind the pipeline is what the train loop waits for.

    Args:
      secs: Seconds spent in asking, by the name of a count.
    """
    for prefixes in ((PASSED,), (FETCHED, ASKED)):
        found = [secs[name] for name in secs if name.startswith(prefixes)]
        if found:
            return sum(found)
    return None


_TensorProto = type(tf.make_tensor_proto(0))


def event(kind: int, values: Sequence[Any]) -> Any:
    """Returns the tf.string scalar that stands for an event.

    Args:
      kind: One of the kinds above.
      values: Numbers, of any shape.
    """
    numbers = [
        # A Python number would be kept by TensorFlow: see ItemPort.
        value if tf.is_tensor(value) else np.asarray(value, np.int64)
        for value in (kind, *values)
    ]
    flat = [tf.reshape(tf.cast(number, tf.int64), [-1]) for number in numbers]
    return tf.io.serialize_tensor(tf.concat(flat, 0))


def numbers_of(message: bytes) -> list[int]:
    """Returns the kind of an event, and its numbers."""
    content = _TensorProto.FromString(message).tensor_content
    numbers: list[int] = np.frombuffer(content, np.int64).tolist()
    return numbers


def records_per_slot(slots: Any) -> Any:
    """Returns the slots of an element and how many records each has, tf.int64.

    First all slots, then all numbers; see `counter_of`.

    Args:
      slots: Slots of its records, tf.int64 of any shape; or tf.string of any
        shape, each of which is `packed`.
    """
    if slots.dtype == tf.string:
        text = tf.strings.reduce_join(tf.reshape(slots, [-1]), separator=" ")
        numbers = tf.strings.to_number(tf.strings.split(text), tf.int64)
        each, numbers = tf.unstack(tf.reshape(numbers, [-1, 2]), axis=1)
        slots, indices = tf.unique(each)
        counts = tf.math.unsorted_segment_sum(numbers, indices, tf.size(slots))
        return tf.concat([slots, counts], 0)
    if slots.shape.rank == 0:
        return tf.stack([slots, tf.constant(1, tf.int64)])
    unique = tf.unique_with_counts(tf.reshape(slots, [-1]), tf.int64)
    return tf.concat([unique.y, unique.count], 0)


def packed(counts: Any) -> Any:
    """Returns what `records_per_slot` gave as one tf.string scalar.

    Elements have different numbers of slots, and strings all the same shape.
    """
    pairs = tf.transpose(tf.reshape(counts, [2, -1]))
    texts = tf.strings.as_string(tf.reshape(pairs, [-1]))
    return tf.strings.reduce_join(texts, separator=" ")


def counter_of(numbers: Sequence[int]) -> Counter[int]:
    """Returns {slot: number of records} of `records_per_slot`."""
    half = len(numbers) // 2
    return Counter(dict(zip(numbers[:half], numbers[half:])))


def count_name(prefix: str, number: Any) -> Any:
    """Returns the name of a count, a tf.string scalar."""
    return tf.strings.join([prefix, tf.strings.as_string(number)])
