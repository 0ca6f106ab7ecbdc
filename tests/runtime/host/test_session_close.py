from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator

import pytest
import tensorflow as tf
import tensorflow.compat.v1 as tf1

from wq_hooks.runtime.host.session_close import CLOSE_SECS, bound_close


@contextlib.contextmanager
def _session_that_cannot_be_closed() -> Iterator[tf1.Session]:
    """Gives a session of a server in which a step ignores its end."""
    is_begun, may_end = threading.Event(), threading.Event()

    def wait() -> bool:
        is_begun.set()
        return may_end.wait()

    def run() -> None:
        with contextlib.suppress(tf.errors.OpError):
            session.run(step)

    with tf.Graph().as_default():
        server = tf1.train.Server.create_local_server()
        step = tf1.py_func(wait, [], tf.bool)
        session = tf1.Session(server.target)
        runner = threading.Thread(target=run)
        runner.start()
        assert is_begun.wait(60)
        try:
            yield session
        finally:
            may_end.set()
            runner.join(60)


def test_what_closing_waits_for_is_left_alone() -> None:
    with _session_that_cannot_be_closed() as session:
        bound_close(session)
        begin = time.monotonic()
        session.close()
        assert time.monotonic() - begin < CLOSE_SECS + 3
        with pytest.raises(RuntimeError, match="closed Session"):
            session.run([])


def test_a_session_is_closed_once_and_freed() -> None:
    with tf.Graph().as_default():
        with tf1.Session() as session:
            bound_close(session)
            bound_close(session)
            assert session.run(tf.constant(1)) == 1
        session.close()
        reference = weakref.ref(session)
        del session
        assert reference() is None


@pytest.mark.parametrize("is_wrapped", [False, True])
def test_a_session_that_is_deleted_is_closed_before(
    monkeypatch: pytest.MonkeyPatch, is_wrapped: bool
) -> None:
    """A thread that closed it would use what is gone."""
    with tf.Graph().as_default():
        session = tf1.Session()
        bound_close(session)
        if is_wrapped:
            close = session.close
            session.close = lambda: close()
        session.run(tf.constant(1))
        reference = weakref.ref(session)
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", pytest.fail)
            del session
        assert reference() is None


def test_a_session_with_a_close_of_its_own_keeps_it() -> None:
    with tf.Graph().as_default():
        session = tf1.InteractiveSession()
        bound_close(session)
        session.close()
        assert tf1.get_default_session() is None


def test_an_error_of_closing_is_raised(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(_: tf1.Session) -> None:
        raise tf.errors.InternalError(None, None, "no")

    with tf.Graph().as_default():
        session = tf1.Session()
        bound_close(session)
        with monkeypatch.context() as patched:
            patched.setattr(tf1.Session, "close", fail)
            with pytest.raises(tf.errors.InternalError):
                session.close()
        tf1.Session.close(session)


def test_the_process_waits_at_its_end_for_what_is_being_closed() -> None:
    """What comes back from TensorFlow while Python ends would abort it."""
    program = """
import atexit, threading, time

def report():
    names = [thread.name for thread in threading.enumerate()]
    print("session-close" in names)

# Those that are registered later are called before.
atexit.register(report)

import tensorflow.compat.v1 as tf1
from wq_hooks.runtime.host import session_close

session = tf1.Session()
session_close.bound_close(session)
session_close.CLOSE_SECS = 0.01
close = tf1.Session.close
tf1.Session.close = lambda session: time.sleep(1) or close(session)
session.close()
report()
"""
    printed = subprocess.check_output([sys.executable, "-c", program])
    assert printed.split() == [b"True", b"False"]
