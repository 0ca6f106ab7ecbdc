"""What a process that serves queues says of each of them.

    text = ServiceRecord("work_queue", 1000, lease_secs=60.0).to_text()
    find_served([text], "work_queue", "grpc://10.0.0.7:2222")

It stands in a table on the server, where those who connect look
first. Without TensorFlow.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from wq_hooks._version import __version__
from wq_hooks.core.protocol.format import FORMAT
from wq_hooks.core.protocol.messages import number_of
from wq_hooks.errors import WorkQueueError

_TASK = re.compile(r"[^\s/]+")
_MAX_NAMES = 20


class NotServedError(WorkQueueError):
    """A server does not serve a queue of this name, or not yet.

    Attributes:
      names: Names of the queues that it serves.
    """

    def __init__(self, target: str, name: str, names: Sequence[str]):
        served = ", ".join(map(repr, names[:_MAX_NAMES])) or "none"
        super().__init__(
            f"Expected {target} to serve a work queue named {name!r}; it "
            f"serves {served}. Give connect the name of a WorkQueue whose "
            "serve was called there."
        )
        self.names = names


@dataclass(frozen=True)
class ServiceRecord:
    """A queue that is served.

    Attributes:
      name: Name of the queue.
      num_items: Number of items in one epoch.
      lease_secs: Seconds after which a silent task loses what it holds.
    """

    name: str
    num_items: int
    lease_secs: float

    @property
    def key(self) -> int:
        """The key of its entry; TensorFlow's tables of strings have numbers."""
        return number_of(self.name)

    def to_text(self) -> str:
        """Returns the entry of the table."""
        return json.dumps(
            {
                "name": self.name,
                "format": FORMAT,
                "version": __version__,
                "num_items": self.num_items,
                "lease_secs": self.lease_secs,
            }
        )


def find_served(texts: Iterable[str], name: str, target: str) -> ServiceRecord:
    """Returns what a server says of a queue.

    Args:
      texts: The entries of its table.
      name: Name of the queue that is wanted.
      target: Target of the server, for errors.

    Raises:
      NotServedError: If there is no such queue.
      WorkQueueError: If it is of another format.
    """
    entries = {}
    for text in texts:
        # Anybody may write to a server.
        with contextlib.suppress(ValueError, KeyError, TypeError):
            entry = json.loads(text)
            entries[str(entry["name"])] = entry
    if name not in entries:
        raise NotServedError(target, name, sorted(entries))
    entry = entries[name]
    its_format, version = entry.get("format"), entry.get("version")
    if its_format != FORMAT:
        raise WorkQueueError(
            f"Expected {target} to serve work queue {name!r} in format "
            f"{FORMAT}, that of wq-hooks {__version__}; it is in format "
            f"{its_format!r:.20}, of wq-hooks {version!r:.40}. Use one version "
            "of wq-hooks in all processes."
        )
    try:
        return ServiceRecord(
            name, int(entry["num_items"]), float(entry["lease_secs"])
        )
    except (KeyError, TypeError, ValueError) as e:
        raise WorkQueueError(
            f"Expected {target} to say how many items work queue {name!r} "
            f"has, and its lease_secs; got {entry!r:.200}."
        ) from e


def checked_task(task: str) -> str:
    """Returns the name of a process that connects.

    Raises:
      TypeError: If it is no str.
      ValueError: If it cannot be one.
    """
    if not isinstance(task, str):
        raise TypeError(f"Expected task to be a str or None; got {task!r:.80}.")
    if not _TASK.fullmatch(task):
        raise ValueError(
            "Expected task to be a name without blanks and slashes, such as "
            f"'worker:1'; got {task!r:.80}."
        )
    return task
