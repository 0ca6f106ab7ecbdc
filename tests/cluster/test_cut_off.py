"""Tasks that are cut off from their parameter server."""

from __future__ import annotations

import signal
import time

import pytest

from tests.support.job import DEADLINE_SECS, Job

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
