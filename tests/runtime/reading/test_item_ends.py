"""An item is completed when its last record was trained, not when more is read.

Each test stops where nothing has asked for more, and goes on from a position.
"""

from __future__ import annotations

import itertools
import math

import pytest
import tensorflow as tf

from wq_hooks import WorkQueue, WorkQueueCallback
from wq_hooks.engines import engine_of

NUM_RECORDS = 6


@pytest.fixture
def paths(tmp_path):
    """Three files of six lines such as "2:5"."""
    made = []
    for i in range(3):
        path = tmp_path / f"{i}.txt"
        path.write_text("".join(f"{i}:{k}\n" for k in range(NUM_RECORDS)))
        made.append(str(path))
    return made


def lines(*numbers):
    return [f"{i}:{k}" for i in numbers for k in range(NUM_RECORDS)]


def generated(path):
    def read(name):
        with open(name, "rb") as file:
            yield from file.read().splitlines()

    return tf.data.Dataset.from_generator(
        read, args=(path,), output_signature=tf.TensorSpec([], tf.string)
    )


def last_ones_left_out(path):
    """Records that a filter leaves out stand behind those that are trained."""
    more = tf.data.Dataset.from_tensors("x").repeat(3)
    return tf.data.TextLineDataset(path).concatenate(more)


def doubled(path):
    half = tf.data.TextLineDataset(path).take(NUM_RECORDS // 2)
    return half.map(tf.strings.upper).concatenate(
        tf.data.TextLineDataset(path).skip(NUM_RECORDS // 2).prefetch(2)
    )


READERS = {
    "lines": tf.data.TextLineDataset,
    "generated": generated,
    "mapped": doubled,
    "rows": lambda path: tf.data.Dataset.from_tensor_slices(
        tf.strings.split(tf.io.read_file(path))
    ),
}


def trained_in(works, make, num_batches, *, position=None, **options):
    """Trains some batches of a new queue: its records, position, is_done."""
    with WorkQueue(works, **{"shuffle": False, **options}) as queue:
        if position is not None:
            queue.restore(position)
        trained = []
        dataset = make(queue).to_dataset()
        for batch in dataset:
            trained += [x.decode() for x in batch.numpy()]
            num_batches -= 1
            if num_batches == 0:
                break
        queue.mark_trained()
        return trained, queue.snapshot(), engine_of(queue).is_done


PIPELINES = {
    "in order": lambda r, n: r.batch(n),
    "padded": lambda r, n: r.padded_batch(n, padded_shapes=[]),
    "told one by one": lambda r, n: r.map(
        lambda line: line, num_parallel_calls=None
    ).batch(n),
    "filtered": lambda r, n: r.filter(lambda line: line != "x").batch(n),
    "only full ones": lambda r, n: r.batch(n, drop_remainder=True),
    "shuffled by one": lambda r, n: r.shuffle(1).batch(n),
}


@pytest.mark.parametrize(
    ("pipeline", "size"),
    [*((name, 2) for name in PIPELINES), ("in order", 1), ("in order", 6)],
)
def test_a_loop_of_one_items_batches_meets_the_next_one(paths, pipeline, size):
    def make(queue):
        records = queue.records(last_ones_left_out)
        records = records.filter(lambda line: line != "x")
        return PIPELINES[pipeline](records, size)

    position = None
    for number in range(3):
        trained, position, is_done = trained_in(
            paths, make, NUM_RECORDS // size, position=position
        )
        assert trained == lines(number)
        assert is_done == (number == 2)
    assert trained_in(paths, make, -1, position=position)[0] == []


@pytest.mark.parametrize("reader", READERS)
def test_whatever_the_reader_is(paths, reader):
    def make(queue):
        return queue.records(READERS[reader]).batch(2)

    position = None
    for number in range(3):
        trained, position, is_done = trained_in(
            paths, make, 3, position=position
        )
        assert trained == lines(number)
    assert is_done


@pytest.mark.parametrize("num_batches", [1, 3, 5, 6, 9])
@pytest.mark.parametrize(("size", "cycle_length"), [(2, 1), (4, 1), (2, 2)])
def test_a_position_at_every_batch_repeats_open_items_and_no_others(
    paths, size, cycle_length, num_batches
):
    def make(queue):
        return queue.records(
            tf.data.TextLineDataset, cycle_length=cycle_length
        ).batch(size)

    num_batches = min(num_batches, math.ceil(3 * NUM_RECORDS / size))
    trained, position, _ = trained_in(paths, make, num_batches)
    again, _, is_done = trained_in(paths, make, -1, position=position)
    for number in range(3):
        is_trained = set(lines(number)) <= set(trained)
        expected = [] if is_trained else lines(number)
        assert [x for x in again if x[0] == str(number)] == expected
    assert is_done


@pytest.mark.parametrize("num_batches", [3, 6, 8])
def test_nothing_is_lost_behind_a_shuffle(paths, num_batches):
    def make(queue):
        return (
            queue.records(tf.data.TextLineDataset).shuffle(4, seed=1).batch(2)
        )

    trained, position, _ = trained_in(paths, make, num_batches)
    again, _, is_done = trained_in(paths, make, -1, position=position)
    assert set(trained + again) == set(lines(0, 1, 2))
    assert is_done


@pytest.mark.parametrize("num_steps", [3, 4])
def test_a_fit_of_some_steps_repeats_no_item_that_it_has_trained(
    paths, num_steps
):
    model = tf.keras.Sequential([tf.keras.layers.Dense(1)])
    model.compile("sgd", "mse")

    def reader(path):
        return tf.data.TextLineDataset(path).map(lambda _: (tf.zeros([1]), 0.0))

    with WorkQueue(paths, shuffle=False) as queue:
        dataset = queue.records(reader).batch(2).to_dataset()
        model.fit(
            dataset,
            steps_per_epoch=num_steps,
            verbose=0,
            shuffle=False,
            callbacks=[WorkQueueCallback(queue)],
        )
        position = queue.snapshot()

    with WorkQueue(paths, shuffle=False) as queue:
        queue.restore(position)
        rest = [x.decode() for x in queue.input_dataset().as_numpy_iterator()]
    assert rest == paths[num_steps * 2 // NUM_RECORDS :]


def test_a_reader_that_draws_is_not_read_a_second_time(paths):
    opened = []

    def reader(path):
        def read(name):
            opened.append(name)
            return range(4)

        drawn = tf.data.Dataset.from_generator(
            read, args=(path,), output_signature=tf.TensorSpec([], tf.int64)
        ).filter(lambda _: tf.random.uniform([]) < 2.0)
        return drawn.map(tf.strings.as_string)

    trained, _, is_done = trained_in(
        paths[:1], lambda queue: queue.records(reader).batch(2), 2
    )
    assert len(trained) == 4
    assert len(opened) == 1
    assert not is_done


def test_an_item_of_which_an_error_follows_stays_open(paths):
    def reader(path):
        bad = tf.data.Dataset.from_tensors("bad").map(
            lambda line: tf.strings.as_string(tf.strings.to_number(line))
        )
        return tf.data.TextLineDataset(path).concatenate(bad)

    trained, _, is_done = trained_in(
        paths[:1], lambda queue: queue.records(reader).batch(3), 2
    )
    assert trained == lines(0)
    assert not is_done


def test_however_often_a_position_is_asked_for_an_item_is_read_a_few_times(
    tmp_path,
):
    num_given = 0

    def reader(text):
        def read(_):
            nonlocal num_given
            for number in range(256):
                num_given += 1
                yield str(number)

        return tf.data.Dataset.from_generator(
            read, args=(text,), output_signature=tf.TensorSpec([], tf.string)
        )

    with WorkQueue(["a"], shuffle=False) as queue:
        dataset = queue.records(reader).batch(2).to_dataset()
        for _ in itertools.islice(dataset, 128):
            queue.mark_trained()
        assert engine_of(queue).is_done
    # Once for the pipeline; what is read again doubles each time.
    assert num_given < 5 * 256


def test_a_reader_that_goes_on_after_a_second_reading_has_ended(paths, caplog):
    num_opened = 0

    def reader(path):
        def read(_):
            nonlocal num_opened
            num_opened += 1
            return iter("abcd" if num_opened == 1 else "ab")

        return tf.data.Dataset.from_generator(
            read, args=(path,), output_signature=tf.TensorSpec([], tf.string)
        )

    with WorkQueue(paths[:2], shuffle=False) as queue:
        seen = []
        dataset = queue.records(reader).batch(2).to_dataset()
        for batch in dataset:
            seen += [x.decode() for x in batch.numpy()]
            queue.mark_trained()
    assert seen[:4] == ["a", "b", "c", "d"]
    assert "Expected a reader to give the same records" in caplog.text
