"""Who takes items: which consumers there are, and whether they live.

    members = Membership(lease_secs=60.0)
    members.begin_incarnation(consumer, now=t)
    members.others("chief:0", now=t)           # ["worker:0", "worker:1"]

A task may have several consumers, and comes back under its name when it is
started again: another incarnation of the same consumers. What a consumer
holds is the ledger's business.
"""

from __future__ import annotations

from collections.abc import Iterable

from wq_hooks.core.ledger.consumer_state import Consumer, ConsumerState, task_of


class Membership:
    """The consumers that were ever heard of.

    Args:
      lease_secs: Seconds after which a task that is not heard of is silent.

    Attributes:
      states: States of the consumers by name, each of its latest incarnation.
      lease_secs: See the class.
      num_there: Number of consumers that had neither left nor fallen silent
        when they were counted, and of those that came since.
      own_task: The chief's own task and its incarnation. What is heard of an
        earlier one comes from a chief that was stopped, and its successor may
        not know it. None: not known.
      beating: Incarnations of the tasks that have said that they are alive,
        also before they have asked for an item.
    """

    def __init__(self, lease_secs: float):
        self.states: dict[str, ConsumerState] = {}
        self.lease_secs = lease_secs
        self.num_there = 0
        # A task whose present incarnation is known: the chief's own.
        self.own_task: Consumer | None = None
        self.beating: dict[str, str] = {}
        # Incarnations that others have followed, by consumer name.
        self._retired: dict[str, set[str]] = {}
        self._names_of_task: dict[str, set[str]] = {}

    def is_retired(self, consumer: Consumer) -> bool:
        """Whether a later incarnation of a consumer is there."""
        own = self.own_task
        if own is not None and task_of(consumer.name) == own.name:
            return consumer.incarnation != own.incarnation
        return consumer.incarnation in self._retired.get(consumer.name, ())

    def begin_incarnation(self, consumer: Consumer, now: float) -> None:
        """Notes a consumer that was never heard of, or another incarnation."""
        fresh = ConsumerState(consumer, now, now)
        former = self.states.get(consumer.name)
        if former is not None:
            retired = self._retired.setdefault(consumer.name, set())
            retired.add(former.consumer.incarnation)
            fresh.num_starts = former.num_starts + 1
            fresh.taken, fresh.completed = former.taken, former.completed
            fresh.records = former.records
        self.num_there += former is None or former.has_left
        self.states[consumer.name] = fresh
        self._names_of_task.setdefault(task_of(consumer.name), set()).add(
            consumer.name
        )

    def names_of(self, task: str) -> list[str]:
        """Returns the names of a task's consumers."""
        return sorted(self._names_of_task.get(task, ()))

    def count_records(self, name: str, num_records: int) -> None:
        """Notes that a consumer, or a task, has trained more records."""
        # A task counts for the first of its consumers.
        state = self.states.get((self.names_of(name) or [name])[0])
        if state is not None:
            state.records += num_records

    def note_dead(self, task: str, now: float) -> None:
        """Notes that a task's process is dead; who is heard of later lives."""
        for name in self.names_of(task):
            self.states[name].found_dead = now

    def is_silent(self, state: ConsumerState, now: float) -> bool:
        """Whether a consumer is dead, or was not heard of for too long."""
        return (
            state.found_dead >= state.last_heard
            or now - state.last_heard > self.lease_secs
        )

    def active(self, now: float) -> list[ConsumerState]:
        """Returns the consumers that are there, and take items."""
        return [
            state
            for state in self.states.values()
            if not state.has_left
            and not state.has_ended
            and not self.is_silent(state, now)
            and (state.held or state.asking_since is not None)
        ]

    def count(self, now: float) -> None:
        """Counts the consumers that are there."""
        self.num_there = sum(
            not state.has_left and not self.is_silent(state, now)
            for state in self.states.values()
        )

    def waiting(self, since: float) -> list[str]:
        """Returns the tasks that ask for an item since then, or for longer."""
        return sorted(
            {
                task_of(name)
                for name, state in self.states.items()
                if not state.has_left
                and not state.has_ended
                and state.waiting_since is not None
                and state.waiting_since <= since
            }
        )

    def others(self, task: str, now: float) -> list[str]:
        """Returns the tasks but `task` that have not left, nor fell silent."""
        names = {
            task_of(name)
            for name, state in self.states.items()
            if not state.has_left and not self.is_silent(state, now)
        }
        return sorted(names - {task})

    def in_last_steps(self, task: str, now: float) -> list[str]:
        """Returns the other tasks whose steps may still train what they had."""
        names = {
            task_of(name)
            for name, state in self.states.items()
            if state.taken
            and not state.is_through
            and not state.has_left
            and not self.is_silent(state, now)
        }
        return sorted(names - {task})

    def is_there(self, task: str) -> bool:
        """Whether a task has consumers that have not left."""
        return any(
            not self.states[name].has_left for name in self.names_of(task)
        )

    def are_all_asking(self, tasks: Iterable[str]) -> bool:
        """Whether each of these tasks asks for an item, and is alive.

        Each was heard of since the last of all began to ask: one that was
        killed while it waited would not be.
        """
        asked: dict[str, float] = {}
        heard: dict[str, float] = {}
        for name, state in self.states.items():
            task = task_of(name)
            heard[task] = max(state.last_heard, heard.get(task, 0.0))
            if state.asking_since is not None:
                asked[task] = max(state.asking_since, asked.get(task, 0.0))
        latest = max(asked.values(), default=0.0)
        return all(task in asked and heard[task] >= latest for task in tasks)
