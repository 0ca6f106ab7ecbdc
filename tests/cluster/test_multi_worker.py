"""A queue under MultiWorkerMirroredStrategy, on processes of their own."""

from __future__ import annotations

import re
import sys

import pytest

from tests.support.environment import environment
from tests.support.keras_version import has_keras_2
from tests.support.paths import ROOT
from wq_hooks.launcher.local_cluster import Cluster
from wq_hooks.launcher.ports import free_ports

PROGRAM = ROOT / "tests" / "programs" / "train_mirrored.py"
# A long file at the end: whoever gets it has more data than the other.
ROWS = [8] * 7 + [48]
DEADLINE_SECS = 120.0

pytestmark = pytest.mark.cluster


class Job:
    """Two tasks, the first of which serves the queue."""

    def __init__(self, directory, mode):
        rows = iter(range(sum(ROWS)))
        works = []
        for i, num_rows in enumerate(ROWS):
            works.append(directory / f"{i}.txt")
            works[-1].write_text(
                "".join(f"{next(rows)}\n" for _ in range(num_rows))
            )
        (port,) = free_ports(1)
        command = [sys.executable, str(PROGRAM), f"--mode={mode}"]
        command += [f"--port={port}", f"--num_records={sum(ROWS)}"]
        command += [f"--checkpoint={directory / 'model'}"]
        command += ["--works", *map(str, works)]
        env = environment(has_keras=True)
        self.cluster = Cluster(command, num_ps=0, num_workers=1, env=env)

    def __enter__(self):
        self.cluster.__enter__()
        self.cluster.start("chief:0", "worker:0")
        return self

    def __exit__(self, *exception):
        return self.cluster.__exit__(*exception)

    def wait_for_end(self):
        assert set(self.cluster.wait_for_job(DEADLINE_SECS).values()) == {0}

    def find(self, pattern, task="chief:0"):
        """Returns the groups of the lines of a task that match."""
        text = "\n".join(self.cluster.lines(task, "stdout"))
        return re.findall(f"^{pattern}$", text, re.M)


def test_a_loop_of_ones_own_ends_when_all_is_trained(tmp_path):
    with Job(tmp_path, "loop") as job:
        job.wait_for_end()

    assert job.find(r"LOST (\d+) REPEATED (\d+)") == [("0", "0")]
    assert job.find(r"DONE (\w+)") == ["True"]
    rows = {
        task: [int(n) for n in job.find(r"ROWS (\d+) OF \d", task)]
        for task in ("chief:0", "worker:0")
    }
    assert sum(rows["chief:0"]) + sum(rows["worker:0"]) == sum(ROWS)
    assert all(sum(own) > 0 for own in rows.values())
    # One had no more data while the other went on, in step with it.
    assert len(rows["chief:0"]) == len(rows["worker:0"])
    assert {0} < set(rows["chief:0"]) | set(rows["worker:0"])
    assert job.find(r"FINITE (\w+)") == ["True"]


def test_a_job_that_is_killed_goes_on_at_its_checkpoint(tmp_path):
    with Job(tmp_path, "loop") as job:
        job.cluster.wait_for_line("chief:0", "SAVED 4", DEADLINE_SECS)
        job.cluster.kill_all()
    with Job(tmp_path, "loop") as job:
        job.wait_for_end()

    assert len(job.find("RESTORED .*")) == 1
    # The counts are in the checkpoint, as the weights are.
    ((lost, _),) = job.find(r"LOST (\d+) REPEATED (\d+)")
    assert lost == "0"
    assert job.find(r"DONE (\w+)") == ["True"]
    assert job.find(r"FINITE (\w+)") == ["True"]


@pytest.mark.skipif(not has_keras_2, reason="not supported by Keras 3")
def test_fit_ends_when_all_is_trained(tmp_path):
    with Job(tmp_path, "fit") as job:
        job.wait_for_end()

    # tf.data gives each task all records that the queue has given it.
    assert job.find(r"LOST (\d+) REPEATED (\d+)") == [("0", "0")]
    assert job.find(r"DONE (\w+)") == ["True"]
    assert set(job.find(r"OF (\d)")) == {"1", "2"}
    assert job.find(r"FINITE (\w+)") == ["True"]
