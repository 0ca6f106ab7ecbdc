"""What stands between `to_dataset` and the train step, and what it holds."""

from __future__ import annotations

import gc

import numpy as np
import pytest
import tensorflow as tf

from tests.support.keras_version import has_keras_2
from tests.support.keras_witness import new_model, write_files
from wq_hooks import WorkQueue, WorkQueueCallback
from wq_hooks.core.position.snapshot import Snapshot
from wq_hooks.engines import engine_of

NUM_FILES = 6
NUM_LINES = 4
BATCH_SIZE = 2
TOTAL = NUM_FILES * NUM_LINES
NUM_STEPS = TOTAL // BATCH_SIZE

# Where steps_per_epoch is not given, Keras 3 says so at the end of the data.
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*input ran out of data:UserWarning",
    "ignore:`shuffle=True` was passed:UserWarning",
)

keras = tf.keras


@pytest.fixture
def files(tmp_path):
    return write_files(tmp_path, NUM_FILES, NUM_LINES)


@pytest.fixture
def queue(files):
    with WorkQueue(files, shuffle=False) as queue:
        yield queue


def completed_records(snapshot):
    """The records of the items that a position counts as completed."""
    position = Snapshot.from_json(snapshot)
    tickets = set(range(position.next_ticket))
    tickets -= {item.ticket for item in position.outstanding}
    return {t * NUM_LINES + k for t in tickets for k in range(NUM_LINES)}


def new_records(queue):
    return queue.records(tf.data.TextLineDataset).batch(BATCH_SIZE)


def parse(lines):
    numbers = tf.strings.to_number(lines, tf.int32)
    return tf.one_hot(numbers, TOTAL), tf.zeros([tf.shape(numbers)[0], 1])


class Witness(keras.callbacks.Callback):
    """Takes a position at each step, as if it were killed behind it."""

    def __init__(self, callback):
        super().__init__()
        self.callback = callback
        self.completed = []

    def look(self):
        self.callback.mark_trained()
        weights = np.ravel(self.model.get_weights()[0])
        trained = set(np.flatnonzero(weights > 0).tolist())
        records = completed_records(self.callback.work_queue.snapshot())
        assert records <= trained, f"lost {sorted(records - trained)}"
        self.completed.append(len(records))

    def on_train_begin(self, logs=None):
        self.look()

    def on_epoch_begin(self, epoch, logs=None):
        self.look()

    def on_train_batch_end(self, batch, logs=None):
        self.look()

    def on_epoch_end(self, epoch, logs=None):
        self.look()


def fit(queue, dataset, *, model=None, **options):
    callback = WorkQueueCallback(queue)
    witness = Witness(callback)
    (model or new_model(TOTAL)).fit(
        dataset, callbacks=[callback, witness], verbose=0, **options
    )
    return witness.completed


def weighted(x, y):
    return x, y, tf.ones_like(y)


BEHIND = {
    "nothing": lambda d: d,
    "prefetch": lambda d: d.prefetch(8),
    "autotuned prefetch": lambda d: d.prefetch(tf.data.AUTOTUNE),
    "sample weights": lambda d: d.map(weighted).prefetch(4),
    "parallel maps": lambda d: d.map(weighted, num_parallel_calls=4),
    "options": lambda d: d.prefetch(4).with_options(tf.data.Options()),
    "apply": lambda d: d.apply(lambda e: e.prefetch(4).map(weighted)),
}


@pytest.mark.parametrize("name", BEHIND)
def test_a_batch_counts_when_a_step_has_trained_it(queue, name):
    dataset = BEHIND[name](new_records(queue).map(parse).to_dataset())
    completed = fit(queue, dataset)
    assert engine_of(queue).is_done
    # And no later than that: two batches are a file.
    steps = completed[2 : 2 + NUM_STEPS]
    assert steps[-2] >= TOTAL - 3 * NUM_LINES
    assert steps == sorted(steps)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"steps_per_epoch": 5, "epochs": 9},
        {"steps_per_epoch": 4, "epochs": 9, "steps_per_execution": 2},
        {"jit_compile": True},
        {"run_eagerly": True},
    ],
)
def test_what_keras_puts_behind_for_class_weights(queue, options):
    compiled = {
        key: options.pop(key)
        for key in ("steps_per_execution", "jit_compile", "run_eagerly")
        if key in options
    }
    fit(
        queue,
        new_records(queue).map(parse).to_dataset(),
        model=new_model(TOTAL, **compiled),
        class_weight={0: 1.0},
        **options,
    )
    assert engine_of(queue).is_done


def test_several_fits_with_class_weights(queue):
    dataset = new_records(queue).map(parse).prefetch(1).to_dataset()
    model = new_model(TOTAL)
    # Each goes on with what the last one did not finish.
    for _ in range(6):
        options = {"class_weight": {0: 1.0}, "steps_per_epoch": 5}
        fit(queue, dataset, model=model, **options)
        if engine_of(queue).is_done:
            break
    assert engine_of(queue).is_done


def test_without_a_callback(queue):
    model = new_model(TOTAL)
    dataset = new_records(queue).map(parse).to_dataset()
    model.fit(dataset, class_weight={0: 1.0}, verbose=0)
    queue.snapshot()
    assert engine_of(queue).is_done


@pytest.mark.parametrize(
    ("num_clients", "behind"), [(1, "prefetch"), (4, "nothing")]
)
def test_under_a_strategy(files, num_clients, behind):
    with WorkQueue(files, shuffle=False, num_clients=num_clients) as queue:
        with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
            model = new_model(TOTAL)
        dataset = new_records(queue).map(parse).to_dataset()
        completed = fit(
            queue,
            BEHIND[behind](dataset),
            model=model,
            class_weight={0: 1.0},
        )
        assert engine_of(queue).is_done
        # At each step, and not at the end alone.
        assert len(set(completed)) >= NUM_FILES


# What is between does not show what it holds: too little is counted.

UNKNOWN = {
    "zip": lambda d: tf.data.Dataset.zip((d, d_range())).map(
        lambda pair, _: pair
    ),
    "sampled": lambda d: tf.data.Dataset.sample_from_datasets(
        [d.prefetch(9), d_range().map(lambda _: parse(tf.constant(["0"])))],
        [0.7, 0.3],
        stop_on_empty_dataset=True,
    ),
    "repeat": lambda d: d.prefetch(9).repeat(1),
    "cut and regrouped": lambda d: d.prefetch(9).take(4).unbatch().batch(1),
    "regrouped and cut": lambda d: d.prefetch(9).unbatch().batch(1).take(5),
}


def d_range():
    return tf.data.Dataset.range(1000).prefetch(2)


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_is_not_known_is_not_counted(queue, name, caplog):
    dataset = UNKNOWN[name](new_records(queue).map(parse).to_dataset())
    with caplog.at_level("WARNING", "absl"):
        completed = fit(queue, dataset)
    assert set(completed) == {0}
    assert "does not show which batches" in caplog.text


REGROUPED = {
    "shuffle": lambda d: d.shuffle(4, seed=1),
    "batches of another size": lambda d: d.unbatch().batch(3),
    "smaller ones": lambda d: d.unbatch().prefetch(9).batch(1),
    "unordered maps": lambda d: d.map(
        weighted, num_parallel_calls=4, deterministic=False
    ),
    "unordered by an option": lambda d: d.map(
        weighted, num_parallel_calls=4
    ).with_options(unordered()),
    "filter": lambda d: d.filter(lambda x, y: True).prefetch(3),
    "flat_map": lambda d: d.prefetch(3).flat_map(
        lambda x, y: tf.data.Dataset.from_tensors((x, y))
    ),
}


def unordered():
    options = tf.data.Options()
    options.deterministic = False
    return options


@pytest.mark.parametrize("name", REGROUPED)
def test_where_batches_are_others_they_count_at_the_end(queue, name):
    dataset = REGROUPED[name](new_records(queue).map(parse).to_dataset())
    completed = fit(queue, dataset)
    assert set(completed[:-1]) == {0}
    assert engine_of(queue).is_done


@pytest.mark.parametrize("name", ["shuffle", "smaller ones"])
def test_other_batches_under_a_strategy(queue, name):
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        model = new_model(TOTAL)
    dataset = REGROUPED[name](new_records(queue).map(parse).to_dataset())
    assert set(fit(queue, dataset, model=model)) == {0}


# Loops of one's own


def records_of(batch):
    return {int(x) for x in np.ravel(batch)}


def numbers_of(queue):
    records = new_records(queue).map(
        lambda lines: tf.strings.to_number(lines, tf.int32)
    )
    return records.to_dataset()


def test_a_loop_over_what_is_prefetched_is_exact(queue):
    trained = set()
    for batch in numbers_of(queue).prefetch(9):
        assert completed_records(queue.snapshot()) <= trained
        trained |= records_of(batch)
        queue.mark_trained()
        completed = completed_records(queue.snapshot())
        assert completed <= trained
        assert len(completed) >= len(trained) - 3 * BATCH_SIZE
    queue.snapshot()
    assert engine_of(queue).is_done


def test_a_loop_that_is_left_and_begun_again(queue):
    dataset = numbers_of(queue).prefetch(9)
    trained = set()
    for number in (3, 1, 5, 2, 100):
        for batch in dataset.take(number):
            trained |= records_of(batch)
            completed = completed_records(queue.snapshot())
            assert completed <= trained
    queue.snapshot()
    assert engine_of(queue).is_done
    assert trained == set(range(TOTAL))


def test_a_distributed_loop_counts_what_it_says(queue, caplog):
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    dataset = strategy.experimental_distribute_dataset(numbers_of(queue))
    trained = set()
    for step, batch in enumerate(dataset):
        trained |= records_of(batch)
        if step < 3:
            # Nobody knows what this means here.
            queue.mark_trained()
            assert not completed_records(queue.snapshot())
        else:
            queue.mark_trained(4 if step == 3 else 1)
            completed = completed_records(queue.snapshot())
            assert completed <= trained
            assert len(completed) >= len(trained) - 2 * NUM_LINES
    assert "num_batches" in caplog.text
    queue.mark_trained(is_through=True)
    assert engine_of(queue).is_done
    with pytest.raises(ValueError, match="num_batches >= 0"):
        queue.mark_trained(-1)


def test_a_loop_in_a_tf_function(queue):
    dataset = numbers_of(queue).prefetch(9)

    @tf.function
    def add_up():
        total = tf.constant(0)
        for numbers in iter(dataset):
            total += tf.reduce_sum(numbers)
        return total

    assert add_up() == sum(range(TOTAL))
    queue.snapshot()
    assert engine_of(queue).is_done


def test_a_loop_that_autograph_takes_for_itself_is_not_known(queue, caplog):
    dataset = numbers_of(queue).prefetch(9)

    @tf.function
    def add_up(dataset):
        total = tf.constant(0)
        for numbers in dataset.prefetch(9):
            total += tf.reduce_sum(numbers)
        return total

    assert add_up(dataset) == sum(range(TOTAL))
    queue.mark_trained()
    assert not completed_records(queue.snapshot())
    assert "iter(dataset)" in caplog.text


def test_what_nobody_has_any_more_is_of_no_account(queue):
    """A look at some records does not make a strategy's steps unknown."""
    dataset = new_records(queue).map(parse).to_dataset()
    for _ in dataset.shuffle(3).take(1):
        pass
    gc.collect()
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        model = new_model(TOTAL)
    assert max(fit(queue, dataset, model=model)) == TOTAL


def test_a_batch_that_keras_looks_at_is_not_trained(queue):
    """Keras 3 reads one to build a model, before it begins."""
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        model = keras.Sequential(
            [keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")]
        )
        model.compile(keras.optimizers.SGD(1.0), loss="mse")
    callback = WorkQueueCallback(queue)
    records = queue.records(tf.data.TextLineDataset).batch(NUM_LINES)
    model.fit(
        records.map(parse).to_dataset(),
        # No epoch at all; after one, Keras 2 asks for weights.
        initial_epoch=0 if has_keras_2 else 1,
        epochs=0 if has_keras_2 else 1,
        callbacks=[callback],
        verbose=0,
    )
    assert not completed_records(queue.snapshot())
    assert has_keras_2 or model.built
