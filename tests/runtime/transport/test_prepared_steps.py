from __future__ import annotations

import threading

import numpy as np
import pytest
import tensorflow as tf

from wq_hooks.runtime.transport.prepared_steps import Steps, is_refusal

tf1 = tf.compat.v1


@pytest.fixture(params=["prepared", "as it comes", "over gRPC"])
def steps(request):
    """Steps, with the ops of a queue of (text, number)."""
    target = ""
    if request.param == "over gRPC":
        server = tf.distribute.Server.create_local_server()
        target = server.target
    with tf.Graph().as_default(), tf1.Session(target) as session:
        made = Steps(session)
        if request.param == "as it comes":
            made._prepare = None
        made.queue = tf1.FIFOQueue(9, [tf.string, tf.int64], [(), ()])
        made.feeds = [
            tf1.placeholder(tf.string, [None]),
            tf1.placeholder(tf.int64, [None]),
        ]
        made.enqueue = made.queue.enqueue_many(made.feeds)
        made.dequeue = list(made.queue.dequeue())
        made.size = made.queue.size()
        yield made


def test_what_is_fed_comes_out(steps):
    for text in ["a", "b"]:
        result = steps.run(
            steps.enqueue, steps.feeds, [[text, b"\xff"], [1, 2]]
        )
        assert result is None

    assert steps.run(steps.size) == 4
    assert [tuple(steps.run(steps.dequeue)) for _ in range(4)] == [
        (b"a", 1),
        (b"\xff", 2),
        (b"b", 1),
        (b"\xff", 2),
    ]


def test_empty_columns_keep_their_types(steps):
    steps.run(steps.enqueue, steps.feeds, [[], []])

    assert steps.run(steps.size) == 0


def test_the_same_values_as_of_a_session(steps):
    steps.run(steps.enqueue, steps.feeds, [["a"], [7]])

    text, number = steps.run(steps.dequeue)

    assert text == b"a"
    assert np.asarray(number).dtype == np.int64


def test_a_wrong_shape_is_an_error(steps):
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError)):
        steps.run(steps.enqueue, steps.feeds, [["a", "b"], [1]])


def test_closing_the_session_ends_a_step_that_waits(steps):
    errors = []

    def wait():
        try:
            steps.run(steps.dequeue)
        except Exception as e:
            errors.append(e)

    threads = [threading.Thread(target=wait) for _ in range(2)]
    for thread in threads:
        thread.start()
    steps._session.close()
    for thread in threads:
        thread.join(60)

    assert len(errors) == 2
    with pytest.raises((RuntimeError, tf.errors.CancelledError)):
        steps.run(steps.size)


def test_a_step_goes_on_when_another_ends_its_waiting(steps):
    found = []
    thread = threading.Thread(
        target=lambda: found.append(steps.run(steps.dequeue))
    )
    thread.start()
    steps.run(steps.enqueue, steps.feeds, [["a"], [7]])
    thread.join(60)

    assert [tuple(row) for row in found] == [(b"a", 7)]


def test_a_train_step_that_holds_all_threads_holds_up_no_step_of_ours():
    is_held, may_end = threading.Event(), threading.Event()

    def hold():
        is_held.set()
        return may_end.wait(60)

    config = tf1.ConfigProto(
        inter_op_parallelism_threads=1, use_per_session_threads=True
    )
    with tf.Graph().as_default(), tf1.Session(config=config) as session:
        held = tf1.py_func(hold, [], tf.bool)
        size = tf1.FIFOQueue(9, [tf.string], [()]).size()
        done = []
        threads = [
            threading.Thread(target=lambda: session.run(held)),
            threading.Thread(
                target=lambda: done.append(Steps(session).run(size))
            ),
        ]
        threads[0].start()
        assert is_held.wait(60)
        threads[1].start()
        threads[1].join(20)
        are_through = list(done)
        may_end.set()
        for thread in threads:
            thread.join(60)

    assert are_through == [0]


@pytest.mark.parametrize("error_type", ["AbortedError", "CancelledError"])
@pytest.mark.parametrize("message", ["refused", "closed"])
def test_a_refusal_is_no_closed_session(error_type, message):
    """TensorFlow 2.21 says so when a part on another server was refused."""
    messages = {
        "refused": "CANCELLED: RecvFromRemoteAsync is cancelled.\nABORTED: The "
        "same RunGraph (Worker) request was received twice. goo.gle/debugonly",
        "closed": "Session has been closed.",
    }
    error = getattr(tf.errors, error_type)(None, None, messages[message])

    class Session:
        def run(self, fetches, feeds):
            raise error

    with tf.Graph().as_default(), pytest.raises(tf.errors.OpError) as raised:
        Steps(Session()).run(tf.constant(1))

    assert is_refusal(raised.value) == (message == "refused")
    if message == "refused":
        assert type(raised.value) is tf.errors.AbortedError
    else:
        assert raised.value is error
