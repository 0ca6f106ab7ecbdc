"""Clicks with the history of who has seen them: columns, files, readers.

    rows = queue.records(read_table).shuffle(1000)
    batches = rows.map(to_features).padded_batch(128)

A row is one impression: `id`, `clicked`, the `item` that was shown and its
`category`, and the items that the user has clicked before, oldest first, with
their categories. These two are texts of numbers with blanks in between, as of
tables, for they are of different lengths. All numbers are 1 or more: 0 fills up
a batch.
"""

from __future__ import annotations

import glob
import os
from typing import Any

import tensorflow as tf

from wq_hooks import readers

# The columns, in the order of text files. No value may be missing.
COLUMNS = {
    "id": tf.int64,
    "clicked": tf.int64,
    "item": tf.int64,
    "category": tf.int64,
    "history": tf.string,
    "history_categories": tf.string,
}
DELIMITER = "\t"


def find_files(data_location: str, split: str, ending: str) -> list[str]:
    """Lists the files `<data_location>/<split>/*<ending>` in order.

    Raises:
      ValueError: If there is none.
    """
    pattern = os.path.join(glob.escape(data_location), split, f"*{ending}")
    paths = sorted(glob.glob(pattern))
    if not paths:
        raise ValueError(
            f"Expected files {pattern}; found none. To generate some: python "
            "-m model_zoo.din.generate --output_dir=..."
        )
    return paths


def read_table(item: Any) -> tf.data.Dataset:
    """Reads a table, or a slice of one, as tuples of `COLUMNS`.

    Parquet files and SQL tables are read in Python, in the process that has
    built the pipeline. The workers of ParameterServerStrategy build none.

    Args:
      item: A tf.string scalar: a path, or a URL such as
        `postgresql://host/db#clicks`.
    """
    return readers.table_records(
        item, list(COLUMNS.values()), selected_cols=list(COLUMNS)
    )


def read_text(path: Any) -> tf.data.Dataset:
    """Reads a text file as tuples of `COLUMNS`, by TensorFlow alone."""
    defaults = [tf.constant([], dtype) for dtype in COLUMNS.values()]
    return tf.data.TextLineDataset(path).map(
        lambda line: tuple(
            tf.io.decode_csv(line, defaults, DELIMITER, use_quote_delim=False)
        )
    )


def to_features(*columns: tf.Tensor) -> tuple[dict[str, Any], tf.Tensor]:
    """Makes features and label of a row.

    Returns:
      Features by the names of `COLUMNS`: `"id"`, a tf.string scalar; `"item"`
      and `"category"`, tf.int64 scalars; `"history"` and
      `"history_categories"`, tf.int64 `[length]`. The label is a tf.float32
      scalar.
    """
    row = dict(zip(COLUMNS, columns))
    for name in ("history", "history_categories"):
        row[name] = tf.strings.to_number(tf.strings.split(row[name]), tf.int64)
    row["id"] = tf.strings.as_string(row["id"])
    return row, tf.cast(row.pop("clicked"), tf.float32)


def eval_batches(data_location: str) -> tf.data.Dataset:
    """Reads each row to evaluate on once, in order."""
    paths = find_files(data_location, "eval", ".tsv")
    rows = tf.data.Dataset.from_tensor_slices(paths).flat_map(read_text)
    return rows.map(to_features).padded_batch(1000).prefetch(1)
