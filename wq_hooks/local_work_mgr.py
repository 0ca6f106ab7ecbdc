"""LocalWorkMgr: what a task of a prediction job has taken, by DeepRec's name.

    mgr = LocalWorkMgr("worker", 3, "/nfs/predict")
    queue = WorkQueue(tables, num_slices=400, local_work_mgr=mgr)
    with tf.compat.v1.train.MonitoredTrainingSession(hooks=[mgr.hook()]): ...

A task that comes back begins with all that it has taken before; see
`runtime/inference/local_works.py`. The trap: a job that starts over needs an
empty directory.
"""

from __future__ import annotations

import operator

import tensorflow.compat.v1 as tf1

from wq_hooks.core.protocol.transports import ConsumerTransport
from wq_hooks.runtime.inference.local_works import KeepingTransport, LocalWorks


class LocalWorkMgr:
    """Notes in a directory what a task takes from a WorkQueue.

    Args:
      job_name: Name of the task, such as "worker".
      task_index: Index of the task, from 0.
      restore_works_dir: Directory of the job. Each task has a directory of its
        own inside, `<job_name>_<task_index>`, with files of items: one on a
        line, without the queue's prefix.
      name: Has no meaning here.

    Raises:
      ValueError: If the task has no name, or an index below 0.
    """

    def __init__(
        self,
        job_name: str,
        task_index: int,
        restore_works_dir: str,
        name: str | None = None,
    ):
        del name
        if not job_name:
            raise ValueError(
                "Expected job_name to be the name of the task's job, such as "
                f"'worker'; got {job_name!r}."
            )
        if operator.index(task_index) < 0:
            raise ValueError(f"Expected task_index >= 0; got {task_index!r}.")
        self.job_name = job_name
        self.task_index = operator.index(task_index)
        self.restore_works_dir = restore_works_dir

    def __repr__(self) -> str:
        return (
            f"LocalWorkMgr({self.job_name!r}, {self.task_index}, "
            f"{self.restore_works_dir!r})"
        )

    def hook(self) -> tf1.train.SessionRunHook:
        """Returns a hook that does nothing: the queue needs none."""
        return tf1.train.SessionRunHook()

    def transport(
        self, inner: ConsumerTransport, prefix: str
    ) -> ConsumerTransport:
        """Returns the mailboxes `inner`, with what is taken noted.

        Args:
          inner: The mailboxes of a session.
          prefix: Prefix of the queue.
        """
        works = LocalWorks(
            self.restore_works_dir, self.job_name, self.task_index
        )
        return KeepingTransport(works, inner, prefix)


def expect_local_work_mgr(value: LocalWorkMgr | None) -> LocalWorkMgr | None:
    """Returns the argument of a WorkQueue; raises TypeError for another."""
    if value is not None and not isinstance(value, LocalWorkMgr):
        raise TypeError(
            "Expected local_work_mgr to be a wq_hooks.LocalWorkMgr or None; "
            f"got {value!r:.200}."
        )
    return value
