"""How often items failed, kept from one start of a job to the next.

    keeper = AttemptsKeeper("train", write, own_task="chief:0")
    keeper.keep(ledger)             # whenever an item was leased or returned
    kept = read_attempts(text)      # at the next start

A checkpoint knows of attempts up to its save only; what has ended the process
since would be tried for ever. So, where items may be given up, what is in
flight is written beside the checkpoints before a reader gets it. The size is
that of what is in flight, and of what was given up.

The trap: a process may hold several items when it fails, and one of them alone
is the cause. All have failed once more then, but of those that reach the limit
together one is given up at a time, the likeliest, and the others are tried
again.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from wq_hooks.errors import SnapshotError

FORMAT = "wq_hooks.core.attempts"
VERSION = 1
# An item is known by its epoch and its text: another start may give it another
# ticket.
Key = tuple[int, str]


@dataclass(frozen=True)
class Attempts:
    """What is known of items that were not completed.

    Attributes:
      failed: How often each has failed; of those that failed together, the
        likeliest cause comes first.
      given_up: Items given up, which an older position may not know.
    """

    failed: dict[Key, int] = field(default_factory=dict)
    given_up: tuple[Key, ...] = ()

    def judged(self, max_attempts: int) -> Attempts:
        """Returns what is to be given up now as well, one item at most."""
        failed = dict(self.failed)
        hopeless = [key for key, num in failed.items() if num >= max_attempts]
        for key in hopeless[1:]:
            failed[key] = max_attempts - 1
        for key in hopeless[:1]:
            del failed[key]
        return Attempts(failed, (*self.given_up, *hopeless[:1]))


class AttemptsLedger(Protocol):
    """What a keeper needs of a ledger."""

    def failed_attempts(self, own_task: str | None) -> Attempts:
        """Returns how often each item would have failed if a task ended now.

        Args:
          own_task: The task that ends, with what it holds; None: all do, and
            what was handed back may have failed.
        """

    def forgive(self, own_task: str | None) -> None:
        """Notes that what a task holds has not failed, whatever ends its lease.

        Args:
          own_task: The task; None: all.
        """


class AttemptsKeeper:
    """Writes the attempts whenever they have changed.

    Args:
      name: Name of the queue.
      write: Writes a text; returns False where there is no place for it.
      own_task: The chief's task, whose items its end would count against;
        others live on, or are reported as lost. None: all consumers are in
        the chief's process.
      reads_records: Whether a consumer, by its name, reads records: what it
        got last is being read then, and else what it got first.
    """

    def __init__(
        self,
        name: str,
        write: Callable[[str], bool],
        own_task: str | None,
        reads_records: Callable[[str], bool] = lambda _: False,
    ):
        self.reads_records = reads_records
        self._name = name
        self._write = write
        self._own_task = own_task
        self._written: str | None = None

    def forgive(self, ledger: AttemptsLedger) -> None:
        """Notes that the chief ends, or pauses, without a failure.

        Args:
          ledger: The ledger, which nobody changes meanwhile.
        """
        ledger.forgive(self._own_task)
        self.keep(ledger)

    def keep(self, ledger: AttemptsLedger) -> None:
        """Writes how often items would have failed if the chief ended now.

        Args:
          ledger: The ledger, which nobody changes meanwhile.
        """
        failed = ledger.failed_attempts(self._own_task)
        text = attempts_text(self._name, failed)
        if text != self._written and self._write(text):
            self._written = text


def attempts_text(name: str, attempts: Attempts) -> str:
    """Returns attempts as one line of JSON."""
    return json.dumps(
        {
            "format": FORMAT,
            "version": VERSION,
            "name": name,
            "failed": [[*key, num] for key, num in attempts.failed.items()],
            "given_up": [list(key) for key in attempts.given_up],
        }
    )


def read_attempts(text: str) -> Attempts:
    """Returns what `attempts_text` wrote.

    Raises:
      SnapshotError: If it is damaged, or of a newer version.
    """
    try:
        document = json.loads(text)
        if (document["format"], document["version"]) != (FORMAT, VERSION):
            raise ValueError("another format or version")
        return Attempts(
            {
                (int(epoch), str(item)): int(num)
                for epoch, item, num in document["failed"]
            },
            tuple((int(e), str(item)) for e, item in document["given_up"]),
        )
    except (KeyError, TypeError, ValueError, RecursionError) as e:
        raise SnapshotError(
            f"Expected attempts of a work queue, of version {VERSION}; got "
            f"{text!r:.80}: {e!r:.200}."
        ) from e
