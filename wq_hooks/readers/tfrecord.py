"""Reads the records of TFRecord files and of slices of them as a dataset.

    dataset = queue.records(tf_records)

TensorFlow's own reader begins where a slice does. See
`wq_hooks.sources.tfrecord` for what it costs to find that place.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from wq_hooks.core.items.slice_text import slice_text
from wq_hooks.core.items.works import encoded
from wq_hooks.readers.blocks import as_it_is, call_python, until_whole
from wq_hooks.sources import files
from wq_hooks.sources.tfrecord import TFRecords

_BUFFER_BYTES = 1 << 18
_ALL = -1


@as_it_is
def tf_records(item: Any) -> Any:
    """Returns the records of an item as a tf.data.Dataset of tf.string.

    Args:
      item: A tf.string scalar: the path of a file, or `path?start=A&end=B`
        for records A to B. Paths that end in .gz, .zz or .zlib are
        decompressed; they are read whole.
    """
    if not tf.inside_function():
        # TFRecordDatasetV2 is written to a graph without its offsets, which
        # tf.data does to a dataset, but not to those that its functions make.
        return tf.data.Dataset.from_tensors(item).flat_map(tf_records)
    paths, offsets, num_records, compression = call_python(
        _plan,
        [item],
        (tf.string, tf.int64, tf.int64, tf.string),
        ([None], [None], [], []),
    )
    records = tf.data.experimental.from_variant(
        tf.raw_ops.TFRecordDatasetV2(
            filenames=paths,
            compression_type=compression,
            buffer_size=_BUFFER_BYTES,
            byte_offsets=offsets,
        ),
        tf.TensorSpec([], tf.string),
    )
    # tf.data's optimizer crashes where a number comes from an op of several
    # results.
    records = records.take(tf.identity(num_records))
    return until_whole(records, paths[0], compression)


def _plan(text: str) -> tuple[Any, Any, Any, bytes]:
    """Returns what is read: (paths, offsets in bytes, number, compression)."""
    path, start, end = files.parse_item(text)
    names, offsets, num_records = [path], [0], _ALL
    if start is not None and (start > 0 or end is not None):
        source = TFRecords(path)
        if end is None:
            end = max(start, source.count_records() or 0)
        num_records = end - start
        if num_records:
            # The next file does not exist, and its name says what is wrong if
            # the first one ends too soon.
            names.append(
                f"{slice_text(path, start, end)} (the file has become shorter "
                "while it was read)"
            )
            offsets = [source.begin_of(start, end), 0]
    return (
        np.array([encoded(name) for name in names], object),
        np.array(offsets, np.int64),
        np.int64(num_records),
        files.compression_of(path).encode(),
    )
