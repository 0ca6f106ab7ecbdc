"""Parameter server, chief and workers of one job, all in this process.

    cluster = InProcessCluster(num_workers=2)
    with cluster.task(0) as task:                      # in a thread, if need be
        queue = WorkQueue(names, shuffle=False)
        with task.session() as session: ...

Each task has a graph of its own; worker 0 is the chief.
"""

from __future__ import annotations

import contextlib
import threading

import tensorflow as tf

from tests.support.sessions import DEADLINE_SECS, raw_session
from wq_hooks.launcher.ports import free_ports

tf1 = tf.compat.v1


class InProcessCluster:
    """Servers on loopback, which live as long as the process."""

    def __init__(self, num_workers=2, *, job="worker", ps_job="ps"):
        ports = free_ports(1 + num_workers)
        addresses = [f"127.0.0.1:{port}" for port in ports]
        self.job, self.ps_job = job, ps_job
        self.spec = {ps_job: addresses[:1], job: addresses[1:]}
        self._servers = [tf.distribute.Server(self.spec, job_name=ps_job)] + [
            tf.distribute.Server(self.spec, job_name=job, task_index=i)
            for i in range(num_workers)
        ]

    @contextlib.contextmanager
    def task(self, index, container=""):
        """A graph in which variables go to the parameter server."""
        setter = tf1.train.replica_device_setter(
            cluster=self.spec,
            worker_device=f"/job:{self.job}/task:{index}",
            ps_device=f"/job:{self.ps_job}",
            ps_tasks=1,
        )
        with (
            tf.Graph().as_default(),
            tf1.device(setter),
            tf1.container(container),
        ):
            filters = [f"/job:{self.ps_job}", f"/job:{self.job}/task:{index}"]
            yield Task(self._servers[1 + index].target, index, filters)


class Task:
    """One task of the cluster."""

    def __init__(self, target, index, device_filters):
        self.target = target
        self.index = index
        self.is_chief = index == 0
        self.config = tf1.ConfigProto(device_filters=device_filters)

    def session(self):
        """A raw session; that of the chief initialises the variables."""
        init = None if self.is_chief else [tf1.tables_initializer()]
        return raw_session(self.target, config=self.config, init=init)


class Background:
    """Runs a function in a thread; `result` returns or raises what it did."""

    def __init__(self, function, *args):
        self._outcome = []
        self._thread = threading.Thread(
            target=self._run, args=(function, *args), daemon=True
        )
        self._thread.start()

    def _run(self, function, *args):
        try:
            self._outcome.append((function(*args), None))
        except BaseException as e:
            self._outcome.append((None, e))

    @property
    def is_done(self):
        return not self._thread.is_alive()

    def result(self, secs=DEADLINE_SECS):
        self._thread.join(secs)
        assert self.is_done, "the thread has not ended"
        value, error = self._outcome[0]
        if error is not None:
            raise error
        return value
