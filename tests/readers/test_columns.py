"""A value comes out as it went in, or not at all."""

from __future__ import annotations

import contextlib
import datetime
import decimal
import sqlite3

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.postgres import postgresql  # noqa: F401
from wq_hooks import TableRecordDataset
from wq_hooks.readers.columns import Column
from wq_hooks.sources import SqlTable

# Each a text column's default.
TEXTS = [
    "none",
    b"none",
    np.str_("none"),
    np.bytes_(b"none"),
    np.array("none"),
    np.array(b"none"),
    np.array(["none"]),
    np.array("none", object),
    np.array([b"none"], "S4"),
    ["none"],
    [b"none"],
    tf.constant("none"),
    tf.constant(["none"]),
    tf.Variable("none"),
]
LONG = [b"longer than the default", "äöü longer", None]


@pytest.mark.parametrize("default", TEXTS, ids=repr)
def test_text_is_never_cut_to_the_length_of_its_default(default):
    column = Column.of(default, 0)
    assert column.dtype == tf.string
    assert column.array(LONG).tolist() == [
        LONG[0],
        "äöü longer".encode(),
        b"none",
    ]


@pytest.mark.parametrize(
    ("default", "dtype"),
    [
        (0, tf.int64),
        (2**63, tf.uint64),
        (0.0, tf.float32),
        (True, tf.bool),
        (np.int32(1), tf.int32),
        (np.uint8(1), tf.uint8),
        (np.uint16(1), tf.uint16),
        (np.uint32(1), tf.uint32),
        (np.array([1], np.uint64), tf.uint64),
        (np.float64(1), tf.float64),
        (np.bool_(True), tf.bool),
        ([1], tf.int64),
        ([[1.0]][0], tf.float32),
        (tf.constant(1, tf.int16), tf.int16),
        (tf.constant([1.0], tf.float64), tf.float64),
        (tf.constant(1.0, tf.bfloat16), tf.bfloat16),
        (tf.Variable(1, dtype=tf.int32), tf.int32),
    ],
    ids=repr,
)
def test_a_column_has_the_type_of_its_default(default, dtype):
    column = Column.of(default, 0)
    assert (column.dtype, column.shape) == (dtype, ())
    values = column.array([None, 1])
    assert values.dtype == dtype.as_numpy_dtype
    assert values[1] == 1


@pytest.mark.parametrize(
    "default",
    [tf.int32, tf.string, tf.constant([], tf.float32), np.zeros(0), []],
    ids=repr,
)
def test_a_column_may_be_without_a_default(default):
    with pytest.raises(ValueError, match="NULL"):
        Column.of(default, 0).array([None])


@pytest.mark.parametrize(
    "default",
    [
        None,
        NotImplemented,
        {},
        np.zeros((2, 2)),
        1j,
        2**64,
        np.datetime64("2021"),
    ],
    ids=repr,
)
def test_what_is_no_default_is_named(default):
    with pytest.raises(ValueError, match=r"record_defaults\[3\]"):
        Column.of(default, 3)


def test_a_tensor_without_a_value_is_no_default():
    with tf.Graph().as_default():
        value = tf.compat.v1.placeholder(tf.int64, [])
        with pytest.raises(ValueError, match="when the graph runs"):
            Column.of(value, 0)


INTEGERS = [
    np.int8, np.int16, np.int32, np.int64,
    np.uint8, np.uint16, np.uint32, np.uint64,
]  # fmt: skip


@given(
    st.sampled_from(INTEGERS),
    st.lists(st.none() | st.integers(-(2**65), 2**65), max_size=5),
)
@settings(deadline=None)
def test_integers_keep_their_value_or_are_an_error(dtype, values):
    column = Column.of(dtype(7), 0)
    bounds = np.iinfo(dtype)
    if all(v is None or bounds.min <= v <= bounds.max for v in values):
        expected = [7 if v is None else v for v in values]
        assert [int(v) for v in column.array(values)] == expected
        kept = [decimal.Decimal(v) for v in expected]
        assert [int(v) for v in column.array(kept)] == expected
    else:
        with pytest.raises(ValueError, match=f"{dtype.__name__} cannot hold"):
            column.array(values)


@pytest.mark.parametrize(
    ("default", "value"),
    [
        (0, 1.0),
        (0, 1.5),
        (0, "1"),
        (0, b"1"),
        (0, decimal.Decimal("1.5")),
        (0, decimal.Decimal("NaN")),
        (0, datetime.date(2021, 1, 1)),
        (0, [1]),
        (0.0, "1"),
        (0.0, 1e39),
        (0.0, 10**400),
        (np.float64(0), 10**400),
        (np.float16(0), 1e6),
        (0.0, datetime.date(2021, 1, 1)),
        (0.0, [1.0]),
        (True, 2),
        (True, "true"),
        (True, 1.0),
        ("", [1]),
        ("", (1, 2)),
        ("", {"a": 1}),
        ("", np.zeros(2)),
    ],
    ids=repr,
)
def test_another_kind_of_value_is_an_error(default, value):
    with pytest.raises(ValueError, match="got"):
        Column.of(default, 0).array([value])


@pytest.mark.parametrize(
    ("default", "value", "expected"),
    [
        (0.0, 3, 3.0),
        (0.0, decimal.Decimal("2.5"), 2.5),
        (0.0, float("inf"), float("inf")),
        (0.0, np.float16(0.5), 0.5),
        (0, True, 1),
        (True, 0, False),
        ("", decimal.Decimal("0E-10"), b"0.0000000000"),
        ("", decimal.Decimal("1E+3"), b"1000"),
        ("", 2**64 - 1, b"18446744073709551615"),
        ("", 0.1, b"0.1"),
        ("", datetime.date(2021, 1, 2), b"2021-01-02"),
        ("", datetime.datetime(2021, 1, 2, 3, 4), b"2021-01-02 03:04:00"),
        ("", "\udcff", b"\xff"),
        ("", bytearray(b"a\0b"), b"a\0b"),
    ],
    ids=repr,
)
def test_a_value_that_the_type_can_hold_is_kept(default, value, expected):
    assert Column.of(default, 0).array([value]).tolist() == [expected]


def test_lists_of_one_length_are_vectors():
    column = Column.of(np.zeros(2, np.float32), 0)
    assert column.spec == tf.TensorSpec([None, 2], tf.float32)
    values = column.array([[1.0, 2.0], None, (3, 4)])
    assert values.tolist() == [[1, 2], [0, 0], [3, 4]]
    with pytest.raises(ValueError, match="not a list of 2"):
        column.array([[1.0]])


# Through the readers.


def read(item, defaults, **kwargs):
    dataset = TableRecordDataset([item], defaults, **kwargs)
    return [tuple(map(plain, row)) for row in dataset.as_numpy_iterator()]


def plain(value):
    return value if isinstance(value, bytes) else value.tolist()


def parquet(path, **columns):
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    pq.write_table(pa.table(columns), str(path))
    return str(path)


def test_unsigned_columns_of_parquet_are_read(tmp_path):
    pa = pytest.importorskip("pyarrow")
    tops = [2**bits - 1 for bits in (8, 16, 32, 64)]
    kinds = [pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()]
    path = parquet(
        tmp_path / "a.parquet",
        **{str(k): pa.array([0, t], k) for k, t in zip(kinds, tops)},
    )
    defaults = [np.uint8(0), np.uint16(0), np.uint32(0), np.uint64(0)]
    assert read(path, defaults) == [(0,) * 4, tuple(tops)]
    assert read(path, [0, 0, 0, ""])[1] == (*tops[:3], str(tops[3]).encode())
    with pytest.raises(
        tf.errors.OpError,
        match=r"int64 in column 'uint64' of .*a\.parquet.*18446744073709551615",
    ):
        read(path, [0, 0, 0, 0])


def test_lists_decimals_and_times_of_parquet_are_values_or_named(tmp_path):
    pa = pytest.importorskip("pyarrow")
    nanos = pa.array([1], pa.timestamp("ns"))
    path = parquet(
        tmp_path / "a.parquet",
        vector=pa.array([[1.0, 2.0]], pa.list_(pa.float32(), 2)),
        price=pa.array([decimal.Decimal("1.50")], pa.decimal128(38, 2)),
        day=pa.array([datetime.date(2021, 1, 2)]),
        at=nanos.cast(pa.timestamp("us"), safe=False),
        truth=pa.array([True]),
        raw=pa.array([b"\0\xff"], pa.binary(2)),
        nanos=nanos,
    )
    columns = "vector,price,day,at,truth,raw"
    defaults = [np.zeros(2, np.float32), "", "", "", False, ""]
    assert read(path, defaults, selected_cols=columns) == [
        ([1.0, 2.0], b"1.50", b"2021-01-02", b"1970-01-01 00:00:00", True,
         b"\0\xff")
    ]  # fmt: skip
    assert read(path, [0.0], selected_cols="price") == [(1.5,)]
    for name, default in [
        ("vector", ""), ("vector", 0.0), ("price", 0), ("day", 0),
        ("raw", 0), ("truth", np.zeros(2)),
    ]:  # fmt: skip
        with pytest.raises(
            tf.errors.OpError, match=rf"column '{name}' of .*a\.parquet"
        ):
            read(path, [default], selected_cols=name)
    # pandas has such times, Python itself has not.
    with contextlib.suppress(ImportError):
        import pandas  # noqa: F401

        assert b"000000001" in read(path, [""], selected_cols="nanos")[0][0]
        return
    with pytest.raises(
        tf.errors.OpError, match=r"column 'nanos' of .*a\.parquet"
    ):
        read(path, [""], selected_cols="nanos")


@contextlib.contextmanager
def sqlite(path):
    with contextlib.closing(sqlite3.connect(path)) as connection:
        yield connection.execute
        connection.commit()


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "a.db"
    with sqlite(path) as run:
        run("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, raw BLOB)")
        for number, name in enumerate(["a", "name longer than four", None]):
            run("INSERT INTO t VALUES (?, ?, ?)", (number, name, b"\0" * 9))
        run("CREATE VIEW v AS SELECT * FROM t")
    return f"sqlite:///{path}#t"


def test_blobs_are_not_cut(table):
    rows = read(table, [np.int64(0), tf.constant("none"), np.bytes_(b"S4")])
    assert [row[1:] for row in rows] == [
        (b"a", b"\0" * 9),
        (b"name longer than four", b"\0" * 9),
        (b"none", b"\0" * 9),
    ]


def test_a_number_that_does_not_fit_is_named_in_sqlite(table):
    with sqlite(table.partition("///")[2].partition("#")[0]) as run:
        run("INSERT INTO t VALUES (?, NULL, NULL)", (2**40,))
    with pytest.raises(
        tf.errors.OpError, match=r"int32 in column 'id' of .*got 1099511627776"
    ):
        read(table, [np.int32(0), "", ""])


@pytest.mark.parametrize(
    "arguments",
    [
        {"selected_cols": "nmae"},
        {"selected_cols": "name,nmae"},
        {"selected_cols": '"name"'},
        {"excluded_cols": "id,nmae"},
    ],
    ids=repr,
)
@pytest.mark.parametrize("what", ["t", "v"])
def test_an_unknown_column_of_sqlite_is_an_error(table, what, arguments):
    item = f"{table.partition('#')[0]}?key=id#{what}"
    with pytest.raises(tf.errors.OpError, match=r"(name|nmae)"):
        read(item, [""] * 2, **arguments)


def test_an_unknown_key_is_an_error(table):
    for url in (table, table.replace("#t", "#v")):
        source = SqlTable(url, key=["nmae"])
        with pytest.raises(ValueError, match=r"no such column.*nmae"):
            list(source.read(0, 3))


def test_readers_keep_the_key(table):
    view = table.replace("#t", "#v")
    with pytest.raises(ValueError, match=r"primary key in .*#v.*\?key="):
        list(SqlTable(view).read(0, 3))
    with sqlite(table.partition("///")[2].partition("#")[0]) as run:
        run("UPDATE t SET name = 9 - id")
    source = SqlTable(view, key=["name"])
    assert source.name == view.replace("#", "?key=name#")
    assert [row[0] for row in source.read(0, 3)] == [2, 1, 0]
    assert read(source.name, [0], selected_cols="id") == [(2,), (1,), (0,)]
    assert SqlTable(source.name, key=["name"]).name == source.name
    no_name = f"{view[:-2]}?key=#v"
    for url, key in [(source.name, ["id"]), (view, []), (no_name, None)]:
        with pytest.raises(ValueError, match="names of columns in key"):
            SqlTable(url, key=key)
    with pytest.raises(ValueError, match="Expected nothing but key="):
        SqlTable(table.replace("#", "?mode=rw#"))


def test_keys_are_named_by_any_text(tmp_path):
    path = tmp_path / "a.db"
    name = "odd,na&me?#é"
    with sqlite(path) as run:
        run(f'CREATE TABLE t ("{name}" INT)')
        run("INSERT INTO t VALUES (2), (1)")
    source = SqlTable(f"sqlite:///{path}#t", key=[name])
    assert list(source.read(0, 2)) == [(1,), (2,)]
    assert list(SqlTable(source.name).read(0, 2)) == [(1,), (2,)]


@pytest.mark.parametrize(
    "columns", ["rowid INT, x INT", "rowid INT, _rowid_ INT, x INT"]
)
def test_a_column_may_be_called_as_the_number_of_rows_is(tmp_path, columns):
    with sqlite(tmp_path / "a.db") as run:
        run(f"CREATE TABLE t ({columns})")
        for x in (1, 2, 3):
            run("INSERT INTO t (rowid, x) VALUES (?, ?)", (-x, x))
    source = SqlTable(f"sqlite:///{tmp_path / 'a.db'}#t", columns=["x"])
    assert list(source.read(0, 3)) == [(1,), (2,), (3,)]


def test_a_table_without_row_numbers_is_read_in_the_order_of_its_key(tmp_path):
    with sqlite(tmp_path / "a.db") as run:
        run("CREATE TABLE t (x INT PRIMARY KEY) WITHOUT ROWID")
        run("INSERT INTO t VALUES (2), (1)")
    source = SqlTable(f"sqlite:///{tmp_path / 'a.db'}#t")
    assert list(source.read(0, 2)) == [(1,), (2,)]


def test_text_of_sqlite_is_any_bytes(tmp_path):
    with sqlite(tmp_path / "a.db") as run:
        run("CREATE TABLE t (x TEXT)")
        run("INSERT INTO t VALUES (CAST(X'61ff' AS TEXT))")
    assert read(f"sqlite:///{tmp_path / 'a.db'}#t", [""]) == [(b"a\xff",)]


def test_postgresql_gives_values_or_names_the_column(postgresql):  # noqa: F811
    import psycopg

    with psycopg.connect(postgresql) as connection:
        connection.execute("DROP VIEW IF EXISTS kinds_view")
        connection.execute("DROP TABLE IF EXISTS kinds")
        connection.execute(
            "CREATE TABLE kinds (id BIGINT PRIMARY KEY, big NUMERIC, raw BYTEA,"
            " doc JSONB, many INT[], day DATE, at TIMESTAMP)"
        )
        connection.execute(
            "INSERT INTO kinds VALUES (1099511627776, 18446744073709551615, "
            "'longer than the default', '{\"a\": [1]}', '{1,2}', "
            "'2021-01-02', '2021-01-02 03:04:05')"
        )
        connection.execute("CREATE VIEW kinds_view AS SELECT * FROM kinds")
    item = f"{postgresql}#kinds"
    columns = "id,big,raw,doc,many,day,at"
    defaults = [0, np.uint64(0), tf.constant("none"), "", np.zeros(2), "", ""]
    expected = [
        (2**40, 2**64 - 1, b"longer than the default", b'{"a": [1]}',
         [1.0, 2.0], b"2021-01-02", b"2021-01-02 03:04:05")
    ]  # fmt: skip
    assert read(item, defaults, selected_cols=columns) == expected
    view = SqlTable(f"{postgresql}#kinds_view", key=["id"]).name
    assert read(view, defaults) == expected
    for name, default in [
        ("id", np.int32(0)), ("big", 0), ("many", ""), ("day", 0)
    ]:  # fmt: skip
        with pytest.raises(
            tf.errors.OpError, match=f"column '{name}' of .*#kinds"
        ):
            read(item, [default], selected_cols=name)
    with pytest.raises(tf.errors.OpError, match=r"nmae.*does not exist"):
        read(item, [""], selected_cols="nmae")
    with pytest.raises(tf.errors.OpError, match=r"nmae.*does not exist"):
        read(f"{postgresql}&key=nmae#kinds", defaults)
    with pytest.raises(tf.errors.OpError, match=r"primary key .*kinds_view"):
        read(f"{postgresql}#kinds_view", defaults)
