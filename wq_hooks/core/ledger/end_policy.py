"""When the data end, for which task, and when the job is over.

    policy = EndPolicy(account, leases, members, backups)
    policy.is_end                                  # for consumers that ask
    policy.is_end_for_chief("chief:0")
    policy.may_close("chief:0", now=t, is_over=False)
    policy.ends_job(has_ended_well=True, is_last_step=False)

The one place that decides so. Waiting is not its business: the chief asks
again when something has changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from wq_hooks.core.ledger.backup_tasks import BackupTasks
from wq_hooks.core.ledger.consumer_state import Lease, task_of
from wq_hooks.core.ledger.item_account import ItemAccount
from wq_hooks.core.ledger.membership import Membership


class EndPolicy:
    r"""Decides who gets the end of data, and when the job is over.

    "Exhausted" means that nothing remains to be handed out, and no item waits
    to be handed out once more as a backup task. "Done" means that nothing is
    in flight either.

    | who | when |
    | --- | --- |
    | A consumer gets the end of data | when the queue is exhausted. |
    | -- with `backup_tasks` | when it is done; or exhausted, and a consumer \
that holds items asks, which may need the end to complete them. |
    | -- of a served queue, once the serving process reads nothing | when it \
is exhausted, and each task that holds an item asks: nobody else would take \
what a lost process hands back. |
    | -- of a queue that is served in step | when it is exhausted: no process \
may wait for what another one holds. |
    | The chief's own consumer gets it | when the queue is exhausted, and no \
other task holds an item; in step, as the others. |
    | A train step of the chief meets it | when no other task is in its last \
steps, so that the chief saves what they have trained: each has met the end, \
has left or is lost; or, for `LAST_STEPS_SECS`, the global step has not moved, \
as where they wait for the chief in their turn. |
    | The serving process may close | when no other task is there, and the \
queue is done, or was given up. |
    | The job is over with the chief's session | when that ends without an \
error, and the queue is exhausted or the global step is the job's last one \
(`StopAtStepHook(last_step=...)`, `TrainSpec(max_steps=...)`). A chief that is \
preempted comes back: it leaves the queue open while others hold items. |
    | -- otherwise: an error, a kill, a stop before both (SIGTERM, \
`StopAtStepHook(num_steps=...)`, another hook, the loop was left) | the others \
wait for the next chief, or until `ChiefStop.is_over`. |

    A stop does not say whether the chief comes back. If it does and the others
    have gone, it trains the rest alone, and nobody notices; if it does not,
    the others say in a warning, each minute, for whom they wait.

    Args:
      account: The items.
      leases: The leases by ticket.
      members: The consumers.
      backups: The backup tasks.
    """

    def __init__(
        self,
        account: ItemAccount,
        leases: Mapping[int, Lease],
        members: Membership,
        backups: BackupTasks,
    ):
        self._account = account
        self._leases = leases
        self._members = members
        self._backups = backups
        # The serving task; None: the queue is not served, or in step.
        self._server: str | None = None
        self._in_step = False

    def serve(self, task: str, *, in_step: bool) -> None:
        """Notes that the consumers are processes that come and go.

        Args:
          task: The serving task, which may read or not.
          in_step: Whether the processes train in step with each other.
        """
        self._in_step = in_step
        self._server = None if in_step else task

    @property
    def is_exhausted(self) -> bool:
        """Whether nothing remains to be handed out."""
        return self._account.remaining == 0 and not self._backups.waiting

    @property
    def is_done(self) -> bool:
        """Whether every item is completed."""
        return self.is_exhausted and not self._leases

    @property
    def is_end(self) -> bool:
        """Whether consumers that ask get the end of data."""
        if not self.is_exhausted:
            return False
        if self._server is not None and not self._members.is_there(
            self._server
        ):
            return self._members.are_all_asking(
                {task_of(x.consumer.name) for x in self._leases.values()}
            )
        if not self._backups.is_on:
            return True
        return not self._leases or any(
            state.held and state.asking_since is not None
            for state in self._members.states.values()
        )

    def is_end_for_chief(self, task: str) -> bool:
        """Returns True when the chief's own consumers get the end of data.

        Args:
          task: The chief's own task, whose leases do not count.
        """
        return self._in_step or (
            self.is_exhausted and not self.num_held_by_others(task)
        )

    def in_last_steps(self, task: str, now: float) -> list[str]:
        """Returns the tasks that a step of the chief waits for at its end.

        A pipeline that does not tell what was trained may hold the records of
        completed items in its buffers.

        Args:
          task: The chief's own task.
          now: Time in seconds.
        """
        if self._in_step or not self.is_exhausted:
            return []
        return self._members.in_last_steps(task, now)

    def may_close(self, task: str, now: float, *, is_over: bool) -> bool:
        """Returns True when a task that waits for the others may close.

        Args:
          task: The task.
          now: Time in seconds.
          is_over: Whether items may be left undone.
        """
        return not self._members.others(task, now) and (is_over or self.is_done)

    def num_held_by_others(self, task: str) -> int:
        """Returns how many items the consumers of other tasks hold."""
        return sum(
            task_of(lease.consumer.name) != task
            for lease in self._leases.values()
        )

    def ends_job(
        self,
        *,
        has_ended_well: bool,
        is_last_step: bool,
        is_preempted: bool = False,
    ) -> bool:
        """Returns True when the others get the end of data as the chief leaves.

        Args:
          has_ended_well: Whether the session has ended without an error.
          is_last_step: Whether the global step is the last one of the job.
          is_preempted: Whether the chief was told to go, and comes back.
        """
        has_nothing_left = self.is_done if is_preempted else self.is_exhausted
        return has_ended_well and (has_nothing_left or is_last_step)


# How long the global step may stand still while the chief waits for the last
# steps of others.
LAST_STEPS_SECS = 10.0


@dataclass(frozen=True)
class ChiefStop:
    """How a chief has left, before the end of data and in good order.

    Attributes:
      task: Name of its task.
      step: The global step; None: there is none.
      num_steps: How many steps its session was asked for, if so.
    """

    task: str
    step: int | None = None
    num_steps: int | None = None

    def is_over(
        self, *, last_step: int | None, num_steps: int | None, step: int | None
    ) -> bool:
        """Returns True when another task would stop now as well.

        It waits inside a step for an item, where its own StopAtStepHook cannot
        see that the last step is reached; so it gets the end of data.

        Args:
          last_step: The global step at which its session stops, if so.
          num_steps: How many steps its session was asked for, if so.
          step: The present global step.
        """
        if num_steps is not None and num_steps == self.num_steps:
            # The same program: it has asked each task for as many.
            return True
        return last_step is not None and step is not None and step >= last_step
