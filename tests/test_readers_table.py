from __future__ import annotations

import contextlib
import sqlite3

import numpy as np
import pytest
import tensorflow as tf
from sessions import draw, element_of, raw_session

from wq_hooks import TableRecordDataset, TableRecordReader, WorkQueue
from wq_hooks.readers import table_records
from wq_hooks.sources import register, registry

ROWS = [(i, i / 2, f"n{i}, é") for i in range(2500)]


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "a.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (a INTEGER, b REAL, c TEXT)")
        connection.executemany("INSERT INTO t VALUES (?, ?, ?)", ROWS)
        connection.execute("CREATE TABLE nulls (a INTEGER, b REAL, c TEXT)")
        connection.execute("INSERT INTO nulls VALUES (NULL, NULL, NULL)")
        connection.commit()
    return f"sqlite:///{path}#t"


def decoded(rows):
    return [(int(a), float(b), c.decode()) for a, b, c in rows]


def test_rows_have_the_types_of_the_defaults(table):
    dataset = TableRecordDataset([table], [0, 0.0, ""])
    assert [spec.dtype for spec in dataset.element_spec] == [
        tf.int64,
        tf.float32,
        tf.string,
    ]
    assert decoded(dataset.as_numpy_iterator()) == ROWS


def test_slices_and_columns_and_nulls(table):
    items = [f"{table}?start=2000&end=2500", f"{table}?start=0&end=2000"]
    dataset = TableRecordDataset(items, [[""], np.int32(7)], "c,a")
    rows = [(int(a), c.decode()) for c, a in dataset.as_numpy_iterator()]
    assert rows == [(a, c) for a, _, c in ROWS[2000:] + ROWS[:2000]]
    nulls = table.replace("#t", "#nulls")
    dataset = TableRecordDataset(nulls, [5, 0.5, "none"])
    assert decoded(dataset.as_numpy_iterator()) == [(5, 0.5, "none")]


@pytest.mark.parametrize(
    ("defaults", "message"),
    [([0, 0.0], "2 columns.*got 3"), ([0, 0.0, 0], "int64 in column 2")],
)
def test_another_schema_is_a_clear_error(table, defaults, message):
    dataset = TableRecordDataset([table], defaults)
    with pytest.raises(tf.errors.OpError, match=message):
        list(dataset)


def test_records_of_a_queue_are_completed(table):
    with tf.Graph().as_default():
        queue = WorkQueue([table], num_slices=7)
        dataset = queue.records(lambda item: table_records(item, [0, 0.0, ""]))
        row = element_of(dataset.batch(100).to_dataset())
        with raw_session() as session:
            batches = draw(session, row)
    rows = [row for batch in batches for row in zip(*batch)]
    assert sorted(decoded(rows)) == ROWS


def test_a_reader_reads_one_row_at_a_time(table):
    with tf.Graph().as_default():
        queue = WorkQueue([f"{table}?start=3&end=5"])
        reader = TableRecordReader(csv_delimiter=";", selected_cols="a,c")
        row = reader.read(queue.input_producer())
        with raw_session() as session:
            assert [tuple(map(bytes, row)) for row in draw(session, row)] == [
                (f"{table}:{i}".encode(), f"{i};n{i}, é".encode())
                for i in (3, 4)
            ]


def test_a_source_of_the_users_own(monkeypatch):
    monkeypatch.setattr(registry, "_registry", dict(registry._registry))

    class Squares:
        def __init__(self, name, *, columns=None):
            self.name = name

        def count_records(self):
            return 10

        def read(self, start, end):
            return ((i * i,) for i in range(start, end))

    register("squares", Squares)
    with tf.Graph().as_default():
        queue = WorkQueue(["squares://x"], num_slices=3, shuffle=False)
        (number,) = element_of(TableRecordDataset(queue.input_dataset(), [0]))
        with raw_session() as session:
            assert draw(session, number) == [i * i for i in range(10)]


def test_an_unknown_table_is_named():
    dataset = TableRecordDataset(["nothing://x"], [0])
    with pytest.raises(tf.errors.OpError, match="nothing://x"):
        list(dataset)
