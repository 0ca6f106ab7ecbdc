"""Readers of one file: as those of tf.data, with no dataset of paths."""

from __future__ import annotations

import pytest
import tensorflow as tf

from wq_hooks.runtime.reading.file_readers import of_one_file

tf1 = tf.compat.v1

READERS = [
    tf.data.TextLineDataset,
    tf1.data.TextLineDataset,
    tf.data.TFRecordDataset,
    tf1.data.TFRecordDataset,
]


@pytest.fixture
def path(tmp_path):
    """A file of lines that holds records, too."""
    path = str(tmp_path / "a?b")
    with tf.io.TFRecordWriter(path) as writer:
        for i in range(20):
            writer.write(b"%d\r\n" % i * i)
    return path


@pytest.mark.parametrize("reader", READERS)
def test_the_records_are_the_same(path, reader):
    expected = reader(path)
    dataset = of_one_file(reader)(path)
    found = list(dataset.as_numpy_iterator())
    assert len(found) >= 20
    assert found == [record.numpy() for record in expected]
    assert dataset.element_spec == tf.TensorSpec([], tf.string)


@pytest.mark.parametrize("reader", READERS)
def test_they_come_from_the_file_directly(path, reader):
    with tf.Graph().as_default():
        ops = [
            tf.data.experimental.to_variant(read(tf.constant(path))).op.type
            for read in (reader, of_one_file(reader))
        ]
    # Were the first one another, there would be nothing to leave out.
    assert ops == ["FlatMapDataset", reader.__name__.rstrip("V12")]


@pytest.mark.parametrize("reader", [tf.data.Dataset.from_tensors, min])
def test_other_readers_stay_what_they_are(reader):
    assert of_one_file(reader) is reader
