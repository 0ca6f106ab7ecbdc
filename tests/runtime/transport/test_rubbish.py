"""Rubbish in the mailboxes and on the board is dropped, and ends nobody."""

from __future__ import annotations

import contextlib

import pytest
import tensorflow as tf

from tests.support import rubbish
from tests.support.in_process_cluster import Background
from tests.support.sessions import draw, item_of, raw_session, wait_until
from tests.support.stranger import Stranger
from wq_hooks import WorkQueue
from wq_hooks.engines import engine_of
from wq_hooks.runtime.transport.mailbox import Mailbox
from wq_hooks.runtime.transport.queue_server import DEVICE

tf1 = tf.compat.v1

HANG_SECS = 60.0
WORKS = [f"f{i}" for i in range(90)]


def num_dropped(queue):
    return engine_of(queue).chief.state()["dropped_rows"]


def put_all(stranger, number):
    """Writes all that there is, and more than the mailbox holds in advance."""
    generation = stranger.generation()
    reports = rubbish.reports(generation)
    elements = rubbish.elements(generation)
    assert min(len(reports), len(elements)) >= 20
    for row in reports:
        stranger.report(row)
    for element in elements:
        stranger.hand_out(element)
    for key in rubbish.KEYS:
        stranger.write(key, rubbish.TEXTS[number % len(rubbish.TEXTS)])
    # An element is reported as taken, and that is what the chief counts.
    return len(reports) + len(elements)


@pytest.fixture
def graph():
    with tf.Graph().as_default() as graph:
        yield graph


@pytest.mark.usefixtures("graph")
@pytest.mark.parametrize("source", ["dataset", "producer", "take"])
def test_a_session_completes_all_items_exactly(source, caplog):
    queue = WorkQueue(WORKS, num_epochs=2, shuffle=False)
    item = item_of(queue, source)
    size = queue.size()
    engine = engine_of(queue)
    stranger = Stranger(engine.mailbox)
    names, num_put = [], 0
    with raw_session() as session:
        stranger.session = session
        names += draw(session, item, 1)
        for number in range(len(rubbish.TEXTS)):
            num_put += put_all(stranger, number)
            session.run(size)
            names += draw(session, item, 4)
        names += draw(session, item)
        wait_until(lambda: num_dropped(queue) >= num_put)
        assert num_dropped(queue) == num_put
        wait_until(lambda: engine.chief.ledger.is_done)
    assert names == WORKS * 2
    assert caplog.text.count("dropped a report that cannot be read") == 1
    assert "it begins with b''" in caplog.text


def test_a_served_queue_completes_all_items_exactly():
    # Eager datasets have no deadline.
    Background(_read_from_a_served_queue).result(HANG_SECS)


def _read_from_a_served_queue():
    queue = WorkQueue(WORKS, num_epochs=2, shuffle=False, name="served")
    target = f"grpc://localhost:{queue.serve(0)}"
    graph = tf.Graph()
    with graph.as_default(), tf.device(DEVICE):
        stranger = Stranger(Mailbox("served", is_saved=False))
    names, num_put = [], 0
    with contextlib.closing(tf1.Session(target, graph=graph)) as session:
        stranger.session = session
        client = WorkQueue.connect(target, "served", task="worker:0")
        items = client.input_dataset().as_numpy_iterator()
        names.append(next(items))
        for number in range(len(rubbish.TEXTS)):
            num_put += put_all(stranger, number)
            client.size()
            engine_of(client).state()
            names += [next(items) for _ in range(4)]
        names += list(items)
        client.close()
        wait_until(lambda: num_dropped(queue) >= num_put)
    assert num_dropped(queue) == num_put
    assert [name.decode() for name in names] == WORKS * 2
    assert queue.join(HANG_SECS)
    assert engine_of(queue).is_done
    queue.close()
