from __future__ import annotations

import contextlib
import threading

import pytest

from tests.support.sessions import DEADLINE_SECS, wait_until
from wq_hooks.core import waits
from wq_hooks.runtime.transport.liveness.server_watch import ServerWatch


@pytest.fixture(autouse=True)
def short_patience(monkeypatch):
    monkeypatch.setattr(waits, "FIRST_SECS", 0.1)
    monkeypatch.setattr(waits, "AGAIN_SECS", 0.1)


def said(caplog, *words):
    wait_until(lambda: all(word in caplog.text for word in words))


def server_watch(give_up, **args):
    settings = {"lease_secs": 60.0, "give_up_secs": 0.0, **args}
    return ServerWatch(
        "q",
        "worker:1",
        "/job:ps/task:0",
        "grpc://a:1",
        unanswered=waits.Unanswered(10.0),
        give_up=give_up,
        **settings,
    )


class TestTheServer:
    @contextlib.contextmanager
    def watching(self, watch):
        stop = threading.Event()
        thread = threading.Thread(target=watch.watch, args=(stop.wait,))
        thread.start()
        with contextlib.ExitStack() as stack:
            stack.callback(thread.join)
            stack.callback(stop.set)
            yield thread

    def test_does_not_answer(self, caplog):
        with self.watching(server_watch(pytest.fail)):
            said(
                caplog,
                "worker:1 waits",
                "/job:ps/task:0 (session on grpc://a:1) has not answered",
                "After lease_secs (60)",
                "never ends by itself (give_up_secs=0)",
            )

    def test_does_not_answer_for_longer_than_a_lease(self, caplog):
        watch = server_watch(pytest.fail, lease_secs=0.05, give_up_secs=99.0)
        with self.watching(watch):
            said(caplog, "given to others what it held", "ends with an error")

    def test_does_not_answer_for_too_long(self):
        reasons = []
        watch = server_watch(reasons.append, give_up_secs=0.2)
        with self.watching(watch) as thread:
            thread.join(DEADLINE_SECS)
        (reason,) = reasons
        assert "/job:ps/task:0" in reason
        assert "give_up_secs=0.2" in reason

    def test_answers(self, caplog):
        watch = server_watch(pytest.fail, give_up_secs=0.001)
        pauses = iter([False] * 20 + [True])

        def pause(secs):
            del secs
            watch.note_answer()
            return next(pauses)

        watch.watch(pause)
        assert not caplog.records
