"""Who takes items, and what the ledger knows of them."""

from __future__ import annotations

import math
import re
from collections import deque
from dataclasses import dataclass, field

from wq_hooks.core.items.plan import Item


@dataclass(frozen=True)
class Consumer:
    """A place that takes items: a task's, in one of its processes.

    Attributes:
      name: Name, such as "worker:1", or "worker:1/2" for a task's second
        consumer.
      incarnation: Differs from one start of the task to the next.
    """

    name: str
    incarnation: str


@dataclass(frozen=True)
class Measure:
    """What an item has cost, as its reader has measured it.

    Attributes:
      records: Number of its records.
      train_secs: Seconds of training; None: not known.
      wait_secs: Seconds of waiting for its records, likewise.
    """

    records: int
    train_secs: float | None = None
    wait_secs: float | None = None


@dataclass(frozen=True)
class Lease:
    """An item that a consumer holds.

    Attributes:
      consumer: The consumer that holds it.
      since: Time at which it was taken, in seconds.
      attempt: How often the item has been leased by then.
    """

    consumer: Consumer
    since: float
    attempt: int


@dataclass
class ConsumerState:
    """What the ledger knows of a consumer."""

    consumer: Consumer
    joined: float
    last_heard: float
    # Of all incarnations of the consumer.
    num_starts: int = 1
    taken: int = 0
    completed: int = 0
    records: int = 0
    held: dict[int, float] = field(default_factory=dict)
    # Its last question; the first one since it had an item, for one that is
    # held back asks again and again.
    asking_since: float | None = None
    waiting_since: float | None = None
    has_ended: bool = False
    # Whether a train step of its session has met the end of data.
    is_through: bool = False
    has_left: bool = False
    # Whether what it held then, and takes since, has not failed.
    has_handed_over: bool = False
    # When its process was found to be dead.
    found_dead: float = -math.inf
    # When it lost what it held, for it was not heard of.
    lost_at: float = -math.inf
    durations: deque[float] = field(default_factory=lambda: deque(maxlen=20))
    measures: deque[Measure] = field(default_factory=lambda: deque(maxlen=20))
    # Seconds from one completion to the next, while it had something to do,
    # and what was completed by then; see `wq_hooks.core.ledger.consumer_pace`.
    paces: deque[float] = field(default_factory=lambda: deque(maxlen=5))
    last_items: deque[Item] = field(default_factory=lambda: deque(maxlen=5))
    busy_since: float = 0.0


_PLACE = re.compile(r"[^@]*@(.*):([0-9]{1,10})(?:\.[0-9]+)?")


def incarnation_at(token: str, host: str, pid: int) -> str:
    """Returns an incarnation that says where it is; see `place_of`."""
    return f"{token}@{re.sub(r'[^!-~]', '-', host)[:100]}:{pid}"


def place_of(incarnation: str) -> tuple[str, int | None]:
    """Returns host and process id; ("", None): it does not say."""
    match = _PLACE.fullmatch(incarnation)
    return (match[1], int(match[2])) if match else ("", None)


def consumer_name(task: str, number: int) -> str:
    """Returns the name of a task's consumer of a number, from 0."""
    return task if number == 0 else f"{task}/{number + 1}"


def task_of(consumer_name: str) -> str:
    """Returns the task of a consumer: "worker:1" of "worker:1/2"."""
    return consumer_name.partition("/")[0]
