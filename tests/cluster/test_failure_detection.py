"""Tasks that die, and tasks that are only slow, on a real cluster."""

from __future__ import annotations

import signal

import pytest

from tests.support.job import DEADLINE_SECS, Job, names

pytestmark = pytest.mark.cluster

# Nobody waits for such a lease.
LEASE_SECS = 3600


def test_what_a_killed_worker_held_comes_back_without_its_lease(tmp_path):
    job = Job(
        tmp_path,
        num_workers=2,
        num_works=60,
        step_secs=0.1,
        lease_secs=LEASE_SECS,
    )
    with job:
        job.start()
        job.wait_for_item("worker:1")
        job.kill("worker:1")

        job.cluster.wait("chief:0", DEADLINE_SECS)
        job.cluster.wait("worker:0", DEADLINE_SECS)

        counts = job.counts()
        assert set(counts) == set(names(60))
        assert sum(counts.values()) <= 60 + 1
        assert "worker:1 has died" in job.log("chief:0")


def test_a_worker_that_is_stopped_keeps_its_items(tmp_path):
    job = Job(
        tmp_path,
        num_workers=2,
        num_works=80,
        step_secs=0.1,
        lease_secs=LEASE_SECS,
    )
    with job:
        job.start()
        job.wait_for_item("worker:1")
        job.kill("worker:1", signal.SIGSTOP)
        # The others need longer for the rest than a death would take to show.
        job.cluster.wait_for_line(
            "chief:0", r"the chief waits for \d items", DEADLINE_SECS
        )
        job.kill("worker:1", signal.SIGCONT)

        assert set(job.cluster.wait_for_job(DEADLINE_SECS).values()) == {0}

    assert job.counts() == dict.fromkeys(names(80), 1)
    assert "has died" not in job.log("chief:0")
