from __future__ import annotations

import gzip
import os
import zlib

import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sources.test_text import CONTENT, cuts, lines_of
from tests.support.sessions import draw, element_of, raw_session
from wq_hooks import WorkQueue
from wq_hooks.core.items.slice_text import slice_text
from wq_hooks.readers import text_lines, tf_records
from wq_hooks.sources import TextLines, TFRecords

tf1 = tf.compat.v1


def read(reader, texts):
    items = tf.data.Dataset.from_tensor_slices(tf.constant(texts, tf.string))
    return list(items.flat_map(reader).as_numpy_iterator())


def slices(path, edges):
    return [slice_text(path, a, b) for a, b in zip(edges, edges[1:])]


@given(st.data(), CONTENT)
@settings(max_examples=12, deadline=None)
def test_slices_of_text_are_the_lines_of_tensorflow(
    tmp_path_factory, data, content
):
    path = tmp_path_factory.getbasetemp() / "lines.txt"
    path.write_bytes(content)
    lines = list(tf.data.TextLineDataset(str(path)).as_numpy_iterator())
    edges = data.draw(cuts(len(content)))
    assert read(text_lines, slices(str(path), edges)) == lines
    assert read(text_lines, [str(path)]) == lines


def test_slices_of_more_than_one_block(tmp_path, monkeypatch):
    monkeypatch.setattr("wq_hooks.readers.text.BLOCK_BYTES", 300)
    path = tmp_path / "a.txt"
    lines = [b"%d" % i * (i % 50) for i in range(200)]
    path.write_bytes(b"\n".join(lines))
    size = path.stat().st_size
    texts = slices(str(path), [0, 1000, 1001, size])
    assert read(text_lines, texts) == lines
    assert read(text_lines, [slice_text(str(path), 1, None)]) == lines[1:]


@given(st.data(), CONTENT, st.integers(0, 3))
@settings(max_examples=8, deadline=None)
def test_slices_behind_header_lines(
    tmp_path_factory, data, content, num_header
):
    path = tmp_path_factory.getbasetemp() / "header.txt"
    path.write_bytes(content)
    lines = tf.data.TextLineDataset(str(path)).skip(num_header)

    def reader(item):
        return text_lines(item, num_header_lines=num_header)

    edges = data.draw(cuts(len(content)))
    expected = list(lines.as_numpy_iterator())
    assert read(reader, slices(str(path), edges)) == expected
    assert read(reader, [str(path)]) == expected


def test_header_lines_are_left_out(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"x,y\n1,2\n3,4\n")

    def reader(item):
        return text_lines(item, num_header_lines=1)

    assert read(reader, [str(path)]) == [b"1,2", b"3,4"]
    assert read(reader, slices(str(path), [0, 5, 12])) == [b"1,2", b"3,4"]


@given(CONTENT, st.lists(st.binary(max_size=9), max_size=50))
@settings(max_examples=6, deadline=None)
@pytest.mark.parametrize(("ending", "kind"), [("gz", "GZIP"), ("zz", "ZLIB")])
def test_compressed_files_are_what_was_compressed(
    tmp_path_factory, ending, kind, content, records
):
    folder = tmp_path_factory.mktemp("compressed")
    path = folder / f"a.txt.{ending}"
    compress = gzip.compress if kind == "GZIP" else zlib.compress
    path.write_bytes(compress(content))
    assert TextLines(str(path)).count_records() is None
    assert read(text_lines, [str(path)]) == lines_of(content)
    path = str(folder / f"a.tfrecord.{ending}")
    with tf.io.TFRecordWriter(path, kind) as writer:
        for record in records:
            writer.write(record)
    assert TFRecords(path).count_records() is None
    assert read(tf_records, [path]) == records


def test_compressed_files_are_read_whole(tmp_path):
    path = tmp_path / "a.txt.gz"
    path.write_bytes(gzip.compress(b"a\nb\n"))
    records = tmp_path / "a.tfrecord.gz"
    with tf.io.TFRecordWriter(str(records), "GZIP") as writer:
        writer.write(b"r")
    assert read(text_lines, [str(path)]) == [b"a", b"b"]
    assert read(tf_records, [str(records)]) == [b"r"]


@given(st.data(), st.lists(st.binary(max_size=9), max_size=150))
@settings(max_examples=8, deadline=None)
def test_slices_of_tfrecords_are_the_records(tmp_path_factory, data, records):
    path = str(tmp_path_factory.mktemp("tfrecord") / "a")
    with tf.io.TFRecordWriter(path) as writer:
        for record in records:
            writer.write(record)
    edges = data.draw(cuts(len(records)))
    assert read(tf_records, slices(path, edges)) == records
    assert read(tf_records, [path]) == records


@pytest.mark.parametrize(
    "name", ["a?b&c.txt", "100%.txt", "a%3Fb.txt", "é日.txt", "a?start=x&end=1"]
)
def test_paths_with_signs_of_their_own(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"a\nb\n")
    assert read(text_lines, slices(str(path), [0, 1, 4])) == [b"a", b"b"]
    assert read(text_lines, [str(path)]) == [b"a", b"b"]


def test_a_file_whose_name_looks_like_a_slice_is_not_misread(tmp_path):
    (tmp_path / "a").write_bytes(b"1\n2\n")
    path = tmp_path / "a?start=0&end=1"
    path.write_bytes(b"b\n")
    with pytest.raises(tf.errors.OpError, match="name of a file too"):
        read(text_lines, [str(path)])
    assert read(text_lines, [slice_text(str(path), 0, None)]) == [b"b"]


@pytest.mark.parametrize("reader", [text_lines, tf_records])
@pytest.mark.parametrize("is_slice", [False, True])
def test_a_missing_file_is_named(tmp_path, reader, is_slice):
    path = str(tmp_path / "none")
    text = slice_text(path, 3, 9) if is_slice else path
    with pytest.raises(tf.errors.OpError, match="none"):
        read(reader, [text])


def test_a_file_that_has_shrunk_is_named(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"aaa\n")
    with pytest.raises(tf.errors.OpError, match=r"9 bytes in .*a\.txt"):
        read(text_lines, [slice_text(str(path), 0, 9)])


@pytest.mark.parametrize("has_records", [False, True])
def test_slices_through_a_queue(tmp_path, has_records):
    path = tmp_path / "a.txt"
    lines = [str(i) for i in range(100)]
    path.write_text("\n".join(lines))
    size = TextLines(str(path)).count_records()
    texts = slices(str(path), [0, 50, 51, size])
    with tf.Graph().as_default():
        queue = WorkQueue(texts, shuffle=False)
        if has_records:
            dataset = queue.records(text_lines).to_dataset()
        else:
            dataset = queue.input_dataset().flat_map(text_lines)
        line = element_of(dataset)
        with raw_session() as session:
            assert draw(session, line) == lines


def test_the_source_counts_what_the_reader_reads(tmp_path):
    path = str(tmp_path / "a")
    with tf.io.TFRecordWriter(path) as writer:
        for i in range(10):
            writer.write(b"%d" % i)
    assert TFRecords(path).count_records() == len(read(tf_records, [path]))


def write_records(path, records):
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)
    return str(path)


@pytest.mark.parametrize("reader", [text_lines, tf_records])
def test_a_reader_outside_of_a_pipeline(tmp_path, reader):
    path = str(tmp_path / "a")
    if reader is tf_records:
        write_records(path, [b"0", b"1", b"2"])
        text = slice_text(path, 1, 3)
    else:
        (tmp_path / "a").write_bytes(b"0\n1\n2\n")
        text = slice_text(path, 2, 6)
    assert list(reader(text).as_numpy_iterator()) == [b"1", b"2"]
    with tf.Graph().as_default():
        record = element_of(reader(text).batch(2))
        with raw_session() as session:
            (batch,) = draw(session, record)
    assert list(batch) == [b"1", b"2"]


def test_slices_of_tfrecords_are_checked(tmp_path):
    path = write_records(tmp_path / "a", [b"%d" % i * 100 for i in range(20)])
    content = bytearray((tmp_path / "a").read_bytes())
    content[-50] ^= 1
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(tf.errors.DataLossError):
        read(tf_records, [slice_text(path, 15, 20)])


def test_a_tfrecord_file_that_shrinks_while_it_is_read(tmp_path):
    path = write_records(tmp_path / "a", [b"x" * 1000] * 2000)
    text = slice_text(path, 100, 2000)
    items = tf.data.Dataset.from_tensors(text).flat_map(tf_records)
    iterator = iter(items)
    assert next(iterator).numpy() == b"x" * 1000
    # At the end of a record, which TensorFlow takes for the end of the file.
    os.truncate(path, 1016 * 1500)
    with pytest.raises(tf.errors.NotFoundError, match="start=100&end=2000"):
        list(iterator)


@pytest.mark.parametrize("item", ["{}", "{}?start=4&end=9"])
def test_tensorflow_warns_of_nothing_in_a_graph(tmp_path, capfd, item):
    """2.15 did, on the standard error: "This indicates an invalid graph"."""
    path = tmp_path / "a.txt"
    path.write_text("a\nbb\nccc\n")
    with tf.Graph().as_default():
        items = tf.data.Dataset.from_tensors(item.format(path))
        element = element_of(items.flat_map(text_lines))
        with raw_session() as session:
            assert draw(session, element)
    assert "Type inference failed" not in capfd.readouterr().err
