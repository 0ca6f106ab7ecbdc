"""Input: file names -> lines -> shuffle -> batch -> features and labels.

    files = static_files(paths, task_index=1, num_tasks=4)   # or
    files = queue.input_dataset()
    dataset = train_batches(files, batch_size=512, shuffle_buffer=1024)

Everything behind the file names is the same code, whether a work queue hands
the files out or each task has a fixed share of them.

The trap: a work queue counts a file as completed when the next one is asked
for. A batch, a shuffle buffer or a prefetch that spans two files asks early,
and what it holds of the first one at a checkpoint is skipped by a resume. So
all of these stay within a file here; the files are shuffled by the queue.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from model_zoo.wide_and_deep import criteo

Features = dict[str, Any]


def parse_lines(lines: tf.Tensor) -> tuple[Features, tf.Tensor]:
    """Parses lines of the Criteo format.

    Args:
      lines: tf.string `[batch_size]`.

    Returns:
      `(features, labels)`: features `"integers"`, tf.float32
      `[batch_size, 13]` with NaN for missing values; `"categories"`, tf.string
      `[batch_size, 26]` with `""` for missing values. Labels are tf.float32
      `[batch_size]`.

    Raises:
      tf.errors.InvalidArgumentError: When run, for a line that does not have
        40 fields, that lacks its label, or whose numbers are none.
    """
    num_integers = len(criteo.INTEGER_COLUMNS)
    label_is_required = tf.constant([], tf.float32)
    fields = tf.io.decode_csv(
        lines,
        record_defaults=[label_is_required]
        + [[float("nan")]] * num_integers
        + [[""]] * len(criteo.CATEGORICAL_COLUMNS),
        field_delim=criteo.DELIMITER,
        use_quote_delim=False,
    )
    features = {
        "integers": tf.stack(fields[1 : 1 + num_integers], axis=1),
        "categories": tf.stack(fields[1 + num_integers :], axis=1),
    }
    return features, fields[0]


def static_files(
    files: Sequence[str],
    *,
    task_index: int = 0,
    num_tasks: int = 1,
    num_epochs: int | None = 1,
    seed: int | None = None,
) -> tf.data.Dataset:
    """Gives each task a fixed share of the files, as without a work queue.

    Args:
      files: All files, the same list on every task.
      task_index: This task's number among those that train.
      num_tasks: How many tasks train.
      num_epochs: How often each file is read; None: without end.
      seed: Seed of the files' order, which differs from epoch to epoch.

    Returns:
      Dataset of tf.string scalars: `files[task_index::num_tasks]`, shuffled.
    """
    if not 0 <= task_index < num_tasks:
        raise ValueError(
            f"Expected 0 <= task_index < num_tasks; got "
            f"task_index={task_index}, num_tasks={num_tasks}."
        )
    share = list(files[task_index::num_tasks])
    # The dtype is named because an empty share has none.
    dataset = tf.data.Dataset.from_tensor_slices(tf.constant(share, tf.string))
    dataset = dataset.shuffle(max(len(share), 1), seed=seed)
    return dataset.repeat(num_epochs)


def train_batches(
    files: tf.data.Dataset,
    *,
    batch_size: int,
    shuffle_buffer: int,
    seed: int | None = None,
) -> tf.data.Dataset:
    """Reads files and makes batches to train on.

    Files are read one after the other and a file is asked for by the step that
    follows the last one of the file before, so that a work queue sees how fast
    this task is, and a file that counts as completed has been trained. No
    batch spans two files: the last one of each may be smaller than the others.

    Args:
      files: Dataset of tf.string scalars, the paths.
      batch_size: Lines in a batch.
      shuffle_buffer: Lines of a file to shuffle among; 0 or 1: as they are.
      seed: Seed of the lines' order.

    Returns:
      Dataset of `(features, labels)` as of `parse_lines`, with two more
      features, which say what the batch is: `"file"`, a tf.string scalar, and
      `"batch"`, a tf.int64 scalar, its number in the file from 0.
    """

    def read(path: tf.Tensor) -> tf.data.Dataset:
        lines = tf.data.TextLineDataset(path)
        if shuffle_buffer > 1:
            lines = lines.shuffle(shuffle_buffer, seed=seed)
        batches = lines.batch(batch_size).map(parse_lines).enumerate()
        return batches.map(
            lambda number, batch: (
                {**batch[0], "file": path, "batch": number},
                batch[1],
            )
        ).prefetch(1)

    return files.flat_map(read)


def eval_batches(files: Sequence[str], *, batch_size: int) -> tf.data.Dataset:
    """Reads each line of `files` once, in order; see `parse_lines`."""
    lines = tf.data.TextLineDataset(list(files))
    return lines.batch(batch_size).map(parse_lines).prefetch(1)
