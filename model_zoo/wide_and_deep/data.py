"""The Criteo display-ads format: its columns, its files, and how they are read.

    paths = find_files("data", "train")          # data/train/* or data/train*
    batches = queue.records(read).batch(128).map(parse)

One line is one impression, its fields separated by tabs: the label (1 = was
clicked), the integer columns and the categorical columns; a missing value is an
empty field. So are the files of the Kaggle Display Advertising Challenge
(Criteo Labs, 2014) and the 24 days of the Terabyte Click Logs, which are read
as they are, also as `.gz`.

The trap: the challenge's own `test.txt` has no labels and cannot be evaluated;
hold out some lines of `train.txt` instead.
"""

from __future__ import annotations

import os
from typing import Any

import tensorflow as tf

from wq_hooks import readers

# The columns behind the label, in their order.
INTEGER_COLUMNS = tuple(f"I{i}" for i in range(1, 14))
CATEGORICAL_COLUMNS = tuple(f"C{i}" for i in range(1, 27))
DELIMITER = "\t"


def find_files(data_location: str, split: str) -> list[str]:
    """Lists the files of one split in alphabetical order.

    Args:
      data_location: Directory of the data set.
      split: `"train"` or `"eval"`.

    Returns:
      The files in `<data_location>/<split>/` if that directory exists, else
      those of `<data_location>` whose names begin with `split`. Names that
      begin with `_` or `.`, such as `_SUCCESS`, are left out.

    Raises:
      ValueError: If there is none.
    """
    directory, start = os.path.join(data_location, split), ""
    if not os.path.isdir(directory):
        directory, start = data_location, split
    paths = [
        os.path.join(directory, name)
        for name in (
            sorted(os.listdir(directory)) if os.path.isdir(directory) else []
        )
        if name.startswith(start) and not name.startswith(("_", "."))
    ]
    paths = [path for path in paths if os.path.isfile(path)]
    if not paths:
        raise ValueError(
            f"Expected files {split}/* or {split}* in --data_location; found "
            f"none in {data_location!r}. To generate some: python -m "
            "model_zoo.wide_and_deep.generate --output_dir=..."
        )
    return paths


def read(item: Any) -> tf.data.Dataset:
    """Reads an item: pairs of a line and the item, tf.string scalars.

    Args:
      item: A tf.string scalar: a path, which may end in `.gz`, or a slice.
    """
    return readers.text_lines(item).map(lambda line: (line, item))


def parse_lines(lines: tf.Tensor) -> tuple[dict[str, Any], tf.Tensor]:
    """Parses lines.

    Args:
      lines: tf.string `[batch_size]`.

    Returns:
      `(features, labels)`: features `"integers"`, tf.float32
      `[batch_size, 13]` with NaN for missing values; `"categories"`, tf.string
      `[batch_size, 26]` with `""` for missing values. Labels are tf.float32
      `[batch_size]`.

    Raises:
      tf.errors.InvalidArgumentError: When run, for a line that does not have
        these fields, that lacks its label, or whose numbers are none.
    """
    num_integers = len(INTEGER_COLUMNS)
    label_is_required = tf.constant([], tf.float32)
    fields = tf.io.decode_csv(
        lines,
        record_defaults=[label_is_required]
        + [[float("nan")]] * num_integers
        + [[""]] * len(CATEGORICAL_COLUMNS),
        field_delim=DELIMITER,
        use_quote_delim=False,
    )
    features = {
        "integers": tf.stack(fields[1 : 1 + num_integers], axis=1),
        "categories": tf.stack(fields[1 + num_integers :], axis=1),
    }
    return features, fields[0]


def parse(lines: tf.Tensor, items: tf.Tensor) -> tuple[dict[str, Any], Any]:
    """Parses a batch of what `read` gives; a feature `"items"` is added."""
    features, labels = parse_lines(lines)
    return {**features, "items": items}, labels


def example() -> dict[str, tf.Tensor]:
    """Returns the features of a row without values, to build a model with."""
    return {
        "integers": tf.fill([1, len(INTEGER_COLUMNS)], float("nan")),
        "categories": tf.fill([1, len(CATEGORICAL_COLUMNS)], ""),
    }


def eval_batches(data_location: str) -> tf.data.Dataset:
    """Reads each line to evaluate on once, in order; see `parse`."""
    paths = find_files(data_location, "eval")
    lines = tf.data.Dataset.from_tensor_slices(paths).flat_map(read)
    return lines.batch(1000).map(parse).prefetch(1)
