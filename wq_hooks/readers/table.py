"""Reads the rows of tables, and of slices of them: any registered source.

    reader = TableRecordReader()
    keys, values = reader.read_up_to(queue.input_producer(), num_records=2)

    dataset = TableRecordDataset(queue.input_dataset(), [0, 0.0, ""])

    dataset = queue.records(lambda item: table_records(item, [0, 0.0, ""]))

The names and arguments are those of PAI-TF; see `wq_hooks.sources` for what a
table can be. The trap: rows come through Python; files that TensorFlow reads
itself are quicker.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow.compat.v1 as tf1

from wq_hooks.core import log as logging
from wq_hooks.core.items.works import encoded
from wq_hooks.readers.blocks import as_it_is
from wq_hooks.readers.columns import Column
from wq_hooks.readers.table_rows import (
    Names,
    TableRows,
    expect_delimiter,
)
from wq_hooks.runtime.ports.dataset_ops import queue_options


@as_it_is
def table_records(
    item: Any,
    record_defaults: Sequence[Any],
    *,
    selected_cols: Names = None,
    excluded_cols: Names = None,
    slice_id: int = 0,
    slice_count: int = 1,
) -> Any:
    """Returns the rows of an item as a tf.data.Dataset of tuples of scalars.

    A value that the type of its column cannot hold is an error, which names
    item and column; a floating-point number is rounded.

    Args:
      item: A tf.string scalar: a table, or `table?start=A&end=B`.
      record_defaults: One value for each column: its type is the column's
        (int: tf.int64, float: tf.float32, str or bytes: tf.string, or
        a tensor or numpy value of any dtype), and it stands for NULL. Of an
        empty list or tensor, or a tf.DType, NULL is an error. Of several
        numbers, the column has lists of so many.
      selected_cols: Names of the columns, or one string of them with commas;
        None or "": all.
      excluded_cols: Names of the columns that are left out, likewise.
      slice_id: Number of the part of the item that is read.
      slice_count: Into how many parts, of about the same length, it is cut.
    """
    rows = TableRows(selected_cols, excluded_cols, slice_id, slice_count)
    return _records(item, _columns(record_defaults), rows)


@as_it_is
def table_lines(
    item: Any,
    *,
    selected_cols: Names = None,
    csv_delimiter: str = ",",
    excluded_cols: Names = None,
    slice_id: int = 0,
    slice_count: int = 1,
) -> Any:
    """Returns the rows of an item as a dataset of (key, line of CSV).

    Args:
      item: A tf.string scalar: a table, or `table?start=A&end=B`.
      selected_cols: See `table_records`, as for the others.
      csv_delimiter: Separator between the values; NULL is an empty one.
      excluded_cols: Names of the columns that are left out.
      slice_id: Number of the part of the item that is read.
      slice_count: Into how many parts it is cut.
    """
    rows = TableRows(selected_cols, excluded_cols, slice_id, slice_count)
    return _lines(item, rows, expect_delimiter(csv_delimiter))


class TableRecordDataset:
    """Makes a tf.data.Dataset of the rows of tables, as in PAI-TF.

    Args:
      filenames: Tables, or slices of them: a list, a tensor, or a dataset
        such as `queue.input_dataset()`.
      record_defaults: See `table_records`.
      selected_cols: See `table_records`.
      excluded_cols: See `table_records`.
      slice_id: See `table_records`.
      slice_count: See `table_records`. For tables that each worker lists. A
        WorkQueue has shared them out already: leave it at 1 there.
      num_threads: Has no effect.
      capacity: Has no effect.
    """

    def __new__(
        cls,
        filenames: Any,
        record_defaults: Sequence[Any],
        selected_cols: Names = None,
        excluded_cols: Names = None,
        slice_id: int = 0,
        slice_count: int = 1,
        num_threads: int = 0,
        capacity: int = 0,
    ) -> Any:
        """Returns the dataset."""
        columns = _columns(record_defaults)
        rows = TableRows(
            selected_cols,
            excluded_cols,
            slice_id,
            slice_count,
            num_threads,
            capacity,
        )
        items = filenames
        if isinstance(items, tf.data.Dataset):
            _warn_of_parts(items, rows)
        else:
            names = tf.reshape(tf.convert_to_tensor(items, tf.string), [-1])
            items = tf.data.Dataset.from_tensor_slices(names)
        return items.flat_map(lambda item: _records(item, columns, rows))


class TableRecordReader:
    """Reads rows of the tables that a queue names, as lines of CSV.

    To be used in graph mode as TensorFlow's Readers are; a session without
    MonitoredTrainingSession has to run `tf.compat.v1.tables_initializer()`.

    Args:
      csv_delimiter: Separator between the values.
      selected_cols: See `table_records`.
      excluded_cols: See `table_records`.
      slice_id: See `table_records`.
      slice_count: See `TableRecordDataset`.
      num_threads: Has no effect.
      capacity: Has no effect.
    """

    def __init__(
        self,
        csv_delimiter: str = ",",
        selected_cols: Names = None,
        excluded_cols: Names = None,
        slice_id: int = 0,
        slice_count: int = 1,
        num_threads: int = 0,
        capacity: int = 0,
    ):
        self._csv_delimiter = expect_delimiter(csv_delimiter)
        self._rows = TableRows(
            selected_cols,
            excluded_cols,
            slice_id,
            slice_count,
            num_threads,
            capacity,
        )

    def read(self, queue: Any) -> tuple[Any, Any]:
        """Returns (key, line), tf.string scalars, of a queue's next row."""
        return self._next(queue, None)

    def read_up_to(self, queue: Any, num_records: int) -> tuple[Any, Any]:
        """Returns (keys, lines), tf.string vectors of up to `num_records`.

        There are less at the end of each item: they are all of one.
        """
        return self._next(queue, num_records)

    def _next(self, queue: Any, num_records: int | None) -> tuple[Any, Any]:
        _warn_of_parts(queue, self._rows)

        def lines_of(item: Any) -> Any:
            lines = _lines(item, self._rows, self._csv_delimiter)
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


def _columns(record_defaults: Sequence[Any]) -> list[Column]:
    return [
        Column.of(value, number) for number, value in enumerate(record_defaults)
    ]


@as_it_is
def _records(item: Any, columns: list[Column], rows: TableRows) -> Any:
    def batches(text: bytes) -> Iterator[tuple[Any, ...]]:
        for batch in rows.batches(text):
            yield batch.values(columns)

    return _unbatched(item, batches, tuple(column.spec for column in columns))


@as_it_is
def _lines(item: Any, rows: TableRows, csv_delimiter: str) -> Any:
    def batches(text: bytes) -> Iterator[tuple[Any, Any]]:
        for batch in rows.batches(text):
            path = encoded(batch.path)
            keys = [
                b"%b:%d" % (path, number)
                for number in range(batch.first, batch.first + len(batch.rows))
            ]
            lines = batch.lines(csv_delimiter)
            yield np.array(keys, object), np.array(lines, object)

    return _unbatched(item, batches, (tf.TensorSpec([None], tf.string),) * 2)


def _unbatched(item: Any, batches: Any, signature: Any) -> Any:
    """Returns the elements of what Python yields batch by batch."""
    dataset = tf.data.Dataset.from_generator(
        batches, output_signature=signature, args=(item,)
    )
    return dataset.flat_map(
        lambda *batch: tf.data.Dataset.from_tensor_slices(batch)
    )


def _warn_of_parts(items: Any, rows: TableRows) -> None:
    """Says so if nobody would read the other parts of a queue's items."""
    if rows.slice_count > 1 and hasattr(items, "_wq_hooks_engine"):
        logging.warning(
            "slice_count=%d: of each item of the work queue, which one task "
            "gets, one part is read, and the others by nobody. Leave "
            "slice_count at 1.",
            rows.slice_count,
        )
