"""Workers that only the parameter server and they themselves know of."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.support.job import DEADLINE_SECS, Job

pytestmark = pytest.mark.cluster

NUM_PLACES = 12
AT_FIRST = [f"worker:{i}" for i in range(2)]
ADDED = [f"worker:{i}" for i in range(2, NUM_PLACES)]
PREEMPTED = 143


class ElasticJob(Job):
    """A job whose tasks know no more of the cluster than they have to."""

    def environment(self, task):
        """Returns TF_CONFIG: parameter servers know all places."""
        config = json.loads(self.cluster.environment(task)["TF_CONFIG"])
        job, _, index = task.partition(":")
        if job != "ps":
            ps, own = config["cluster"]["ps"], config["cluster"][job]
            config["cluster"] = {"ps": ps, job: {index: own[int(index)]}}
        return {"TF_CONFIG": json.dumps(config)}

    def start_tasks(self, *tasks):
        for task in tasks:
            self.cluster.start(task, env=self.environment(task))


class Feed:
    """The file of works that the chief adds."""

    def __init__(self, path):
        self._path = Path(path)
        self._path.touch()
        self.names = []

    def add(self, number):
        first = len(self.names)
        self.names += [f"item-{i:04d}" for i in range(first, first + number)]
        self._write(*self.names[first:])

    def end(self):
        self._write("end")

    def _write(self, *lines):
        with open(self._path, "a") as file:
            file.write("".join(f"{line}\n" for line in lines))


def test_workers_scale_from_2_to_12_and_back(tmp_path):
    feed = Feed(tmp_path / "feed")
    job = ElasticJob(
        tmp_path,
        num_workers=NUM_PLACES,
        works=["item-9999"],
        feed=tmp_path / "feed",
        step_secs=0.1,
    )
    with job:
        job.start_tasks("ps:0", "chief:0", *AT_FIRST)
        for task in ("chief:0", *AT_FIRST):
            job.cluster.wait_for_line(task, "^START", DEADLINE_SECS)
        job.open()
        feed.add(30)
        job.wait_for_items(20)

        job.start_tasks(*ADDED)
        deadline = time.monotonic() + DEADLINE_SECS
        while not all(map(job.items, ADDED)):
            assert time.monotonic() < deadline, job.counts()
            feed.add(2 * NUM_PLACES)
            job.wait_for_items(len(feed.names) - NUM_PLACES)
        feed.add(4 * NUM_PLACES)
        num_before = {task: len(job.items(task)) for task in AT_FIRST}
        for task in ADDED:
            job.kill(task, 15)
        codes = {job.cluster.wait(task, DEADLINE_SECS) for task in ADDED}

        assert codes == {PREEMPTED}
        # The others go on with what remains, and with more.
        feed.add(20)
        feed.end()
        for task in ("chief:0", *AT_FIRST):
            assert job.cluster.wait(task, DEADLINE_SECS) == 0

        assert all(len(job.items(t)) > n for t, n in num_before.items())
        counts = job.counts()
        assert set(counts) == {"item-9999", *feed.names}
        # In order: a step that has run is acknowledged. On a busy machine one
        # that lasts longer than a second after the signal comes again.
        repeated = sum(counts.values()) - len(counts)
        assert repeated <= len(ADDED)
        log = job.log("chief:0")
        assert "was lost" not in log
