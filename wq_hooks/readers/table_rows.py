"""Which rows and columns of a table an item stands for, and reads them.

    rows = TableRows(selected_cols="a,b", slice_id=0, slice_count=4)
    for batch in rows.batches(b"sqlite:///a.db#t"): ...

The arguments are those of PAI-TF's readers.
"""

from __future__ import annotations

import csv
import io
import itertools
import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Union

from wq_hooks.core import log as logging
from wq_hooks.core.items.slice_text import parse_slice, slice_text
from wq_hooks.core.items.works import encoded
from wq_hooks.errors import SourceError
from wq_hooks.readers.columns import Column, csv_value
from wq_hooks.sources.registry import source_of

# Names of columns, or one string of them with commas; None or "": no names.
Names = Union[str, Sequence[str], None]
_BATCH_ROWS = 1024
_LINE_END = "\r\n"


@dataclass(frozen=True)
class Batch:
    """Some rows of an item, one after another.

    Attributes:
      path: Path of the table.
      first: The number of the first row in the table.
      rows: The rows.
      item: The text of the item, for errors.
      name_of: Returns the name of a column by its place, for errors.
    """

    path: str
    first: int
    rows: list[tuple[Any, ...]]
    item: str
    name_of: Callable[[int], str]

    def values(self, columns: Sequence[Column]) -> tuple[Any, ...]:
        """Returns the values of each column, as its reader has them.

        Raises:
          SourceError: If the number of columns is another, or one cannot have a
            value; it names item and column.
        """
        if len(self.rows[0]) != len(columns):
            raise SourceError(
                f"Expected {len(columns)} columns, as in record_defaults, in "
                f"{self.item!r:.300}; got {len(self.rows[0])}."
            )
        results = []
        for place, (column, values) in enumerate(zip(columns, zip(*self.rows))):
            try:
                results.append(column.array(values))
            except ValueError as e:
                raise self._error(column.type_name, place, e) from e
        return tuple(results)

    def lines(self, delimiter: str) -> list[bytes]:
        """Returns the rows as lines of CSV.

        Raises:
          SourceError: If a value cannot be written; it names item and column.
        """
        lines = []
        for row in self.rows:
            values = []
            for place, value in enumerate(row):
                try:
                    values.append(csv_value(value))
                except ValueError as e:
                    raise self._error("text or a number", place, e) from e
            line = io.StringIO()
            # Values that hold a part of the end are quoted.
            csv.writer(
                line, delimiter=delimiter, lineterminator=_LINE_END
            ).writerow(values)
            lines.append(encoded(line.getvalue()[: -len(_LINE_END)]))
        return lines

    def _error(
        self, expected: str, place: int, reason: ValueError
    ) -> SourceError:
        return SourceError(
            f"Expected {expected} in column {self.name_of(place)} of "
            f"{self.item!r:.300}: {reason}."
        )


class TableRows:
    """Reads the rows of items; see `table_records` for the arguments.

    Raises:
      TypeError: If one is of a wrong type.
      ValueError: If both kinds of columns are named, or a number is out of its
        range.
    """

    def __init__(
        self,
        selected_cols: Names = None,
        excluded_cols: Names = None,
        slice_id: int = 0,
        slice_count: int = 1,
        num_threads: int = 0,
        capacity: int = 0,
    ):
        self._selected = _names("selected_cols", selected_cols)
        self._excluded = _names("excluded_cols", excluded_cols)
        if self._selected and self._excluded:
            raise ValueError(
                "Expected selected_cols or excluded_cols; got both: "
                f"{selected_cols!r:.200} and {excluded_cols!r:.200}."
            )
        self._slice_id = _whole("slice_id", slice_id, 0)
        self.slice_count = _whole("slice_count", slice_count, 1)
        if self._slice_id >= self.slice_count:
            raise ValueError(
                "Expected slice_id below slice_count; got "
                f"slice_id={slice_id}, slice_count={slice_count}."
            )
        num_threads = _whole("num_threads", num_threads, 0)
        if num_threads or _whole("capacity", capacity, 0):
            logging.warning_once(
                "num_threads and capacity of table readers have no effect: "
                "rows are read %d at a time when they are asked for. End the "
                "dataset in prefetch() to read ahead.",
                _BATCH_ROWS,
            )

    def batches(self, text: bytes) -> Iterator[Batch]:
        """Yields the rows of an item; SourceError: they cannot be read."""
        item = text.decode("utf-8", "surrogateescape")
        path, start, end = parse_slice(item)
        source: Any = source_of(path)
        columns = self._columns_of(source)
        if columns is not None:
            source = type(source)(path, columns=columns)
        if end is None:
            end = max(int(source.count_records() or 0), start or 0)
        start, size = start or 0, end - (start or 0)
        first = start + size * self._slice_id // self.slice_count
        end = start + size * (self._slice_id + 1) // self.slice_count

        def name_of(place: int) -> str:
            names: Any = columns or getattr(source, "column_names", ())
            return repr(names[place]) if place < len(names) else str(place)

        if self.slice_count > 1:
            item = slice_text(path, first, end)
        rows = iter(source.read(first, end) if first < end else ())
        while batch := list(itertools.islice(rows, _BATCH_ROWS)):
            yield Batch(path, first, batch, item, name_of)
            first += len(batch)

    def _columns_of(self, source: Any) -> list[str] | None:
        """Returns the names of the columns that are read; None: all."""
        if not self._excluded:
            return self._selected
        names = getattr(source, "column_names", None)
        if names is None:
            raise SourceError(
                "Expected a source with column_names, for excluded_cols; "
                f"{source!r:.200} has none. Use selected_cols."
            )
        missing = [name for name in self._excluded if name not in names]
        rest = [name for name in names if name not in self._excluded]
        if missing or not rest:
            raise SourceError(
                f"Expected columns of {source.name!r:.300} in excluded_cols, "
                f"less than all; got {self._excluded!r:.200} of "
                f"{list(names)!r:.300}."
            )
        return rest


def expect_delimiter(value: str) -> str:
    """Returns a delimiter of lines of CSV, if it can be one.

    Raises:
      TypeError: If it is no str.
      ValueError: If it is not one character, or one that quotes or ends lines.
    """
    if not isinstance(value, str):
        raise TypeError(
            f"Expected csv_delimiter to be a str; got {value!r:.200}."
        )
    if len(value) != 1 or value in '"\r\n':
        raise ValueError(
            "Expected csv_delimiter to be one character, and neither a quote "
            "nor the end of a line, as in tf.io.decode_csv; got "
            f"{value!r:.200}."
        )
    return value


def _names(key: str, value: Names) -> list[str] | None:
    if value is None:
        return None
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, Sequence) or not all(
        isinstance(name, str) for name in names
    ):
        raise TypeError(
            f"Expected {key} to be names of columns with commas between, or a "
            f"list of names; got {value!r:.200}."
        )
    names = [name.strip() for name in names]
    return [name for name in names if name] or None


def _whole(key: str, value: Any, least: int) -> int:
    try:
        number = operator.index(value)
    except TypeError as e:
        raise TypeError(
            f"Expected {key} to be an int; got {value!r:.200}."
        ) from e
    if number < least:
        raise ValueError(f"Expected {key} >= {least}; got {key}={number}.")
    return number
