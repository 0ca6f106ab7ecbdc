"""A work queue that another process serves: `WorkQueue.connect`.

    queue = WorkQueue.connect("grpc://10.0.0.7:2222", name="train")
    for line in tf.data.TextLineDataset(queue.input_dataset()): ...

It takes from the other process' ledger, through TensorFlow's runtime. The
trap: its position is saved where it is served, not here.
"""

from __future__ import annotations

import itertools
import json
import os
import platform
import re
import threading
import uuid
from typing import Any, NoReturn

import numpy as np
import tensorflow as tf

from wq_hooks.core import log as logging
from wq_hooks.core.chief.tasks import Task
from wq_hooks.core.monitoring.progress import Progress, ProgressMeter
from wq_hooks.core.monitoring.view import View, Viewer
from wq_hooks.core.options import Options
from wq_hooks.core.protocol import messages
from wq_hooks.core.protocol.service_record import checked_task
from wq_hooks.eager_queue import EagerWorkQueue
from wq_hooks.errors import WorkQueueError
from wq_hooks.runtime.transport.remote_mailbox import RemoteMailbox
from wq_hooks.serving import new_remote_service

_numbers = itertools.count(1)


class ConnectedWorkQueue(EagerWorkQueue):
    """What `WorkQueue.connect(...)` returns; see there.

    Its datasets are those of a local queue: one that is iterated again goes on
    where it was left.
    """

    def __init__(
        self,
        target: str,
        name: str = "work_queue",
        *,
        task: str | None = None,
        timeout_secs: float = 60.0,
        num_clients: int = 1,
    ):
        if not isinstance(target, str) or "://" not in target:
            raise ValueError(
                "Expected target to be that of a server, such as "
                f"'grpc://10.0.0.7:2222'; got {target!r:.200}."
            )
        if not timeout_secs > 0:
            raise ValueError(
                f"Expected timeout_secs > 0; got timeout_secs={timeout_secs}."
            )
        task = _default_task() if task is None else checked_task(task)
        # It checks what was given; the rest is the server's.
        self._options = Options(
            name=name,
            num_clients=num_clients,
            is_chief=False,
            save=False,
        )
        self.target = target
        self.is_chief = False
        self.checkpoint_directory = None
        self.task = Task(task, 0, is_chief=False)
        self._task_name = task
        self._lock = threading.Lock()
        self._shared_name = f"{name}-{uuid.uuid4().hex}"
        self._mailbox = RemoteMailbox(target, name, timeout_secs)
        self._service = new_remote_service(
            self._mailbox, task, num_clients=num_clients
        )
        logging.info(
            "Work queue %s: connected to %s as %s.", name, target, task
        )

    def __len__(self) -> int:
        """Number of items in one epoch, as the server has it."""
        return self._mailbox.served.num_items

    def __repr__(self) -> str:
        return (
            f"WorkQueue.connect({self.target!r}, name={self.name!r}, "
            f"task={self._task_name!r})"
        )

    @property
    def works(self) -> list[str]:
        """Is known where the queue is served."""
        self._only_served("works")

    @property
    def lease_secs(self) -> float:
        """A task not heard of for so long loses what it holds."""
        return self._mailbox.served.lease_secs

    def size(self) -> Any:
        """Returns an eager tf.int64 scalar: remaining items; -1: no end."""
        (remaining,) = self._mailbox.look_up(messages.REMAINING)
        return tf.constant(np.int64(int(remaining)))

    def state(self) -> dict[str, Any]:
        """Returns who has what, as of the last seconds, for json."""
        (status,) = self._mailbox.look_up(messages.STATUS)
        state: dict[str, Any] = json.loads(status)
        return state

    @property
    def has_ended(self) -> bool:
        """Whether a reader has met the end of data, and it still is there."""
        if not self._service.has_ended:
            return False
        try:
            return bool(self._mailbox.look_up(messages.END)[0])
        except WorkQueueError:
            # Who served it has ended.
            return True

    @property
    def is_done(self) -> bool:
        """Whether every item is completed, as of the last seconds."""
        try:
            state = self.state()
        except WorkQueueError:
            return self._service.has_ended
        return state["remaining"] == 0 and state["in_flight"] == 0

    # What is the server's.

    def serve(self, port: int, *, in_step: bool = False) -> int:
        """Is of the process that made the queue."""
        del port, in_step
        self._only_served("serve")

    def join(self, timeout_secs: float | None = None) -> bool:
        """Is of the process that serves the queue."""
        del timeout_secs
        self._only_served("join")

    def snapshot(self) -> str:
        """Is of the process that serves the queue."""
        self._only_served("the position", " Leave this queue out of a save.")

    def restore(self, snapshot: str) -> None:
        """Is of the process that serves the queue."""
        del snapshot
        self._only_served("restore")

    def serialize(self) -> str:
        """Is of the process that serves the queue."""
        self._only_served(
            "the position", " Leave work_queue out of the Checkpoint here."
        )

    def deserialize(self, string_value: str | bytes) -> None:
        """Leaves the position to the server; the model may be restored."""
        del string_value
        logging.info(
            "Work queue %s: the position in the checkpoint is left to the "
            "process that serves it.",
            self.name,
        )

    @property
    def dispatcher(self) -> NoReturn:
        """Is of the process that serves the queue."""
        self._only_served("dispatcher")

    def progress(self, meter: ProgressMeter) -> Progress:
        """Is of the process that serves the queue."""
        del meter
        self._only_served("progress")

    def view(self, viewer: Viewer) -> View:
        """Is of the process that serves the queue."""
        del viewer
        self._only_served("view")

    def _only_served(self, what: str, fix: str = "") -> NoReturn:
        raise WorkQueueError(
            f"Expected {what} to be asked for in the process that serves work "
            f"queue {self.name!r}; this one ({self._task_name}) has connected "
            f"to {self.target}.{fix}"
        )

    def _expect_chief(self, method: str) -> None:
        self._only_served(method)


def _default_task() -> str:
    """Returns a name that no other process has, and no other queue of it."""
    host = re.sub(r"[\s/]+", "-", platform.node()) or "host"
    number = next(_numbers)
    return f"{host}-{os.getpid()}" + (f"-{number}" if number > 1 else "")
