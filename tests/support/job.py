"""A job of tests/programs/train.py on a local cluster, and what it did."""

from __future__ import annotations

import re
import signal
import sys
import time
import uuid
from collections import Counter
from pathlib import Path

from tests.support.environment import environment
from tests.support.paths import PROGRAMS
from wq_hooks.launcher.local_cluster import Cluster

PROGRAM = PROGRAMS / "train.py"
DEADLINE_SECS = 120.0

_GOT = re.compile(r"^GOT (\S+) (\d+)$")


class Job:
    """Starts the tasks so that they begin to train together."""

    def __init__(
        self,
        checkpoint,
        *,
        num_workers=1,
        slow=None,
        network=None,
        clock=None,
        **flags,
    ):
        self._gate = Path(checkpoint) / f"gate-{uuid.uuid4().hex}"
        command = [sys.executable]
        if network is not None:
            command += [str(PROGRAMS / "on_network.py"), network.to_json()]
        if clock is not None:
            command += [str(PROGRAMS / "clocked.py")]
        command += [str(PROGRAM)]
        command += [f"--checkpoint={checkpoint}", f"--gate={self._gate}"]
        works = flags.pop("works", None)
        command += [f"--{key}={value}" for key, value in flags.items()]
        if works:
            command += ["--works", *works]
        self.cluster = Cluster(
            command,
            num_ps=1,
            num_workers=num_workers,
            slow=slow,
            env={**environment(), **(clock or {})},
        )

    def __enter__(self):
        self.cluster.__enter__()
        return self

    def __exit__(self, *exception):
        return self.cluster.__exit__(*exception)

    def start(self, *, wait_for_workers=True):
        """Starts all tasks; no step is run before all of them are there.

        Args:
          wait_for_workers: False: the chief does not wait for workers, which
            start when it has begun.
        """
        cluster = self.cluster
        workers = [t for t in cluster.tasks if t.startswith("worker")]
        cluster.start("ps:0", "chief:0", *(workers if wait_for_workers else []))
        for task in cluster.job_tasks if wait_for_workers else ["chief:0"]:
            cluster.wait_for_line(task, "^START", DEADLINE_SECS)
        if workers and not wait_for_workers:
            cluster.start(*workers)
        self.open()

    def open_model(self):
        """Lets workers make their sessions, whoever has made the model."""
        Path(f"{self._gate}-model").touch()

    def open(self):
        """Lets all tasks train."""
        self._gate.touch()

    def run(self, **kwargs):
        """Runs the job to its end; returns its exit codes."""
        with self:
            self.start(**kwargs)
            return self.cluster.wait_for_job(DEADLINE_SECS)

    def kill(self, task, signum=signal.SIGKILL):
        self.cluster.kill(task, signum)

    def wait_for_item(self, task, *, after=0):
        """Waits until a task has trained an item; returns its name."""
        match = self.cluster.wait_for_line(
            task, _GOT.pattern, DEADLINE_SECS, after=after
        )
        return match.group(1)

    def wait_for_any_item(self):
        """Waits until some task has trained an item; returns the task."""
        deadline = time.monotonic() + DEADLINE_SECS
        while time.monotonic() < deadline:
            for task in self.cluster.job_tasks:
                if self.items(task):
                    return task
            time.sleep(0.02)
        raise TimeoutError("No task has trained an item.")

    def wait_for_items(self, num):
        """Waits until so many items have been trained, by all together."""
        deadline = time.monotonic() + DEADLINE_SECS
        while len(self.items()) < num:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{num} items; got {self.counts()}.")
            time.sleep(0.02)

    def items(self, task=None):
        """Returns the items that were trained, in order, of one task or all."""
        tasks = [task] if task else self.cluster.job_tasks
        return [
            match.group(1)
            for name in tasks
            for line in self.cluster.lines(name, "stdout")
            if (match := _GOT.match(line))
        ]

    def counts(self):
        return Counter(self.items())

    def log(self, task):
        return "\n".join(self.cluster.lines(task, "stderr"))


def names(num_works):
    return [f"item-{i:04d}" for i in range(num_works)]
