"""Reads the board of a queue that runs, from any machine of its cluster.

    with BoardReader("grpc://10.0.0.7:2222", "work_queue") as board:
        board.read()

Nothing is taken and nothing is written: one look-up in a hash table. The trap:
where a parameter server has no such queue, the look-up makes an empty table
there, which nobody ever reads; so they are asked in turn, not all at once.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from types import TracebackType
from typing import Any

import tensorflow as tf
import tensorflow.compat.v1 as tf1

from wq_hooks.core.protocol import messages
from wq_hooks.core.waits import listed
from wq_hooks.errors import WorkQueueError
from wq_hooks.runtime.host.foreign_state import own_state_expected
from wq_hooks.runtime.transport.mailbox import names_table

_JOB = re.compile(r"/job:[^/]+")


class BoardReader:
    """A session that looks at one board.

    Args:
      target: Target of a server of the cluster, such as "grpc://10.0.0.7:2222".
      name: Name of the queue.
      device: Device of the queue; None: a parameter server.
      container: Container of the queue, as in `tf.compat.v1.container`.
      timeout_secs: How long to wait for an answer.

    Raises:
      tf.errors.OpError: If the server does not answer.
    """

    def __init__(
        self,
        target: str,
        name: str,
        *,
        device: str | None = None,
        container: str = "",
        timeout_secs: float = 10.0,
    ):
        self._name = name
        self._container = container
        self._graph = tf.Graph()
        self._found: Any = None
        self._device = device
        job = _JOB.search(device or "/job:ps")
        config = tf1.ConfigProto(
            # A worker that is down must not keep the others from answering.
            device_filters=[job[0]] if job else [],
            operation_timeout_in_ms=int(timeout_secs * 1000),
        )
        self._session = tf1.Session(target, graph=self._graph, config=config)

    def __enter__(self) -> BoardReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the session."""
        self._session.close()

    def read(self) -> str:
        """Returns the status that the chief left there last.

        Raises:
          WorkQueueError: If there is no such queue.
          ForeignStateError: If there is something else in its place.
          tf.errors.OpError: If the server does not answer.
        """
        if self._found is None:
            for device in self._devices():
                found = self._look_up(device)
                with own_state_expected(self._name, device):
                    is_there = bool(self._run(found)[0])
                if is_there:
                    self._found = found
                    break
            else:
                raise self._no_such_queue()
        return self._run(self._found)[1]

    def _no_such_queue(self) -> WorkQueueError:
        devices = self._devices()
        names = sorted({n for d in devices for n in self._names_on(d)})
        expected = (
            f"Expected a work queue named {self._name!r} whose chief has begun"
        )
        if names:
            return WorkQueueError(
                f"{expected}; there are: {listed(names)}. Choose one by --name."
            )
        return WorkQueueError(
            f"{expected}; there is none on {listed(devices)}. Is it another "
            "--device or --container?"
        )

    @contextlib.contextmanager
    def _on(self, device: str) -> Iterator[None]:
        """A context for ops on the resources of queues on a device."""
        with (
            self._graph.as_default(),
            self._graph.container(self._container),
            tf.device(device),
        ):
            yield

    def _names_on(self, device: str) -> list[str]:
        with self._on(device):
            names, _ = tf.raw_ops.LookupTableExportV2(
                table_handle=names_table(), Tkeys=tf.string, Tvalues=tf.int64
            )
        return self._run(names)

    def _devices(self) -> list[str]:
        if self._device is not None:
            return [self._device]
        names = sorted(
            device.name
            for device in self._session.list_devices()
            if device.device_type == "CPU"
        )
        return [n for n in names if "/job:ps/" in n] or names

    def _look_up(self, device: str) -> Any:
        with self._on(device):
            return tf.raw_ops.LookupTableFindV2(
                table_handle=tf.raw_ops.MutableHashTableV2(
                    key_dtype=tf.int64,
                    value_dtype=tf.string,
                    shared_name=f"{self._name}/board",
                ),
                keys=tf.constant(
                    [messages.ITEM, messages.STATUS], dtype=tf.int64
                ),
                default_value=tf.constant(""),
            )

    def _run(self, fetch: Any) -> list[str]:
        return [v.decode(errors="replace") for v in self._session.run(fetch)]
