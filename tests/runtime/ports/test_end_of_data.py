"""How sessions end: threads that end by themselves, readers that are through.

What waits in these tests would wait for ever without the mend; the deadlines
only turn that into a failure.
"""

from __future__ import annotations

import json
import threading
import uuid

import pytest
import tensorflow as tf

from tests.support.in_process_cluster import Background, InProcessCluster
from tests.support.sessions import (
    DEADLINE_SECS,
    RUN_OPTIONS,
    draw,
    element_of,
    initializers,
    item_of,
    wait_until,
)
from wq_hooks import WorkQueue, WorkQueueHook

tf1 = tf.compat.v1

WORKS = [f"part-{i}" for i in range(6)]
SOURCES = ["take", "dataset", "producer", "records"]


@pytest.fixture(scope="module")
def cluster():
    return InProcessCluster(num_workers=2)


@pytest.fixture
def graph():
    with tf.Graph().as_default() as graph:
        yield graph


def element(queue, source):
    if source != "records":
        return item_of(queue, source)
    records = queue.records(lambda item: tf.data.Dataset.from_tensors(item))
    return element_of(records.to_dataset())


def join(threads):
    for thread in threads:
        thread.join(DEADLINE_SECS)
    assert not any(thread.is_alive() for thread in threads)


def completed(queue):
    body = json.loads(queue.snapshot())["body"]
    return body["next_ticket"] - len(body["outstanding"])


@pytest.mark.usefixtures("graph")
class TestThreadsOfABareSession:
    """`tf.compat.v1.train.start_queue_runners` without a Coordinator."""

    @pytest.mark.parametrize("source", SOURCES)
    def test_end_with_the_data(self, source, tmp_path):
        queue = WorkQueue(WORKS, shuffle=False, num_epochs=2)
        item = element(queue, source)
        tf1.get_variable("weight", [])
        saver = tf1.train.Saver()
        with tf1.Session() as session:
            session.run(initializers())
            threads = tf1.train.start_queue_runners(session)
            assert draw(session, item, 3) == WORKS[:3]
            assert all(thread.is_alive() for thread in threads)
            assert draw(session, item) == (WORKS * 2)[3:]
            join(threads)
            # The end of data stays the end of data.
            assert draw(session, item) == []
            path = saver.save(session, str(tmp_path / "model"))
        reader = tf.train.load_checkpoint(path)
        position = json.loads(reader.get_tensor("work_queue/position"))["body"]
        assert (position["next_ticket"], position["outstanding"]) == (12, [])

    def test_end_for_several_queues_each(self):
        queues = [
            WorkQueue(WORKS[: 2 + i], shuffle=False, name=f"queue_{i}")
            for i in range(4)
        ]
        elements = [element(*pair) for pair in zip(queues, SOURCES)]
        with tf1.Session() as session:
            session.run(initializers())
            threads = tf1.train.start_queue_runners(session)
            assert len(threads) == 4
            for number, item in enumerate(elements):
                assert draw(session, item) == WORKS[: 2 + number]
            join(threads)
            wait_until(lambda: [*map(completed, queues)] == [2, 3, 4, 5])

    def test_end_before_the_reader_of_the_last_item_asks_again(self):
        queue = WorkQueue(WORKS, shuffle=False, num_epochs=3)
        items = queue.input_producer()
        every, one_more = items.dequeue_many(18), items.dequeue()
        with tf1.Session() as session:
            session.run(initializers())
            threads = tf1.train.start_queue_runners(session)
            drawn = session.run(every, options=RUN_OPTIONS)
            assert [item.decode() for (item,) in drawn] == WORKS * 3
            join(threads)
            assert completed(queue) == 17
            assert draw(session, one_more) == []
            wait_until(lambda: completed(queue) == 18)

    def test_end_where_a_reader_is_not_used(self):
        queue = WorkQueue(WORKS, shuffle=False)
        queue.take()
        item = queue.take()
        with tf1.Session() as session:
            session.run(initializers())
            threads = tf1.train.start_queue_runners(session)
            assert draw(session, item) == WORKS
            join(threads)

    def test_end_when_the_session_is_closed(self):
        item = WorkQueue(WORKS).take()
        with tf1.Session() as session:
            session.run(initializers())
            threads = tf1.train.start_queue_runners(session)
            session.run(item)
        join(threads)


def line_reader(queue):
    """Returns the next line of the files of a queue, by a Reader op."""
    reader = tf1.TextLineReader()
    _, line = reader.read(queue.input_producer())
    return line


def interleaved(queue):
    """Returns the next line of four files that are read in turn."""
    dataset = queue.input_dataset().interleave(
        tf.data.TextLineDataset, cycle_length=4
    )
    return element_of(dataset)


class ExitBarrier(tf1.train.SessionRunHook):
    """Its end waits until each task has come to its own."""

    def __init__(self, barrier):
        self._barrier = barrier

    def end(self, session):
        self._barrier.wait(DEADLINE_SECS)


class TestReaders:
    """The last item of a reader is through when a step has met the end."""

    @pytest.fixture
    def files(self, tmp_path):
        paths = [tmp_path / f"{i}.txt" for i in range(12)]
        for i, path in enumerate(paths):
            path.write_text("".join(f"{i} {j}\n" for j in range(3)))
        return [str(path) for path in paths]

    @pytest.mark.parametrize("order", ["none", "first", "last"])
    @pytest.mark.parametrize("read", [line_reader, interleaved])
    def test_a_hook_waits_at_the_end_for_the_others(
        self, cluster, files, read, order, tmp_path
    ):
        container = uuid.uuid4().hex
        barrier = threading.Barrier(2)
        # Who asks for the model before it is there sleeps for 30 s.
        has_model = threading.Event()
        directory = str(tmp_path / "model")
        num_clients = 4 if read is interleaved else 1

        def play(index):
            with cluster.task(index, container) as task:
                step = tf1.train.get_or_create_global_step()
                queue = WorkQueue(files, shuffle=False, num_clients=num_clients)
                line = read(queue)
                with tf.control_dependencies([line]):
                    stepped = step.assign_add(1)
                hooks = [ExitBarrier(barrier)]
                if order != "none":
                    place = 0 if order == "first" else 1
                    hooks.insert(place, WorkQueueHook())
                lines = []
                if not task.is_chief:
                    assert has_model.wait(DEADLINE_SECS)
                with tf1.train.MonitoredTrainingSession(
                    task.target,
                    is_chief=task.is_chief,
                    checkpoint_dir=directory if task.is_chief else None,
                    hooks=hooks,
                    config=task.config,
                    save_checkpoint_steps=1000,
                    save_summaries_steps=None,
                    max_wait_secs=DEADLINE_SECS,
                ) as session:
                    has_model.set()
                    while not session.should_stop():
                        lines.append(session.run([line, stepped])[0].decode())
                return lines

        players = [Background(play, index) for index in range(2)]
        lines = [line for player in players for line in player.result()]
        assert sorted(lines) == sorted(
            f"{i} {j}" for i in range(12) for j in range(3)
        )
        path = tf.train.latest_checkpoint(directory)
        reader = tf.train.load_checkpoint(path)
        position = json.loads(reader.get_tensor("work_queue/position"))["body"]
        assert (position["next_ticket"], position["outstanding"]) == (12, [])

    @pytest.mark.usefixtures("graph")
    def test_the_end_of_something_else_does_not_count(self, files):
        queue = WorkQueue(files[:2], shuffle=False)
        line = line_reader(queue)
        other = element_of(tf.data.Dataset.range(1))
        with tf1.Session() as session:
            session.run(initializers())
            threads = tf1.train.start_queue_runners(session)
            # The last item has been drawn, and the data have ended behind it.
            assert draw(session, line, 4) == ["0 0", "0 1", "0 2", "1 0"]
            join(threads)
            assert draw(session, other) == [0]
            assert completed(queue) == 1
            assert draw(session, line) == ["1 1", "1 2"]
            wait_until(lambda: completed(queue) == 2)

    @pytest.mark.usefixtures("graph")
    def test_the_end_behind_another_queue(self, files):
        """The reader runs in a thread of its own, ahead of the steps."""
        queue = WorkQueue(files, shuffle=False)
        batch = tf1.train.batch([line_reader(queue)], 4, capacity=8)
        with tf1.Session() as session:
            session.run(initializers())
            threads = tf1.train.start_queue_runners(session)
            for _ in range(9):
                session.run(batch, options=RUN_OPTIONS)
            join(threads)
            assert completed(queue) == 11
            assert draw(session, batch) == []
            wait_until(lambda: completed(queue) == 12)
