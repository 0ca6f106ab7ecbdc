"""Tasks that are cut off from their parameter server."""

from __future__ import annotations

import signal
import time

import pytest

from tests.support.job import DEADLINE_SECS, Job, names
from tests.support.network import Network, why_no_network

pytestmark = pytest.mark.cluster


@pytest.mark.parametrize("source", ["dataset", "records"])
def test_a_server_that_does_not_answer_ends_the_job(tmp_path, source):
    """It is stopped: its host goes on to accept, and nobody answers."""
    job = Job(
        tmp_path,
        num_works=1000,
        step_secs=0.05,
        lease_secs=2,
        give_up_secs=5,
        source=source,
    )
    with job:
        job.start()
        for task in ("chief:0", "worker:0"):
            job.wait_for_item(task)
        job.kill("ps:0", signal.SIGSTOP)
        for task in ("chief:0", "worker:0"):
            job.cluster.wait_for_line(
                task, "given to others what it held", DEADLINE_SECS
            )
            job.cluster.wait_for_line(
                task, f"{task} is cut off, and gives up", DEADLINE_SECS
            )
        begin = time.monotonic()
        for task in ("chief:0", "worker:0"):
            assert job.cluster.wait(task, DEADLINE_SECS) == 1
        assert time.monotonic() - begin < 5


def test_a_server_that_stays_away_ends_the_job(tmp_path):
    """It is killed: no session can be created in the place of the lost one."""
    with Job(
        tmp_path, num_works=1000, step_secs=0.05, lease_secs=2, give_up_secs=15
    ) as job:
        job.start()
        for task in ("chief:0", "worker:0"):
            job.wait_for_item(task)
        job.kill("ps:0")
        for task in ("chief:0", "worker:0"):
            job.cluster.wait_for_line(
                task, "its session was lost, and no other", DEADLINE_SECS
            )
            assert job.cluster.wait(task, DEADLINE_SECS) == 1


def test_a_worker_that_is_cut_off_gives_up_and_the_others_go_on(tmp_path):
    if why_no_network():
        pytest.skip(why_no_network())
    tasks = ["ps:0", "chief:0", "worker:0"]
    with (
        Network(tasks) as network,
        Job(
            tmp_path,
            network=network,
            num_works=100,
            step_secs=0.1,
            lease_secs=3,
            give_up_secs=6,
        ) as job,
    ):
        job.start()
        job.wait_for_item("worker:0")
        network.cut("worker:0")
        job.cluster.wait_for_line(
            "worker:0", "given to others what it held", DEADLINE_SECS
        )
        job.cluster.wait_for_line("worker:0", "gives up", DEADLINE_SECS)
        begin = time.monotonic()
        assert job.cluster.wait("worker:0", DEADLINE_SECS) == 1
        assert time.monotonic() - begin < 5
        assert job.cluster.wait("chief:0", DEADLINE_SECS) == 0

        assert set(job.counts()) == set(names(100))
        # Its host is silent, which is no death.
        assert "worker:0 was lost" in job.log("chief:0")
        assert "has died" not in job.log("chief:0")


def test_a_link_that_comes_back_in_time_ends_nobody(tmp_path):
    if why_no_network():
        pytest.skip(why_no_network())
    with (
        Network(["ps:0", "chief:0", "worker:0"]) as network,
        Job(
            tmp_path,
            network=network,
            num_works=100,
            step_secs=0.1,
            lease_secs=2,
            give_up_secs=600,
        ) as job,
    ):
        job.start()
        job.wait_for_item("worker:0")
        network.cut("worker:0")
        job.cluster.wait_for_line(
            "worker:0", "given to others what it held", DEADLINE_SECS
        )
        network.heal("worker:0")

        assert set(job.cluster.wait_for_job(DEADLINE_SECS).values()) == {0}

        assert set(job.counts()) == set(names(100))
