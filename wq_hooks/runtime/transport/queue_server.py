"""Serves a queue of eager mode from a TensorFlow server in this process.

    server = QueueServer(ServiceRecord("work_queue", 10, 60.0), port=2222)
    server.feed_from(feeder)

The mailboxes are those of graph mode, in a private graph on that server. Its
threads feed the mailbox from the chief and tell it what is reported.

The trap: TensorFlow cannot stop a server. Its port stays taken, and is used
again by the queues that this process serves on it later, until it ends.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tensorflow.compat.v1 as tf1

from wq_hooks.core import log as logging
from wq_hooks.core.chief.feeder import Feeder
from wq_hooks.core.protocol import messages
from wq_hooks.core.protocol.service_record import ServiceRecord
from wq_hooks.errors import WorkQueueError
from wq_hooks.runtime.host.foreign_state import own_state_expected
from wq_hooks.runtime.transport.mailbox import Mailbox
from wq_hooks.runtime.transport.mailbox_session import MailboxSession

# `wq-hooks status` looks for queues on parameter servers.
DEVICE = "/job:ps/replica:0/task:0/device:CPU:0"

_JOIN_SECS = 5.0
_servers: dict[int, Any] = {}
_lock = threading.Lock()


class Registry:
    """The table of the queues that a server serves, in the current graph."""

    def __init__(self) -> None:
        table = tf.raw_ops.MutableHashTableV2(
            key_dtype=tf.int64,
            value_dtype=tf.string,
            shared_name="wq_hooks/served",
        )
        _, self._texts = tf.raw_ops.LookupTableExportV2(
            table_handle=table, Tkeys=tf.int64, Tvalues=tf.string
        )
        self._key = tf1.placeholder(tf.int64, [])
        self._text = tf1.placeholder(tf.string, [])
        self._add = tf.raw_ops.LookupTableInsertV2(
            table_handle=table, keys=self._key, values=self._text
        )
        self._remove = tf.raw_ops.LookupTableRemoveV2(
            table_handle=table, keys=tf.expand_dims(self._key, 0)
        )

    def read(self, session: tf1.Session) -> list[str]:
        """Returns the entries."""
        return [
            text.decode(errors="replace") for text in session.run(self._texts)
        ]

    def add(self, session: tf1.Session, served: ServiceRecord) -> None:
        """Adds a queue."""
        feeds = {self._key: served.key, self._text: served.to_text()}
        session.run(self._add, feeds)

    def remove(self, session: tf1.Session, served: ServiceRecord) -> None:
        """Removes a queue."""
        session.run(self._remove, {self._key: served.key})


class _ServerMailbox(MailboxSession):
    """The feeder's view; a checkpoint asks the chief itself."""

    def write_position(self, position: str) -> None:
        """Has nowhere to write it."""


class QueueServer:
    """A queue that is served.

    Args:
      served: Record of the queue, for processes that connect.
      port: Port of this process' TensorFlow server; 0: any that is free.

    Raises:
      WorkQueueError: If the port is taken.
    """

    def __init__(self, served: ServiceRecord, port: int):
        server, self.port = _server_on(port)
        self.target = tf.compat.as_str(server.target)
        self._served = served
        self._feeder: Feeder | None = None
        self._feeding: threading.Thread | None = None
        self._drainer: threading.Thread | None = None
        self._is_shut = False
        graph = tf.Graph()
        with graph.as_default(), tf.device(DEVICE):
            self._registry = Registry()
            mailbox = Mailbox(served.name, is_saved=False)
        self._session = tf1.Session(self.target, graph=graph)
        self.mailbox = _ServerMailbox(mailbox, self._session)
        self.mailbox.expect_own_state()
        with own_state_expected(served.name, f"port {self.port}"):
            self._registry.read(self._session)

    def feed_from(self, feeder: Feeder) -> None:
        """Serves what a feeder hands out, instead of the last one.

        Args:
          feeder: Feeder whose transport is `mailbox`.
        """
        self._stop_feeder()
        # Reports to the one before are of another generation, and dropped.
        self._feeder = feeder
        feeder.feed()
        self._feeding = self._start(feeder.feed_forever)
        if self._drainer is None:
            self._drainer = self._start(self._drain_forever)
            self._registry.add(self._session, self._served)
            self.mailbox.announce()

    def shut(self) -> None:
        """Ends the threads; who connects later is told that there is none."""
        if self._is_shut:
            return
        self._is_shut = True
        self._stop_feeder()
        try:
            self._registry.remove(self._session, self._served)
            # The drainer waits for a report.
            self.mailbox.report(messages.WAKE_UP)
        except tf.errors.OpError as e:
            logging.debug("Work queue %s: %s", self._served.name, e)
        if self._drainer is not None:
            self._drainer.join(_JOIN_SECS)
        self._session.close()

    def _stop_feeder(self) -> None:
        if self._feeding is not None and self._feeder is not None:
            self._feeder.wake_to_stop()
            self._feeding.join(_JOIN_SECS)
            self._feeding = None

    def _drain_forever(self) -> None:
        while not self._is_shut:
            rows = self.mailbox.receive()
            feeder = self._feeder
            if feeder is not None:
                feeder.apply(rows)

    def _start(self, target: Callable[[], None]) -> threading.Thread:
        def run() -> None:
            try:
                target()
            except Exception as e:
                if not self._is_shut:
                    logging.error("Work queue %s: %s", self._served.name, e)

        thread = threading.Thread(
            target=run, name=f"{self._served.name}-server", daemon=True
        )
        thread.start()
        return thread


def _server_on(port: int) -> tuple[Any, int]:
    """Returns this process' TensorFlow server on a port, and the port."""
    with _lock:
        server = _servers.get(port)
        if server is None:
            try:
                server = tf.distribute.Server(
                    {"ps": [f"localhost:{port}"]},
                    job_name="ps",
                    task_index=0,
                    # It moves strings; the GPUs are for the models.
                    config=tf1.ConfigProto(device_count={"GPU": 0}),
                )
            except tf.errors.OpError as e:
                raise WorkQueueError(
                    f"Expected a port that is free; got port={port}, on which "
                    "no TensorFlow server could be started. Is another "
                    "process using it? port=0 takes one that is free. "
                    f"({e.message})"
                ) from e
            target = tf.compat.as_str(server.target)
            port = int(target.rpartition(":")[2])
            _servers[port] = server
        return server, port
