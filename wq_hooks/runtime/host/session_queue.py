"""What the runtime needs of a queue of a graph.

`wq_hooks.engines.graph` has it. The threads of a session, Savers and the watch
of sessions know no more of a queue than this.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import tensorflow as tf

from wq_hooks.core.chief.feeder import Feeder
from wq_hooks.core.chief.tasks import Task
from wq_hooks.core.ledger.attempts import AttemptsKeeper
from wq_hooks.core.ledger.ledger import Ledger
from wq_hooks.core.options import Options
from wq_hooks.core.protocol.transports import ConsumerTransport
from wq_hooks.runtime.host.role import Role

if TYPE_CHECKING:
    from wq_hooks.runtime.ports.port import PortOps
    from wq_hooks.runtime.transport.mailbox import Mailbox
    from wq_hooks.runtime.transport.mailbox_session import MailboxSession


class SessionQueue(Protocol):
    """A queue of a graph, as its sessions and Savers see it.

    Attributes:
      name: Name of the queue.
      options: Options of the queue.
      graph: The graph.
      mailbox: Mailboxes that the tasks share.
      ports: Ports that give this task its items.
      task: The task that this process is.
      role: Whether the task keeps the ledger.
      is_named: Whether the user has given the name.
      has_hook: Whether a hook tells how the session ends.
    """

    name: str
    options: Options
    graph: tf.Graph
    mailbox: Mailbox
    ports: list[PortOps]
    task: Task
    role: Role
    is_named: bool
    has_hook: bool

    @property
    def works_text(self) -> str:
        """What the chief's board says of the works, if they are the same."""

    @property
    def feeder(self) -> Feeder | None:
        """The chief's feeder while a session runs, or None."""

    @property
    def is_running(self) -> bool:
        """Whether a session runs that has not been asked to stop."""

    def transport(self, mailbox: MailboxSession) -> ConsumerTransport:
        """Returns through what the consumers of a session take."""

    def new_ledger(self, position: str) -> Ledger:
        """Returns the ledger that a session of the chief starts with.

        Args:
          position: Text that a Saver has restored, "" if none.
        """

    def new_attempts(
        self, own_task: str | None, reads_records: Callable[[str], bool]
    ) -> AttemptsKeeper | None:
        """Returns what keeps the attempts at items; None: nobody asks."""

    def note_restore(self, path: str, *, has_position: bool) -> None:
        """Notes that a Saver is about to restore a checkpoint.

        Args:
          path: Path of the checkpoint.
          has_position: Whether the position is in it.
        """

    def freeze_position(
        self, directory: str
    ) -> contextlib.AbstractContextManager[None]:
        """Keeps the position as it is at this instant, for a save.

        Args:
          directory: Directory of the checkpoint.
        """
