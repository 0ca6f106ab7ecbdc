"""Parquet files, cut by rows; only the row groups that are needed are read.

    source = ParquetRows("a.parquet")
    for row in source.read(0, 1000): ...      # tuples, one value a column

Needs pyarrow: pip install "wq-hooks[parquet]".
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import IO, Any

from wq_hooks.core.items.slice_text import slice_text
from wq_hooks.errors import SourceError
from wq_hooks.sources import files
from wq_hooks.sources.source_errors import (
    missing_package_error,
    naming,
    shorter_error,
)

_BATCH_ROWS = 4096


class ParquetRows:
    """The rows of one Parquet file.

    Args:
      path: Path of the file, on any file system that TensorFlow knows.
      columns: Names of the columns that are read; None: all.
    """

    def __init__(self, path: str, *, columns: Sequence[str] | None = None):
        self.name = path
        self._columns = None if columns is None else list(columns)

    def __repr__(self) -> str:
        return f"ParquetRows({self.name!r})"

    @property
    def column_names(self) -> list[str]:
        """Names of the columns, in the order of a row's values."""
        if self._columns is not None:
            return self._columns
        with self._opened() as file:
            return list(file.schema_arrow.names)

    def count_records(self) -> int:
        """Returns the number of rows, from the end of the file alone.

        Raises:
          SourceError: If the file cannot be read, or is no Parquet file.
        """
        with self._opened() as file:
            return int(file.metadata.num_rows)

    def read(self, start: int, end: int) -> Iterator[tuple[Any, ...]]:
        """Yields rows [start, end).

        Raises:
          SourceError: If the file cannot be read, has not so many rows (any
            more), or lacks a column.
        """
        with self._opened() as file:
            num_rows = file.metadata.num_rows
            if end > num_rows:
                raise shorter_error(f"at least {end} rows", self.name, num_rows)
            missing = set(self._columns or ()) - set(file.schema_arrow.names)
            if missing:
                raise SourceError(
                    f"Expected columns {sorted(missing)} in "
                    f"{self.name!r:.300}; got {file.schema_arrow.names}."
                )
            with naming(slice_text(self.name, start, end)):
                yield from self._rows(file, start, end)

    def _rows(
        self, file: Any, start: int, end: int
    ) -> Iterator[tuple[Any, ...]]:
        row = 0
        for group in range(file.metadata.num_row_groups):
            num_rows = file.metadata.row_group(group).num_rows
            if row + num_rows <= start or row >= end:
                row += num_rows
                continue
            for batch in file.iter_batches(
                _BATCH_ROWS, row_groups=[group], columns=self._columns
            ):
                first, last = max(start - row, 0), min(end - row, len(batch))
                row += len(batch)
                if first < last:
                    yield from self._tuples(batch.slice(first, last - first))

    def _tuples(self, batch: Any) -> Iterator[tuple[Any, ...]]:
        if self._columns is not None:
            batch = batch.select(self._columns)
        columns = []
        for name, column in zip(batch.schema.names, batch.columns):
            try:
                columns.append(column.to_pylist())
            except Exception as e:
                raise SourceError(
                    f"Expected values that Python can hold in column {name!r} "
                    f"of {self.name!r:.300}, of type {column.type}: {e}"
                ) from e
        return zip(*columns)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[Any]:
        try:
            import pyarrow.parquet
        except ImportError as e:
            raise missing_package_error(
                "pyarrow", self.name, '"wq-hooks[parquet]"'
            ) from e
        with files.open_bytes(self.name) as raw:
            try:
                file = pyarrow.parquet.ParquetFile(_as_arrow_file(raw))
            except Exception as e:
                raise SourceError(
                    f"Expected a Parquet file; got {self.name!r:.300}: {e}"
                ) from e
            with file:
                yield file


def _as_arrow_file(raw: IO[bytes]) -> Any:
    """Returns a file for pyarrow, which asks more of it than GFile has."""
    if hasattr(raw, "readinto"):
        return raw
    import pyarrow

    return pyarrow.BufferReader(raw.read())
