"""The consumers of one task, with their ports and threads.

    group = ConsumerGroup(transport, start_thread)
    loop = group.add(port, Consumer("worker:1", "5f2c"))
    group.serve(loop)
    group.flush()                  # all that was delivered is counted

A session and a process of eager mode have one each; how long it lives is the
difference.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Sequence

from wq_hooks.core.consumer.acknowledgement import OnTake
from wq_hooks.core.consumer.consumer import ConsumerLoop, RecordedTakes
from wq_hooks.core.ledger.consumer_state import Consumer
from wq_hooks.core.protocol import messages
from wq_hooks.core.protocol.messages import Claim, Report
from wq_hooks.core.protocol.transports import ConsumerTransport
from wq_hooks.runtime.ports.port import Port

LEAVE_SECS = 2.0


class ConsumerGroup:
    """The consumers of one task.

    Args:
      transport: The mailboxes.
      start: Starts a thread that runs a function, under a name.
      num_clients: Number of readers that draw from one consumer at a time.
      acks_on_take: Whether an item is completed when it is handed out.
      is_end: Called at the end of data; False means to ask again.
      wait_until_recorded: Called when an item was taken and before its reader
        gets it; None: nobody records that.
    """

    def __init__(
        self,
        transport: ConsumerTransport,
        start: Callable[[Callable[[], None], str], None],
        *,
        num_clients: int = 1,
        acks_on_take: bool = False,
        is_end: Callable[[], bool] = lambda: True,
        wait_until_recorded: Callable[[], None] | None = None,
    ):
        self._reports = transport
        self._takes = transport
        if wait_until_recorded is not None:
            self._takes = RecordedTakes(transport, wait_until_recorded)
        self._start = start
        self._num_clients = num_clients
        self._acks_on_take = acks_on_take
        self._is_end = is_end
        self._ports: dict[ConsumerLoop, Port] = {}

    def __iter__(self) -> Iterator[tuple[ConsumerLoop, Port]]:
        """The consumers with their ports; some may come or go meanwhile."""
        return iter(list(self._ports.items()))

    def __len__(self) -> int:
        """Number of consumers."""
        return len(self._ports)

    def __contains__(self, loop: ConsumerLoop) -> bool:
        """Whether a consumer is one of these."""
        return loop in self._ports

    @property
    def loops(self) -> list[ConsumerLoop]:
        """The consumers."""
        return list(self._ports)

    @property
    def ports(self) -> list[Port]:
        """Their ports."""
        return list(self._ports.values())

    def add(
        self,
        port: Port,
        consumer: Consumer,
        *,
        pause: Callable[[float], object] | None,
    ) -> ConsumerLoop:
        """Adds a consumer, which takes nothing before `serve`.

        Args:
          port: Port that its items go to.
          consumer: Consumer that takes the items.
          pause: See `ConsumerLoop`.
        """
        rule = port.new_rule(self._num_clients)
        if self._acks_on_take and not port.reads_records:
            rule = OnTake()
        loop = ConsumerLoop(
            consumer,
            self._takes,
            port,
            rule=rule,
            is_end=self._is_end,
            pause=pause,
        )
        port.on_new_iteration = loop.begin_again
        self._ports[loop] = port
        return loop

    def remove(self, loop: ConsumerLoop) -> None:
        """Forgets a consumer whose readers are gone."""
        del self._ports[loop]

    def serve(
        self, loop: ConsumerLoop, serve: Callable[[], None] | None = None
    ) -> None:
        """Starts the threads of a consumer.

        Args:
          loop: The consumer.
          serve: Serves its readers; None: `loop.serve_forever`.
        """
        port = self._ports[loop]
        self._start(serve or loop.serve_forever, "server")
        if port.reads_records:
            port.begin()
            self._start(
                functools.partial(port.count_forever, loop.acknowledge),
                "counter",
            )

    def flush(self, timeout_secs: float = LEAVE_SECS) -> None:
        """Waits until all that was delivered so far is counted and reported."""
        deadline = time.monotonic() + timeout_secs
        for port in self.ports:
            port.flush(max(0.0, deadline - time.monotonic()))

    def gates(self) -> list[int]:
        """Returns the entries of the board that let the consumers in."""
        return [messages.gate_of(loop.consumer.name) for loop in self.loops]

    def reads_records(self, name: str) -> bool:
        """Returns whether a consumer, by its name, reads records."""
        return any(
            loop.consumer.name == name and port.reads_records
            for loop, port in self
        )

    def report_alive(self, task: Consumer, timeout_secs: float = 0.0) -> None:
        """Says that the task is alive, and how many records it has trained."""
        records = sum(port.take_num_trained() for port in self.ports)
        self._reports.report(
            Report(messages.ALIVE, task, records=records), timeout_secs
        )

    def report_leave(
        self,
        loop: ConsumerLoop,
        completed: Sequence[Claim] = (),
        *,
        in_order: bool = False,
    ) -> None:
        """Says that a consumer ends, and what it has completed.

        Args:
          loop: The consumer.
          completed: The items.
          in_order: Whether what it still holds has not failed.
        """
        port = self._ports.get(loop)
        records = 0 if port is None else port.take_num_trained()
        self._reports.report(
            Report(
                messages.HAND_OVER if in_order else messages.LEAVE,
                loop.consumer,
                tuple(completed),
                records=records,
            ),
            LEAVE_SECS,
        )
