"""Who waits for another task says so, after 30 s that are made short here."""

from __future__ import annotations

import contextlib
import logging
import signal
import time
import uuid

import pytest
import tensorflow as tf

from tests.support.in_process_cluster import Background, InProcessCluster
from tests.support.job import DEADLINE_SECS, Job, names
from tests.support.sessions import draw, wait_until
from tests.support.trainers import Trainer, bare
from wq_hooks import WorkQueue
from wq_hooks.core import waits
from wq_hooks.core.waits import (
    Patience,
    Stall,
    Unanswered,
    listed,
    reason_in_words,
)
from wq_hooks.launcher.ports import free_ports
from wq_hooks.runtime.transport import meeting
from wq_hooks.runtime.transport.lookout import Lookout

tf1 = tf.compat.v1


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


class TestPatience:
    def test_after_30_seconds_and_each_minute_again(self):
        clock = Clock()
        patience = Patience(clock)
        said = []
        for clock.now in range(200):
            if patience.is_over():
                said.append(clock.now)
        assert said == [30, 90, 150]
        assert patience.secs == 199

    def test_of_a_wait_that_began_before(self):
        assert Patience(Clock(), waited_secs=30).is_over()
        assert not Patience(Clock(), waited_secs=29).is_over()

    def test_a_standstill_alone_is_worth_a_word(self):
        clock = Clock()
        stall = Stall(clock)
        said = []
        for clock.now in range(100):
            if stall.is_over(
                completed=clock.now // 20 if clock.now < 60 else 3
            ):
                said.append(clock.now)
        assert said == [90]

    def test_names(self):
        assert listed(["a", "b"]) == "a, b"
        assert listed(range(13)).endswith("8, 9 and 3 more")


def test_a_process_that_was_stopped_has_not_waited():
    clock = Clock()
    unanswered = Unanswered(2.0, clock)
    for _ in range(5):
        clock.now += 1.0
        unanswered.look()
    assert unanswered.secs == 5.0
    clock.now += 3600.0
    assert unanswered.look() == 7.0
    unanswered.note_answer()
    clock.now += 1.0
    assert unanswered.look() == 1.0


class TestReason:
    WORKERS = (
        {"name": "worker:0", "in_hand": 2},
        {"name": "worker:1", "in_hand": 1},
        {"name": "worker:2", "in_hand": 0},
    )

    def reason(self, remaining, *, is_held_back=False):
        status = {"remaining": remaining, "workers": list(self.WORKERS)}
        return reason_in_words(
            status, "worker:1", chief="chief:0", is_held_back=is_held_back
        )

    def test_others_hold_items(self):
        assert "others hold: worker:0 (2)" in self.reason(0)
        assert "worker:1" not in self.reason(0)

    def test_held_back(self):
        text = self.reason(5, is_held_back=True)
        assert "held back" in text
        assert "worker:0 (2)" in text

    def test_an_open_queue(self):
        assert "close_works on the chief (chief:0)" in self.reason(None)

    def test_a_chief_that_hands_out_nothing(self):
        assert "chief:0 hands out none" in self.reason(4)


@pytest.fixture(scope="module")
def cluster():
    return InProcessCluster(num_workers=2)


@pytest.fixture
def container():
    return uuid.uuid4().hex


@pytest.fixture
def log(monkeypatch, caplog):
    """What is logged as a warning, where 30 s are half a second."""
    monkeypatch.setattr(waits, "FIRST_SECS", 0.5)
    monkeypatch.setattr(waits, "AGAIN_SECS", 0.5)
    caplog.set_level(logging.WARNING, logger="absl")
    return caplog


def said(log, *words):
    """Waits until a warning has all these words, twice."""

    def find():
        found = [
            record.getMessage()
            for record in log.records
            if all(word in record.getMessage() for word in words)
        ]
        return found if len(found) >= 2 else None

    return wait_until(find)


class TestInGraphMode:
    def test_there_is_no_chief(self, cluster, container, log):
        with bare(Trainer(cluster, 1, container)):
            said(
                log,
                "worker:1 has waited",
                "for a chief",
                "/job:ps/task:0",
                "By its device this task is worker:1",
            )

    def test_a_chief_that_others_wait_for_has_said_nothing(
        self, cluster, container, log
    ):
        """It was killed: nobody hears of it any more."""
        chief = Trainer(cluster, 0, container)
        with chief.graph.as_default():
            session = tf1.Session(chief.task.target, config=chief.task.config)
            session.run(
                [
                    tf1.global_variables_initializer(),
                    tf1.local_variables_initializer(),
                ]
            )
            tf1.train.start_queue_runners(session)
            draw(session, chief.item, 1)
            session.close()
        with bare(Trainer(cluster, 1, container)):
            said(log, "worker:1 has heard nothing of the chief (worker:0)")

    def test_a_chief_that_has_left(self, cluster, container, log):
        with bare(Trainer(cluster, 0, container), init=True):
            pass
        with bare(Trainer(cluster, 1, container)):
            said(log, "worker:1 waits for the chief (worker:0), which left")

    def test_the_chief_waits_for_what_others_hold(
        self, cluster, container, log
    ):
        works = ["a", "b"]
        chief = Trainer(cluster, 0, container, works=works)
        worker = Trainer(cluster, 1, container, works=works)
        with bare(chief, init=True) as (session, _), bare(worker) as (other, _):
            (held,) = draw(other, worker.item, 1)
            drawing = Background(draw, session, chief.item)
            said(log, "the chief (worker:0) has waited", "worker:1 (1)")
            assert not drawing.is_done
            assert draw(other, worker.item) == []
            assert {held, *drawing.result()} == {"a", "b"}

    @pytest.mark.parametrize("source", ["take", "dataset", "producer"])
    def test_a_worker_waits_for_works(self, cluster, container, log, source):
        args = {"works": ["a"], "is_open": True, "source": source}
        chief = Trainer(cluster, 0, container, **args)
        worker = Trainer(cluster, 1, container, **args)
        with bare(chief, init=True), bare(worker) as (other, _):
            drawing = Background(draw, other, worker.item)
            said(log, "worker:1 has waited", "the queue is open", "worker:0")
            chief.queue.close_works()
            drawing.result()

    def test_a_worker_is_held_back(self, cluster, container, log, monkeypatch):
        monkeypatch.setattr(
            "wq_hooks.core.ledger.ledger.Ledger.held_back",
            lambda self, now: frozenset({"worker:1"}),
        )
        chief = Trainer(cluster, 0, container)
        worker = Trainer(cluster, 1, container)
        with bare(chief, init=True) as (session, _), bare(worker) as (other, _):
            draw(session, chief.item, 1)
            drawing = Background(draw, other, worker.item)
            said(log, "worker:1 has waited", "held back", "worker:0 (1)")
            del drawing

    def test_no_chief_has_initialised_the_model(self, cluster, container, log):
        class Brisk(tf1.train.WorkerSessionCreator):
            def _get_session_manager(self):
                manager = super()._get_session_manager()
                manager._recovery_wait_secs = 0.1  # in the place of 30 s
                return manager

        def run():
            task = worker.task
            creator = Brisk(master=task.target, config=task.config)
            with worker.graph.as_default(), tf1.train.MonitoredSession(creator):
                pass

        chief = Trainer(cluster, 0, container, name="late")
        worker = Trainer(cluster, 1, container, name="late")
        running = Background(run)
        said(log, "late: worker:1 has waited", "for the chief to initialise")
        with bare(chief, init=True):
            running.result()

    def test_a_server_of_the_cluster_does_not_answer(self, log):
        ports = free_ports(2)
        spec = {
            "ps": [f"127.0.0.1:{ports[0]}"],
            "worker": [f"127.0.0.1:{ports[1]}"],
        }
        chief = tf.distribute.Server(spec, job_name="worker", task_index=0)

        def run():
            with tf.Graph().as_default():
                WorkQueue(["a"], name="early").take()
                creator = tf1.train.ChiefSessionCreator(master=chief.target)
                with tf1.train.MonitoredSession(creator):
                    pass

        running = Background(run)
        found = said(log, "early: local:0 has waited", "for the servers")
        assert "for the chief" not in found[0]
        server = tf.distribute.Server(spec, job_name="ps", task_index=0)
        running.result()
        del server

    def test_who_is_at_work_says_nothing(
        self, cluster, container, log, monkeypatch
    ):
        # A heartbeat of a loaded machine takes half a second.
        monkeypatch.setattr(waits, "FIRST_SECS", 2.0)
        chief = Trainer(cluster, 0, container)
        worker = Trainer(cluster, 1, container)
        with bare(chief, init=True) as (session, _), bare(worker) as (other, _):
            draw(session, chief.item, 1)
            draw(other, worker.item, 1)
            # Twice the time after which it would.
            begin = time.monotonic()
            wait_until(lambda: time.monotonic() > begin + 4)
        assert "waited" not in log.text
        assert "waits" not in log.text


class TestInEagerMode:
    def test_a_reader_waits_for_works(self, log):
        with WorkQueue(["a"], is_open=True) as queue:
            assert queue.take().numpy() == b"a"

            def take():
                with contextlib.suppress(tf.errors.OutOfRangeError):
                    queue.take()

            taking = Background(take)
            said(log, "waits for add_works or close_works")
            queue.close_works()
            taking.result()

    def test_a_connected_reader_waits_for_works(self, log):
        with WorkQueue(["a"], is_open=True) as queue:
            target = f"grpc://localhost:{queue.serve(0)}"
            with WorkQueue.connect(target, task="other") as connected:

                def take():
                    with contextlib.suppress(tf.errors.OutOfRangeError):
                        while True:
                            connected.take()

                taking = Background(take)
                said(log, "other has waited", "the queue is open")
                queue.close_works()
                taking.result()

    def test_nobody_connects(self, log):
        with WorkQueue(["a"]) as queue:
            queue.serve(0)
            assert not queue.join(2)
            said(log, "1 items remain", "nobody is there")

    def test_who_has_connected_holds_an_item(self, log):
        with WorkQueue(["a"]) as queue:
            target = f"grpc://localhost:{queue.serve(0)}"
            with WorkQueue.connect(target, task="other") as connected:
                connected.take()
                joining = Background(queue.join, 2)
                said(log, "for others to leave: other", "other (1)")
                assert not joining.result()

    def test_who_has_connected_waits_for_what_others_hold(self, log):
        with WorkQueue(["a"]) as queue:
            target = f"grpc://localhost:{queue.serve(0)}"
            with WorkQueue.connect(target, task="other") as connected:
                with WorkQueue.connect(target, task="holder") as holder:
                    holder.take()
                    taking = Background(connected.take)
                    said(log, "other has waited", "others hold: holder (1)")
                # It was not through.
                assert taking.result().numpy() == b"a"

    def test_the_server_is_not_there(self, log):
        with pytest.raises(Exception, match="to be served"):
            WorkQueue.connect("grpc://localhost:1", "q", timeout_secs=9)
        said(log, "Work queue q: has waited", "grpc://localhost:1")


class FakeBoard:
    """What stands on a board, by key."""

    def __init__(self, **entries):
        self.entries = entries

    def look_up(self, *keys):
        names = {
            getattr(meeting.messages, name): value
            for name, value in self.entries.items()
        }
        return [names.get(key, "") for key in keys]


class TestLookout:
    def test_says_nothing_at_the_end_of_data(self, log):
        board = FakeBoard(END="e", CHIEF="chief:0", STATUS="{}")
        Lookout("q", "worker:1", board).look()
        assert not log.records

    def test_a_chief_that_came_back(self, log):
        board = FakeBoard(
            LEFT='["chief:0", 5, null]', CHIEF="chief:0", BEAT="1"
        )
        lookout = Lookout("alone", "worker:1", board)
        assert lookout.pause_secs == 0.25

        def look():
            lookout._next_look = 0.0
            lookout.look()
            return "alone" in log.text

        wait_until(look)
        assert "at global step 5" in log.text
        log.clear()
        board.entries.update(LEFT="", BEAT="2")
        assert not look()


@pytest.mark.cluster
class TestProcesses:
    """Tasks that are killed or stopped, as they are on real machines."""

    @pytest.fixture
    def job(self, tmp_path):
        with Job(
            tmp_path,
            num_works=60,
            step_secs=0.1,
            save_steps=1,
            patience_secs=1,
        ) as job:
            job.start()
            job.wait_for_item("worker:0")
            yield job

    def end(self, job):
        returncodes = job.cluster.wait_for_job(DEADLINE_SECS)
        assert set(returncodes.values()) == {0}
        assert set(job.items()) == set(names(60))

    def test_a_parameter_server_that_is_stopped(self, job):
        job.kill("ps:0", signal.SIGSTOP)
        for task in ("chief:0", "worker:0"):
            job.cluster.wait_for_line(
                task,
                rf"{task} waits for the parameter server: /job:ps/task:0.* "
                "has not answered",
                DEADLINE_SECS,
            )
        job.kill("ps:0", signal.SIGCONT)
        self.end(job)

    def test_a_parameter_server_that_is_killed(self, job):
        job.kill("ps:0")
        job.cluster.wait_for_line(
            "worker:0",
            r"worker:0 has waited \d+ s for .*session.*: .*/job:ps/task:0",
            DEADLINE_SECS,
        )
        job.cluster.start("ps:0")
        self.end(job)

    def test_a_chief_that_is_killed(self, job):
        job.kill("chief:0")
        job.cluster.wait_for_line(
            "worker:0",
            r"worker:0 has heard nothing of the chief \(chief:0\) for \d+ s",
            DEADLINE_SECS,
        )
        job.cluster.start("chief:0")
        self.end(job)

    def test_a_worker_that_is_stopped_with_an_item(self, job):
        job.kill("worker:0", signal.SIGSTOP)
        job.cluster.wait_for_line(
            "chief:0",
            r"chief \(chief:0\) has waited \d+ s for .* hold: worker:0",
            DEADLINE_SECS,
        )
        job.kill("worker:0", signal.SIGCONT)
        self.end(job)
