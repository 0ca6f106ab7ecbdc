"""What an eager queue does beside its work while others read from it.

    serving = Serving(queue, port=2222, in_step=False)
    dispatcher = serving.new_dispatcher(ledger)
    service = serving.new_service(is_end)
    serving.join(None) or serving.end(is_through=True)

The trap: the process that serves has to be there for as long as anybody reads.
So a queue that is served is kept until it is closed, and its process waits for
the others before it ends, though not for ever.
"""

from __future__ import annotations

import atexit
import math
import platform
import sys
import time
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING

from wq_hooks.core import log as logging
from wq_hooks.core.chief.dispatcher import Dispatcher
from wq_hooks.core.ledger.consumer_state import Consumer
from wq_hooks.core.ledger.ledger import Ledger
from wq_hooks.core.protocol.service_record import Served
from wq_hooks.core.waits import Stall
from wq_hooks.runtime.process_ports.interruptible_takes import PatientTakes
from wq_hooks.runtime.threads.process_threads import EagerService, close_all
from wq_hooks.runtime.transport.queue_server import QueueServer
from wq_hooks.runtime.transport.remote_mailbox import RemoteMailbox

if TYPE_CHECKING:
    from wq_hooks.eager_queue import EagerWorkQueue

_LOG_EVERY_SECS = 60.0
_SETTLE_SECS = 2.0
_CONNECT_SECS = 60.0
# The end of data may wait for a sign of life.
_BEAT_SECS = 5.0
_live: set[Serving] = set()


@atexit.register
def _end_all() -> None:
    # Those of this process, too, may have connected to a server in it.
    close_all()
    # Set by an exception that nobody has caught.
    is_through = getattr(sys, "last_value", None) is None
    for serving in list(_live):
        serving.queue._close(is_through=is_through)


class Serving:
    """A queue, as others see it.

    Args:
      queue: The queue.
      port: Port of the server; 0: any that is free.
      in_step: Whether the processes train in step with each other.

    Raises:
      WorkQueueError: If the port is taken.
    """

    def __init__(self, queue: EagerWorkQueue, port: int, in_step: bool):
        self.queue = queue
        self.in_step = in_step
        self._task = queue.task.name
        self._lease_secs = queue.lease_secs
        self._stall = Stall()
        served = Served(queue.name, len(queue), self._lease_secs)
        self._server = QueueServer(served, port)
        self.port = self._server.port
        _live.add(self)
        logging.info(
            "Work queue %s is served on port %d, as in "
            "WorkQueue.connect('grpc://%s:%d', name=%r).",
            queue.name,
            self.port,
            platform.node(),
            self.port,
            queue.name,
        )

    def new_dispatcher(self, ledger: Ledger) -> Dispatcher:
        """Returns what hands out the items of a ledger from now on."""
        ledger.serve(self._task, in_step=self.in_step)
        dispatcher = Dispatcher(
            self.queue.name,
            ledger,
            self._server.mailbox,
            chief=self._task,
            attempts=self.queue.new_attempts(self._task, lambda _: False),
        )
        self._server.feed_from(dispatcher)
        return dispatcher

    def new_service(self, is_end: Callable[[], bool]) -> EagerService:
        """Returns this process' own consumers, which take as others do.

        Args:
          is_end: See EagerService.
        """
        queue = self.queue
        mailbox = RemoteMailbox(self._server.target, queue.name, _CONNECT_SECS)
        return new_remote_service(
            mailbox,
            self._task,
            num_clients=queue.num_clients,
            is_end=is_end,
            leads=True,
        )

    def join(self, timeout_secs: float | None) -> bool:
        """Waits until all is done, and everybody has left.

        Args:
          timeout_secs: Give up after that long; None: never.
        """
        begin = time.monotonic()
        end = math.inf if timeout_secs is None else begin + timeout_secs
        while True:
            dispatcher = self.queue.dispatcher
            left_secs = max(0.0, end - time.monotonic())
            secs = min(_LOG_EVERY_SECS, left_secs)
            if dispatcher.wait_until_left(
                self._task, secs, is_over=False, stall=self._stall
            ):
                return True
            if secs == left_secs:
                return False

    def end(self, *, is_through: bool) -> None:
        """Ends the server, when those who have connected have left.

        Args:
          is_through: Whether to tell them the end of data and wait, rather
            than leave them to the next process that serves the queue.
        """
        if self not in _live:
            return
        _live.remove(self)
        try:
            if is_through:
                self._let_leave(self.queue.dispatcher)
        finally:
            self._server.shut()

    def _let_leave(self, dispatcher: Dispatcher) -> None:
        dispatcher.settle(_SETTLE_SECS)
        if not dispatcher.ledger.is_exhausted:
            dispatcher.stop(ends_job=True)
        others = dispatcher.others(self._task)
        if others:
            logging.info(
                "Work queue %s: waiting for %s to leave, %g s at most.",
                self.queue.name,
                ", ".join(others),
                self._lease_secs,
            )
        dispatcher.wait_until_left(self._task, self._lease_secs, is_over=True)
        progress = dispatcher.ledger
        if not progress.is_done:
            logging.warning(
                "Work queue %s is served no more; %s items remain, and %d are "
                "in flight.",
                self.queue.name,
                progress.remaining,
                progress.in_flight,
            )


def new_remote_service(
    mailbox: RemoteMailbox,
    task: str,
    *,
    num_clients: int,
    is_end: Callable[[], bool] = lambda: True,
    leads: bool = False,
) -> EagerService:
    """Returns the consumers of a process that takes from a server.

    Args:
      mailbox: Where from.
      task: The name of the process.
      num_clients: How many readers draw from one consumer at a time.
      is_end: See EagerService.
      leads: See EagerService.
    """
    service = EagerService(
        mailbox.served.name,
        Consumer(task, uuid.uuid4().hex[:12]),
        PatientTakes(mailbox),
        num_clients=num_clients,
        is_end=is_end,
        beat_secs=min(mailbox.served.lease_secs / 4, _BEAT_SECS),
        shut=mailbox.close,
        board=mailbox,
        leads=leads,
    )
    mailbox.is_closing = lambda: service.is_closing
    return service
