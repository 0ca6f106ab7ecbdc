"""Servers that take a step for one that they have had before.

TensorFlow's do that to one of 40,000. Here every few steps are refused, before
they have done anything or when they have done all on the other server.
"""

from __future__ import annotations

import itertools
import time
import uuid

import pytest
import tensorflow as tf

from tests.support.in_process_cluster import Background, InProcessCluster
from wq_hooks import WorkQueue, WorkQueueHook
from wq_hooks.core.ledger.consumer_state import Consumer
from wq_hooks.core.protocol import messages
from wq_hooks.core.protocol.messages import Claim, Report
from wq_hooks.engines import engine_of
from wq_hooks.runtime.transport import mailbox_session as mailbox_module
from wq_hooks.runtime.transport.mailbox_session import MailboxSession
from wq_hooks.runtime.transport.prepared_steps import Steps, is_refusal

tf1 = tf.compat.v1

WORKER = Consumer("worker:0", "life")
WORKS = [f"part-{i:03d}" for i in range(60)]


def ack(ticket):
    return Report(messages.ACK, WORKER, (Claim("g", ticket),))


def refusal():
    return tf.errors.AbortedError(
        None,
        None,
        "From /job:ps/replica:0/task:0:\nThe same RunGraph (Worker) request "
        'was received twice. graph_handle: "0000000000000001" step_id: 3',
    )


class Refusals:
    """Refuses steps of mailboxes, and counts them.

    Args:
      monkeypatch: The fixture of the test.
      is_refused: Says of each step, by the name of what it fetches, whether.
      is_done: Says whether it has been done all the same.
    """

    def __init__(self, monkeypatch, is_refused, is_done):
        self.names = []
        run = Steps.run

        def refusing(steps, fetches, feeds=(), values=()):
            # Of local queues several tensors are fetched, of mailboxes one.
            name = "" if isinstance(fetches, list) else name_of(fetches)
            if not name or not is_refused(name):
                return run(steps, fetches, feeds, values)
            self.names.append(name)
            if is_done(name):
                run(steps, fetches, feeds, values)
            raise refusal()

        monkeypatch.setattr(Steps, "run", refusing)


@pytest.fixture(scope="module")
def cluster():
    return InProcessCluster(num_workers=2)


@pytest.fixture(params=[False, True], ids=["nothing done", "done"])
def is_done(request):
    return lambda name: request.param


@pytest.fixture
def mailbox(cluster):
    """A mailbox that nobody else feeds or drains."""
    with cluster.task(0, container=uuid.uuid4().hex) as task:
        queue = WorkQueue(WORKS)
        with tf1.Session(task.target, config=task.config) as session:
            yield MailboxSession(engine_of(queue).mailbox, session)


def taken(mailbox):
    """All elements that are there."""
    return [
        mailbox.take(WORKER, []).text.decode()
        for _ in range(mailbox.num_work())
    ]


def refuse(monkeypatch, is_done, step, times=1):
    """Refuses a step, the first `times`."""
    left = itertools.count(times, -1)
    return Refusals(
        monkeypatch, lambda name: name == step and next(left) > 0, is_done
    )


def name_of(step):
    """The name by which Refusals know a tensor or an operation."""
    return step.name.partition(":")[0]


def test_what_was_delivered_is_there_once(monkeypatch, mailbox, is_done):
    refused = refuse(monkeypatch, is_done, name_of(mailbox._mailbox.deliver))
    for names in (["a", "b"], ["c"]):
        elements = [(messages.ITEM, "g", "1", name.encode()) for name in names]
        mailbox.deliver(elements, {messages.LEVEL: names[0]})
        assert mailbox.look_up(messages.LEVEL) == names[:1]

    assert taken(mailbox) == ["a", "b", "c"]
    assert len(refused.names) == 1


def test_what_is_written_to_the_board_by_others_is_no_delivery(
    monkeypatch, mailbox, is_done
):
    refuse(monkeypatch, is_done, name_of(mailbox._mailbox.deliver), times=2)
    mailbox.deliver([], {messages.LEVEL: "1"})
    assert mailbox.look_up(messages.LEVEL) == ["1"]
    mailbox.deliver([(messages.ITEM, "g", "1", b"a")], {})
    assert taken(mailbox) == ["a"]
    mailbox.deliver([], {})


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("num_before", [0, 2])
def test_what_was_drained_is_known(
    monkeypatch, mailbox, is_done, num_before, times
):
    for number in range(num_before):
        mailbox.report(ack(number))
        assert len(mailbox.receive()) == 1
    refused = refuse(
        monkeypatch, is_done, name_of(mailbox._mailbox.drain), times=times
    )
    for number in (7, 8):
        mailbox.report(ack(number))
    rows = Background(mailbox.receive).result()
    assert [messages.parse_report(row) for row in rows] == [ack(7), ack(8)]
    # What was done was not asked for again.
    assert len(refused.names) == (1 if is_done("drain") else times)
    mailbox.report(Report(messages.ALIVE, WORKER))
    rows = Background(mailbox.receive).result()
    assert [messages.parse_report(row).kind for row in rows] == [messages.ALIVE]


def test_what_is_drained_by_a_step_that_lives_on_is_not_lost_unseen(
    monkeypatch, mailbox
):
    drain = mailbox._mailbox.drain
    refuse(monkeypatch, lambda name: False, name_of(drain))
    look_up = mailbox._look_up_num_drained

    def looked_up():
        number = look_up()
        if number == 0 and len(looks) == 1:
            # Behind the look of the one who is about to ask again.
            mailbox.report(ack(7))
            mailbox._session.run(drain)
            mailbox.report(ack(8))
        looks.append(number)
        return number

    looks = []
    monkeypatch.setattr(mailbox, "_look_up_num_drained", looked_up)
    with pytest.raises(tf.errors.AbortedError, match="received twice"):
        mailbox.receive()
    assert looks == [0, 0]


def test_who_is_refused_again_and_again_is_told(monkeypatch, mailbox):
    monkeypatch.setattr(mailbox_module, "_REFUSED_PAUSE_SECS", 0.0)
    Refusals(monkeypatch, lambda name: True, lambda name: False)
    for step in (mailbox.num_work, mailbox.receive):
        with pytest.raises(tf.errors.AbortedError, match="received twice"):
            step()


def test_other_errors_are_no_refusals(monkeypatch, mailbox):
    error = tf.errors.AbortedError(None, None, "Graph handle is not found: 7.")
    calls = []

    def run(steps, *args):
        calls.append(args)
        raise error

    assert not is_refusal(error)
    monkeypatch.setattr(Steps, "run", run)
    with pytest.raises(tf.errors.AbortedError, match="Graph handle"):
        mailbox.num_work()
    assert len(calls) == 1
    mailbox._num_drained = 0
    with pytest.raises(tf.errors.AbortedError, match="Graph handle"):
        mailbox.receive()
    assert len(calls) == 2


def test_a_take_is_not_repeated(monkeypatch, mailbox):
    mailbox.deliver([(messages.ITEM, "g", "1", b"a")], {})
    refuse(monkeypatch, lambda name: True, name_of(mailbox._mailbox.take))
    with pytest.raises(tf.errors.AbortedError, match="received twice"):
        Background(mailbox.take, WORKER, []).result()
    assert mailbox.num_work() == 0


@pytest.mark.parametrize("source", ["take", "input_dataset", "records"])
def test_a_job_goes_on(monkeypatch, cluster, source):
    """Every third step of the mailbox is refused, every sixth when done."""
    steps, ways = itertools.count(1), itertools.count()
    with cluster.task(0, container=uuid.uuid4().hex) as task:
        queue = WorkQueue(WORKS, shuffle=False)
        ours = {
            name_of(step)
            for step in (
                engine_of(queue).mailbox.drain,
                engine_of(queue).mailbox.deliver,
                engine_of(queue).mailbox.report,
                engine_of(queue).mailbox.looked_up,
                engine_of(queue).mailbox.num_work,
                engine_of(queue).mailbox.num_reports,
            )
        }
        refused = Refusals(
            monkeypatch,
            lambda name: name in ours and next(steps) % 3 == 0,
            lambda name: next(ways) % 2 == 0,
        )
        seen = []
        if source == "take":
            item = queue.take()
        else:
            dataset = (
                queue.input_dataset()
                if source == "input_dataset"
                else queue.records(tf.data.Dataset.from_tensors).to_dataset()
            )
            iterator = tf1.data.make_initializable_iterator(dataset)
            item = iterator.get_next()
            tf1.add_to_collection(
                tf1.GraphKeys.TABLE_INITIALIZERS, iterator.initializer
            )
        created = []

        class Sessions(tf1.train.SessionRunHook):
            def after_create_session(self, session, coord):
                del coord
                created.append(session)

        with tf1.train.MonitoredTrainingSession(
            task.target, config=task.config, hooks=[WorkQueueHook(), Sessions()]
        ) as session:
            while not session.should_stop():
                seen.append(session.run(item).decode())
                # A train step: the chief has to look after the mailbox again
                # and again, so that much is refused.
                time.sleep(0.01)
    assert seen == WORKS
    assert len(created) == 1
    assert len(refused.names) > 10
