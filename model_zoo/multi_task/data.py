"""Input: hourly directories of TFRecord files -> batches of columns.

    hours = find_hours("data")          # {"2026-01-01-07": [path, ...], ...}
    records = queue.records(reader(batch_size=128, shuffle_buffer=2000))
    columns = records.prefetch(1).to_dataset()

An hour is a directory `hour=2026-01-01-07`, complete when `_SUCCESS` is in it.
The trap: a batch that spans two files would wait for the next hour, with the
last records of this one in it. So rows are shuffled and batched in their file.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import tensorflow as tf

from wq_hooks import readers

# The number of values of each categorical column, and of the dense column.
CATEGORIES = {"user": 400, "item": 300, "slot": 12}
NUM_DENSE = 6
TASKS = ("click", "conversion")
SUCCESS = "_SUCCESS"
# Beside the hours: no more of them will come.
END = "_END"
_HOUR = "hour="


PROBABILITIES = tuple(f"{task}_probability" for task in TASKS)
_COLUMNS = {
    **dict.fromkeys(("id", *CATEGORIES), tf.io.FixedLenFeature([], tf.int64)),
    "dense": tf.io.FixedLenFeature([NUM_DENSE], tf.float32),
    **dict.fromkeys(TASKS, tf.io.FixedLenFeature([], tf.float32)),
    # Real data have none.
    **dict.fromkeys(PROBABILITIES, tf.io.FixedLenFeature([], tf.float32, -1.0)),
}


def parse(examples: tf.Tensor) -> dict[str, tf.Tensor]:
    """Returns the columns of serialized examples, tf.string `[batch_size]`.

    `id`, `user`, `item`, `slot`: tf.int64 `[batch_size]`; `dense`: tf.float32
    `[batch_size, NUM_DENSE]`; a label and `<task>_probability`, which it was
    drawn with, for each task: tf.float32 `[batch_size]`.
    """
    return tf.io.parse_example(examples, _COLUMNS)


def reader(
    *, batch_size: int, shuffle_buffer: int = 0, seed: int | None = None
) -> Callable[[tf.Tensor], tf.data.Dataset]:
    """Returns a reader: from an item, a file or a slice of one, to batches."""

    def read(item: tf.Tensor) -> tf.data.Dataset:
        examples = readers.tf_records(item)
        if shuffle_buffer > 1:
            examples = examples.shuffle(shuffle_buffer, seed=seed)
        return examples.batch(batch_size).map(parse)

    return read


def find_hours(data_location: str) -> dict[str, list[str]]:
    """Returns the files of each complete hour, the hours in their order."""
    pattern = os.path.join(data_location, f"{_HOUR}*", SUCCESS)
    directories = sorted(map(os.path.dirname, tf.io.gfile.glob(pattern)))
    files = {os.path.join(d, ""): part_files(d) for d in directories}
    return {hour_of(path): paths for path, paths in files.items() if paths}


def hour_of(path: str) -> str:
    """Returns the hour that a file belongs to."""
    return os.path.basename(os.path.dirname(path))[len(_HOUR) :]


def part_files(directory: str) -> list[str]:
    """Returns the TFRecord files of a directory."""
    return sorted(tf.io.gfile.glob(os.path.join(directory, "*.tfrecord")))
