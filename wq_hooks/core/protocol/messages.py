"""What worker and chief write to each other, as text.

A report is a row of three strings: kind, sender, payload. The sender is the
consumer's name and incarnation, the payload a list of claims, each of which
names an item of one generation:

    sender = "worker:1 5f2c"      payload = "8d1e 17 8d1e 18"

A generation is one life of the chief's ledger. What belongs to an earlier one
is recognised by that and dropped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from wq_hooks.core.items.works import Works
from wq_hooks.core.ledger.consumer_state import Consumer

# Kinds of reports.
ASK = "ask"  # wants an item; the payload is what it has completed
LEASE = "lease"  # took the item in the payload out of the mailbox
ACK = "ack"  # has completed the items in the payload
ALIVE = "alive"  # still there
RETURN = "return"  # gives back the items in the payload, unfinished
ENDED = "ended"  # has met the end of data, and takes no more
LEAVE = "leave"  # ends; the payload is what it has completed
WAKE = "wake"  # from the chief to itself: look up; may bear a mark

# In the place of a generation: no chief has begun, so no item counts.
NOBODY = "none"
# In the place of a generation: the number of the claim is that of the records
# that the sender has trained since it said so last.
RECORDS = "records"

# Slots of the work mailbox: what an element is. The board says, for each, the
# token of those that count; others are left over from an earlier life.
ITEM = 0
END = 1

# Further entries of the board.
REMAINING = 2
LEVEL = 3
WORKS = 4
STATUS = 5
# What the chief has put into the mailbox last; how often reports were taken
# out, and the last of them. So a step whose answer was lost can be repeated.
DELIVERED = 7
NUM_DRAINED = 8
DRAINED = 9
# What a Saver saves; what a Saver has restored, behind the token of the graph
# that has, until the queue begins there.
POSITION = 10
RESTORED = 11
# Which task feeds the queue; see `chief_text`. Rises as long as it lives.
CHIEF = 12
BEAT = 13
# A chief that has left before the end of data, and may come back: how.
LEFT = 14
_FIRST_GATE = 16
_PRESUMED = "presumed"


@dataclass(frozen=True)
class Claim:
    """An item, named by generation and ticket."""

    generation: str
    ticket: int


@dataclass(frozen=True)
class Report:
    """A row of the report mailbox."""

    kind: str
    sender: Consumer
    claims: tuple[Claim, ...] = ()

    @classmethod
    def from_row(cls, kind: bytes, sender: bytes, payload: bytes) -> Report:
        """Returns the report of a row.

        Raises:
          ValueError: If the row is none of ours.
        """
        name, _, incarnation = sender.decode().partition(" ")
        return cls(
            kind.decode(), Consumer(name, incarnation), parse_claims(payload)
        )


def works_text(works: Works) -> str:
    """Returns the board's entry for a list of works: number, fingerprint."""
    return f"{len(works)} {works.fingerprint}"


def chief_text(task_name: str, *, is_presumed: bool) -> str:
    """Returns the board's entry for a chief.

    Args:
      task_name: Name, such as "chief:0".
      is_presumed: Whether it is the chief by convention alone; see
        `wq_hooks.core.chief.tasks`.
    """
    return f"{task_name} {_PRESUMED}" if is_presumed else task_name


def parse_chief(text: str) -> tuple[str, bool]:
    """Returns (name of the task, whether it is presumed); see `chief_text`."""
    name, _, word = text.partition(" ")
    return name, word == _PRESUMED


def gate_of(consumer_name: str) -> int:
    """Returns the entry of the board that lets a consumer in or not.

    It holds the generation in which the consumer is to take no more.
    """
    return _FIRST_GATE + number_of(consumer_name)


def number_of(name: str) -> int:
    """Returns the number of a name, by which tables of TensorFlow know it."""
    digest = hashlib.blake2b(name.encode(), digest_size=7).digest()
    return int.from_bytes(digest, "little")


def sender_text(consumer: Consumer) -> str:
    """Returns the sender column of a consumer's reports."""
    return f"{consumer.name} {consumer.incarnation}"


def claims_text(claims: Iterable[Claim]) -> str:
    """Returns the payload column that names the given items."""
    return " ".join(f"{c.generation} {c.ticket}" for c in claims)


def mark_text(number: int) -> str:
    """Returns the payload column of a mark, by which the chief knows a place.

    It is of the form of a claim, in the generation "mark".
    """
    return claims_text([Claim("mark", number)])


def parse_claims(payload: bytes) -> tuple[Claim, ...]:
    """Returns the items that a payload column names."""
    words = payload.decode().split()
    if len(words) % 2:
        raise ValueError(
            "Expected pairs of generation and ticket in a report; got "
            f"{payload!r:.200}."
        )
    return tuple(
        Claim(generation, int(ticket))
        for generation, ticket in zip(words[::2], words[1::2])
    )
