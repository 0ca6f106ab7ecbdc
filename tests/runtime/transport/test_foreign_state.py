"""Servers that hold something else under the names of a queue."""

from __future__ import annotations

import uuid

import pytest
import tensorflow as tf

from tests.support.foreigner import LEFT, PS, leave
from tests.support.sessions import raw_session
from wq_hooks import WorkQueue
from wq_hooks.errors import ForeignStateError, WorkQueueError
from wq_hooks.launcher.ports import free_ports
from wq_hooks.runtime.host.foreign_state import own_state_expected
from wq_hooks.runtime.transport.board_reader import BoardReader

tf1 = tf.compat.v1

FIX = "Restart the parameter server, or give the queue another name"


@pytest.fixture(scope="module")
def target():
    """A parameter server in this process, which lives as long as it."""
    (port,) = free_ports(1)
    cluster = {"ps": [f"localhost:{port}"]}
    server = tf.distribute.Server(cluster, job_name="ps")
    return tf.compat.as_str(server.target)


@pytest.fixture
def name():
    return f"train-{uuid.uuid4().hex}"


@pytest.mark.parametrize("what", LEFT)
@pytest.mark.parametrize("is_chief", [True, False])
def test_a_session_does_not_begin(target, name, what, is_chief):
    leave(what, target, name)
    with tf.Graph().as_default(), tf1.device(PS):
        queue = WorkQueue(["a"], name=name, is_chief=is_chief)
        queue.take()
        with (
            pytest.raises(ForeignStateError, match=f"{name!r}; .*{FIX}") as e,
            raw_session(target),
        ):
            pass
    # TensorFlow's error would be printed with it.
    assert e.value.__cause__ is None
    assert e.value.__suppress_context__
    assert len(str(e.value)) < 700


def test_a_variable_of_our_names_does_not_matter(target, name):
    with tf.Graph().as_default(), tf1.device(PS):
        places = [
            tf1.get_variable(
                f"{name}/{part}", [2, 2], tf.float32, use_resource=True
            )
            for part in ("work", "reports", "board", "position")
        ]
        with tf1.Session(target) as session:
            session.run([place.initializer for place in places])
    with tf.Graph().as_default(), tf1.device(PS):
        item = WorkQueue(["a"], name=name).take()
        with raw_session(target) as session:
            assert session.run(item) == b"a"


@pytest.mark.parametrize("what", ["columns", "board"])
def test_a_queue_is_not_served(name, what):
    with WorkQueue(["a"], name=f"{name}-first") as first:
        port = first.serve(0)
        leave(what, f"grpc://localhost:{port}", name)
        with WorkQueue(["a"], name=name) as queue:
            with pytest.raises(ForeignStateError, match=FIX):
                queue.serve(port)
            # Nothing has begun to read or to be served.
            assert queue.take() == b"a"
        assert first.take() == b"a"


def test_who_connects_is_told(target, name):
    # In place of the table of the queues that are served.
    with tf.Graph().as_default():
        with tf1.device(PS):
            table = tf.raw_ops.MutableHashTableV2(
                key_dtype=tf.string,
                value_dtype=tf.int64,
                shared_name="wq_hooks/served",
            )
            size = tf.raw_ops.LookupTableSizeV2(table_handle=table)
        with tf1.Session(target) as session:
            session.run(size)
    with pytest.raises(ForeignStateError, match=f"{target} to hold .*{FIX}"):
        WorkQueue.connect(target, name, timeout_secs=20)


def test_who_looks_at_the_board_is_told(target, name):
    leave("board", target, name)
    with (
        BoardReader(target, name) as board,
        pytest.raises(WorkQueueError, match=FIX),
    ):
        board.read()


def test_other_errors_are_as_they_were():
    error = tf.errors.InvalidArgumentError(
        None, None, "Cannot assign a device for operation train/work"
    )
    with (
        pytest.raises(tf.errors.InvalidArgumentError, match="Cannot assign"),
        own_state_expected("train", PS),
    ):
        raise error
