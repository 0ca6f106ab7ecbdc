"""What the runtime needs of a queue of a graph.

`wq_hooks.engines.graph` has it. The threads of a session, Savers and the watch
of sessions know no more of a queue than this.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

import tensorflow as tf

from wq_hooks.core.chief.dispatcher import Dispatcher
from wq_hooks.core.chief.tasks import Task
from wq_hooks.core.consumer.consumer import Transport
from wq_hooks.core.ledger.attempts import AttemptsKeeper
from wq_hooks.core.ledger.ledger import Ledger
from wq_hooks.runtime.host.session_origin import SessionOrigin

if TYPE_CHECKING:
    from wq_hooks.runtime.ports.port import PortOps
    from wq_hooks.runtime.transport.mailbox import Mailbox, MailboxSession


class SessionQueue(Protocol):
    """A queue of a graph, as its sessions and Savers see it."""

    name: str
    graph: tf.Graph
    mailbox: Mailbox
    task: Task
    is_named: bool
    has_hook: bool

    @property
    def ports(self) -> Sequence[PortOps]:
        """Where items come out on this task."""

    @property
    def num_clients(self) -> int:
        """How many readers draw from one consumer at a time."""

    def transport(self, mailbox: MailboxSession) -> Transport:
        """Returns through what the consumers of a session take."""

    @property
    def acks_on_take(self) -> bool:
        """Whether an item is completed when it is handed out."""

    @property
    def counts_attempts(self) -> bool:
        """Whether an item may be given up."""

    @property
    def beat_secs(self) -> float:
        """How often a task says that it is alive."""

    @property
    def dispatcher(self) -> Dispatcher | None:
        """The chief's dispatcher while a session runs, or None."""

    @property
    def is_saved(self) -> bool:
        """Whether the position goes into checkpoints."""

    def new_ledger(self, position: str) -> Ledger:
        """Returns the ledger that a session of the chief starts with."""

    @property
    def works_text(self) -> str:
        """What the chief's board says of the works, if they are the same."""

    @property
    def is_running(self) -> bool:
        """Whether a session runs that has not been asked to stop."""

    @property
    def origin(self) -> SessionOrigin | None:
        """What is known of the session that began last, from its creator."""

    @property
    def is_chief(self) -> bool:
        """Whether this task keeps the ledger."""

    @property
    def is_presumed_chief(self) -> bool:
        """Whether this task is the chief by convention alone."""

    def give_way(self) -> None:
        """Notes that another task feeds the queue."""

    def note_restore(self, path: str, *, has_position: bool) -> None:
        """Notes that a Saver is about to restore a checkpoint."""

    def new_attempts(
        self, own_task: str | None, reads_records: Callable[[str], bool]
    ) -> AttemptsKeeper | None:
        """Returns what keeps the attempts at items; None: nobody asks."""

    def freeze_position(
        self, directory: str
    ) -> contextlib.AbstractContextManager[None]:
        """Keeps the position as it is at this instant, for a save."""
