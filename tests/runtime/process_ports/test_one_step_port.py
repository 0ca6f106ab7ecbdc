"""Items that a worker takes and gives to its dataset in one step."""

from __future__ import annotations

import time
import uuid

import pytest
import tensorflow as tf

from tests.support.in_process_cluster import InProcessCluster
from tests.support.queues import dispatcher_of, state_of
from tests.support.sessions import draw, element_of, raw_session, wait_until
from wq_hooks import WorkQueue
from wq_hooks.runtime.process_ports import one_step_port

tf1 = tf.compat.v1

WORKS = [f"part-{i:02d}" for i in range(40)]


@pytest.fixture(autouse=True)
def graph():
    with tf.Graph().as_default() as graph:
        yield graph


@pytest.fixture(scope="module")
def cluster():
    return InProcessCluster(num_workers=1)


def check_one_step(queue, session, item, questions):
    """Draws all items, and checks how they came."""
    assert draw(session, item, 10) == WORKS[:10]
    # The first one, of which nobody knew that it would be wanted.
    assert questions == [""]
    # Each question completes the item before.
    wait_until(lambda: state_of(queue)["completed"] == 9)
    assert draw(session, item) == WORKS[10:]
    # And the end of data, told to the step and then to its thread.
    assert questions == ["", ""]
    wait_until(lambda: state_of(queue)["remaining"] == 0)


def test_items_come_in_the_step_that_gives_them(questions):
    queue = WorkQueue(WORKS, shuffle=False)
    item = element_of(queue.input_dataset())
    with raw_session() as session:
        check_one_step(queue, session, item, questions)


def test_from_a_parameter_server(cluster, questions):
    with cluster.task(0, uuid.uuid4().hex) as task:
        queue = WorkQueue(WORKS, shuffle=False)
        item = element_of(queue.input_dataset())
        with task.session() as session:
            check_one_step(queue, session, item, questions)


def test_several_clients(questions):
    queue = WorkQueue(WORKS, shuffle=False, num_clients=2)
    dataset = queue.input_dataset()
    items = [element_of(dataset) for _ in range(2)]
    with raw_session() as session:
        for begin in range(0, 20, 2):
            drawn = [draw(session, item, 1)[0] for item in items]
            assert drawn == WORKS[begin : begin + 2]
        wait_until(lambda: state_of(queue)["completed"] == 18)
        assert draw(session, items[0]) == WORKS[20:]
        assert draw(session, items[1]) == []
        wait_until(lambda: state_of(queue)["remaining"] == 0)
    assert questions == [""]


def test_nothing_is_said_before_a_reader_asks():
    queue = WorkQueue(WORKS, shuffle=False)
    item = element_of(queue.input_dataset())
    with raw_session() as session:
        assert draw(session, item, 5) == WORKS[:5]
        wait_until(lambda: state_of(queue)["completed"] == 4)
        # The step for the next one lies ready by now.
        dispatcher_of(queue).settle(2.0)
        assert state_of(queue)["completed"] == 4
        assert state_of(queue)["in_flight"] == 1


def one_each(item):
    return tf.data.Dataset.from_tensors(item)


def test_records(questions):
    queue = WorkQueue(WORKS, shuffle=False)
    batch = element_of(queue.records(one_each).batch(1).to_dataset())
    with raw_session() as session:
        drawn = [item for (item,) in draw(session, batch)]
        assert drawn == [work.encode() for work in WORKS]
        wait_until(lambda: state_of(queue)["remaining"] == 0)
    # The end of data.
    assert questions == [""]


def test_records_may_be_read_before_python_hears_of_their_item(monkeypatch):
    parsed = one_step_port.element_of

    def late(rows):
        time.sleep(0.3)
        return parsed(rows)

    monkeypatch.setattr(one_step_port, "element_of", late)
    queue = WorkQueue(WORKS[:5], num_epochs=None, shuffle=False)
    records = queue.records(one_each)
    # What is left out counts at once.
    records = records.filter(lambda work: tf.equal(work, WORKS[4]))
    batch = element_of(records.batch(1).to_dataset())
    with raw_session() as session:
        draw(session, batch, 2)
        # The last batch is trained when the next one is asked for.
        wait_until(lambda: state_of(queue)["completed"] == 9)
