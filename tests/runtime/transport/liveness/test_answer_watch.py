"""Steps that a server has done, and whose answers are lost on the way."""

from __future__ import annotations

import threading
import uuid

import pytest
import tensorflow as tf

from tests.support.in_process_cluster import Background, InProcessCluster
from tests.support.sessions import (
    DEADLINE_SECS,
    RUN_OPTIONS,
    item_of,
    wait_until,
)
from wq_hooks import WorkQueue
from wq_hooks.core.ledger.consumer_state import Consumer
from wq_hooks.core.protocol import messages
from wq_hooks.core.protocol.messages import Report
from wq_hooks.engines import engine_of
from wq_hooks.runtime.transport.liveness import answer_watch
from wq_hooks.runtime.transport.liveness.answer_watch import AnswerWatch
from wq_hooks.runtime.transport.mailbox_session import MailboxSession
from wq_hooks.runtime.transport.prepared_steps import Steps

tf1 = tf.compat.v1

WORKER = Consumer("worker:0", "life")
WORKS = [f"part-{i}" for i in range(8)]
# More than a watch needs to be sure.
NUM_LOOKS = 20


@pytest.fixture(scope="module")
def cluster():
    return InProcessCluster(num_workers=2)


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    monkeypatch.setattr(answer_watch, "_MIN_PATIENCE_SECS", 0.5)


class LostAnswer:
    """Loses the answer to one step, which is done.

    Args:
      monkeypatch: The fixture of the test.
      is_lost: Whether that of this step, which fetches and feeds such.
    """

    def __init__(self, monkeypatch, is_lost):
        self.is_lost = threading.Event()
        self.release = threading.Event()
        run = Steps.run

        def losing(steps, fetches, feeds=(), values=()):
            result = run(steps, fetches, feeds, values)
            if not self.is_lost.is_set() and is_lost(fetches, feeds):
                self.is_lost.set()
                self.release.wait(2 * DEADLINE_SECS)
                raise tf.errors.CancelledError(None, None, "It was lost.")
            return result

        monkeypatch.setattr(Steps, "run", losing)


class TestOneMailbox:
    @pytest.fixture
    def queue(self, cluster):
        """A queue that nobody else feeds or drains."""
        with cluster.task(0, container=uuid.uuid4().hex) as task:
            queue = engine_of(WorkQueue(WORKS, lease_secs=0.5))
            with tf1.Session(task.target, config=task.config) as session:
                self.mailbox = MailboxSession(queue.mailbox, session)
                yield queue

    def watch(self, queue, is_over):
        watch = AnswerWatch(queue, self.mailbox, lambda: [])
        return Background(watch.watch, is_over)

    @pytest.mark.parametrize("name", ["take", "report", "drain", "looked_up"])
    def test_a_lost_answer_is_noticed(self, queue, monkeypatch, name):
        mailbox = self.mailbox
        lost_step = getattr(queue.mailbox, name)
        mailbox.deliver([(messages.ITEM, "g", "1", b"a")], {})
        mailbox.report(Report(messages.ALIVE, WORKER))
        lost = LostAnswer(monkeypatch, lambda fetches, _: fetches is lost_step)
        step = {
            "take": lambda: mailbox.take(WORKER, []),
            "report": lambda: mailbox.report(Report(messages.ALIVE, WORKER)),
            "drain": mailbox.receive,
            "looked_up": lambda: mailbox.look_up(messages.LEVEL),
        }[name]
        waiting = Background(step)
        error = self.watch(queue, threading.Event().wait).result()
        assert isinstance(error, tf.errors.AbortedError)
        assert "no answer" in error.message
        lost.release.set()
        with pytest.raises(tf.errors.CancelledError):
            waiting.result()

    @pytest.mark.parametrize("name", ["take", "drain"])
    def test_who_waits_for_others_has_lost_nothing(self, queue, name):
        mailbox = self.mailbox
        # Both have been answered before.
        mailbox.deliver([(messages.ITEM, "g", "1", b"a")], {})
        mailbox.take(WORKER, [])
        assert len(mailbox.receive()) == 2
        step = {
            "take": lambda: mailbox.take(WORKER, []),
            "drain": mailbox.receive,
        }[name]
        asked = [0] * NUM_LOOKS

        def pause(secs):
            asked.pop()
            return not asked or threading.Event().wait(secs)

        waiting = Background(step)
        watching = self.watch(queue, pause)
        assert watching.result() is None
        assert not waiting.is_done
        assert list(mailbox.open_steps)
        if name == "take":
            mailbox.deliver([(messages.ITEM, "g", "2", b"b")], {})
            assert waiting.result().ticket == 2
        else:
            mailbox.report(Report(messages.ALIVE, WORKER))
            assert len(waiting.result()) >= 1
        assert not list(mailbox.open_steps)


@pytest.mark.parametrize("source", ["take", "records", "producer"])
def test_an_item_whose_answer_was_lost_comes_back(cluster, monkeypatch, source):
    container = uuid.uuid4().hex
    args = {"works": WORKS, "shuffle": False, "name": "q", "lease_secs": 1.0}
    may_end = threading.Event()
    is_ready = threading.Event()

    def lead():
        with cluster.task(0, container) as task:
            WorkQueue(**args)
            with task.session():
                is_ready.set()
                assert may_end.wait(DEADLINE_SECS)

    leading = Background(lead)
    wait_until(is_ready.is_set)
    seen, created = [], []

    class Sessions(tf1.train.SessionRunHook):
        def after_create_session(self, session, coord):
            del coord
            created.append(session)

    with cluster.task(1, container) as task:
        queue = WorkQueue(**args)
        item = item_of(queue, source)
        engine = engine_of(queue)
        questions = [engine.mailbox.take_feed]
        if source != "producer":
            (port,) = engine.ports
            channel = port if source == "take" else port.channel
            questions = channel.steps["serve"][1]
        lost = LostAnswer(
            monkeypatch, lambda _, feeds: [*feeds] == [*questions] and seen[2:]
        )
        with tf1.train.MonitoredTrainingSession(
            task.target, is_chief=False, config=task.config, hooks=[Sessions()]
        ) as session:
            # What an item held ahead of its reader comes once more.
            while set(seen) != set(WORKS):
                fetched = session.run(item, options=RUN_OPTIONS)
                seen.append(fetched.decode())
    lost.release.set()
    may_end.set()
    leading.result()
    assert lost.is_lost.is_set()
    assert len(created) >= 2
