"""Readers of items: from the text of an item to a tf.data.Dataset.

dataset = queue.records(readers.text_lines)
dataset = queue.input_dataset().interleave(readers.tf_records)
"""

from __future__ import annotations

from wq_hooks.readers.table import (
    TableRecordDataset,
    TableRecordReader,
    table_lines,
    table_records,
)
from wq_hooks.readers.text import text_lines
from wq_hooks.readers.tfrecord import tf_records

__all__ = [
    "TableRecordDataset",
    "TableRecordReader",
    "table_lines",
    "table_records",
    "text_lines",
    "tf_records",
]
