"""Two chiefs of one queue, by mistake or since the first was stopped.

The second one is worker 1, which takes itself for the chief.
"""

from __future__ import annotations

import signal

import pytest
import tensorflow as tf

from tests.support.job import DEADLINE_SECS, Job, names

pytestmark = pytest.mark.cluster

NUM_WORKS = 40
SECOND = "worker:1"


@pytest.fixture
def feed(tmp_path):
    """More works may come, so no task leaves before the test says so."""
    path = tmp_path / "feed"
    path.touch()
    return path


@pytest.fixture
def job(tmp_path, feed):
    with Job(
        tmp_path,
        num_workers=2,
        num_works=NUM_WORKS,
        step_secs=0.1,
        save_steps=1,
        lease_secs=3600,
        feed=feed,
    ) as job:
        job.cluster.start("ps:0", "chief:0", "worker:0")
        for task in ("chief:0", "worker:0"):
            job.cluster.wait_for_line(task, "^START", DEADLINE_SECS)
        job.open()
        for task in ("chief:0", "worker:0"):
            job.wait_for_item(task)
        yield job


def start_second(job):
    job.cluster.start(SECOND, env={"SECOND_CHIEF": "1"})


def trained(path):
    """Returns how often each item was trained, as the model has it."""
    return tf.train.load_variable(str(path), "counts")[:NUM_WORKS]


def test_the_one_that_comes_second_ends_and_harms_nobody(tmp_path, job, feed):
    start_second(job)
    assert job.cluster.wait(SECOND, DEADLINE_SECS) == 1
    feed.write_text("end\n")
    for task in ("chief:0", "worker:0"):
        assert job.cluster.wait(task, DEADLINE_SECS) == 0

    assert "TwoChiefsError" in job.log(SECOND)
    assert "(chief:0) feeds it" in job.log(SECOND)
    assert job.items(SECOND) == []
    assert job.counts() == dict.fromkeys(names(NUM_WORKS), 1)
    assert set(trained(tmp_path)) == {1}


def test_a_chief_that_wakes_up_finds_its_successor_and_ends(
    tmp_path, job, feed
):
    job.kill("chief:0", signal.SIGSTOP)
    start_second(job)
    job.wait_for_item(SECOND)
    job.kill("chief:0", signal.SIGCONT)

    assert job.cluster.wait("chief:0", DEADLINE_SECS) == 1
    feed.write_text("end\n")
    for task in (SECOND, "worker:0"):
        assert job.cluster.wait(task, DEADLINE_SECS) == 0

    assert "TwoChiefsError" in job.log("chief:0")
    assert (trained(tmp_path) >= 1).all()
    # In flight at the takeover, or trained in a step that was under way.
    assert trained(tmp_path).sum() <= NUM_WORKS + 4
