"""What worker and chief write to each other, as text.

A report is a row of six lines: kind, sender, number of records, number of a
mark, measures, claims. A number is "" for 0. The sender is the consumer's name
and incarnation; each claim names an item of one generation; of each a measure
says its records, and milliseconds of training and of waiting, if any does:

    ack
    worker:1 5f2c
    40

    20/900/100 20/800/150
    8d1e 17 8d1e 18

A generation is one start of the chief's ledger. What belongs to an earlier one
is recognised by that and dropped.

Anybody who reaches the server can write to the mailboxes and to the board. So
all that comes from there is read here, and nowhere else; `UnreadableError`
says that it is none of ours.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from wq_hooks.core.items.works import Works
from wq_hooks.core.ledger.consumer_state import Consumer, Measure
from wq_hooks.core.ledger.end_policy import ChiefStop

# Kinds of reports.
ASK = "ask"  # wants an item; the claims are what it has completed
LEASE = "lease"  # took the claimed item out of the mailbox
ACK = "ack"  # has completed the claimed items
ALIVE = "alive"  # still there
RETURN = "return"  # gives back the claimed items, unfinished
ENDED = "ended"  # has met the end of data, and takes no more
THROUGH = "through"  # a step has met the end of data; claims as of LEAVE
LEAVE = "leave"  # ends; the claims are what it has completed
HAND_OVER = "hand-over"  # the same; what it holds has not failed
WAKE = "wake"  # from the chief to itself: look up; may bear a mark

# Instead of a generation: no chief has begun, so no item counts.
NOBODY = "none"
_KINDS = frozenset(
    (ASK, LEASE, ACK, ALIVE, RETURN, ENDED, THROUGH, LEAVE, HAND_OVER, WAKE)
)
# Between the lines of a report.
SEPARATOR = "\n"
# Instead of a claim: the lease of an element that nobody can read. The chief
# counts it.
UNREADABLE = "unreadable"
# A ticket, or another number from 0; also for TensorFlow's regular expressions.
NUMBER_PATTERN = "[0-9]{1,18}"
_NUMBER = re.compile(NUMBER_PATTERN)
_WORD = re.compile(r"[^\s\x00-\x1f\x7f]{1,500}")
# More than a report of all the items in a large shuffle buffer.
_MAX_BYTES = 1 << 26
_MAX_RECORDS = 10**12

# Slots of the work mailbox: what an element is. The board says, for each, the
# token of those that count; others are left over from an earlier generation.
ITEM = 0
END = 1

# Further entries of the board.
REMAINING = 2
LEVEL = 3
WORKS = 4
STATUS = 5
# In which format the chief writes; see `wq_hooks.core.protocol.format`.
FORMAT = 6
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
BEAT_SECS = 0.5
# A chief that has left before the end of data, and may come back: how.
LEFT = 14
# In front of other entries: they are written where this generation counts, or
# none is there. A chief that was stopped must not write over its successor's.
FENCE = 15
_FIRST_GATE = 16
_PRESUMED = "presumed"


@dataclass(frozen=True)
class Claim:
    """An item, named by generation and ticket."""

    generation: str
    ticket: int


@dataclass(frozen=True)
class Report:
    """A row of the report mailbox.

    Attributes:
      kind: One of the kinds above.
      sender: The consumer, or task, that reports.
      claims: The items that it is about.
      records: Number of records that the sender has trained since it said so
        last.
      mark: Number of a mark, by which the chief knows a place in the mailbox;
        of a lease, the number of the question that it answers; 0: none.
      measures: What each claim has cost, or nothing.
    """

    kind: str
    sender: Consumer
    claims: tuple[Claim, ...] = ()
    records: int = 0
    mark: int = 0
    measures: tuple[Measure, ...] = ()

    def to_text(self) -> str:
        """Returns the row."""
        return SEPARATOR.join(
            (
                self.kind,
                sender_text(self.sender),
                str(self.records or ""),
                str(self.mark or ""),
                " ".join(map(_measure_text, self.measures)),
                claims_text(self.claims),
            )
        )


@dataclass(frozen=True)
class Element:
    """What a taker got: one element of the work mailbox.

    Attributes:
      slot: `ITEM` or `END`.
      token: Generation of an item, or the token of an end of data.
      ticket: Number of an item; -1: it is none.
      text: Text for the reader.
      is_fresh: Whether the token is the one that counts at present.
    """

    slot: int
    token: str = ""
    ticket: int = -1
    text: bytes = b""
    is_fresh: bool = True

    @property
    def claim(self) -> Claim | None:
        """The item; None: it is none, or of an earlier generation."""
        if self.is_fresh and self.slot == ITEM:
            return Claim(self.token, self.ticket)
        return None


class UnreadableError(ValueError):
    """Something in a mailbox, or on the board, is none of ours."""


def parse_report(row: bytes) -> Report:
    """Returns the report of a row.

    Raises:
      UnreadableError: If it is none.
    """
    if len(row) > _MAX_BYTES:
        raise UnreadableError(
            f"{len(row)} bytes; expected {_MAX_BYTES} at most"
        )
    try:
        lines = row.decode().split(SEPARATOR)
    except UnicodeDecodeError as e:
        raise UnreadableError(f"no UTF-8: {e.reason}") from e
    if len(lines) != 6:
        raise UnreadableError(f"{len(lines)} lines; expected 6")
    kind, sender, records, mark, measures, claims = lines
    if kind not in _KINDS:
        raise UnreadableError(f"unknown kind {kind!r:.40}")
    report = Report(
        kind,
        _parse_sender(kind, sender),
        _parse_claims(claims),
        records=parse_number(records or "0"),
        mark=parse_number(mark or "0"),
        measures=tuple(map(_parse_measure, measures.split())),
    )
    if report.measures and len(report.measures) != len(report.claims):
        raise UnreadableError(
            f"{len(report.measures)} measures of {len(report.claims)} claims"
        )
    if report.records > _MAX_RECORDS:
        raise UnreadableError(f"{report.records} records in one report")
    if kind == LEASE and len(report.claims) > 1:
        raise UnreadableError(f"{len(report.claims)} leases; expected one")
    return report


def _measure_text(measure: Measure) -> str:
    if measure.train_secs is None or measure.wait_secs is None:
        return str(measure.records)
    secs = measure.train_secs, measure.wait_secs
    return "/".join(map(str, (measure.records, *(int(s * 1000) for s in secs))))


def _parse_measure(word: str) -> Measure:
    records, *millisecs = map(parse_number, word.split("/"))
    if len(millisecs) not in (0, 2):
        raise UnreadableError(f"expected a measure; got {word!r:.80}")
    return Measure(records, *(number / 1000 for number in millisecs))


def _parse_sender(kind: str, text: str) -> Consumer:
    if kind == WAKE and not text:
        return Consumer("", "")
    words = text.split(" ")
    if len(words) != 2 or not all(map(_WORD.fullmatch, words)):
        raise UnreadableError(
            f"expected name and incarnation; got {text!r:.80}"
        )
    return Consumer(*words)


def _parse_claims(text: str) -> tuple[Claim, ...]:
    words = text.split()
    if len(words) % 2:
        raise UnreadableError(
            "expected pairs of generation and ticket; got "
            f"{len(words)} words, {text!r:.80}"
        )
    return tuple(
        Claim(generation, parse_number(ticket))
        for generation, ticket in zip(words[::2], words[1::2])
    )


def parse_element(
    slot: bytes, token: bytes, ticket: bytes, text: bytes, current: bytes
) -> Element:
    """Returns an element of the work mailbox.

    Args:
      slot: First column of the element, and so on.
      token: Second column.
      ticket: Third column.
      text: Fourth column.
      current: Token that counts at present, of this slot.

    Raises:
      UnreadableError: If it is none.
    """
    is_fresh = token == current
    if slot == b"%d" % END:
        return Element(END, is_fresh=is_fresh)
    if slot != b"%d" % ITEM:
        raise UnreadableError(f"unknown slot {slot!r:.40}")
    number = parse_number(ticket.decode(errors="replace"))
    generation = token.decode(errors="replace")
    return Element(ITEM, generation, number, text, is_fresh)


def parse_number(text: str) -> int:
    """Returns a number from 0.

    Raises:
      UnreadableError: If it is none, or too large.
    """
    if not text.isascii() or not _NUMBER.fullmatch(text):
        raise UnreadableError(f"expected a number; got {text!r:.40}")
    return int(text)


def parse_remaining(text: str) -> int:
    """Returns the number of remaining items on the board.

    -1: there is no end, or it cannot be read.
    """
    try:
        return parse_number(text)
    except UnreadableError:
        return -1


def parse_status(text: str) -> dict[str, Any]:
    """Returns the status on the board; {} if there is none that can be read."""
    try:
        state = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(state, dict):
        return {}
    workers, waiting = state.get("workers", []), state.get("waiting", [])
    if not isinstance(workers, list) or not isinstance(waiting, list):
        return {}
    if not all(
        isinstance(worker, dict) and type(worker.get("in_hand", 0)) is int
        for worker in workers
    ):
        return {}
    return state


def stop_text(stop: ChiefStop) -> str:
    """Returns the board's entry for a chief that has left."""
    return json.dumps([stop.task, stop.step, stop.num_steps])


def parse_stop(text: str) -> ChiefStop | None:
    """Returns how a chief has left; None: it has not, or it cannot be read."""
    try:
        task, *numbers = json.loads(text)
        if not all(x is None or type(x) is int for x in numbers):
            return None
        return ChiefStop(str(task), *numbers)
    except (ValueError, TypeError, RecursionError):
        return None


# From the chief to itself: look up.
WAKE_UP = Report(WAKE, Consumer("", ""))


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


def answer_of(consumer_name: str) -> int:
    """Returns the entry of the board that says what a consumer was answered.

    The server writes there, in the step that takes an item: the `lease_text`
    of the last question that is answered.
    """
    return -gate_of(consumer_name)


def number_of(name: str) -> int:
    """Returns the number of a name, by which tables of TensorFlow know it."""
    digest = hashlib.blake2b(name.encode(), digest_size=7).digest()
    return int.from_bytes(digest, "little")


def sender_text(consumer: Consumer) -> str:
    """Returns the sender line of a consumer's reports."""
    return f"{consumer.name} {consumer.incarnation}".strip()


def lease_text(consumer: Consumer, number: int = 0) -> str:
    """Returns the report of a lease without its claim, which comes last.

    Args:
      consumer: The consumer that asks.
      number: Number of the question, by which it is known whether it was
        answered; see `answer_of`.
    """
    return Report(LEASE, consumer, mark=number).to_text()


def claims_text(claims: Iterable[Claim]) -> str:
    """Returns the line that names the given items."""
    return " ".join(f"{c.generation} {c.ticket}" for c in claims)
