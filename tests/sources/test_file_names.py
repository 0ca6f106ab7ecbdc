"""File names are any bytes, whole and in slices; empty files are empty."""

from __future__ import annotations

import gzip
import os
import zlib

import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.sessions import draw, element_of, raw_session
from wq_hooks import WorkQueue, readers, sources
from wq_hooks.errors import SourceError
from wq_hooks.sources import files

LINES = [b"one", b"two", b"three", b"four"]
NAMES = [
    b"plain",
    b"a b",
    b"a?b",
    b"a=b&c#d%e",
    b"%3F%25",
    b"a\nb",
    b"\xff\xfe",
    "é".encode(),
    b"x?start=1&end=2",
    b"x?start=1&end=",
    b"x%3Fstart=0&end=9?start=0&end=9",
    b"*[0]",
    b"a:b",
]
READERS = {
    "text": (sources.TextLines, readers.text_lines),
    "tfrecord": (sources.TFRecords, readers.tf_records),
}


def write(folder, name, kind):
    path = os.path.join(os.fsencode(folder), name)
    if kind == "text":
        with open(path, "wb") as file:
            file.write(b"".join(line + b"\n" for line in LINES))
    else:
        with tf.io.TFRecordWriter(path) as writer:
            for line in LINES:
                writer.write(line)
    return path


@pytest.mark.parametrize("scheme", [b"", b"file://"])
@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("num_slices", [None, 3 * len(NAMES)])
def test_each_name_is_read_whole_and_in_slices(
    tmp_path, kind, scheme, num_slices
):
    paths = [scheme + write(tmp_path, name, kind) for name in NAMES]
    source, reader = READERS[kind]
    with tf.Graph().as_default():
        queue = WorkQueue(
            paths, shuffle=False, num_slices=num_slices, source=source
        )
        record = element_of(queue.records(reader).to_dataset())
        with raw_session() as session:
            read = draw(session, record)
    assert [text.encode() for text in read] == LINES * len(NAMES)


NAME = st.binary(min_size=1, max_size=12).filter(
    lambda name: (
        b"\0" not in name and b"/" not in name and name not in (b".", b"..")
    )
)


@given(NAME, st.sampled_from(["", "file://"]))
@settings(max_examples=60, deadline=None)
def test_any_bytes_are_a_name(tmp_path_factory, name, scheme):
    folder = tmp_path_factory.getbasetemp()
    path = os.fsdecode(write(folder, name, "text"))
    try:
        source = sources.TextLines(scheme + path)
        size = source.count_records()
        assert files.parse_item(scheme + path).path == scheme + path
        if size is not None:
            read = [*source.read(0, 5), *source.read(5, size)]
            assert read == LINES
    finally:
        os.remove(path)


def test_a_name_that_reads_as_a_slice_of_another_file_is_refused(tmp_path):
    write(tmp_path, b"x", "text")
    path = os.fsdecode(write(tmp_path, b"x?start=1&end=2", "text"))
    for scheme in ("", "file://"):
        with pytest.raises(SourceError, match="Rename the file, or list"):
            files.parse_item(scheme + path)


EMPTY = {
    "none.gz": b"",
    "nothing.gz": gzip.compress(b""),
    "twice.gz": gzip.compress(b"") * 2,
    "none.zz": b"",
    "nothing.zlib": zlib.compress(b""),
}


@pytest.mark.parametrize("reader", ["text_lines", "tf_records"])
@pytest.mark.parametrize("name", EMPTY)
def test_an_empty_compressed_file_reads_as_tensorflow_reads_it(
    tmp_path, name, reader
):
    path = tmp_path / name
    path.write_bytes(EMPTY[name])
    kind = files.compression_of(name)
    for plain in (tf.data.TextLineDataset, tf.data.TFRecordDataset):
        assert list(plain(str(path), kind)) == []
    dataset = getattr(readers, reader)(tf.constant(str(path)))
    assert list(dataset) == []
    with tf.Graph().as_default():
        queue = WorkQueue([str(path)])
        record = element_of(
            queue.records(getattr(readers, reader)).to_dataset()
        )
        with raw_session() as session:
            assert draw(session, record) == []


@pytest.mark.parametrize("num_bytes", [1, 5, 12])
def test_a_compressed_file_that_was_cut_is_still_an_error(tmp_path, num_bytes):
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(b"one\ntwo\n")[:num_bytes])
    with pytest.raises(tf.errors.OpError):
        list(readers.text_lines(tf.constant(str(path))))
