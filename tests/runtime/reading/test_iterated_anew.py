"""A dataset whose iterator is initialized again in the midst, in graph mode.

In eager mode that is the beginning of a `for` loop; see test_eager.
"""

from __future__ import annotations

import itertools

import pytest
import tensorflow as tf

from tests.support.queues import feeder_of, state_of
from tests.support.sessions import decoded, raw_session, wait_until
from tests.support.text_files import write
from wq_hooks import WorkQueue, WorkQueueHook

tf1 = tf.compat.v1

NUM_FILES, SIZE = 6, 10
HALF_A_SECOND = tf1.RunOptions(timeout_in_ms=500)


@pytest.fixture(autouse=True)
def graph():
    with tf.Graph().as_default() as graph:
        yield graph


@pytest.fixture
def files(tmp_path):
    """{path: its lines}."""
    return write(tmp_path, [SIZE] * NUM_FILES)


def of_items(queue):
    return tf.data.TextLineDataset(queue.input_dataset()).batch(4)


def of_records(queue):
    return queue.records(tf.data.TextLineDataset).batch(4).to_dataset()


def of_shuffled_records(queue):
    records = queue.records(tf.data.TextLineDataset, cycle_length=2)
    return records.shuffle(15, seed=1).batch(4).prefetch(2).to_dataset()


def drawn(session, batch, number=1000):
    """Returns the lines of so many batches, or of all that are left."""
    lines = []
    for _ in range(number):
        try:
            lines += [decoded(line) for line in session.run(batch)]
        except tf.errors.OutOfRangeError:
            break
    return lines


@pytest.mark.parametrize(
    "pipeline", [of_items, of_records, of_shuffled_records]
)
def test_what_the_former_did_not_finish_comes_again(files, pipeline):
    queue = WorkQueue(list(files), shuffle=False)
    iterator = tf1.data.make_initializable_iterator(pipeline(queue))
    batch = iterator.get_next()
    with tf1.train.MonitoredTrainingSession(
        hooks=[WorkQueueHook()], log_step_count_steps=None
    ) as monitored:
        session = monitored._tf_sess()
        session.run(iterator.initializer)
        before = drawn(session, batch, 4)
        assert len(before) == 16
        session.run(iterator.initializer)
        after = drawn(session, batch)
    everything = list(itertools.chain(*files.values()))
    assert sorted({*before, *after}) == everything
    if pipeline is not of_shuffled_records:
        # A file and a half; the one that was finished does not come again.
        assert sorted(after) == everything[SIZE:]


def test_with_several_clients_each_goes_on_with_its_own(files):
    queue = WorkQueue(list(files), shuffle=False, num_clients=2)
    dataset = queue.input_dataset()
    iterators = [tf1.data.make_initializable_iterator(dataset) for _ in "ab"]
    items = [iterator.get_next() for iterator in iterators]
    with raw_session() as session:
        session.run([iterator.initializer for iterator in iterators])
        first = decoded(session.run(items[0]))
        others = [decoded(session.run(items[1])) for _ in range(NUM_FILES - 1)]
        assert sorted([first, *others]) == sorted(files)
        with pytest.raises(tf.errors.OutOfRangeError):
            session.run(items[0])
        with pytest.raises(tf.errors.OutOfRangeError):
            session.run(items[1])
        wait_until(lambda: state_of(queue)["remaining"] == 0)


def test_what_the_former_has_waited_for_is_not_taken_for_ones_own():
    """Each item would be taken for completed while it is read."""
    queue = WorkQueue(["first"], is_open=True)
    iterator = tf1.data.make_initializable_iterator(queue.input_dataset())
    item = iterator.get_next()
    with raw_session() as session:
        session.run(iterator.initializer)
        assert decoded(session.run(item)) == "first"
        for _ in range(2):
            with pytest.raises(tf.errors.DeadlineExceededError):
                session.run(item, options=HALF_A_SECOND)
            session.run(iterator.initializer)
        works = [f"work {number}" for number in range(5)]
        queue.add_works(works)
        queue.close_works()
        drawn = []
        for _ in works:
            drawn.append(decoded(session.run(item)))
            feeder_of(queue).flush(2.0)
            (worker,) = state_of(queue)["workers"]
            held = [item["text"] for item in worker["items"]]
            assert drawn[-1] in held
            assert len(held) <= 1
        assert sorted(drawn) == works
        with pytest.raises(tf.errors.OutOfRangeError):
            session.run(item)
