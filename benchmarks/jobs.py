"""Jobs of `programs/hand_out.py` on a cluster of processes, and their times."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from wq_hooks.launcher.local_cluster import Cluster
from wq_hooks.launcher.ports import free_ports

ROOT = Path(__file__).parents[1]
_PROGRAM = Path(__file__).parent / "programs" / "hand_out.py"
_START_SECS = 120.0
_END_SECS = 150.0
# Sessions have just begun, and all of them prepare what runs beside the reader,
# on the same cores: that is over before the first step of a job.
_SETTLE_SECS = 0.5


@dataclass(frozen=True)
class Step:
    """An item that a task trained, between two instants in seconds."""

    task: str
    item: str
    num_records: int
    begin: float
    end: float


@dataclass(frozen=True)
class Load:
    """What a job does.

    Attributes:
      how: Where the items come from; see `programs/hand_out.py`.
      works: Each of the form `name=records`.
      record_secs: How long a task that is not slow takes for a record.
      turns_slow_after: Seconds after its first step when a task turns slow.
      lease_secs: See WorkQueue.
    """

    how: str
    works: tuple[str, ...]
    record_secs: float
    turns_slow_after: float = 0.0
    lease_secs: float = 60.0


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
    def num_records(self) -> int:
        """How many were trained, counted once for each item."""
        return sum({s.item: s.num_records for s in self.steps}.values())

    @property
    def makespan(self) -> float:
        """Seconds from the first step's begin to the last one's end."""
        return max(s.end for s in self.steps) - min(self.begins.values())


def run_jobs(
    loads: Sequence[Load],
    *,
    num_workers: int = 3,
    slow: Mapping[str, float] | None = None,
    kill_after: float | None = None,
    is_up: threading.Event | None = None,
) -> list[Job]:
    """Runs jobs of a chief and workers to their end, one after the other.

    All of them in the same processes, which take longer to start than a job.

    Args:
      loads: What each job does.
      num_workers: Number of workers beside the chief.
      slow: Task -> how many times slower it is.
      kill_after: Seconds after the start of the only job at which the last
        worker is killed.
      is_up: Set when all processes have started, and the first job begins.
    """
    with tempfile.TemporaryDirectory() as directory:
        (port,) = free_ports(1)
        command = [
            sys.executable,
            os.fspath(_PROGRAM),
            f"--directory={directory}",
            f"--loads={json.dumps([dataclasses.asdict(x) for x in loads])}",
            f"--service={port}",
        ]
        env = {
            "PYTHONPATH": os.fspath(ROOT),
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "CUDA_VISIBLE_DEVICES": "",
        }
        with Cluster(
            command, num_ps=1, num_workers=num_workers, slow=slow, env=env
        ) as cluster:
            cluster.start()
            tasks = ["chief:0", *(f"worker:{i}" for i in range(num_workers))]
            for task in tasks:
                cluster.wait_for_line(task, "^START 0$", _START_SECS)
            if is_up is not None:
                is_up.set()
            return [
                _run_job(cluster, tasks, number, Path(directory), kill_after)
                for number in range(len(loads))
            ]


def _run_job(
    cluster: Cluster,
    tasks: Sequence[str],
    number: int,
    directory: Path,
    kill_after: float | None,
) -> Job:
    job = Job()
    for task in tasks:
        cluster.wait_for_line(task, f"^START {number}$", _START_SECS)
    time.sleep(_SETTLE_SECS)
    (directory / f"gate-{number}").touch()
    waited_for = list(tasks)
    if kill_after is not None:
        job.killed = waited_for.pop()
        time.sleep(kill_after)
        job.killed_at = time.time()
        cluster.kill(job.killed, signal.SIGKILL)
    for task in waited_for:
        try:
            cluster.wait_for_line(task, f"^END {number}$", _END_SECS)
        except TimeoutError:
            job.has_ended = False
    for task in tasks:
        for line in cluster.lines(task, "stdout"):
            words = line.split()
            if words[:2] == ["STEP", str(number)]:
                times = float(words[4]), float(words[5])
                step = Step(task, words[2], int(words[3]), *times)
                job.steps.append(step)
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
      num_records: Number of records of all works.
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
