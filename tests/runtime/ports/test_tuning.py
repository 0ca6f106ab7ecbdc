from __future__ import annotations

import threading
import time

import pytest
import tensorflow as tf
import tensorflow.compat.v1 as tf1

from wq_hooks import WorkQueue
from wq_hooks.runtime.ports.tuned_dataset import TunedDataset
from wq_hooks.runtime.ports.tuning import untuned

AUTOTUNE = tf.data.AUTOTUNE
LINES = 5


def is_on(dataset):
    return dataset.options().autotune.enabled is not False


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
def test_tuning_is_on_where_it_is_asked_for(dataset, then):
    assert is_on(then(dataset))
    assert isinstance(then(dataset), TunedDataset)
    assert len(list(then(dataset))) > 0


@pytest.mark.parametrize("is_enabled", [True, False])
def test_the_options_of_the_user_come_first(dataset, texts, is_enabled):
    options = tf.data.Options()
    options.autotune.enabled = is_enabled
    assert is_on(dataset.with_options(options)) is is_enabled
    assert is_on(dataset.with_options(options).map(same)) is is_enabled
    records = WorkQueue(list(texts)).records(parallel_reader)
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
    queue = WorkQueue(list(texts))
    dataset = then(queue.records(tf.data.TextLineDataset)).to_dataset()
    assert not is_on(dataset)
    assert not is_on(dataset.prefetch(1))
    assert is_on(dataset.map(same, num_parallel_calls=AUTOTUNE))


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
def test_records_are_tuned_where_it_is_asked_for(texts, then):
    queue = WorkQueue(list(texts))
    dataset = then(queue.records(tf.data.TextLineDataset)).to_dataset()
    assert is_on(dataset)


def test_a_reader_may_ask_for_it(texts):
    queue = WorkQueue(list(texts))
    assert is_on(queue.records(parallel_reader).batch(2).to_dataset())


def test_items_in_a_graph_have_the_methods_of_tensorflow_1(texts):
    with tf.Graph().as_default():
        items = WorkQueue(list(texts), name="graph").input_dataset()
        assert isinstance(items.map(same), tf1.data.Dataset)
        assert items.map(same).make_initializable_iterator()
        assert tf1.data.get_output_types(items) == tf.string


def test_dropping_a_tuned_iterator_keeps_nobody_waiting():
    """Of plain iterators one in four sleeps for seconds when it is dropped."""
    dataset = untuned(tf.data.Dataset.range(1 << 40)).batch(8)
    dataset = dataset.map(same, num_parallel_calls=AUTOTUNE).prefetch(2)
    iterators = [iter(dataset) for _ in range(30)]
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        for iterator in iterators:
            next(iterator)
    del iterator
    begin = time.monotonic()
    iterators.clear()
    assert time.monotonic() - begin < 1
    assert any(
        thread.name == "destroy-iterator" for thread in threading.enumerate()
    )
