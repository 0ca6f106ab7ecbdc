"""Reads the rows of tables, and of slices of them: any registered source.

    reader = TableRecordReader()
    keys, values = reader.read_up_to(queue.input_producer(), num_records=2)

    dataset = TableRecordDataset(queue.input_dataset(), [0, 0.0, ""])

    dataset = queue.records(lambda item: table_records(item, [0, 0.0, ""]))

The names and arguments are those of PAI-TF; see `wq_hooks.sources` for what a
table can be. The trap: rows come through Python, some 100,000 to a million of
values each second; files that TensorFlow reads itself are quicker.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow.compat.v1 as tf1

from wq_hooks.core.slice_text import parse_slice
from wq_hooks.errors import SourceError
from wq_hooks.readers.blocks import as_it_is
from wq_hooks.runtime.dataset_ops import queue_options
from wq_hooks.sources.registry import source_of

_BATCH_ROWS = 1024


@as_it_is
def table_records(
    item: Any,
    record_defaults: Sequence[Any],
    *,
    selected_cols: str | Sequence[str] = "",
) -> Any:
    """Returns the rows of an item as a tf.data.Dataset of tuples of scalars.

    Args:
      item: A tf.string scalar: a table, or `table?start=A&end=B`.
      record_defaults: One value for each column: its type is the column's
        (int: tf.int64, float: tf.float32, str or bytes: tf.string, or
        a tensor or numpy scalar of any dtype), and it stands for NULL.
      selected_cols: Names of the columns, or one string of them with commas;
        "": all.
    """
    defaults = [_default(value) for value in record_defaults]
    columns = _names(selected_cols)

    def batches(text: bytes) -> Iterator[tuple[Any, ...]]:
        for _, rows in _batches(text, columns):
            yield _columns(rows, defaults, tf.compat.as_str_any(text))

    dataset = tf.data.Dataset.from_generator(
        batches,
        output_signature=tuple(
            tf.TensorSpec([None], tf.as_dtype(default.dtype))
            if default.dtype != np.dtype(object)
            else tf.TensorSpec([None], tf.string)
            for default in defaults
        ),
        args=(item,),
    )
    return dataset.flat_map(
        lambda *batch: tf.data.Dataset.from_tensor_slices(batch)
    )


@as_it_is
def table_lines(
    item: Any,
    *,
    selected_cols: str | Sequence[str] = "",
    csv_delimiter: str = ",",
) -> Any:
    """Returns the rows of an item as a dataset of (key, line of CSV).

    Args:
      item: A tf.string scalar: a table, or `table?start=A&end=B`.
      selected_cols: See `table_records`.
      csv_delimiter: Between the values; NULL is an empty one.
    """
    columns = _names(selected_cols)

    def batches(text: bytes) -> Iterator[tuple[Any, Any]]:
        path, start, _ = parse_slice(tf.compat.as_str_any(text))
        number = start or 0
        for count, rows in _batches(text, columns):
            keys = [f"{path}:{number + i}".encode() for i in range(count)]
            lines = [_csv_line(row, csv_delimiter) for row in rows]
            number += count
            yield (
                np.array(keys, dtype=object),
                np.array(lines, dtype=object),
            )

    dataset = tf.data.Dataset.from_generator(
        batches,
        output_signature=(tf.TensorSpec([None], tf.string),) * 2,
        args=(item,),
    )
    return dataset.flat_map(
        lambda *batch: tf.data.Dataset.from_tensor_slices(batch)
    )


class TableRecordDataset:
    """Makes a tf.data.Dataset of the rows of tables, as in PAI-TF.

    Args:
      filenames: Tables, or slices of them: a list, a tensor, or a dataset
        such as `queue.input_dataset()`.
      record_defaults: See `table_records`.
      selected_cols: See `table_records`.
    """

    def __new__(
        cls,
        filenames: Any,
        record_defaults: Sequence[Any],
        selected_cols: str | Sequence[str] = "",
    ) -> Any:
        """Returns the dataset."""
        items = filenames
        if not isinstance(items, tf.data.Dataset):
            names = tf.reshape(tf.convert_to_tensor(items, tf.string), [-1])
            items = tf.data.Dataset.from_tensor_slices(names)
        return items.flat_map(
            lambda item: table_records(
                item, record_defaults, selected_cols=selected_cols
            )
        )


class TableRecordReader:
    """Reads rows of the tables that a queue names, as lines of CSV.

    To be used in graph mode as TensorFlow's Readers are; a session without
    MonitoredTrainingSession has to run `tf.compat.v1.tables_initializer()`.

    Args:
      csv_delimiter: Between the values.
      selected_cols: See `table_records`.
    """

    def __init__(
        self,
        csv_delimiter: str = ",",
        selected_cols: str | Sequence[str] = "",
    ):
        self._csv_delimiter = csv_delimiter
        self._selected_cols = selected_cols

    def read(self, queue: Any) -> tuple[Any, Any]:
        """Returns (key, line), tf.string scalars, another each time.

        Args:
          queue: Of tables, such as `work_queue.input_producer()`.
        """
        keys, lines = self._next(queue, None)
        return keys, lines

    def read_up_to(self, queue: Any, num_records: int) -> tuple[Any, Any]:
        """Returns (keys, lines), tf.string vectors of up to `num_records`.

        There are less at the end of each item: they are all of one.
        """
        keys, lines = self._next(queue, num_records)
        return keys, lines

    def _next(self, queue: Any, num_records: int | None) -> Any:
        def lines_of(item: Any) -> Any:
            lines = table_lines(
                item,
                selected_cols=self._selected_cols,
                csv_delimiter=self._csv_delimiter,
            )
            return lines if num_records is None else lines.batch(num_records)

        # The map of tf.data 2 turns the end of data into an error.
        items = tf1.data.Dataset.from_tensors(0).repeat()
        items = items.map(lambda _: tf.reshape(queue.dequeue(), []))
        lines = items.flat_map(lines_of).with_options(queue_options())
        iterator = tf1.data.make_initializable_iterator(lines)
        tf1.add_to_collection(
            tf1.GraphKeys.TABLE_INITIALIZERS, iterator.initializer
        )
        return iterator.get_next()


def _batches(
    text: bytes, columns: list[str] | None
) -> Iterator[tuple[int, list[tuple[Any, ...]]]]:
    """Yields (number of rows, rows) of an item."""
    path, start, end = parse_slice(text.decode("utf-8", "surrogateescape"))
    source: Any = source_of(path)
    if columns is not None:
        source = type(source)(path, columns=columns)
    if end is None:
        end = source.count_records()
    rows: list[tuple[Any, ...]] = []
    for row in source.read(start or 0, end):
        rows.append(row)
        if len(rows) == _BATCH_ROWS:
            yield len(rows), rows
            rows = []
    if rows:
        yield len(rows), rows


def _columns(
    rows: list[tuple[Any, ...]], defaults: list[Any], text: str
) -> tuple[Any, ...]:
    """Returns the values of rows as one array for each column."""
    if len(rows[0]) != len(defaults):
        raise SourceError(
            f"Expected {len(defaults)} columns, as in record_defaults, in "
            f"{text!r:.300}; got {len(rows[0])}."
        )
    arrays = []
    for number, (values, default) in enumerate(zip(zip(*rows), defaults)):
        if default.dtype == np.dtype(object):
            arrays.append(
                np.array([_as_bytes(v, default) for v in values], dtype=object)
            )
            continue
        try:
            filled = [default if v is None else v for v in values]
            arrays.append(
                np.array(filled).astype(default.dtype, casting="same_kind")
            )
        except (TypeError, ValueError) as e:
            raise SourceError(
                f"Expected {default.dtype} in column {number} of "
                f"{text!r:.300}: {e}"
            ) from e
    return tuple(arrays)


def _as_bytes(value: Any, default: Any) -> bytes:
    if value is None:
        value = default.item()
    return value if isinstance(value, bytes) else str(value).encode()


def _default(value: Any) -> Any:
    """Returns a default as a numpy scalar; text as an object."""
    if isinstance(value, (list, tuple)) and len(value) == 1:
        value = value[0]  # As decode_csv has them.
    if isinstance(value, np.number):
        return np.array(value)  # A numpy.float64 is a float as well.
    if isinstance(value, (str, bytes)):
        return np.array(tf.compat.as_bytes(value), dtype=object)
    if isinstance(value, bool):
        return np.array(value)
    if isinstance(value, int):
        return np.array(value, np.int64)
    if isinstance(value, float):
        return np.array(value, np.float32)
    if isinstance(value, tf.Tensor):
        value = tf.get_static_value(value)
    return np.array(value)


def _names(selected_cols: str | Sequence[str]) -> list[str] | None:
    if isinstance(selected_cols, str):
        selected_cols = selected_cols.split(",")
    names = [name.strip() for name in selected_cols]
    return [name for name in names if name] or None


def _csv_line(row: tuple[Any, ...], delimiter: str) -> bytes:
    line = io.StringIO()
    values = (
        value.decode("utf-8", "surrogateescape")
        if isinstance(value, bytes)
        else value
        for value in row
    )
    csv.writer(line, delimiter=delimiter, lineterminator="").writerow(values)
    return line.getvalue().encode("utf-8", "surrogateescape")
