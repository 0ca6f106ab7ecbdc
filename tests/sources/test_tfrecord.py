from __future__ import annotations

import io

import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from wq_hooks.errors import SourceError
from wq_hooks.sources import TFRecords, tfrecord


def write(path, records):
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)
    return str(path)


RECORDS = st.lists(st.binary(max_size=40) | st.just(b"x" * 3000), max_size=200)


@given(st.data(), RECORDS)
@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("has_index", [False, True])
def test_all_slices_are_the_whole(tmp_path_factory, has_index, data, records):
    path = write(tmp_path_factory.mktemp("tfrecord") / "a", records)
    if has_index:
        tfrecord.write_index(path)
    source = TFRecords(path)
    inner = data.draw(st.lists(st.integers(0, len(records)), max_size=8))
    edges = [0, *sorted(inner), len(records)]
    # Backwards: nothing may hang on the order.
    pieces = [
        list(source.read(start, end))
        for start, end in reversed(list(zip(edges, edges[1:])))
    ]
    read = [record for piece in reversed(pieces) for record in piece]
    assert read == records
    whole = tf.data.TFRecordDataset(path)
    assert read == list(whole.as_numpy_iterator())
    assert source.count_records() == len(records)


def test_records_of_any_length_are_read(tmp_path):
    records = [b"%d" % i * (i % 9) for i in range(1000)] + [b"x" * 5000]
    source = TFRecords(write(tmp_path / "a", records))
    assert list(source.read(3, 1001)) == records[3:]


def test_the_index_saves_the_pass(tmp_path, monkeypatch):
    path = write(tmp_path / "a", [b"a"] * 300)
    target = tfrecord.write_index(path)
    assert target == tfrecord.index_path(path)

    def fail(*args):
        raise AssertionError(args)

    monkeypatch.setattr(tfrecord._Index, "_scan", fail)
    assert TFRecords(path).count_records() == 300


def test_an_index_of_another_state_is_not_used(tmp_path):
    path = write(tmp_path / "a", [b"a"] * 300)
    tfrecord.write_index(path)
    write(path, [b"b"] * 20)
    assert TFRecords(path).count_records() == 20


def test_a_truncated_file_is_named(tmp_path):
    path = tmp_path / "a"
    write(path, [b"a" * 100] * 10)
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(SourceError, match=r"whole records in .*/a'"):
        TFRecords(str(path)).count_records()
    # What comes before the damage can be read.
    assert list(TFRecords(str(path)).read(0, 9)) == [b"a" * 100] * 9


def test_a_file_that_has_shrunk_is_named(tmp_path):
    path = write(tmp_path / "a", [b"a"] * 10)
    assert TFRecords(path).count_records() == 10
    write(path, [b"a"] * 4)
    with pytest.raises(SourceError, match=r"at least 10 records .* got 4"):
        list(TFRecords(path).read(5, 10))


def test_what_fails_while_it_is_read_is_named(tmp_path, monkeypatch):
    path = write(tmp_path / "a", [b"a"] * 4)
    source = TFRecords(path)
    assert source.count_records() == 4

    class Failing(io.FileIO):
        def read(self, size=-1):
            raise OSError(5, "Input/output error")

    monkeypatch.setattr("builtins.open", Failing)
    with pytest.raises(SourceError, match=r"/a': .*Input/output"):
        list(source.read(1, 3))
    (tmp_path / "b").write_bytes((tmp_path / "a").read_bytes())
    with pytest.raises(SourceError, match=r"/b': .*Input/output"):
        TFRecords(str(tmp_path / "b")).count_records()


def test_what_is_no_tfrecord_file_is_said(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"no records at all, but a line of text\n")
    with pytest.raises(SourceError, match="no TFRecord file"):
        TFRecords(str(path)).count_records()
