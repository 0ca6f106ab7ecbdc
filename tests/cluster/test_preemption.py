"""SIGTERM to the tasks of a job: processes, gRPC, Saver."""

from __future__ import annotations

import signal
import time

import pytest
import tensorflow as tf

from tests.support.job import DEADLINE_SECS, Job, names

pytestmark = pytest.mark.cluster

# A process that is told to go says so, and this is what a cluster restarts.
CODE = 143
GRACE_SECS = 25.0


def preempt(job, task):
    """Sends SIGTERM; returns the exit code, and after how many seconds."""
    begin = time.monotonic()
    job.kill(task, signal.SIGTERM)
    returncode = job.cluster.wait(task, DEADLINE_SECS)
    return returncode, time.monotonic() - begin


@pytest.mark.parametrize("source", ["take", "dataset", "records"])
def test_what_a_preempted_worker_held_is_not_repeated(tmp_path, source):
    per_item = 3 if source == "records" else 1
    job = Job(
        tmp_path,
        num_workers=2,
        source=source,
        num_works=60,
        records_per_item=per_item,
        step_secs=0.05,
        lease_secs=3600,
    )
    with job:
        job.start()
        job.wait_for_item("worker:1")

        code, secs = preempt(job, "worker:1")

        assert (code, secs < GRACE_SECS) == (CODE, True)
        # A lease of an hour would hold the chief back at the end.
        job.cluster.wait("chief:0", DEADLINE_SECS)
        job.cluster.wait("worker:0", DEADLINE_SECS)
        assert job.counts() == dict.fromkeys(names(60), per_item)
        # What comes after the session is not run.
        assert "DONE" not in job.cluster.lines("worker:1", "stdout")
        assert "DONE" in job.cluster.lines("worker:0", "stdout")
        assert "may have been lost" not in job.log("worker:1")


def test_what_a_shuffle_buffer_held_goes_to_the_others(tmp_path):
    job = Job(
        tmp_path,
        num_workers=1,
        source="records",
        shuffle_buffer=25,
        num_works=40,
        step_secs=0.02,
        # It has no time to empty its buffer.
        slow={"worker:0": 10.0},
        lease_secs=3600,
    )
    with job:
        job.start()
        job.wait_for_item("worker:0")

        assert preempt(job, "worker:0")[0] == CODE

        job.cluster.wait("chief:0", DEADLINE_SECS)
        counts = job.counts()
        assert set(counts) == set(names(40))
        assert min(counts.values()) >= 10
        # No more than it has trained itself.
        assert sum(counts.values()) <= 400 + len(job.items("worker:0"))


def test_a_worker_that_does_something_else_hands_back_at_once(tmp_path):
    job = Job(
        tmp_path,
        num_workers=1,
        source="take",
        num_works=30,
        step_secs=0.05,
        # It sleeps for a minute between two steps.
        slow={"worker:0": 1200.0},
        lease_secs=3600,
        grace_secs=8,
    )
    with job:
        job.start()
        held = job.wait_for_item("worker:0")
        job.wait_for_item("chief:0")
        begin = time.monotonic()
        job.kill("worker:0", signal.SIGTERM)

        job.cluster.wait_for_line("chief:0", f"^GOT {held} ", DEADLINE_SECS)
        secs = time.monotonic() - begin
        assert job.cluster.wait("worker:0", DEADLINE_SECS) == CODE
        assert secs < 8 <= time.monotonic() - begin < GRACE_SECS
        assert "the grace period is over" in job.log("worker:0")
        assert job.cluster.wait("chief:0", DEADLINE_SECS) == 0
        assert job.counts() == {**dict.fromkeys(names(30), 1), held: 2}


@pytest.mark.parametrize("source", ["take", "dataset", "records", "producer"])
def test_a_worker_whose_take_is_blocked(tmp_path, source):
    job = Job(
        tmp_path,
        num_workers=1,
        source=source,
        records_per_item=1,
        num_works=1,
        step_secs=60,
        lease_secs=3600,
    )
    with job:
        # One of the two sleeps with the only item, the other waits for one.
        job.start()
        holder = job.wait_for_any_item()
        (blocked,) = set(job.cluster.job_tasks) - {holder}
        # Before that, it has not begun to listen to SIGTERM.
        job.cluster.wait_for_line(blocked, "^START", DEADLINE_SECS)

        code, secs = preempt(job, blocked)

        assert (code, secs < GRACE_SECS) == (CODE, True)
        assert "grace period" not in job.log(blocked)
        assert job.items(blocked) == []


def test_a_worker_that_waits_for_its_chief(tmp_path):
    job = Job(tmp_path, num_workers=1, num_works=1, patience_secs=1)
    with job:
        # Nobody else initialises the model, or says that it does.
        (tmp_path / f"{job._gate.name}-model").touch()
        job.cluster.start("ps:0", "worker:0")
        job.cluster.wait_for_line("worker:0", "for a session", 60)

        code, secs = preempt(job, "worker:0")

        assert (code, secs < GRACE_SECS) == (CODE, True)


def test_a_chief_that_waits_for_its_servers(tmp_path):
    """TensorFlow waits outside of Python, where no handler runs."""
    job = Job(tmp_path, num_workers=0, num_works=1, patience_secs=1)
    with job:
        job.cluster.start("chief:0")
        job.cluster.wait_for_line("chief:0", "for a session", 60)

        code, secs = preempt(job, "chief:0")

        assert (code, secs < GRACE_SECS) == (CODE, True)


@pytest.mark.parametrize("source", ["take", "records"])
def test_a_preempted_chief_comes_back(tmp_path, source):
    per_item = 3 if source == "records" else 1
    job = Job(
        tmp_path,
        num_workers=2,
        source=source,
        num_works=60,
        records_per_item=per_item,
        step_secs=0.05,
        save_steps=100_000,
    )
    with job:
        job.start()
        for task in job.cluster.job_tasks:
            job.wait_for_item(task)

        code, secs = preempt(job, "chief:0")

        assert (code, secs < GRACE_SECS) == (CODE, True)
        # One at the beginning, and one now, with what all have trained.
        paths = tf.train.get_checkpoint_state(tmp_path)
        assert len(paths.all_model_checkpoint_paths) == 2
        step = tf.train.load_variable(tmp_path, "global_step")
        counts = tf.train.load_variable(tmp_path, "counts")
        assert counts.sum() == step
        # The two workers may each end a step between the look at the number and
        # the save.
        named = int(paths.model_checkpoint_path.rpartition("-")[2])
        assert 0 <= step - named <= 2
        before = len(job.cluster.lines("chief:0"))
        job.cluster.start("chief:0")
        job.cluster.wait_for_line(
            "chief:0", "resumed", DEADLINE_SECS, after=before
        )
        # The others wait for it meanwhile.
        exit_codes = job.cluster.wait_for_job(DEADLINE_SECS)
        assert set(exit_codes.values()) == {0}
        counts = job.counts()
        assert set(counts) == set(names(60))
        assert min(counts.values()) >= per_item
        # Two workers held an item each, and may have got the next one.
        assert sum(counts.values()) <= (60 + 4) * per_item
        final = tf.train.load_variable(tmp_path, "counts")[:60]
        assert (final >= per_item).all()
        assert final.sum() <= (60 + 4) * per_item


def test_a_second_one_ends_the_process_at_once(tmp_path):
    job = Job(tmp_path, num_workers=0, num_works=2, step_secs=60)
    with job:
        job.start()
        job.wait_for_item("chief:0")
        begin = time.monotonic()
        job.kill("chief:0", signal.SIGTERM)
        job.cluster.wait_for_line("chief:0", "ends within 25 s", 60)
        time.sleep(1.0)

        assert preempt(job, "chief:0")[0] == CODE
        assert time.monotonic() - begin < GRACE_SECS
        assert "a second SIGTERM" in job.log("chief:0")


def test_a_handler_that_is_there_is_called_as_well(tmp_path):
    job = Job(
        tmp_path, num_workers=0, num_works=300, step_secs=0.1, has_handler=1
    )
    with job:
        job.start()
        job.wait_for_item("chief:0")
        assert preempt(job, "chief:0")[0] == CODE
        assert "HANDLED" in job.cluster.lines("chief:0", "stdout")


def test_sigterm_may_be_left_alone(tmp_path):
    job = Job(
        tmp_path,
        num_workers=0,
        num_works=300,
        step_secs=0.1,
        leaves_sigterm_alone=1,
    )
    with job:
        job.start()
        job.wait_for_item("chief:0")
        assert preempt(job, "chief:0")[0] == -signal.SIGTERM


def test_a_notice_does_the_same(tmp_path):
    notice = tmp_path / "notice"
    job = Job(
        tmp_path, num_workers=0, num_works=300, step_secs=0.1, notice=notice
    )
    with job:
        job.start()
        job.wait_for_item("chief:0")
        notice.touch()
        assert job.cluster.wait("chief:0", DEADLINE_SECS) == CODE
        assert "Notice of a preemption" in job.log("chief:0")
        step = tf.train.load_variable(tmp_path, "global_step")
        assert step == len(job.items("chief:0"))
