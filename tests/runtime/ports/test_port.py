from __future__ import annotations

import threading

import pytest
import tensorflow as tf

from wq_hooks.runtime.ports.port import SessionPort

HANG_SECS = 60.0


class FakeSession:
    """Runs "step" until it is let go, and notes each "discard"."""

    def __init__(self):
        self.ran = []
        self.has_begun = threading.Event()
        self.has_discarded = threading.Event()
        self.may_end = threading.Event()

    def run(self, fetch, feeds=None):
        if fetch == "step":
            self.has_begun.set()
            assert self.may_end.wait(HANG_SECS)
        self.ran.append(fetch)
        if fetch == "discard":
            self.has_discarded.set()


def test_queues_are_forgotten_again_behind_a_step_that_was_under_way():
    session = FakeSession()
    port = SessionPort(session, "discard")
    step = threading.Thread(target=port.run, args=("step",))
    discard = threading.Thread(target=port.discard)

    step.start()
    assert session.has_begun.wait(HANG_SECS)
    discard.start()
    assert session.has_discarded.wait(HANG_SECS)
    session.may_end.set()
    step.join(HANG_SECS)
    discard.join(HANG_SECS)

    assert session.ran[0] == "discard"
    assert session.ran[-1] == "discard"
    assert session.ran.count("step") == 1


def test_queues_are_forgotten_once_where_nothing_runs():
    session = FakeSession()
    port = SessionPort(session, "discard")

    port.discard()

    assert session.ran == ["discard"]
    with pytest.raises(tf.errors.CancelledError):
        port.run("step")
