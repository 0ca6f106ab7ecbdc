"""Takes in the step of their reader; what is common stands elsewhere."""

from __future__ import annotations

import uuid

import pytest
import tensorflow as tf

from tests.support.in_process_cluster import InProcessCluster
from tests.support.queues import dispatcher_of
from tests.support.sessions import draw, raw_session, wait_until
from wq_hooks import WorkQueue
from wq_hooks.core.ledger import ledger as ledger_module
from wq_hooks.engines import engine_of
from wq_hooks.runtime.ports.fast_take import NO_LIFE
from wq_hooks.runtime.transport.mailbox import MailboxSession

tf1 = tf.compat.v1

WORKS = [f"part-{i:02d}" for i in range(40)]


@pytest.fixture(autouse=True)
def graph():
    with tf.Graph().as_default() as graph:
        yield graph


@pytest.fixture(scope="module")
def cluster():
    return InProcessCluster(num_workers=1)


def wait_for_life(queue, session, *, number=0):
    """Waits until the worker has said who takes, and there are items."""
    mailbox = MailboxSession(engine_of(queue).mailbox, session)
    life = engine_of(queue).ports[number].life
    wait_until(lambda: mailbox.look_up(life)[0] not in ("", NO_LIFE))
    wait_until(lambda: mailbox.num_work() > 20)


def test_to_prepare_a_take_takes_nothing():
    queue = WorkQueue(WORKS, shuffle=False)
    item = queue.take()
    with raw_session() as session:
        wait_for_life(queue, session)
        mailbox = MailboxSession(engine_of(queue).mailbox, session)
        num_work = mailbox.num_work()
        mailbox.prepare_take("worker:9 life")
        assert mailbox.num_work() == num_work
        assert draw(session, item, 10) == WORKS[:10]


def test_to_prepare_a_put_gives_nothing():
    queue = WorkQueue(WORKS, shuffle=False)
    item = queue.take()
    with raw_session() as session:
        wait_for_life(queue, session)
        port = engine_of(queue).ports[0].in_session(session)
        port.prepare_put()
        assert port.arrived() == []
        assert draw(session, item) == WORKS


def test_items_come_with_the_step_that_asks(questions):
    queue = WorkQueue(WORKS, shuffle=False)
    item = queue.take()
    with raw_session() as session:
        wait_for_life(queue, session)
        assert draw(session, item, 10) == WORKS[:10]
        assert questions == []
        # The last ones are left to those who wait.
        assert draw(session, item) == WORKS[10:]
        assert questions
        assert draw(session, item) == []
        assert draw(session, item) == []


def test_from_a_parameter_server(cluster, questions):
    with cluster.task(0, uuid.uuid4().hex) as task:
        queue = WorkQueue(WORKS, shuffle=False)
        item = queue.take()
        with task.session() as session:
            wait_for_life(queue, session)
            assert draw(session, item, 10) == WORKS[:10]
            assert questions == []
            assert draw(session, item) == WORKS[10:]


def test_what_is_asked_for_needs_nothing_of_the_worker(cluster):
    """A tensor or a control edge to there would be a round trip more."""
    with cluster.task(0, uuid.uuid4().hex):
        queue = WorkQueue(WORKS)
        queue.take()
        to_do = [engine_of(queue).ports[0]._take_now().op]
        seen = set()
        while to_do:
            op = to_do.pop()
            if op not in seen:
                seen.add(op)
                to_do += [x.op for x in op.inputs] + list(op.control_inputs)
    assert {op.device for op in seen} == {"/job:ps/task:0/device:CPU:0"}


def test_what_is_completed_is_told_without_a_question():
    queue = WorkQueue(WORKS, shuffle=False)
    item = queue.take()
    with raw_session() as session:
        wait_for_life(queue, session)
        draw(session, item, 3)
        wait_until(lambda: dispatcher_of(queue).ledger.completed == 2)
        assert dispatcher_of(queue).ledger.in_flight == 1


def test_an_item_whose_step_was_aborted_comes_again(monkeypatch):
    monkeypatch.setattr(ledger_module, "MISSING_GRACE_SECS", 0.5)
    queue = WorkQueue(WORKS, shuffle=False, lease_secs=2.0)
    item = queue.take()
    # As much of the step as takes place on the parameter server.
    half_a_take = engine_of(queue).ports[0]._take_now()
    with raw_session() as session:
        wait_for_life(queue, session)
        (element,) = session.run(half_a_take)
        assert element[-1] == WORKS[0].encode()
        assert sorted(draw(session, item)) == WORKS


def test_a_session_does_not_take_in_the_name_of_an_earlier_one(questions):
    queue = WorkQueue(WORKS, shuffle=False)
    item = queue.take()
    half_a_take = engine_of(queue).ports[0]._take_now()
    with tf1.Session() as session:
        session.run(tf1.global_variables_initializer())
        coord = tf1.train.Coordinator()
        threads = tf1.train.start_queue_runners(session, coord, start=False)
        # Its threads do not run yet: nobody has said who takes.
        assert len(session.run(half_a_take)) == 0
        for thread in threads:
            thread.start()
        wait_for_life(queue, session)
        assert draw(session, item, 2) == WORKS[:2]
        assert questions == []
        # The next service of this session says first that nobody takes.
        coord.request_stop()
        coord.join(threads)
        coord = tf1.train.Coordinator()
        tf1.train.start_queue_runners(session, coord, start=False)
        assert len(session.run(half_a_take)) == 0


def test_several_takes_in_one_step(questions):
    queue = WorkQueue(WORKS, shuffle=False)
    takes = [queue.take() for _ in range(3)]
    with raw_session() as session:
        for number in range(3):
            wait_for_life(queue, session, number=number)
        names = [name for _ in range(3) for name in session.run(takes)]
        assert sorted(name.decode() for name in names) == WORKS[:9]
        assert questions == []
