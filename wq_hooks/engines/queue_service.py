"""What a queue of this process does while other processes read from it.

    service = QueueService(served, port=2222, task="worker:0", ...)
    chief = service.new_chief(ledger, attempts=None)
    consumers = service.new_service(1, is_end)
    service.join(None) or service.end(is_through=True)

The trap: the process that serves has to be there for as long as anybody reads.
So a queue that is served is kept until it is closed, and its process waits for
the others before it ends, though not for ever.
"""

from __future__ import annotations

import atexit
import math
import platform
import time
from collections.abc import Callable

from wq_hooks.core import log as logging
from wq_hooks.core.chief.chief import Chief
from wq_hooks.core.chief.feeder import Feeder
from wq_hooks.core.ledger.attempts import AttemptsKeeper
from wq_hooks.core.ledger.consumer_state import Consumer
from wq_hooks.core.ledger.ledger import Ledger
from wq_hooks.core.preemption import Preemption
from wq_hooks.core.protocol.service_record import ServiceRecord
from wq_hooks.core.waits import Stall
from wq_hooks.runtime.host.incarnation import own_incarnation
from wq_hooks.runtime.threads import preemption
from wq_hooks.runtime.threads.process_threads import (
    EagerService,
    close_all,
    has_ended_well,
)
from wq_hooks.runtime.transport.interruptible_takes import PatientTakes
from wq_hooks.runtime.transport.queue_server import QueueServer
from wq_hooks.runtime.transport.remote_mailbox import RemoteMailbox

_LOOK_EVERY_SECS = 1.0
_FLUSH_SECS = 2.0
_CONNECT_SECS = 60.0
# The end of data may wait for a sign of life.
_BEAT_SECS = 5.0
_live: set[QueueService] = set()


@atexit.register
def _end_all() -> None:
    # A queue of this process may have connected to a server of this process.
    close_all()
    is_through = has_ended_well()
    for service in list(_live):
        service.close(is_through=is_through)


class QueueService:
    """A queue, as others see it.

    Args:
      served: Record of the queue, for processes that connect.
      port: Port of the server; 0: any that is free.
      task: Name of this process.
      in_step: Whether the processes train in step with each other.
      find_chief: Returns the chief.
      close: Ends the queue with its process.
      on_preemption: What to do when this process has to go.

    Raises:
      WorkQueueError: If the port is taken.
    """

    def __init__(
        self,
        served: ServiceRecord,
        port: int,
        task: str,
        *,
        in_step: bool,
        find_chief: Callable[[], Chief],
        close: Callable[..., None],
        on_preemption: Preemption | None,
    ):
        self.close = close
        self._served = served
        self._task = task
        self._in_step = in_step
        self._find_chief = find_chief
        self._stall = Stall()
        self._feeder: Feeder | None = None
        self._server = QueueServer(served, port)
        self.port = self._server.port
        self._watch = preemption.watch(
            on_preemption,
            self._leave_to_successor,
            is_idle=lambda: True,
            name=f"what serves work queue {served.name}",
        )
        _live.add(self)
        logging.info(
            "Work queue %s is served on port %d, as in "
            "WorkQueue.connect('grpc://%s:%d', name=%r).",
            served.name,
            self.port,
            platform.node(),
            self.port,
            served.name,
        )

    def new_chief(
        self, ledger: Ledger, attempts: AttemptsKeeper | None
    ) -> Chief:
        """Returns the chief of a ledger, which is asked from now on.

        Args:
          ledger: The ledger.
          attempts: Keeps the attempts at items; None: nobody asks.
        """
        ledger.serve(self._task, in_step=self._in_step)
        chief = Chief(self._served.name, ledger, attempts=attempts)
        self._feeder = Feeder(chief, self._server.mailbox, who=self._task)
        self._server.feed_from(self._feeder)
        return chief

    def flush(self) -> None:
        """Waits until what was reported before now is known."""
        if self._feeder is not None:
            self._feeder.flush(_FLUSH_SECS)

    def new_service(
        self, num_clients: int, is_end: Callable[[], bool]
    ) -> EagerService:
        """Returns this process' own consumers, which take as others do.

        Args:
          num_clients: How many readers draw from one consumer at a time.
          is_end: See EagerService.
        """
        return new_remote_service(
            RemoteMailbox(
                self._server.target, self._served.name, _CONNECT_SECS
            ),
            self._task,
            num_clients=num_clients,
            is_end=is_end,
            leads=True,
        )

    def join(self, timeout_secs: float | None) -> bool:
        """Waits until all is done, and everybody has left.

        Args:
          timeout_secs: Give up after that long; None: never. It is also given
            up when this process is told to go.
        """
        begin = time.monotonic()
        end = math.inf if timeout_secs is None else begin + timeout_secs
        while not self._watch.is_preempted:
            chief = self._find_chief()
            left_secs = max(0.0, end - time.monotonic())
            secs = min(_LOOK_EVERY_SECS, left_secs)
            if chief.wait_until_left(
                self._task, secs, is_over=False, stall=self._stall
            ):
                return True
            if secs == left_secs:
                return False
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
        self._watch.close()
        try:
            if is_through:
                self._let_leave()
        finally:
            self._server.shut()

    def _leave_to_successor(self) -> None:
        """Serves no more, unless somebody is about to save the position."""
        if preemption.is_idle():
            self.close(is_through=False)

    def _let_leave(self) -> None:
        self.flush()
        chief = self._find_chief()
        if self._feeder is not None and not chief.ledger.is_exhausted:
            self._feeder.stop(ends_job=True)
        others = chief.others(self._task)
        if others:
            logging.info(
                "Work queue %s: waiting for %s to leave, %g s at most.",
                self._served.name,
                ", ".join(others),
                self._served.lease_secs,
            )
        chief.wait_until_left(self._task, self._served.lease_secs, is_over=True)
        progress = chief.ledger
        if not progress.is_done:
            logging.warning(
                "Work queue %s is served no more; %s items remain, and %d are "
                "in flight.",
                self._served.name,
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
    on_preemption: Preemption | None = None,
) -> EagerService:
    """Returns the consumers of a process that takes from a server.

    Args:
      mailbox: Mailbox that they come from.
      task: The name of the process.
      num_clients: How many readers draw from one consumer at a time.
      is_end: See EagerService.
      leads: See EagerService.
      on_preemption: See EagerService.
    """
    service = EagerService(
        mailbox.served.name,
        Consumer(task, own_incarnation()),
        PatientTakes(mailbox),
        num_clients=num_clients,
        is_end=is_end,
        beat_secs=min(mailbox.served.lease_secs / 4, _BEAT_SECS),
        shut=mailbox.close,
        board=mailbox,
        leads=leads,
        on_preemption=on_preemption,
    )
    mailbox.heed(lambda: service.is_closing)
    return service
