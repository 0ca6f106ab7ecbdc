"""What a task of an inference job has taken, in files, to be done once more.

    works = LocalWorks("/nfs/predict", "worker", 3)
    mailbox = KeepingTransport(works, mailbox, prefix="")

A prediction job writes no checkpoints, and what a task has predicted is often
lost with it, items that were completed among it. So each item is noted in a
directory before its reader gets it, and a task that comes back begins with all
that its directory has. What is noted is completed for the queue: it will be
done by this task.

The trap: nothing is ever removed. A new job needs an empty directory.
"""

from __future__ import annotations

import collections
import hashlib
import os
import threading
from collections.abc import Sequence

import tensorflow as tf

from wq_hooks.core.ledger.consumer_state import Consumer
from wq_hooks.core.protocol import messages
from wq_hooks.core.protocol.messages import Claim, Element, Report
from wq_hooks.core.protocol.transports import ConsumerTransport

# A generation that no ledger has.
_LOCAL = "local"
_UNFINISHED = ".tmp"


class LocalWorks:
    """The directory of one task, for several threads; see LocalWorkMgr."""

    def __init__(self, directory: str, job_name: str, task_index: int):
        self._directory = os.path.join(directory, f"{job_name}_{task_index}")
        tf.io.gfile.makedirs(self._directory)
        self._lock = threading.Lock()
        names = sorted(tf.io.gfile.listdir(self._directory))
        self._num_noted = len(names)
        self._rest: collections.deque[bytes] = collections.deque()
        for name in names:
            if not name.endswith(_UNFINISHED):
                path = os.path.join(self._directory, name)
                with tf.io.gfile.GFile(path, "rb") as file:
                    self._rest += filter(None, file.read().splitlines())

    def __len__(self) -> int:
        """Number of items that are still to be done once more."""
        return len(self._rest)

    def next_one(self) -> bytes | None:
        """Returns the next item to be done once more; None: no more."""
        with self._lock:
            return self._rest.popleft() if self._rest else None

    def note(self, text: bytes) -> None:
        """Notes an item, for a task that is started again."""
        with self._lock:
            number = self._num_noted
            self._num_noted += 1
        digest = hashlib.sha256(text).hexdigest()[:8]
        path = os.path.join(self._directory, f"{number:08d}_{digest}")
        with tf.io.gfile.GFile(path + _UNFINISHED, "wb") as file:
            file.write(text + b"\n")
        tf.io.gfile.rename(path + _UNFINISHED, path, overwrite=True)


class KeepingTransport:
    """The mailboxes of a task that notes, without prefix, what it takes."""

    def __init__(
        self, works: LocalWorks, inner: ConsumerTransport, prefix: str
    ):
        self._works = works
        self._inner = inner
        self._prefix = prefix.encode("utf-8", "surrogateescape")

    def take(
        self, consumer: Consumer, completed: Sequence[Claim]
    ) -> Element | None:
        """Takes; what a former start noted comes first."""
        del completed  # It was completed when it was noted.
        text = self._works.next_one()
        if text is not None:
            return Element(messages.ITEM, _LOCAL, 0, self._prefix + text)
        element = self._inner.take(consumer, ())
        if element is not None and element.claim is not None:
            noted = element.text
            if noted.startswith(self._prefix):
                noted = noted[len(self._prefix) :]
            self._works.note(noted)
            self._inner.report(Report(messages.ACK, consumer, (element.claim,)))
        return element

    def report(self, report: Report, timeout_secs: float = 0.0) -> None:
        """Reports; what was noted is completed already."""
        if report.kind not in (messages.ACK, messages.RETURN):
            self._inner.report(report, timeout_secs)
