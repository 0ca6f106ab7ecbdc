"""Which task of the cluster this process is, and whether it is the chief.

    task = Task.find(device="/job:worker/task:1", environ=os.environ)
    task.name       # "worker:1"

TF_CONFIG (Estimator and the launchers set it) tells, whatever the device says:
scripts give their servers other jobs, such as /job:worker/task:0 to the chief
and /job:worker/task:1 to worker 0. Without it, the device tells that a
replica_device_setter gives to the ops of this worker.

The trap: in a cluster without a chief, worker 0 is the chief by convention
alone. Its TF_CONFIG may merely lack the chief that the others know; so such a
task is presumed to be the chief, and gives way to one that is (see
`wq_hooks.runtime.transport.meeting`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_CHIEF_JOBS = ("chief", "master")
# Jobs whose devices are those of the worker's own ops.
_WORKER_JOBS = (*_CHIEF_JOBS, "worker", "evaluator", "localhost")
_DEVICE = re.compile(r"/job:(\w+)(?:/replica:\d+)?(?:/task:(\d+))?")


@dataclass(frozen=True)
class Task:
    """A task of the cluster.

    Attributes:
      job: Name, such as "worker", or "local" without a cluster.
      index: Number of the task in its job.
      is_chief: Whether it keeps the ledger: the job chief (or master), else
        worker 0, else task 0 of a job of another name; a process without a
        cluster and an evaluator are their own.
      is_presumed: Whether it is the chief by convention alone.
    """

    job: str
    index: int
    is_chief: bool
    is_presumed: bool = field(default=False, compare=False)

    @property
    def name(self) -> str:
        """Such as "worker:1"."""
        return f"{self.job}:{self.index}"

    @classmethod
    def find(cls, *, device: str, environ: Mapping[str, str]) -> Task:
        """Returns the task of this process.

        Args:
          device: Device of an op of this worker, such as "/job:worker/task:1";
            "" if none was given.
          environ: The environment, for TF_CONFIG.

        Raises:
          ValueError: If TF_CONFIG is no JSON of the documented form.
        """
        jobs, job, index = _from_tf_config(environ.get("TF_CONFIG", ""))
        match = _DEVICE.search(device)
        # "/job:localhost" is what a session without a cluster says.
        if match and match.group(1) == "localhost":
            return cls("local", 0, is_chief=True)
        if job is None and match and match.group(1) != "ps":
            job, index = match.group(1), int(match.group(2) or 0)
        if job is None:
            # On a parameter server others may say the same.
            return cls("local", 0, is_chief=True, is_presumed=True)
        if job in (*_CHIEF_JOBS, "evaluator"):
            return cls(job, index, is_chief=True)
        has_chief = any(name in jobs for name in _CHIEF_JOBS)
        leads = job == "worker" or (job != "ps" and "worker" not in jobs)
        is_chief = leads and index == 0 and not has_chief
        return cls(job, index, is_chief=is_chief, is_presumed=is_chief)


def is_of_servers(
    job_device: str, variable_device: str, environ: Mapping[str, str]
) -> bool:
    """Returns whether a device is that of parameter servers, of any job name.

    A scope that puts a whole queue on a parameter server says so of the ops
    that belong to this process, too.

    Args:
      job_device: Device of an op in the scope.
      variable_device: Device of a variable in the scope.
      environ: The environment, for TF_CONFIG.
    """
    match = _DEVICE.search(job_device)
    if match is None:
        return False
    job = match.group(1)
    if job == "ps":
        return True
    # A replica_device_setter puts them on different jobs.
    if job in _WORKER_JOBS or f"/job:{job}/" not in f"{variable_device}/":
        return False
    _, own_job, _ = _from_tf_config(environ.get("TF_CONFIG", ""))
    return job != own_job


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

    One that names parameter servers and this task alone does not: others may
    come that need not be known here (docs/elastic.md).

    Args:
      environ: The environment, for TF_CONFIG.
    """
    jobs, job, _ = _from_tf_config(environ.get("TF_CONFIG", ""))
    if job is None or not jobs:
        return None
    cluster = json.loads(environ["TF_CONFIG"])["cluster"]
    number = sum(
        len(addresses)
        for name, addresses in cluster.items()
        if name not in ("ps", "evaluator")
    )
    return None if number == 1 and "ps" in jobs else number or None


def addresses_in(environ: Mapping[str, str]) -> dict[str, str]:
    """Returns the addresses of the tasks by name; {} if TF_CONFIG lacks them.

    Args:
      environ: The environment, for TF_CONFIG.
    """
    jobs, job, _ = _from_tf_config(environ.get("TF_CONFIG", ""))
    if job is None or not jobs:
        return {}
    cluster = json.loads(environ["TF_CONFIG"])["cluster"]
    return {
        f"{name}:{index}": str(address)
        for name, addresses in cluster.items()
        for index, address in (
            addresses.items()
            if isinstance(addresses, dict)
            else enumerate(addresses)
        )
    }
