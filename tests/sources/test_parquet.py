from __future__ import annotations

import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.drawn_slices import read_in_slices
from wq_hooks.errors import SourceError
from wq_hooks.sources import ParquetRows, find_source

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

ROWS = st.lists(
    st.tuples(
        st.none() | st.integers(-(2**63), 2**63 - 1),
        st.none() | st.text(max_size=5),
        st.none() | st.binary(max_size=5),
        st.lists(st.integers(0, 9), max_size=3),
    ),
    max_size=60,
)
NAMES = ["number", "text", "raw", "many"]
TYPES = [pa.int64(), pa.string(), pa.binary(), pa.list_(pa.int64())]


def write(path, rows, row_group_size=7):
    columns = list(zip(*rows)) if rows else [[] for _ in NAMES]
    arrays = [pa.array(c, t) for c, t in zip(columns, TYPES)]
    table = pa.table(dict(zip(NAMES, arrays)))
    pq.write_table(table, path, row_group_size=row_group_size)
    return str(path)


@given(st.data(), ROWS, st.integers(1, 30))
@settings(max_examples=60, deadline=None)
def test_all_slices_are_the_whole(tmp_path_factory, data, rows, group):
    path = write(tmp_path_factory.getbasetemp() / "a.parquet", rows, group)
    source = ParquetRows(path)
    assert source.count_records() == len(rows)
    read = read_in_slices(data, source, len(rows))
    plain = pq.read_table(path).to_pylist()
    assert read == [tuple(row[name] for name in NAMES) for row in plain]
    assert read == rows


def test_columns_come_in_the_order_in_which_they_are_named(tmp_path):
    path = write(tmp_path / "a.parquet", [(1, "a", b"r", [2])])
    source = ParquetRows(path, columns=["text", "number"])
    assert source.column_names == ["text", "number"]
    assert list(source.read(0, 1)) == [("a", 1)]
    assert ParquetRows(path).column_names == NAMES


def test_values_are_those_of_python(tmp_path):
    path = tmp_path / "a.parquet"
    day = datetime.date(2021, 1, 2)
    pq.write_table(pa.table({"day": [day]}), path)
    assert list(ParquetRows(str(path)).read(0, 1)) == [(day,)]


def test_parquet_files_have_a_source_by_their_ending(tmp_path):
    assert isinstance(find_source("hdfs://x/a.parquet"), ParquetRows)


def test_a_file_that_has_shrunk_is_named(tmp_path):
    path = write(tmp_path / "a.parquet", [(1, "a", b"", [])] * 4)
    with pytest.raises(SourceError, match=r"at least 5 rows in .*a\.parquet"):
        list(ParquetRows(path).read(2, 5))


def test_a_missing_column_is_named(tmp_path):
    path = write(tmp_path / "a.parquet", [(1, "a", b"", [])])
    with pytest.raises(SourceError, match=r"'none'.*a\.parquet"):
        list(ParquetRows(path, columns=["none"]).read(0, 1))


def test_damaged_and_missing_files_are_named(tmp_path):
    path = tmp_path / "a.parquet"
    write(path, [(1, "a", b"", [])] * 100)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(SourceError, match=r"Parquet file; got .*a\.parquet"):
        ParquetRows(str(path)).count_records()
    with pytest.raises(SourceError, match=r"none\.parquet"):
        ParquetRows(str(tmp_path / "none.parquet")).count_records()
