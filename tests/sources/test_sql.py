from __future__ import annotations

import contextlib
import sqlite3

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.drawn_slices import read_in_slices
from tests.support.postgres import postgresql  # noqa: F401
from wq_hooks.errors import SourceError
from wq_hooks.sources import SqlTable, find_source

ROWS = st.lists(
    st.tuples(
        st.none() | st.integers(-(2**63), 2**63 - 1),
        st.none()
        | st.text(
            st.characters(exclude_characters="\0", codec="utf-8"), max_size=5
        ),
        st.none() | st.binary(max_size=5),
    ),
    max_size=40,
)


@contextlib.contextmanager
def connected_sqlite(path):
    with contextlib.closing(sqlite3.connect(path)) as connection:
        yield connection
        connection.commit()


def fill(connection, mark, raw, rows):
    connection.execute('DROP TABLE IF EXISTS "t"')
    connection.execute(
        f'CREATE TABLE "t" ("n" BIGINT, "text" TEXT, "raw" {raw}, '
        '"id" INTEGER PRIMARY KEY)'
    )
    for number, row in enumerate(rows):
        connection.execute(
            f'INSERT INTO "t" VALUES ({mark}, {mark}, {mark}, {mark})',
            # Not in the order in which they are inserted.
            (*row, -number),
        )


def check_slices(data, source, rows):
    whole = [(*row, -number) for number, row in enumerate(rows)][::-1]
    read = read_in_slices(data, source, len(rows))
    assert read == whole
    assert source.count_records() == len(rows)


@given(st.data(), ROWS)
@settings(max_examples=40, deadline=None)
def test_all_slices_are_the_whole_in_sqlite(tmp_path_factory, data, rows):
    path = tmp_path_factory.getbasetemp() / "slices.db"
    with connected_sqlite(path) as connection:
        fill(connection, "?", "BLOB", rows)
    check_slices(data, SqlTable(f"sqlite:///{path}#t"), rows)


@given(st.data(), ROWS)
@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_all_slices_are_the_whole_in_postgresql(postgresql, data, rows):  # noqa: F811
    import psycopg

    with psycopg.connect(postgresql) as connection:
        fill(connection, "%s", "BYTEA", rows)
    check_slices(data, SqlTable(f"{postgresql}#public.t"), rows)


def test_errors_of_postgresql_name_the_table(postgresql):  # noqa: F811
    import psycopg

    with psycopg.connect(postgresql) as connection:
        connection.execute("DROP TABLE IF EXISTS keyless")
        connection.execute("CREATE TABLE keyless (a INT)")
        connection.execute("INSERT INTO keyless VALUES (2), (1)")
    with pytest.raises(SourceError, match=r"primary key in .*#keyless"):
        list(SqlTable(f"{postgresql}#keyless").read(0, 1))
    source = SqlTable(f"{postgresql}#keyless", key=["a"], columns=["a"])
    assert list(source.read(0, 2)) == [(1,), (2,)]
    with pytest.raises(SourceError, match=r"#none.*does not exist"):
        SqlTable(f"{postgresql}#none").count_records()


def test_no_server_is_a_clear_error():
    pytest.importorskip("psycopg")
    url = "postgresql://me@/db?host=/nowhere#t"
    with pytest.raises(SourceError, match="nowhere"):
        SqlTable(url).count_records()


def test_columns_and_keys_may_be_named(tmp_path):
    path = tmp_path / "a b#c.db"
    with connected_sqlite(path) as connection:
        connection.execute('CREATE TABLE "odd ""name" (x INT, y TEXT)')
        connection.execute(
            """INSERT INTO "odd ""name" VALUES (2,'a'),(1,'b')"""
        )
    name = "odd%20%22name"
    url = (
        f"sqlite:///{str(path).replace(' ', '%20').replace('#', '%23')}#{name}"
    )
    assert list(SqlTable(url).read(0, 2)) == [(2, "a"), (1, "b")]
    assert SqlTable(url).column_names == ["x", "y"]
    source = SqlTable(url, columns=["y"], key=["x"])
    assert list(source.read(0, 2)) == [("b",), ("a",)]
    assert source.column_names == ["y"]


def test_a_table_with_deleted_rows_is_named(tmp_path):
    path = tmp_path / "a.db"
    with connected_sqlite(path) as connection:
        connection.execute("CREATE TABLE t (x INT)")
        connection.executemany(
            "INSERT INTO t VALUES (?)", [(i,) for i in range(9)]
        )
    source = SqlTable(f"sqlite:///{path}#t")
    assert source.count_records() == 9
    with connected_sqlite(path) as connection:
        connection.execute("DELETE FROM t WHERE x = 3")
    with pytest.raises(SourceError, match=r"5 rows in .*start=4&end=9.*got 4"):
        list(source.read(4, 9))


def test_what_cannot_be_read_is_named(tmp_path):
    with pytest.raises(SourceError, match=r"none\.db"):
        SqlTable(f"sqlite:///{tmp_path}/none.db#t").count_records()
    path = tmp_path / "a.db"
    with connected_sqlite(path) as connection:
        connection.execute("CREATE TABLE t (x INT)")
    with pytest.raises(SourceError, match=r"#u.*no such table"):
        SqlTable(f"sqlite:///{path}#u").count_records()
    with pytest.raises(ValueError, match="Expected such as sqlite"):
        SqlTable(f"sqlite:///{path}")


def test_tables_have_a_source_by_their_scheme():
    assert isinstance(find_source("postgresql://h/db#t"), SqlTable)
    assert isinstance(find_source("SQLite:///a.db#t"), SqlTable)
