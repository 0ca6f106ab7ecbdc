"""Who takes part in the job: from TF_CONFIG or from the classic flags.

    cluster = Cluster.from_tf_config(os.environ.get("TF_CONFIG"))
    if cluster.is_ps: ...

Jobs are named as Estimator names them: one `chief`, any number of `worker`,
`ps` and `evaluator`. With `--ps_hosts` and `--worker_hosts`, worker 0 is the
chief, and worker k of the flags is worker k - 1 of the cluster.

The trap: sessions need `device_filters`. Without them a session waits for all
tasks of the cluster, and a worker that dies takes the others with it.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence

CHIEF = "chief"
WORKER = "worker"
PS = "ps"
EVALUATOR = "evaluator"
_JOBS = (CHIEF, WORKER, PS, EVALUATOR)


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The job's tasks and which of them this process is.

    Attributes:
      spec: Addresses (`host:port`) by job, without evaluators; empty: a single
        process, which is the chief.
      job: This task's job, one of chief, worker, ps, evaluator.
      index: This task's number in its job.
    """

    spec: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)
    job: str = CHIEF
    index: int = 0

    def __post_init__(self) -> None:
        if self.job not in _JOBS:
            raise ValueError(f"Expected a job of {_JOBS}; got {self.job!r}.")
        if not self.spec:
            if self.job != CHIEF:
                raise ValueError(
                    f"Expected the addresses of a cluster for task "
                    f"{self.job}:{self.index}; got none."
                )
            return
        if len(self.spec.get(CHIEF, ())) != 1:
            raise ValueError(
                f"Expected one chief; got {list(self.spec.get(CHIEF, ()))}."
            )
        if not self.spec.get(PS):
            raise ValueError(
                "Expected at least one parameter server; got a cluster of "
                f"{sorted(self.spec)}. For a single process, give none at all."
            )
        num_tasks = len(self.spec.get(self.job, ()))
        if self.job != EVALUATOR and not 0 <= self.index < num_tasks:
            raise ValueError(
                f"Expected a task index of {self.job} below {num_tasks}; got "
                f"{self.index}."
            )

    @classmethod
    def from_tf_config(cls, tf_config: str | None) -> Cluster:
        """Reads TF_CONFIG's JSON; None or `""`: a single process.

        A cluster without a chief has worker 0 for one, as in Keras.
        """
        try:
            config = json.loads(tf_config or "{}")
        except json.JSONDecodeError as e:
            raise ValueError(f"Expected TF_CONFIG to be JSON; got {e}.") from e
        spec = {
            job: list(hosts) for job, hosts in config.get("cluster", {}).items()
        }
        spec.pop(EVALUATOR, None)
        if not spec:
            return cls()
        task = config.get("task", {})
        job, index = task.get("type", CHIEF), int(task.get("index", 0))
        if CHIEF in spec:
            return cls(spec, job, index)
        return cls._with_first_worker_as_chief(spec, job, index)

    @classmethod
    def from_hosts(
        cls,
        *,
        ps_hosts: Sequence[str],
        worker_hosts: Sequence[str],
        job_name: str,
        task_index: int,
    ) -> Cluster:
        """Reads the classic flags; worker 0 is the chief."""
        if not worker_hosts or not job_name:
            raise ValueError(
                "Expected --ps_hosts, --worker_hosts, --job_name and "
                f"--task_index together; got ps_hosts={list(ps_hosts)}, "
                f"worker_hosts={list(worker_hosts)}, job_name={job_name!r}."
            )
        spec = {PS: list(ps_hosts), WORKER: list(worker_hosts)}
        return cls._with_first_worker_as_chief(spec, job_name, task_index)

    @classmethod
    def _with_first_worker_as_chief(
        cls, spec: dict[str, list[str]], job: str, index: int
    ) -> Cluster:
        workers = spec.pop(WORKER, [])
        spec[CHIEF] = workers[:1]
        if workers[1:]:
            spec[WORKER] = workers[1:]
        if job == WORKER:
            job, index = (CHIEF, 0) if index == 0 else (WORKER, index - 1)
        return cls(spec, job, index)

    @property
    def is_local(self) -> bool:
        """Whether there is no cluster, only this process."""
        return not self.spec

    @property
    def is_chief(self) -> bool:
        """Whether this task initialises, saves and evaluates the model."""
        return self.job == CHIEF

    @property
    def task(self) -> str:
        """This task's name, such as `worker:1`."""
        return f"{self.job}:{self.index}"

    @property
    def num_ps(self) -> int:
        """How many parameter servers there are."""
        return len(self.spec.get(PS, ()))

    @property
    def num_trainers(self) -> int:
        """How many tasks train: the chief and the workers."""
        return 1 + len(self.spec.get(WORKER, ()))

    @property
    def trainer_index(self) -> int:
        """This task's number among those that train; the chief is 0."""
        return 0 if self.is_chief else 1 + self.index

    @property
    def device_filters(self) -> list[str]:
        """The devices a session of this task needs to see."""
        if self.is_local:
            return []
        return [f"/job:{PS}", f"/job:{self.job}/task:{self.index}"]

    def tf_config(self) -> str:
        """This cluster as TF_CONFIG, for Estimator; `{}` if local."""
        if self.is_local:
            return "{}"
        task = {"type": self.job, "index": self.index}
        return json.dumps({"cluster": dict(self.spec), "task": task})
