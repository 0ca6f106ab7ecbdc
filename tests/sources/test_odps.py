"""The contract of OdpsTable, against a local stand-in of pyodps.

It has not met the real service: MaxCompute is not to be had in a test.
"""

from __future__ import annotations

import contextlib
import sys
import types

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.drawn_slices import read_in_slices
from wq_hooks.errors import SourceError
from wq_hooks.sources import OdpsTable, find_source

URL = "odps://project/tables/clicks/ds=20210101/hh=03"


class StandIn:
    """As much of pyodps as is used: a table's reader, with count and read."""

    def __init__(self, rows, fails_at=None):
        self.rows = rows
        self.fails_at = fails_at
        self.asked = []

    def get_table(self, name):
        self.asked.append(name)
        if name != "clicks":
            raise RuntimeError("no such table")
        return self

    @contextlib.contextmanager
    def open_reader(self, partition=None):
        self.asked.append(partition)
        yield self

    @property
    def count(self):
        return len(self.rows)

    @property
    def table_schema(self):
        columns = [types.SimpleNamespace(name=name) for name in self.rows[0]]
        return types.SimpleNamespace(simple_columns=columns)

    def read(self, start=None, count=None, columns=None):
        for number, row in enumerate(self.rows[start : start + count], start):
            if number == self.fails_at:
                raise ConnectionError("the tunnel is gone")
            values = [row[name] for name in columns or row]
            yield types.SimpleNamespace(values=values)


@pytest.fixture
def service():
    return StandIn([{"id": i, "name": f"n{i}"} for i in range(10)])


def test_slices_are_the_records(service):
    source = OdpsTable(URL, connect=lambda project: service)
    assert source.count_records() == 10
    read = [*source.read(0, 3), *source.read(3, 10)]
    assert read == [(i, f"n{i}") for i in range(10)]
    assert service.asked[:2] == ["clicks", "ds=20210101,hh=03"]
    assert list(source.read(4, 4)) == []


def test_columns_are_named(service):
    source = OdpsTable(URL, connect=lambda project: service)
    assert source.column_names == ["id", "name"]
    source = OdpsTable(URL, columns=["name"], connect=lambda project: service)
    assert source.column_names == ["name"]
    other = OdpsTable("odps://p/tables/none", connect=lambda project: service)
    with pytest.raises(SourceError, match=r"tables/none.*no such table"):
        other.column_names  # noqa: B018


VALUES = st.none() | st.integers() | st.text(max_size=5) | st.binary(max_size=5)


@given(st.data(), st.lists(st.tuples(VALUES, VALUES), max_size=40))
@settings(max_examples=60, deadline=None)
def test_all_slices_are_the_whole(data, rows):
    service = StandIn([dict(zip("ab", row)) for row in rows])
    source = OdpsTable(URL, connect=lambda project: service)
    assert source.count_records() == len(rows)
    read = read_in_slices(data, source, len(rows))
    assert read == rows


def test_what_fails_while_it_is_read_is_named():
    service = StandIn([{"a": i} for i in range(10)], fails_at=7)
    source = OdpsTable(URL, connect=lambda project: service)
    rows = source.read(5, 9)
    assert [next(rows), next(rows)] == [(5,), (6,)]
    with pytest.raises(SourceError, match=r"clicks.*start=5&end=9.*tunnel"):
        next(rows)
    # Given up in the middle, it closes its reader and says nothing.
    rows = source.read(0, 9)
    assert next(rows) == (0,)
    rows.close()


def test_columns_may_be_named(service):
    source = OdpsTable(URL, columns=["name"], connect=lambda _: service)
    assert list(source.read(2, 3)) == [("n2",)]


def test_a_table_that_has_shrunk_is_named(service):
    source = OdpsTable(URL, connect=lambda project: service)
    with pytest.raises(SourceError, match=r"clicks.*start=8&end=12.*got 2"):
        list(source.read(8, 12))


def test_a_missing_table_is_named(service):
    source = OdpsTable("odps://p/tables/none", connect=lambda _: service)
    with pytest.raises(SourceError, match=r"p/tables/none.*no such table"):
        source.count_records()


@pytest.mark.parametrize(
    "url", ["odps://p", "odps://p/t", "odps://p/tables/t/x"]
)
def test_another_url_is_refused(url):
    with pytest.raises(ValueError, match="Expected odps://"):
        OdpsTable(url)


def test_what_is_needed_is_said(monkeypatch):
    assert isinstance(find_source(URL), OdpsTable)
    monkeypatch.setitem(sys.modules, "odps", None)
    with pytest.raises(SourceError, match="pip install pyodps"):
        OdpsTable(URL).count_records()
    monkeypatch.setitem(sys.modules, "odps", types.ModuleType("odps"))
    monkeypatch.delenv("ODPS_ACCESS_ID", raising=False)
    with pytest.raises(SourceError, match="ODPS_ACCESS_ID"):
        OdpsTable(URL).count_records()
