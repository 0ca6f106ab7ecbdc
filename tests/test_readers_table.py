from __future__ import annotations

import contextlib
import sqlite3

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from sessions import draw, element_of, raw_session

from wq_hooks import TableRecordDataset, TableRecordReader, WorkQueue
from wq_hooks.core.slice_text import slice_text
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


VALUES = st.tuples(
    st.none() | st.integers(-(2**63), 2**63 - 1),
    st.none() | st.floats(width=64, allow_nan=False),
    st.none() | st.text(max_size=5),
    st.none() | st.binary(max_size=5),
)


@given(st.data(), st.lists(VALUES, max_size=30))
@settings(max_examples=10, deadline=None)
@pytest.mark.parametrize("kind", ["parquet", "sqlite"])
def test_slices_are_the_rows_of_a_plain_reader(
    tmp_path_factory, kind, data, rows
):
    folder = tmp_path_factory.getbasetemp()
    if kind == "parquet":
        pa = pytest.importorskip("pyarrow")
        pq = pytest.importorskip("pyarrow.parquet")
        name = str(folder / "rows.parquet")
        types = [pa.int64(), pa.float64(), pa.string(), pa.binary()]
        columns = list(zip(*rows)) or [[]] * 4
        arrays = [pa.array(c, t) for c, t in zip(columns, types)]
        pq.write_table(pa.table(dict(zip("abcd", arrays))), name, 7)
        plain = [tuple(r.values()) for r in pq.read_table(name).to_pylist()]
    else:
        path = folder / "rows.db"
        name = f"sqlite:///{path}#rows"
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("DROP TABLE IF EXISTS rows")
            connection.execute("CREATE TABLE rows (a INT, b REAL, c, d BLOB)")
            connection.executemany("INSERT INTO rows VALUES (?, ?, ?, ?)", rows)
            connection.commit()
            plain = connection.execute(
                "SELECT * FROM rows ORDER BY rowid"
            ).fetchall()
    defaults = [np.int64(7), np.float64(0.5), "none", b"\xff\0"]
    expected = [
        tuple(d if v is None else v for v, d in zip(row, defaults))
        for row in plain
    ]
    inner = data.draw(st.lists(st.integers(0, len(rows)), max_size=4))
    edges = [0, *sorted(inner), len(rows)]
    items = [slice_text(name, a, b) for a, b in zip(edges, edges[1:])]
    dataset = TableRecordDataset(items, defaults)
    assert [
        (int(a), float(b), c.decode(), d)
        for a, b, c, d in dataset.as_numpy_iterator()
    ] == expected


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
