"""What the runtime needs of the queue that it works for.

The queue is a `wq_hooks.WorkQueue`, which is made of the parts in this folder;
they know no more of it than this.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Protocol

from wq_hooks.core.attempts import AttemptsKeeper
from wq_hooks.core.dispatcher import Dispatcher
from wq_hooks.core.ledger import Ledger
from wq_hooks.core.tasks import Task
from wq_hooks.runtime.mailbox import Mailbox, MailboxSession
from wq_hooks.runtime.ports import Port


class Host(Protocol):
    """A queue, as its services and Savers see it."""

    mailbox: Mailbox
    task: Task
    is_chief: bool
    has_hook: bool
    checkpoint_directory: str | None

    @property
    def name(self) -> str:
        """The queue's name."""

    @property
    def ports(self) -> Sequence[Port]:
        """Where items come out on this task."""

    @property
    def prefetch(self) -> int:
        """How many items a consumer takes before its readers ask."""

    @property
    def num_clients(self) -> int:
        """How many readers draw from one consumer at a time."""

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

    def new_ledger(self, position: bytes) -> Ledger:
        """Returns the ledger that a session of the chief starts with."""

    def new_attempts(
        self, own_task: str | None, reads_records: Callable[[str], bool]
    ) -> AttemptsKeeper | None:
        """Returns what keeps the attempts at items; None: nobody asks."""

    def compare_works(self, mailbox: MailboxSession) -> bool:
        """Logs that the works differ from the chief's; False: not yet known."""

    def held_position(
        self, directory: str
    ) -> contextlib.AbstractContextManager[None]:
        """Keeps the position as it is at this instant, for a save."""
