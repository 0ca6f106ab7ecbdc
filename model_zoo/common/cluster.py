"""The cluster of TF_CONFIG, and which of its tasks this process is.

    cluster = Cluster.from_environment()
    target = cluster.start_server()      # does not return on a parameter server

Without TF_CONFIG this process is the chief, alone. In a cluster without a chief
worker 0 is the chief, as in Keras.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

tf1 = tf.compat.v1


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The job's tasks and which of them this process is.

    Attributes:
      spec: Addresses (`host:port`) of each job; empty: this process alone.
      job: Name of this task's job: chief, worker, ps or evaluator.
      index: This task's number in its job.
    """

    spec: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)
    job: str = "chief"
    index: int = 0

    @classmethod
    def from_environment(cls) -> Cluster:
        """Reads TF_CONFIG.

        Raises:
          ValueError: If it is no JSON, or a cluster without parameter servers.
        """
        try:
            config = json.loads(os.environ.get("TF_CONFIG") or "{}")
        except json.JSONDecodeError as e:
            raise ValueError(f"Expected TF_CONFIG to be JSON; got {e}.") from e
        spec = {k: list(v) for k, v in config.get("cluster", {}).items()}
        if not spec:
            return cls()
        if not spec.get("ps"):
            raise ValueError(
                "Expected a parameter server in TF_CONFIG; got a cluster of "
                f"{sorted(spec)}."
            )
        task = config["task"]
        return cls(spec, task["type"], int(task["index"]))

    @property
    def is_chief(self) -> bool:
        """Whether this task initialises, saves and evaluates the model."""
        return self.task == self.trainers[0]

    @property
    def task(self) -> str:
        """Name of this task, such as `worker:1`."""
        return f"{self.job}:{self.index}"

    @property
    def trainers(self) -> list[str]:
        """Names of the tasks that train; the first is the chief."""
        names = [
            f"{job}:{index}"
            for job in ("chief", "worker")
            for index in range(len(self.spec.get(job, ())))
        ]
        return names or ["chief:0"]

    @property
    def num_ps(self) -> int:
        """How many parameter servers there are."""
        return len(self.spec.get("ps", ()))

    def start_server(self) -> str:
        """Starts this task's server; returns its target, `""` if alone.

        A parameter server serves until it is ended.
        """
        if not self.spec:
            return ""
        server = self._new_server()
        if self.job == "ps":
            server.join()
        return server.target

    def serve(self) -> None:
        """Serves until the process is ended; for a coordinator's workers."""
        self._new_server().join()

    def _new_server(self) -> Any:
        spec = tf.train.ClusterSpec(dict(self.spec))
        return tf.distribute.Server(spec, self.job, self.index, "grpc")

    def device_setter(self) -> Any:
        """Variables on the parameter servers, the rest on this task."""
        if not self.spec:
            return None
        return tf1.train.replica_device_setter(
            cluster=dict(self.spec),
            worker_device=f"/job:{self.job}/task:{self.index}",
        )

    def session_config(self) -> Any:
        """The ConfigProto of a session that does not wait for other workers."""
        filters = ["/job:ps", f"/job:{self.job}/task:{self.index}"]
        return tf1.ConfigProto(
            allow_soft_placement=True,
            device_filters=filters if self.spec else [],
        )


class WaitForChief(tf.compat.v1.train.SessionRunHook):
    """Waits in `begin` until the chief has initialised the variables.

    Give it as the last hook. Without it a worker that is a moment too early
    sleeps for 30 s, which TensorFlow lets nobody change.
    """

    def __init__(self, cluster: Cluster, target: str) -> None:
        self._cluster = cluster
        self._target = target

    def begin(self) -> None:
        """Asks twice a second."""
        if self._cluster.is_chief:
            return
        manager = tf1.train.SessionManager(
            ready_op=tf1.report_uninitialized_variables(tf1.global_variables()),
            graph=tf1.get_default_graph(),
            recovery_wait_secs=0.5,
        )
        config = self._cluster.session_config()
        manager.wait_for_session(self._target, config, 600.0).close()
