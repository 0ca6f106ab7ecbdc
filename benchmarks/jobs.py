"""Jobs of `programs/hand_out.py` on a cluster of processes, and their times."""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from wq_hooks.launcher.local_cluster import Cluster, free_ports

ROOT = Path(__file__).parents[1]
_PROGRAM = Path(__file__).parent / "programs" / "hand_out.py"
_START_SECS = 120.0
_END_SECS = 150.0


@dataclass(frozen=True)
class Step:
    """An item that a task trained, between two instants in seconds."""

    task: str
    item: str
    begin: float
    end: float

    @property
    def num_records(self) -> int:
        """Number of records of the item."""
        return int(self.item.rpartition("=")[2])


@dataclass
class Job:
    """What happened in a job.

    Attributes:
      steps: What was trained, by the time of its end.
      killed_at: When a worker was killed.
      killed: Which one.
      has_ended: Whether all that lived came to their end.
    """

    steps: list[Step] = field(default_factory=list)
    killed_at: float = 0.0
    killed: str = ""
    has_ended: bool = True

    @property
    def begins(self) -> dict[str, float]:
        """When each task began its first step."""
        begins: dict[str, float] = {}
        for step in self.steps:
            begins[step.task] = min(
                step.begin, begins.get(step.task, step.begin)
            )
        return begins

    @property
    def makespan(self) -> float:
        """Seconds from the first step's begin to the last one's end."""
        return max(s.end for s in self.steps) - min(self.begins.values())


def run_job(
    how: str,
    works: Sequence[str],
    *,
    record_secs: float,
    num_workers: int = 3,
    slow: Mapping[str, float] | None = None,
    turns_slow_after: float = 0.0,
    lease_secs: float = 60.0,
    kill_after: float | None = None,
) -> Job:
    """Runs a job of a chief and workers to its end.

    Args:
      how: Where the items come from; see `programs/hand_out.py`.
      works: Each of the form `name=records`.
      record_secs: How long a task that is not slow takes for a record.
      num_workers: Beside the chief.
      slow: Task -> how many times slower it is.
      turns_slow_after: Seconds after its first step when it turns slow.
      lease_secs: Of the queue.
      kill_after: Seconds after the start at which the last worker is killed.
    """
    with tempfile.TemporaryDirectory() as directory:
        gate = Path(directory, "gate")
        (port,) = free_ports(1)
        command = [
            sys.executable,
            os.fspath(_PROGRAM),
            f"--how={how}",
            f"--gate={gate}",
            f"--works={json.dumps(list(works))}",
            f"--record_secs={record_secs}",
            f"--service={port}",
            f"--turns_slow_after={turns_slow_after}",
            f"--lease_secs={lease_secs}",
        ]
        env = {
            "PYTHONPATH": os.fspath(ROOT),
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "CUDA_VISIBLE_DEVICES": "",
        }
        job = Job()
        with Cluster(
            command, num_ps=1, num_workers=num_workers, slow=slow, env=env
        ) as cluster:
            cluster.start("ps:0", "chief:0")
            # The others would wait for 30 s if they came before the model.
            cluster.wait_for_line("chief:0", "^START", _START_SECS)
            workers = [f"worker:{i}" for i in range(num_workers)]
            cluster.start(*workers)
            for task in workers:
                cluster.wait_for_line(task, "^START", _START_SECS)
            gate.touch()
            waited_for = ["chief:0", *workers]
            if kill_after is not None:
                job.killed = waited_for.pop()
                time.sleep(kill_after)
                job.killed_at = time.time()
                cluster.kill(job.killed, signal.SIGKILL)
            for task in waited_for:
                try:
                    cluster.wait(task, _END_SECS)
                except TimeoutError:
                    job.has_ended = False
            for task in ["chief:0", *workers]:
                for line in cluster.lines(task, "stdout"):
                    words = line.split()
                    if words[:1] == ["STEP"]:
                        times = float(words[2]), float(words[3])
                        job.steps.append(Step(task, words[1], *times))
        job.steps.sort(key=lambda step: step.end)
        return job


def limit_secs(
    begins: Mapping[str, float],
    speeds: Mapping[str, float],
    num_records: int,
) -> float:
    """Returns the least makespan: work divided by the sum of speeds.

    A task adds its speed from its own first step on.

    Args:
      begins: When each task began, in seconds.
      speeds: Records per second of each.
      num_records: Of all works.
    """
    left, speed = float(num_records), 0.0
    start = now = min(begins.values())
    for task, begin in sorted(begins.items(), key=lambda pair: pair[1]):
        if speed * (begin - now) >= left:
            break
        left -= speed * (begin - now)
        now = begin
        speed += speeds[task]
    return now + left / speed - start
