"""What `records` reports: the form of its events, and the names of its counts.

    row = event(OPENED, [lane, slot])
    kind, *numbers = numbers_of(row)

An event is a vector of numbers, its kind first, in one tf.string.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

OPENED = 0  # an item begins: its lane, its slot; with the counts so far
# Its reader has given a dataset of its records: its slot, and whether that was
# kept (0 or 1).
READING = 1
LANE_ENDED = 2  # its lane; with the counts so far
BATCH = 3  # a batch goes to the train step: how many records of which slots
READY = 4  # one will: iteration, number, and likewise
FILTERED = 5  # left out by a filter: the slots of its records
REMAINDER = 6  # left out by drop_remainder: likewise
END_OF_DATA = 7  # of an iteration
TRAINED = 8  # all that was delivered so far was trained; with the counts
FLUSH = 9  # somebody waits until all events before were counted; likewise
BEGIN = 10  # an iteration takes the place of the one before; likewise
# As OPENED, in a lane that makes batches; also of how many records.
OPENED_IN_BATCHES = 11

# In the place of a slot there may be the number of a batch: see
# `core/record_tracker.py`.

# What is counted: items, which shows that there are counts; the records of a
# lane, and the batches that it makes; and the batches of an iteration that were
# fetched.
ITEMS = "items"
LANE = "lane/"
BATCHES = "batches/"
FETCHED = "fetched/"

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
    """Returns the slots of a batch and how many records each has, tf.int64.

    First all slots, then all numbers; see `counter_of`.

    Args:
      slots: Of its records, tf.int64 of any shape.
    """
    unique = tf.unique_with_counts(tf.reshape(slots, [-1]), tf.int64)
    return tf.concat([unique.y, unique.count], 0)


def counter_of(numbers: Sequence[int]) -> Counter[int]:
    """Returns {slot: number of records} of `records_per_slot`."""
    half = len(numbers) // 2
    return Counter(dict(zip(numbers[:half], numbers[half:])))


def count_name(prefix: str, number: Any) -> Any:
    """Returns the name of a count, a tf.string scalar."""
    return tf.strings.join([prefix, tf.strings.as_string(number)])
