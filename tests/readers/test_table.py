from __future__ import annotations

import contextlib
import itertools
import sqlite3

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.sessions import draw, element_of, raw_session
from wq_hooks import TableRecordDataset, TableRecordReader, WorkQueue
from wq_hooks.core import log
from wq_hooks.core.items.slice_text import slice_text
from wq_hooks.readers import table_lines, table_records
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
    [
        ([0, 0.0], "2 columns.*got 3"),
        ([0, 0.0, 0], "int64 in column 'c' of .*got"),
    ],
)
def test_another_schema_is_a_clear_error(table, defaults, message):
    dataset = TableRecordDataset([table], defaults)
    with pytest.raises(tf.errors.OpError, match=message):
        list(dataset)


def numbers(dataset):
    return [int(row[0]) for row in dataset.as_numpy_iterator()]


@pytest.mark.parametrize("nothing", [None, "", [], " , "])
def test_no_name_stands_for_all_columns(table, nothing):
    for key in ("selected_cols", "excluded_cols"):
        dataset = TableRecordDataset(table, [0, 0.0, ""], **{key: nothing})
        assert decoded(dataset.as_numpy_iterator()) == ROWS


@pytest.mark.parametrize("excluded", ["b", " b ", ["b"], ("b",)])
def test_columns_may_be_left_out(table, excluded):
    dataset = TableRecordDataset([table], (0, ""), excluded_cols=excluded)
    rows = [(int(a), c.decode()) for a, c in dataset.as_numpy_iterator()]
    assert rows == [(a, c) for a, _, c in ROWS]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 2500, 2501])
def test_slices_share_a_table_evenly(table, count):
    parts = [
        numbers(
            TableRecordDataset(
                [table], [0], "a", slice_id=number, slice_count=count
            )
        )
        for number in sorted({0, 1, count // 2, count - 1} & {*range(count)})
    ]
    if count <= 3:
        assert [*itertools.chain(*parts)] == [a for a, _, _ in ROWS]
    for part in parts:
        assert len(part) in (2500 // count, -(-2500 // count))


def test_each_table_of_a_list_is_cut(table):
    items = [f"{table}?start=10&end=20", f"{table}?start=100&end=101"]
    read = [
        numbers(TableRecordDataset(items, [0, 0.0, ""], None, None, number, 2))
        for number in (np.int64(0), 1)
    ]
    assert read == [[*range(10, 15)], [*range(15, 20), 100]]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"selected_cols": "a", "excluded_cols": "b"}, ValueError, "got both"),
        ({"selected_cols": 5}, TypeError, "selected_cols"),
        ({"excluded_cols": [1]}, TypeError, "excluded_cols"),
        ({"slice_id": 1}, ValueError, "slice_id below slice_count"),
        ({"slice_id": -1, "slice_count": 2}, ValueError, "slice_id >= 0"),
        ({"slice_count": 0}, ValueError, "slice_count >= 1"),
        ({"slice_count": 2.0}, TypeError, "slice_count to be an int"),
        ({"num_threads": -1}, ValueError, "num_threads >= 0"),
        ({"capacity": "many"}, TypeError, "capacity"),
    ],
)
def test_wrong_arguments_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        TableRecordDataset(["sqlite:///a.db#t"], [0], **arguments)
    with pytest.raises(error, match=message):
        TableRecordReader(**arguments)


@pytest.mark.parametrize(
    ("delimiter", "error"),
    [("||", ValueError), ("", ValueError), ('"', ValueError), (44, TypeError)],
)
def test_a_delimiter_is_one_character(table, delimiter, error):
    with pytest.raises(error, match="csv_delimiter"):
        TableRecordReader(delimiter)
    with pytest.raises(error, match="csv_delimiter"):
        table_lines(table, csv_delimiter=delimiter)


def test_what_has_no_effect_is_said_once(table, caplog, monkeypatch):
    # An earlier test of this process may have said it.
    monkeypatch.setattr(log, "_said", set())
    for _ in range(2):
        dataset = TableRecordDataset(
            [table], [0], "a", num_threads=64, capacity=512
        )
        TableRecordReader(num_threads=2)
    assert len(numbers(dataset)) == len(ROWS)
    (said,) = [r for r in caplog.records if "have no effect" in r.getMessage()]
    assert said.levelname == "WARNING"
    assert "prefetch()" in said.getMessage()


@pytest.mark.parametrize("kind", ["dataset", "reader"])
def test_parts_of_what_a_queue_has_shared_out_are_warned_of(
    table, kind, caplog
):
    def read(queue, **arguments):
        if kind == "reader":
            reader = TableRecordReader(**arguments)
            return reader.read(queue.input_producer())
        return TableRecordDataset(
            queue.input_dataset(), [0, 0.0, ""], **arguments
        )

    with tf.Graph().as_default():
        queue = WorkQueue([table])
        read(queue)
        assert "Leave slice_count" not in caplog.text
        read(queue, slice_id=1, slice_count=2)
        assert "Leave slice_count at 1" in caplog.text


def test_a_reader_has_the_arguments_of_pai(table):
    with tf.Graph().as_default():
        queue = WorkQueue([table])
        reader = TableRecordReader(
            csv_delimiter=",",
            selected_cols="",
            excluded_cols="b,c",
            slice_id=1,
            slice_count=250,
            num_threads=1,
            capacity=64,
        )
        keys, lines = reader.read_up_to(queue.input_producer(), num_records=4)
        with raw_session() as session:
            batches = draw(session, [keys, lines])
    assert [
        (key.decode(), int(line))
        for batch in batches
        for key, line in zip(*batch)
    ] == [(f"{table}:{i}", i) for i in range(10, 20)]


def test_lines_are_those_that_decode_csv_reads(tmp_path):
    path = tmp_path / "a.db"
    texts = ["a,b", 'say "so"', "two\nlines", "two\r\nlines", "cr\r", "", "é"]
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (a, b)")
        connection.executemany(
            "INSERT INTO t VALUES (?, ?)", [(t, t.encode()) for t in texts]
        )
        connection.commit()
    with tf.Graph().as_default():
        queue = WorkQueue([f"sqlite:///{path}#t"])
        _, line = TableRecordReader().read(queue.input_producer())
        values = tf.io.decode_csv(line, [["none"], ["none"]])
        with raw_session() as session:
            rows = draw(session, values)
    expected = [text.encode() or b"none" for text in texts]
    assert [tuple(map(bytes, row)) for row in rows] == [
        (text, text) for text in expected
    ]


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
