"""Which source a work has, by its text.

    register("warehouse", WarehouseTable)     # for warehouse://...
    register(".rows", RowFile)                # for files that end so
    source = find_source("warehouse://clicks")

Tables have a source. Plain files have none, so that they stay whole: a script
may open what it gets by TensorFlow's own readers. To cut
them, name their source: `WorkQueue(paths, num_slices=100, source=TextLines)`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from wq_hooks.errors import SourceError
from wq_hooks.sources.odps import OdpsTable
from wq_hooks.sources.parquet import ParquetRows
from wq_hooks.sources.sql import SqlTable


class TableSource(Protocol):
    """Something whose records can be counted, and read from one to another."""

    @property
    def name(self) -> str:
        """What is listed and handed out: a path or a URL."""

    def count_records(self) -> int | None:
        """Returns how long it is, in the unit of `read`; None: uncuttable."""

    def read(self, start: int, end: int) -> Iterator[Any]:
        """Yields the records of [start, end), each bytes or a tuple.

        Raises:
          SourceError: If there are less than `end`.
        """


SourceFactory = Callable[[str], TableSource]

_registry: dict[str, SourceFactory] = {
    ".parquet": ParquetRows,
    "odps": OdpsTable,
    "postgres": SqlTable,
    "postgresql": SqlTable,
    "sqlite": SqlTable,
}


def register(key: str, factory: SourceFactory) -> None:
    """Lets a factory make the sources of a URL scheme or a file ending.

    Args:
      key: A scheme, such as "odps", or an ending with its dot.
      factory: Returns the source for the text of a work.

    Raises:
      ValueError: If `key` is neither.
    """
    if not key.strip(".") or "/" in key or ":" in key:
        raise ValueError(
            "Expected a URL scheme such as 'odps', or an ending such as "
            f"'.parquet'; got {key!r}."
        )
    _registry[key.lower()] = factory


def find_source(text: str) -> TableSource | None:
    """Returns the source of a work's text; None: none is registered."""
    scheme, separator, _ = text.partition("://")
    key = scheme.lower()
    if not separator or key not in _registry:
        key = os.path.splitext(text)[1].lower()
    factory = _registry.get(key)
    return None if factory is None else factory(text)


def source_of(text: str) -> TableSource:
    """Returns the source of a work's text.

    Raises:
      SourceError: If none is registered for its scheme or ending.
    """
    source = find_source(text)
    if source is None:
        raise SourceError(
            f"Expected a table of one of {sorted(_registry)}; got "
            f"{text!r:.300}. Register a source for it: "
            "wq_hooks.sources.register."
        )
    return source
