"""The queue on a real cluster: processes, gRPC, Saver, SIGKILL."""

from __future__ import annotations

import signal
import time
from collections import Counter

import pytest
import tensorflow as tf

from tests.support.job import DEADLINE_SECS, Job, names

pytestmark = pytest.mark.cluster


@pytest.mark.parametrize("source", ["dataset", "take", "producer"])
def test_the_tasks_together_train_each_item_exactly_once(tmp_path, source):
    job = Job(
        tmp_path,
        num_workers=2,
        source=source,
        num_works=30,
        num_epochs=2,
        step_secs=0.1,
        hook=int(source != "producer"),
    )

    assert set(job.run().values()) == {0}

    assert job.counts() == dict.fromkeys(names(30), 2)
    assert len(job.items("chief:0")) < 60  # the others got some


def test_a_slow_worker_trains_fewer_items(tmp_path):
    job = Job(
        tmp_path,
        num_workers=2,
        slow={"worker:1": 4.0},
        num_works=80,
        step_secs=0.1,
    )

    assert set(job.run().values()) == {0}

    assert job.counts() == dict.fromkeys(names(80), 1)
    assert len(job.items("worker:1")) < len(job.items("worker:0"))


def test_what_a_killed_worker_held_is_trained_by_the_others(tmp_path):
    job = Job(
        tmp_path, num_workers=2, num_works=40, step_secs=0.1, lease_secs=2
    )
    with job:
        job.start()
        held = job.wait_for_item("worker:1")
        job.kill("worker:1")

        job.cluster.wait("chief:0", 60)
        job.cluster.wait("worker:0", 60)

        counts = job.counts()
        assert set(counts) == set(names(40))
        assert counts[held] >= 1
        # Only what the dead worker held comes again.
        assert sum(counts.values()) <= 40 + 1
        assert "worker:1 was lost" in job.log("chief:0")


def test_a_restarted_worker_frees_at_once_what_it_held(tmp_path):
    job = Job(
        tmp_path, num_workers=1, num_works=200, step_secs=0.1, lease_secs=3600
    )
    with job:
        job.start()
        job.wait_for_item("worker:0")
        job.kill("worker:0")
        job.cluster.wait("worker:0", 30)
        before = len(job.cluster.lines("worker:0"))
        job.cluster.start("worker:0")
        job.wait_for_item("worker:0", after=before)
        # A lease of an hour would hold the chief back at the end.
        job.cluster.wait("chief:0", 60)
        job.cluster.wait("worker:0", 60)

        assert set(job.counts()) == set(names(200))
        assert sum(job.counts().values()) <= 201


def test_the_whole_job_killed_between_checkpoints_and_resumed(tmp_path):
    flags = {"num_works": 60, "step_secs": 0.05, "save_steps": 10}
    first = Job(tmp_path, **flags)
    with first:
        first.start()
        first.cluster.wait_for_line("chief:0", r"^GOT \S+ 2\d$", 60)
        first.cluster.kill_all(signal.SIGKILL)
        for task in first.cluster.tasks:
            first.cluster.wait(task, 30)
        before = first.counts()
    second = Job(tmp_path, **flags)

    assert set(second.run().values()) == {0}

    after = second.counts()
    assert set(before + after) == set(names(60))
    # The checkpoint is at most 10 steps old, and each of two tasks held one
    # item; a step that was under way may not have been printed.
    assert sum((before + after).values()) <= 60 + 10 + 2 + 2
    assert "resumed" in second.log("chief:0")


def append(path, works):
    with open(path, "a") as file:
        file.write("".join(f"{work}\n" for work in works))


def test_works_that_are_added_while_the_tasks_train(tmp_path):
    feed = tmp_path / "feed"
    feed.touch()
    listed, added = names(30)[:6], names(30)[6:]
    job = Job(tmp_path, works=listed, step_secs=0.05, feed=feed)
    with job:
        job.start()
        # Tasks that have run dry wait for more.
        for begin in range(0, len(added), 8):
            append(feed, added[begin : begin + 8])
            job.wait_for_items(6 + begin + 8)
        append(feed, ["end"])

        assert set(job.cluster.wait_for_job(DEADLINE_SECS).values()) == {0}

    assert job.counts() == dict.fromkeys(names(30), 1)


def test_a_chief_that_is_killed_between_adding_works(tmp_path):
    feed = tmp_path / "feed"
    feed.touch()
    # It saves at each of its steps; the worker makes fewer.
    job = Job(
        tmp_path,
        works=names(2),
        slow={"worker:0": 4.0},
        step_secs=0.1,
        save_steps=1,
        feed=feed,
    )
    with job:
        job.start()
        append(feed, names(20)[2:])
        job.cluster.wait_for_line(
            "chief:0", r"^GOT item-00(0[6-9]|1.)", DEADLINE_SECS
        )
        job.kill("chief:0")
        job.cluster.wait("chief:0", 30)
        # Added while there is nobody to know of it.
        append(feed, names(24)[20:])
        before = len(job.cluster.lines("chief:0"))
        job.cluster.start("chief:0")
        # Those before the checkpoint come from it, and are not added again.
        job.cluster.wait_for_line(
            "chief:0", "^ADDED 18", DEADLINE_SECS, after=before
        )
        append(feed, [*names(30)[24:], "end"])

        assert set(job.cluster.wait_for_job(DEADLINE_SECS).values()) == {0}

    assert set(job.counts()) == set(names(30))
    # What the worker did without a chief is rolled back in queue and model
    # alike. What was held at the save comes again, and so does a step that was
    # under way when the chief came back.
    trained = tf.train.load_variable(str(tmp_path), "counts")[:30]
    assert (trained >= 1).all()
    assert trained.sum() <= 30 + 3


def test_a_finished_job_has_nothing_left(tmp_path):
    flags = {"num_works": 10}
    assert set(Job(tmp_path, **flags).run().values()) == {0}
    again = Job(tmp_path, **flags)

    assert set(again.run(wait_for_workers=False).values()) == {0}

    assert again.items() == []


def test_a_resume_with_other_works_keeps_what_is_done(tmp_path):
    first = Job(
        tmp_path, num_workers=0, works=names(20), stop_at=8, save_steps=1
    )
    assert set(first.run().values()) == {0}
    done = first.items()
    # Two of the rest are dropped, two are new.
    listed = [*names(18), "item-1000", "item-1001"]
    second = Job(tmp_path, num_workers=0, works=listed)

    assert set(second.run().values()) == {0}

    # The item held at the stop is not completed, and comes again.
    assert Counter(done + second.items()) - Counter([done[-1]]) == Counter(
        listed
    )
    assert "18 works kept, 2 added, 2 dropped" in second.log("chief:0")


def test_a_checkpoint_from_before_the_queue_was_added(tmp_path):
    first = Job(tmp_path, num_workers=0, queue=0, stop_at=7)
    assert set(first.run().values()) == {0}
    second = Job(tmp_path, num_workers=0, num_works=5)

    assert set(second.run().values()) == {0}

    assert second.items() == names(5)
    assert "GOT item-0000 8" in second.cluster.lines("chief:0")
    assert "before the queue was added" in second.log("chief:0")


@pytest.mark.parametrize("hook", [1, 0])
def test_the_job_ends_soon_after_the_last_step(tmp_path, hook):
    """Also where takes are blocked: one item, and everybody waits for it."""
    job = Job(
        tmp_path,
        num_workers=1,
        num_works=4,
        num_epochs=1000,
        stop_at=20,
        step_secs=0.1,
        hook=hook,
    )
    with job:
        job.start()
        job.cluster.wait_for_line("chief:0", r"^GOT \S+ 1\d$", 60)
        begin = time.monotonic()
        job.cluster.wait("chief:0", 20)
        job.cluster.wait("worker:0", 20)
        # A second of steps, five to stop, and interpreters end, too.
        assert time.monotonic() - begin < 1 + 5 + 3


def test_a_task_whose_take_is_blocked_ends_at_ctrl_c(tmp_path):
    job = Job(
        tmp_path, num_workers=1, num_works=1, step_secs=60, lease_secs=3600
    )
    with job:
        # One of the two sleeps with the only item, the other waits for one.
        job.start()
        holder = job.wait_for_any_item()
        (blocked,) = set(job.cluster.job_tasks) - {holder}
        job.kill(blocked, signal.SIGINT)

        job.cluster.wait(blocked, 30)

        assert job.items(blocked) == []


def test_a_chief_that_waits_for_the_others_ends_at_ctrl_c(tmp_path):
    job = Job(
        tmp_path,
        num_workers=1,
        num_works=2,
        step_secs=2,
        slow={"worker:0": 60.0},
        lease_secs=3600,
    )
    with job:
        # Each takes one; the chief is soon done and waits for the worker's.
        job.start()
        job.wait_for_item("worker:0")
        job.cluster.wait_for_line("chief:0", "the chief waits for 1 items", 60)
        job.kill("chief:0", signal.SIGINT)

        job.cluster.wait("chief:0", 30)


def test_an_error_in_a_train_step_ends_the_task(tmp_path):
    job = Job(tmp_path, num_workers=1, num_works=50, step_secs=0.1, fail_at=3)
    with job:
        job.start()
        job.cluster.wait_for_line("worker:0", "ValueError", 60)
        assert job.cluster.wait("worker:0", 30) != 0
        job.cluster.wait_for_line("chief:0", "ValueError", 60)
        assert job.cluster.wait("chief:0", 30) != 0
