"""Which tasks have died, before their leases run out: never on a guess.

    detector = FailureDetector({"worker:1": "10.0.0.7:2222"}, beat_secs=0.5)
    for probe in detector.due(members, now=t): ...       # connect, and say:
    detector.note_answer(probe, Answer.REFUSED, members, now=t)   # True: dead

A process that is dead while its host lives refuses connections at its port. A
task is dead when its heartbeats have stopped, and the endpoint that accepted
while it was beating refuses several times in a row. Every other answer leaves
it its lease: a port that accepts is alive, also where the process is stopped,
and a host that is silent may be cut off. Pure: the clock and the answers are
parameters.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wq_hooks.core.ledger.consumer_state import ConsumerState
from wq_hooks.core.ledger.membership import Membership

# A heartbeat is overdue after so many periods.
_MAX_BEATS = 2.0
# So many refusals in a row, with that many seconds between them.
_NUM_REFUSALS = 2
_AGAIN_SECS = 1.0
# A port that does not refuse is asked less and less often.
_MAX_PAUSE_SECS = 15.0
# A task whose port was never seen to accept is tried again.
_FIND_AGAIN_SECS = 10.0


class Answer(enum.Enum):
    """What a port says to who connects."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    SILENT = "silent"


@dataclass(frozen=True)
class Probe:
    """A question to the port of a task.

    Attributes:
      task: Name of the task.
      incarnation: Name of the start of it that is meant.
      address: Host and port, from the description of the cluster.
      endpoint: What accepted at that address while the task was beating; None:
        that is to be found out.
      last_heard: When the task was heard of last, in seconds.
    """

    task: str
    incarnation: str
    address: str
    endpoint: Any
    last_heard: float


@dataclass
class _Record:
    """What is known of one incarnation of a task."""

    incarnation: str
    endpoint: Any = None
    is_under_way: bool = False
    num_refused: int = 0
    heard_at_refusal: float = 0.0
    next_probe: float = 0.0
    pause_secs: float = _AGAIN_SECS


class FailureDetector:
    """Says whose port to ask, and what follows; see the module.

    Args:
      addresses: Addresses of the tasks, by name; a task that is not in it keeps
        its lease.
      beat_secs: How often a task says that it is alive.
    """

    def __init__(self, addresses: Mapping[str, str], *, beat_secs: float):
        self._addresses = addresses
        self._overdue_secs = _MAX_BEATS * beat_secs
        self._records: dict[str, _Record] = {}

    def due(self, members: Membership, now: float) -> list[Probe]:
        """Returns whose port is to be asked now; each is asked once at a time.

        Args:
          members: The consumers.
          now: Time in seconds.
        """
        probes: list[Probe] = []
        for task in self._addresses:
            state = _latest(members, task)
            if state is None:
                incarnation = members.beating.get(task)
                if incarnation is not None and not members.names_of(task):
                    # It has not asked yet, and may die with its first item.
                    record = self._record_of(task, incarnation)
                    if record.endpoint is None:
                        probes += self._probe(task, record, now, now)
                continue
            if members.is_silent(state, now):
                continue
            record = self._record_of(task, state.consumer.incarnation)
            is_overdue = self._is_overdue(state, now)
            if not is_overdue:
                record.num_refused = 0
                record.pause_secs = _AGAIN_SECS
                if record.endpoint is not None:
                    record.next_probe = now
                    continue
            elif record.endpoint is None:
                continue
            probes += self._probe(task, record, state.last_heard, now)
        return probes

    def note_endpoint(self, probe: Probe, endpoint: Any, now: float) -> None:
        """Notes what accepts at the address of a task that is beating.

        Args:
          probe: The question.
          endpoint: What accepts there; None: nothing.
          now: Time in seconds.
        """
        record = self._records.get(probe.task)
        if record is not None and record.incarnation == probe.incarnation:
            record.is_under_way = False
            record.endpoint = endpoint
            record.next_probe = now + _FIND_AGAIN_SECS * (endpoint is None)

    def note_answer(
        self, probe: Probe, answer: Answer, members: Membership, now: float
    ) -> bool:
        """Notes what a port has said; returns whether the task is dead."""
        record = self._records.get(probe.task)
        state = _latest(members, probe.task)
        if (
            state is None
            or record is None
            or not record.incarnation
            == probe.incarnation
            == state.consumer.incarnation
        ):
            return False
        record.is_under_way = False
        if answer is not Answer.REFUSED:
            record.num_refused = 0
            record.next_probe = now + record.pause_secs
            record.pause_secs = min(2 * record.pause_secs, _MAX_PAUSE_SECS)
            return False
        record.next_probe = now + _AGAIN_SECS
        record.pause_secs = _AGAIN_SECS
        if state.last_heard != record.heard_at_refusal:
            record.num_refused = 0
            record.heard_at_refusal = state.last_heard
        if state.last_heard > probe.last_heard:
            # It was heard of while it was asked.
            return False
        record.num_refused += 1
        return record.num_refused >= _NUM_REFUSALS

    def _is_overdue(self, state: ConsumerState, now: float) -> bool:
        return now - state.last_heard > self._overdue_secs

    def _probe(
        self, task: str, record: _Record, last_heard: float, now: float
    ) -> list[Probe]:
        """Returns the question to a task, unless it is too soon for one."""
        if record.is_under_way or now < record.next_probe:
            return []
        record.is_under_way = True
        address = self._addresses[task]
        incarnation, endpoint = record.incarnation, record.endpoint
        return [Probe(task, incarnation, address, endpoint, last_heard)]

    def _record_of(self, task: str, incarnation: str) -> _Record:
        record = self._records.get(task)
        if record is None or record.incarnation != incarnation:
            record = self._records[task] = _Record(incarnation)
        return record


def _latest(members: Membership, task: str) -> ConsumerState | None:
    """Returns the consumer of a task that was heard of last, if it is there."""
    states = [members.states[name] for name in members.names_of(task)]
    there = [state for state in states if not state.has_left]
    return max(there, key=lambda state: state.last_heard, default=None)
