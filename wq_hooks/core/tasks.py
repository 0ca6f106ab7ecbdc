"""Which task of the cluster this process is, and whether it is the chief.

    task = Task.find(device="/job:worker/task:1", environ=os.environ)
    task.name       # "worker:1"

Two sources tell: TF_CONFIG (Estimator and the launchers set it) and the device
that a replica_device_setter gives to the ops of this worker.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

_CHIEF_JOBS = ("chief", "master")
_DEVICE = re.compile(r"/job:(\w+)(?:/replica:\d+)?(?:/task:(\d+))?")


@dataclass(frozen=True)
class Task:
    """A task of the cluster.

    Attributes:
      job: Such as "worker", or "local" without a cluster.
      index: Its number in the job.
      is_chief: Whether it keeps the ledger: the job chief (or master), else
        worker 0; a process without a cluster and an evaluator are their own.
    """

    job: str
    index: int
    is_chief: bool

    @property
    def name(self) -> str:
        """Such as "worker:1"."""
        return f"{self.job}:{self.index}"

    @classmethod
    def find(cls, *, device: str, environ: Mapping[str, str]) -> Task:
        """Returns the task of this process.

        Args:
          device: Of an op of this worker, such as "/job:worker/task:1"; ""
            if none was given.
          environ: The environment, for TF_CONFIG.

        Raises:
          ValueError: If TF_CONFIG is no JSON of the documented form.
        """
        jobs, job, index = _from_tf_config(environ.get("TF_CONFIG", ""))
        match = _DEVICE.search(device)
        if match and match.group(1) != "ps":
            # "/job:localhost" is what a session without a cluster says.
            if match.group(1) == "localhost":
                return cls("local", 0, is_chief=True)
            job, index = match.group(1), int(match.group(2) or 0)
        if job is None:
            return cls("local", 0, is_chief=True)
        if job == "evaluator":
            return cls(job, index, is_chief=True)
        has_chief = any(name in jobs for name in _CHIEF_JOBS)
        return cls(
            job,
            index,
            is_chief=job in _CHIEF_JOBS
            or (job == "worker" and index == 0 and not has_chief),
        )


def _from_tf_config(text: str) -> tuple[frozenset[str], str | None, int]:
    """Returns (jobs of the cluster, job or None, index) of TF_CONFIG."""
    if not text.strip():
        return frozenset(), None, 0
    try:
        config = json.loads(text)
        task = config.get("task") or {}
        jobs = frozenset(config.get("cluster") or {})
        job = task.get("type")
        if not isinstance(job, (str, type(None))):
            raise TypeError(f"task type {job!r:.80}")
        index = int(task.get("index", 0))
    except (ValueError, AttributeError, TypeError) as e:
        raise ValueError(
            "Expected TF_CONFIG to be JSON with the keys cluster and task; "
            f"got {text!r:.200}."
        ) from e
    return jobs, job, index


def num_workers(environ: Mapping[str, str]) -> int | None:
    """Returns how many tasks train, by TF_CONFIG; None if it does not say.

    Args:
      environ: The environment.
    """
    jobs, job, _ = _from_tf_config(environ.get("TF_CONFIG", ""))
    if job is None or not jobs:
        return None
    cluster = json.loads(environ["TF_CONFIG"])["cluster"]
    counts = [
        len(addresses)
        for name, addresses in cluster.items()
        if name not in ("ps", "evaluator")
    ]
    return sum(counts) or None
