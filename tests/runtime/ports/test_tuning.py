from __future__ import annotations

import contextlib

import pytest
import tensorflow as tf
import tensorflow.compat.v1 as tf1

from wq_hooks import WorkQueue
from wq_hooks.runtime.ports.tuning import untuned

# In a graph TensorFlow knows of the options only what was set in Python.
pytestmark = pytest.mark.filterwarnings("ignore:To make it possible")

AUTOTUNE = tf.data.AUTOTUNE
LINES = 5


def is_on(dataset):
    return dataset.options().autotune.enabled is not False


@contextlib.contextmanager
def in_graph():
    with tf.Graph().as_default():
        yield


def same(x):
    return x


def parallel(_):
    return tf.data.Dataset.range(LINES).map(same, num_parallel_calls=AUTOTUNE)


def parallel_reader(path):
    lines = tf.data.TextLineDataset(path)
    return lines.map(tf.strings.length, num_parallel_calls=AUTOTUNE)


@pytest.fixture(name="dataset")
def plain_dataset():
    return untuned(tf.data.Dataset.range(LINES))


@pytest.fixture(name="texts")
def text_files(tmp_path):
    paths = [tmp_path / name for name in "ab"]
    for path in paths:
        path.write_text("one\ntwo\n")
    return [str(path) for path in paths]


@pytest.mark.parametrize(
    "then",
    [
        lambda d: d,
        lambda d: d.map(same),
        lambda d: d.map(same, num_parallel_calls=2),
        lambda d: d.shuffle(3).batch(2).prefetch(AUTOTUNE),
        lambda d: d.apply(lambda e: e.batch(2)),
        lambda d: d.with_options(tf.data.Options()),
        lambda d: tf.data.Dataset.zip((d, d)),
    ],
)
def test_tuning_is_off_where_nobody_asks(dataset, then):
    assert not is_on(then(dataset))
    assert len(list(then(dataset))) > 0


@pytest.mark.parametrize(
    "then",
    [
        lambda d: d.map(same, num_parallel_calls=AUTOTUNE),
        lambda d: d.map(same, AUTOTUNE),
        lambda d: d.batch(2).map(same, num_parallel_calls=AUTOTUNE).prefetch(1),
        lambda d: d.map(same, num_parallel_calls=AUTOTUNE).map(same).take(3),
        lambda d: d.interleave(parallel, num_parallel_calls=AUTOTUNE),
        lambda d: d.batch(2, num_parallel_calls=AUTOTUNE),
        lambda d: d.apply(lambda e: e.map(same, num_parallel_calls=AUTOTUNE)),
    ],
)
def test_tuning_is_on_where_it_is_asked_for_in_a_graph(dataset, then):
    with tf.Graph().as_default():
        assert is_on(then(untuned(tf.data.Dataset.range(LINES))))
    # In eager mode whoever drops an iterator would wait for it.
    assert not is_on(then(dataset))
    assert len(list(then(dataset))) > 0


@pytest.mark.parametrize("is_enabled", [True, False])
def test_the_options_of_the_user_come_first(dataset, texts, is_enabled):
    options = tf.data.Options()
    options.autotune.enabled = is_enabled
    assert is_on(dataset.with_options(options)) is is_enabled
    assert is_on(dataset.with_options(options).map(same)) is is_enabled
    records = WorkQueue(texts).records(parallel_reader)
    batches = records.batch(2).with_options(options)
    assert is_on(batches.to_dataset()) is is_enabled


@pytest.mark.parametrize(
    "then",
    [
        lambda r: r.batch(2),
        lambda r: r.shuffle(2).batch(2).map(same).prefetch(AUTOTUNE),
        lambda r: r.batch(2, num_parallel_calls=2),
    ],
)
def test_records_are_not_tuned_where_nobody_asks(texts, then):
    queue = WorkQueue(texts)
    dataset = then(queue.records(tf.data.TextLineDataset)).to_dataset()
    assert not is_on(dataset)
    assert not is_on(dataset.prefetch(1))


@pytest.mark.parametrize(
    "then",
    [
        lambda r: r.map(same, num_parallel_calls=AUTOTUNE).batch(2),
        lambda r: r.map(same, AUTOTUNE),
        lambda r: r.batch(2, num_parallel_calls=AUTOTUNE),
        lambda r: r.flat_map(parallel),
        lambda r: r.interleave(parallel, cycle_length=2),
        lambda r: r.interleave(
            lambda _: tf.data.Dataset.range(2), 2, num_parallel_calls=AUTOTUNE
        ),
    ],
)
def test_records_are_tuned_where_it_is_asked_for_in_a_graph(texts, then):
    for mode, expected in ((in_graph, True), (contextlib.nullcontext, False)):
        with mode():
            records = WorkQueue(texts).records(tf.data.TextLineDataset)
            assert is_on(then(records).to_dataset()) is expected


def test_a_reader_may_ask_for_it(texts):
    with tf.Graph().as_default():
        records = WorkQueue(texts).records(parallel_reader)
        assert is_on(records.batch(2).to_dataset())


def test_items_in_a_graph_have_the_methods_of_tensorflow_1(texts):
    with tf.Graph().as_default():
        items = WorkQueue(texts, name="graph").input_dataset()
        assert isinstance(items.map(same), tf1.data.Dataset)
        assert items.map(same).make_initializable_iterator()
        assert tf1.data.get_output_types(items) == tf.string
