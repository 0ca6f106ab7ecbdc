"""What can be cut into slices: files and tables, without TensorFlow.

    from wq_hooks import sources
    queue = WorkQueue(paths, num_slices=100, source=sources.TextLines)

Readers of these slices are in `wq_hooks.readers`. pyarrow and database drivers
are optional: they are imported when a source is read.
"""

from __future__ import annotations

from wq_hooks.core.items.slice_text import Slice, parse_slice, slice_text
from wq_hooks.sources.odps import OdpsTable
from wq_hooks.sources.parquet import ParquetRows
from wq_hooks.sources.registry import (
    TableSource,
    find_source,
    register,
    source_of,
)
from wq_hooks.sources.sql import SqlTable
from wq_hooks.sources.text import TextLines
from wq_hooks.sources.tfrecord import TFRecords

__all__ = [
    "OdpsTable",
    "ParquetRows",
    "Slice",
    "SqlTable",
    "TFRecords",
    "TableSource",
    "TextLines",
    "find_source",
    "parse_slice",
    "register",
    "slice_text",
    "source_of",
]
