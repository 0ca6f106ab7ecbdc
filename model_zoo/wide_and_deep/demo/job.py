"""Runs one job on a cluster of this machine, and stays in charge of it.

    job = Job(command, num_workers=2, slow={"worker:1": 4.0}, log_dir="logs")
    was_killed = job.run(watch, timeout_secs=300)

Each task writes its output to a file. When `run` returns or raises, also by
ctrl-C, no process of the job is left.
"""

from __future__ import annotations

import os
import pathlib
import signal
import time
from collections.abc import Mapping, Sequence
from typing import Callable

from wq_hooks.cli.launch import LogFiles
from wq_hooks.launcher.local_cluster import Cluster

_POLL_SECS = 0.25
_NUM_LAST_LINES = 15
_ROOT = pathlib.Path(__file__).resolve().parents[3]


class JobFailedError(Exception):
    """A task has failed, or the job has not ended in time."""


class Job:
    """A job of one parameter server, a chief and workers.

    Args:
      command: What each task runs.
      num_workers: Workers beside the chief.
      slow: Task -> how many times slower it is to be.
      log_dir: Where each task's output goes.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        num_workers: int,
        slow: Mapping[str, float],
        log_dir: str,
    ) -> None:
        self._log_dir = pathlib.Path(log_dir)
        paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        self._cluster = Cluster(
            command,
            num_workers=num_workers,
            slow=slow,
            env={
                "PYTHONPATH": os.pathsep.join(paths),
                "TF_CPP_MIN_LOG_LEVEL": "2",
                # A crash tells where.
                "PYTHONFAULTHANDLER": "1",
                # One graphics card is not enough for four processes.
                "CUDA_VISIBLE_DEVICES": "",
            },
            grace_secs=2.0,
            on_line=lambda line: self._logs.write(line),
        )

    @property
    def num_processes(self) -> int:
        """How many tasks there are, parameter server included."""
        return len(self._cluster)

    def run(self, watch: Callable[[], bool], *, timeout_secs: float) -> bool:
        """Runs the job to its end.

        Args:
          watch: Called again and again meanwhile; True: kill the whole job.
          timeout_secs: How long it may take.

        Returns:
          Whether the job was killed.

        Raises:
          JobFailedError: If a task fails, or the job has not ended in time;
            with the last lines that the task has written.
        """
        deadline = time.monotonic() + timeout_secs
        cluster = self._cluster
        with LogFiles(self._log_dir, cluster.tasks) as self._logs, cluster:
            cluster.start()
            while any(map(cluster.is_running, cluster.job_tasks)):
                self._check_tasks()
                if watch():
                    cluster.kill_all(signal.SIGKILL)
                    for task in cluster.tasks:
                        cluster.wait(task, timeout_secs=30)
                    return True
                if time.monotonic() > deadline:
                    raise self._not_in_time(timeout_secs)
                time.sleep(_POLL_SECS)
            self._check_tasks()
            watch()
        return False

    def _check_tasks(self) -> None:
        cluster = self._cluster
        ended = [t for t in cluster.tasks if not cluster.is_running(t)]
        # A parameter server first: the others fail with it.
        for task in sorted(ended, key=lambda t: t in cluster.job_tasks):
            returncode = cluster.returncode(task)
            if returncode or task not in cluster.job_tasks:
                raise JobFailedError(
                    f"{task} has ended with exit code {returncode}."
                    + self._last_lines(task)
                )

    def _not_in_time(self, timeout_secs: float) -> JobFailedError:
        cluster = self._cluster
        running = [t for t in cluster.job_tasks if cluster.is_running(t)]
        return JobFailedError(
            f"Expected the job to end within {timeout_secs:g} s; "
            f"{', '.join(running)} still running."
            + "".join(map(self._last_lines, running))
        )

    def _last_lines(self, task: str) -> str:
        lines = self._cluster.lines(task)[-_NUM_LAST_LINES:]
        path = self._log_dir / f"{task.replace(':', '_')}.log"
        return f"\nThe end of {path}:" + "".join(f"\n  {x}" for x in lines)
