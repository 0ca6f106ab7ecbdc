"""What can be cut into slices: files and tables, without TensorFlow.

    from wq_hooks import sources
    queue = WorkQueue(paths, num_slices=100, source=sources.TextLines)

Readers of these slices are in `wq_hooks.readers`. Names are loaded when they
are first used: pyarrow and database drivers are optional.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from wq_hooks.core.items.slice_text import Slice, parse_slice, slice_text
from wq_hooks.sources.registry import (
    TableSource,
    find_source,
    register,
    source_of,
)

if TYPE_CHECKING:
    from wq_hooks.sources.odps import OdpsTable
    from wq_hooks.sources.parquet import ParquetRows
    from wq_hooks.sources.sql import SqlTable
    from wq_hooks.sources.text import TextLines
    from wq_hooks.sources.tfrecord import TFRecords

_MODULE_OF_NAME = {
    "OdpsTable": "wq_hooks.sources.odps",
    "ParquetRows": "wq_hooks.sources.parquet",
    "SqlTable": "wq_hooks.sources.sql",
    "TFRecords": "wq_hooks.sources.tfrecord",
    "TextLines": "wq_hooks.sources.text",
}

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


def __getattr__(name: str) -> Any:
    """Loads a source on first use (PEP 562)."""
    if name not in _MODULE_OF_NAME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULE_OF_NAME[name]), name)
