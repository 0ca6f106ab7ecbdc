"""Items that a worker takes and gives to its reader in one step."""

from __future__ import annotations

import threading
import time
import uuid

import pytest
import tensorflow as tf

from tests.support.in_process_cluster import InProcessCluster
from tests.support.queues import feeder_of, state_of
from tests.support.sessions import (
    DEADLINE_SECS,
    draw,
    element_of,
    item_of,
    raw_session,
    wait_until,
)
from wq_hooks import WorkQueue
from wq_hooks.runtime.reading.records_port_session import RecordsPortSession
from wq_hooks.runtime.transport.mailbox_session import MailboxSession

WORKS = [f"part-{i:02d}" for i in range(40)]


@pytest.fixture(autouse=True)
def graph():
    with tf.Graph().as_default() as graph:
        yield graph


@pytest.fixture(scope="module")
def cluster():
    return InProcessCluster(num_workers=1)


@pytest.fixture
def questions(monkeypatch):
    """What consumers said to be completed that took in a step of their own."""
    questions = []
    take = MailboxSession.take

    def noted(self, consumer, completed):
        questions.append(list(completed))
        return take(self, consumer, completed)

    monkeypatch.setattr(MailboxSession, "take", noted)
    return questions


def check_one_step(queue, session, item, questions, *, num_first):
    """Draws all items, and checks how they came."""
    assert draw(session, item, 10) == WORKS[:10]
    # The first of an iteration, of which nobody knew that it would be wanted.
    assert questions == [[]] * num_first
    # Each question completes the item before.
    wait_until(lambda: state_of(queue)["completed"] == 9)
    assert draw(session, item) == WORKS[10:]
    # And the end of data, told to the step and then to its thread.
    assert questions == [[]] * (num_first + 1)
    wait_until(lambda: state_of(queue)["remaining"] == 0)


@pytest.mark.parametrize(("source", "num_first"), [("take", 0), ("dataset", 1)])
def test_items_come_in_the_step_that_gives_them(questions, source, num_first):
    queue = WorkQueue(WORKS, shuffle=False)
    item = item_of(queue, source)
    with raw_session() as session:
        check_one_step(queue, session, item, questions, num_first=num_first)


def test_from_a_parameter_server(cluster, questions):
    with cluster.task(0, uuid.uuid4().hex) as task:
        queue = WorkQueue(WORKS, shuffle=False)
        item = queue.take()
        with task.session() as session:
            check_one_step(queue, session, item, questions, num_first=0)


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
    assert questions == [[]]


def test_records_come_in_the_step_that_gives_their_item(questions):
    queue = WorkQueue(WORKS, shuffle=False)
    item = item_of(queue, "records")
    with raw_session() as session:
        assert draw(session, item, 10) == WORKS[:10]
        # The first of an iteration, of which nobody knew that it would come.
        assert questions == [[]]
        wait_until(lambda: state_of(queue)["completed"] == 9)
        assert draw(session, item) == WORKS[10:]
        # And the end of data.
        assert questions == [[]] * 2
        wait_until(lambda: state_of(queue)["completed"] == len(WORKS))


def test_records_may_be_read_before_it_is_known_of_which_item(monkeypatch):
    start = RecordsPortSession._start
    begun, may_start = threading.Event(), threading.Event()

    def late(port, slot, claim, text):
        if text == b"part-01":
            begun.set()
            assert may_start.wait(DEADLINE_SECS)
        start(port, slot, claim, text)

    monkeypatch.setattr(RecordsPortSession, "_start", late)
    queue = WorkQueue(WORKS[:3], shuffle=False)
    item = item_of(queue, "records")
    with raw_session() as session:
        # That it begins was said before the item has come through.
        assert draw(session, item, 2) == WORKS[:2]
        assert begun.wait(DEADLINE_SECS)
        # Time to count it, if that did not wait.
        time.sleep(0.3)
        assert state_of(queue)["completed"] == 0
        may_start.set()
        assert draw(session, item) == WORKS[2:3]
        wait_until(lambda: state_of(queue)["completed"] == 3)


@pytest.mark.parametrize("source", ["take", "dataset"])
def test_nothing_is_said_before_a_reader_asks(source):
    queue = WorkQueue(WORKS, shuffle=False)
    item = item_of(queue, source)
    with raw_session() as session:
        assert draw(session, item, 5) == WORKS[:5]
        wait_until(lambda: state_of(queue)["completed"] == 4)
        # The step for the next one lies ready by now.
        feeder_of(queue).flush(2.0)
        assert state_of(queue)["completed"] == 4
        assert state_of(queue)["in_flight"] == 1


def test_programs_of_tensorflow_1_find_the_methods_of_its_datasets():
    """As DeepRec's own tests, which call them."""
    queue = WorkQueue(WORKS, shuffle=False)
    iterator = queue.input_dataset().make_initializable_iterator()
    item = iterator.get_next()
    with raw_session(init=[iterator.initializer]) as session:
        assert draw(session, item) == WORKS
