"""Reads the records of TFRecord files and of slices of them as a dataset.

    dataset = queue.records(tf_records)

See `wq_hooks.sources.tfrecord` for what it costs to find where a slice begins.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from wq_hooks.readers.blocks import as_it_is, call_python, read_in_blocks
from wq_hooks.sources.tfrecord import TFRecords


@as_it_is
def tf_records(item: Any) -> Any:
    """Returns the records of an item as a tf.data.Dataset of tf.string.

    Args:
      item: A tf.string scalar: the path of a file, or `path?start=A&end=B`
        for records A to B. Paths that end in .gz, .zz or .zlib are
        decompressed; they are read whole.
    """

    def read_block(path: str, start: int, end: int) -> Any:
        return np.array(
            TFRecords(path).read_bytes(int(start), int(end)), dtype=object
        )

    def records_of(path: Any, start: Any, end: Any) -> Any:
        return call_python(read_block, [path, start, end], tf.string, [None])

    def read_whole(paths: Any, compression: Any) -> Any:
        return tf.data.TFRecordDataset(paths, compression_type=compression)

    return read_in_blocks(item, _blocks_of, records_of, read_whole)


def _blocks_of(path: str, start: int, end: int | None) -> list[tuple[int, int]]:
    source = TFRecords(path)
    if end is None:
        end = max(start, source.count_records() or 0)
    return source.byte_blocks(start, end)
