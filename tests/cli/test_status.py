"""`wq-hooks status`, of a queue that runs on servers of this process."""

from __future__ import annotations

import json
import socket
import time

import pytest

from tests.core.monitoring.test_progress import A, B, make_ledger, take, train
from tests.support.in_process_cluster import InProcessCluster
from tests.support.sessions import draw, wait_until
from wq_hooks import WorkQueue
from wq_hooks.cli import command_line, status
from wq_hooks.core.ledger.consumer_state import Consumer, incarnation_at
from wq_hooks.core.monitoring.board_status import (
    MAX_WORKERS,
    pause_secs,
    status_text,
)
from wq_hooks.core.monitoring.view import Viewer
from wq_hooks.core.position.origin import Origin
from wq_hooks.errors import WorkQueueError


def view_of(ledger, now=10.0):
    return Viewer("train").look(ledger, now, 1000.0 + now)


class TestText:
    def test_for_a_person(self):
        ledger = make_ledger("abcdefghij")
        for now in (0.0, 2.0, 4.0):
            take(ledger, A, 1, now)
            ledger.acknowledge(A, next(iter(ledger.leases)), now + 2.0)
        take(ledger, A, 1, now=6.0)
        take(ledger, B, 1, now=1.0)
        state = status.parse(status_text(view_of(ledger)), "train")
        assert status.in_words(state, 1015.0, 20) == (
            "Queue train, 5 s ago\n"
            "  completed      3 of 10 (epoch 0.30)\n"
            "  in flight      2\n"
            "  remaining      5\n"
            "  low watermark  3\n"
            "  rate           0 items/s\n"
            "\n"
            "  WORKER    ITEMS  EACH  CURRENT  FOR  HEARD  PROCESS\n"
            "  worker:1  0            p/e      9 s  9 s             SLOW\n"
            "  worker:0  3      2 s   p/d      4 s  4 s\n"
        )

    def test_since_when_and_who_is_gone_where(self):
        ledger = make_ledger("abcdefghij", lease_secs=60.0)
        ledger.items.origin = Origin(1_600_000_000.0, 1_600_003_600.0)
        ledger.items.completed_before = 2
        there = Consumer("worker:2", incarnation_at("x", "node-7", 4242))
        for consumer in (A, B, there):
            take(ledger, consumer, 1, now=1.0)
        ledger.leave(B, 2.0)
        ledger.heard(there, 90.0)
        take(ledger, Consumer("worker:3", "y"), 1, now=95.0)
        ledger.expire(100.0)
        ledger.heard(Consumer("worker:4", "z"), 20.0)
        view = Viewer("train").look(ledger, 100.0, 1_600_007_200.0)
        state = status.parse(status_text(view), "train")
        lines = status.in_words(state, 1_600_007_200.0, 20).splitlines()
        begin = time.strftime(
            "%Y-%m-%d %H:%M:%S", time.localtime(1_600_000_000)
        )
        assert f"  started        {begin}" in lines
        assert "  elapsed        2 h 0 min" in lines
        (resumed,) = [line for line in lines if "resumed" in line]
        assert resumed.endswith("; 2 were completed before")
        last = {line.split()[0]: line.split()[-1] for line in lines[-5:]}
        assert last == {
            "worker:0": "LOST",
            "worker:1": "LEFT",
            "worker:2": "node-7:4242",
            "worker:3": "s",
            "worker:4": "SILENT",
        }

    def test_of_many_workers_those_that_hold_an_item_longest(self):
        ledger = make_ledger([f"w{i}" for i in range(100)])
        for number in range(100):
            worker = Consumer(f"worker:{number}", "x")
            take(ledger, worker, 1, now=5.0 - (number == 77))
        text = status_text(view_of(ledger))
        assert len(text) < 20_000
        state = status.parse(text, "train")
        assert len(state["workers"]) == MAX_WORKERS
        assert state["workers"][0]["name"] == "worker:77"
        assert "... 98 more" in status.in_words(state, 1010.0, 2)

    def test_without_end(self):
        ledger = make_ledger(num_epochs=None)
        train(ledger, A, 5)
        words = status.in_words(
            json.loads(status_text(view_of(ledger))), 1010.0, 5
        )
        assert "remaining      endless" in words

    @pytest.mark.parametrize("found", ["", "x", "[]", '{"version": 2}'])
    def test_another_version(self, found):
        with pytest.raises(WorkQueueError, match="'train'"):
            status.parse(found, "train")

    def test_of_many_consumers_it_is_rare(self):
        assert pause_secs(10) == 2.0
        assert pause_secs(1000) == 20.0


class TestCommand:
    def run(self, capsys, *args):
        code = command_line.main(["status", *args])
        printed = capsys.readouterr()
        return code, printed.err if code else printed.out

    def test_a_queue_that_runs(self, capsys):
        cluster = InProcessCluster(num_workers=1)
        target = f"grpc://{cluster.spec['ps'][0]}"
        with cluster.task(0, container="mine") as task:
            queue = WorkQueue(list("abcdef"), shuffle=False, name="train")
            item = queue.take()
            size = queue.size()
            args = "--target", target, "--name", "train", "--container", "mine"
            code, err = self.run(capsys, *args)
            assert code == 1
            assert "Expected a work queue named 'train'" in err
            assert "there is none on" in err
            with task.session() as session:
                assert draw(session, item, 3) == ["a", "b", "c"]

                def state():
                    _, out = self.run(capsys, *args, "--format=json")
                    found = json.loads(out)
                    return found["completed"] == 2 and found

                (worker,) = wait_until(state)["workers"]
                assert worker["name"].startswith("worker:0")
                assert worker["items"][0]["text"] == "c"
                code, out = self.run(capsys, *args)
                assert code == 0
                assert "completed      2 of 6 (epoch 0.33)" in out
                # Any task may be asked.
                worker_target = f"grpc://{cluster.spec['worker'][0]}"
                code, out = self.run(capsys, *args, "--target", worker_target)
                assert code == 0, out
                # The last --name counts.
                code, err = self.run(capsys, *args, "--name", "eval")
                assert code == 1
                assert "named 'eval'" in err
                assert "there are: train." in err
                # Nothing was taken.
                assert session.run(size) == 3
                assert draw(session, item) == ["d", "e", "f"]
            # The chief's last word stays on the board, and ends a watch.
            code, out = self.run(capsys, *args, "--watch", "0.1")
            assert code == 0
            assert "its chief has ended" in out
            assert "completed      6 of 6" in out

    def test_nobody_answers(self, capsys):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            target = f"grpc://127.0.0.1:{taken.getsockname()[1]}"
            code, err = self.run(capsys, "--target", target, "--timeout", "2")
        assert code == 1
        assert target in err

    @pytest.mark.parametrize("option", ["--watch", "--timeout"])
    def test_no_time(self, capsys, option):
        with pytest.raises(SystemExit) as raised:
            command_line.main(["status", "--target", "grpc://x", option, "0"])
        assert raised.value.code == 2
