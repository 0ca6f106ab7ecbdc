"""A queue that another process serves: `WorkQueue.connect`.

    queue = WorkQueue.connect("grpc://10.0.0.7:2222", name="train")
    for line in tf.data.TextLineDataset(queue.input_dataset()): ...

It takes from the other process' ledger, through TensorFlow's runtime. The
trap: its position is saved where it is served, not here.
"""

from __future__ import annotations

import itertools
import os
import platform
import re
import uuid
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from wq_hooks.core import log as logging
from wq_hooks.core.chief.tasks import Task
from wq_hooks.core.names import DEFAULT
from wq_hooks.core.options import Options
from wq_hooks.core.preemption import Preemption, as_preemption
from wq_hooks.core.protocol import messages
from wq_hooks.core.protocol.service_record import checked_task
from wq_hooks.engines.process import ProcessEngine
from wq_hooks.engines.queue_service import new_remote_service
from wq_hooks.errors import WorkQueueError
from wq_hooks.runtime.transport.remote_mailbox import RemoteMailbox

_numbers = itertools.count(1)


@dataclass(frozen=True)
class ServedWorks:
    """Says, where a constructor expects works, that a server has them.

    Attributes:
      target: Target of the server, such as "grpc://10.0.0.7:2222".
      task: Name of this process; None: host and process id.
      timeout_secs: How long to look for the server.
      on_preemption: What to do when this process has to go.
    """

    target: str
    task: str | None = None
    timeout_secs: float = 60.0
    on_preemption: Preemption | None = None

    def __post_init__(self) -> None:
        as_preemption(self.on_preemption)
        if not isinstance(self.target, str) or "://" not in self.target:
            raise ValueError(
                "Expected target to be that of a server, such as "
                f"'grpc://10.0.0.7:2222'; got {self.target!r:.200}."
            )
        if not self.timeout_secs > 0:
            raise ValueError(
                "Expected timeout_secs > 0; got "
                f"timeout_secs={self.timeout_secs}."
            )
        if self.task is not None:
            checked_task(self.task)


class ConnectedEngine(ProcessEngine):
    """What reads, in this process, from a queue of another one.

    Its datasets are those of a local queue: one that is iterated again goes on
    where it was left.

    Args:
      served: Address of the served queue.
      options: Name and number of clients; the rest is the server's.

    Raises:
      WorkQueueError: In graph mode; if nobody answers, or serves no such
        queue, or one of another version of wq-hooks.
    """

    mode = "connected"

    def __init__(self, served: ServedWorks, options: Options):
        if not tf.executing_eagerly():
            raise WorkQueueError(
                "Expected connect to be called in eager mode; got a graph. In "
                "graph mode the queue stands on a parameter server, and each "
                "task makes it with WorkQueue(...)."
            )
        name = options.name or DEFAULT
        self.target = served.target
        self.task = Task(served.task or _default_task(), 0, is_chief=False)
        self._mailbox = RemoteMailbox(self.target, name, served.timeout_secs)
        super().__init__(
            name,
            f"{name}-{uuid.uuid4().hex}",
            new_remote_service(
                self._mailbox,
                self.task.job,
                num_clients=options.num_clients,
                on_preemption=served.on_preemption,
            ),
            is_endless=False,
        )
        logging.info(
            "Work queue %s: connected to %s as %s.",
            name,
            self.target,
            self.task.job,
        )

    def __repr__(self) -> str:
        return (
            f"WorkQueue.connect({self.target!r}, name={self.name!r}, "
            f"task={self.task.job!r})"
        )

    def num_items(self) -> int:
        return self._mailbox.served.num_items

    def size(self) -> Any:
        (remaining,) = self._mailbox.look_up(messages.REMAINING)
        return tf.constant(np.int64(messages.parse_remaining(remaining)))

    def deserialize(self, string_value: str | bytes) -> None:
        del string_value
        logging.info(
            "Work queue %s: the position in the checkpoint is left to the "
            "process that serves it.",
            self.name,
        )

    def leave(self) -> None:
        """Gives back what this process holds, and reads no more."""
        self.service.close(is_through=False)

    def state(self) -> dict[str, Any]:
        """Returns who has what, as of the last seconds, for json."""
        (status,) = self._mailbox.look_up(messages.STATUS)
        return messages.parse_status(status)

    @property
    def has_ended(self) -> bool:
        """Whether a reader has met the end of data, and it still is there."""
        if not self.service.readers.has_ended:
            return False
        try:
            return bool(self._mailbox.look_up(messages.END)[0])
        except WorkQueueError:
            # The process that served it has ended.
            return True

    @property
    def is_done(self) -> bool:
        """Whether every item is completed, as of the last seconds."""
        try:
            state = self.state()
        except WorkQueueError:
            return self.service.readers.has_ended
        return state.get("remaining") == 0 and state.get("in_flight") == 0


def _default_task() -> str:
    """Returns a name that no other process has, and no other queue of it."""
    host = re.sub(r"[\s/]+", "-", platform.node()) or "host"
    number = next(_numbers)
    return f"{host}-{os.getpid()}" + (f"-{number}" if number > 1 else "")
