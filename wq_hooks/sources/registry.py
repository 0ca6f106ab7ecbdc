"""Which source stands behind the text of a work.

    register("warehouse", WarehouseTable)     # for warehouse://...
    register(".rows", RowFile)                # for files that end so
    source = find_source("warehouse://clicks")

Tables have a source of their own accord. Plain files have none, so that they
stay whole: a script may open what it gets by TensorFlow's own readers. To cut
them, name their source: `WorkQueue(paths, num_slices=100, source=TextLines)`.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from wq_hooks.errors import SourceError


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

# Names are imported when needed: some have heavy imports of their own.
_registry: dict[str, str | SourceFactory] = {
    ".parquet": "wq_hooks.sources.parquet:ParquetRows",
    "odps": "wq_hooks.sources.odps:OdpsTable",
    "postgres": "wq_hooks.sources.sql:SqlTable",
    "postgresql": "wq_hooks.sources.sql:SqlTable",
    "sqlite": "wq_hooks.sources.sql:SqlTable",
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
    if factory is None:
        return None
    if isinstance(factory, str):
        module, _, name = factory.partition(":")
        factory = getattr(importlib.import_module(module), name)
        _registry[key] = factory
    return factory(text)


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
