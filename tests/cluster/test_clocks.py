"""Wall clocks that are set an hour back and forth while a job runs."""

from __future__ import annotations

import json
import sys

import pytest
import tensorflow as tf

from tests.support import forked, shifted_clock
from tests.support.environment import environment
from tests.support.job import DEADLINE_SECS, Job, names
from tests.support.paths import PROGRAMS

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def clock(tmp_path_factory):
    return shifted_clock.environment(tmp_path_factory.mktemp("clock"))


def hours(lines):
    """Returns how many hours a process has seen its clock ahead."""
    return [int(line.split()[1]) for line in lines if line.startswith("HOURS")]


def check(position, *, num_items):
    """Checks that the account is right, of all items and none in flight."""
    body = json.loads(position)["body"]
    assert (body["next_ticket"], body["outstanding"]) == (num_items, [])


def test_a_job_in_graph_mode(clock, tmp_path):
    job = Job(
        tmp_path,
        clock=clock,
        source="take",
        num_works=40,
        step_secs=0.05,
        save_steps=20,
    )
    assert set(job.run().values()) == {0}
    assert job.counts() == dict.fromkeys(names(40), 1)
    # An hour is more than a lease.
    assert "was lost" not in job.log("chief:0")
    for task in job.cluster.tasks:
        assert hours(job.cluster.lines(task, "stdout")) == [-1, 1]
    path = tf.train.latest_checkpoint(str(tmp_path))
    check(tf.train.load_variable(path, "work_queue/position"), num_items=40)


def test_a_loop_in_eager_mode(clock):
    done = forked.run(
        [sys.executable, str(PROGRAMS / "clocked.py"), "read"],
        env={**environment(), **clock},
        timeout=DEADLINE_SECS,
        check=True,
    )
    lines = done.stdout.splitlines()
    got = [line.split()[1] for line in lines if line.startswith("GOT")]
    assert got == [str(i) for i in range(40)]
    assert hours(lines) == [-1, 1]
    (text,) = (line for line in lines if line.startswith("POSITION"))
    check(text.partition(" ")[2], num_items=40)
