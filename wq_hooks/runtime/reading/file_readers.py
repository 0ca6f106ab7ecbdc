"""TensorFlow's readers of files, for one file at a time.

    reader = of_one_file(tf.data.TextLineDataset)
    lines = reader(path)

The classes of tf.data take many paths: they make a dataset of the paths and a
flat_map over it, even for one. Each record would pass it, to no end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tensorflow.compat.v1 as tf1

# Maps an item, a tf.string scalar, to a dataset of its records.
Reader = Callable[[Any], Any]

# As the classes of tf.data have it.
_BUFFER_BYTES = 1 << 18


def of_one_file(reader: Reader) -> Reader:
    """Returns what reads the same records of one file, with less between.

    Args:
      reader: Maps the path of a file, a tf.string scalar, to a dataset.
    """
    if reader in (tf.data.TextLineDataset, tf1.data.TextLineDataset):
        return text_lines_of_file
    if reader in (tf.data.TFRecordDataset, tf1.data.TFRecordDataset):
        return _tf_records_of_file
    return reader


def text_lines_of_file(path: Any, compression_type: Any = "") -> Any:
    """Returns the lines of a file, as tf.data.TextLineDataset reads them.

    Args:
      path: A tf.string scalar.
      compression_type: Compression, likewise; "": none.
    """
    return _strings(tf.raw_ops.TextLineDataset, path, compression_type)


def _tf_records_of_file(path: Any) -> Any:
    return _strings(tf.raw_ops.TFRecordDataset, path, "")


def _strings(read: Callable[..., Any], path: Any, compression: Any) -> Any:
    variant = read(
        filenames=tf.reshape(path, [1]),
        compression_type=compression,
        buffer_size=_BUFFER_BYTES,
    )
    return tf.data.experimental.from_variant(
        variant, tf.TensorSpec([], tf.string)
    )
