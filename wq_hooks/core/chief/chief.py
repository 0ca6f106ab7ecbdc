"""The ledger of a queue under its lock.

    chief = Chief("train", ledger)
    item = chief.hand_out(consumer, completed=[])     # None: the end of data
    chief.note(Report(messages.ACK, consumer, (claim,)))

Eager mode asks it as it is. Where consumers take from a mailbox, a Feeder
(`core.chief.feeder`) moves items and reports. Without TensorFlow; may be used
from several threads.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from wq_hooks.core import log as logging
from wq_hooks.core.items.plan import Item
from wq_hooks.core.ledger.attempts import AttemptsKeeper
from wq_hooks.core.ledger.consumer_state import Consumer
from wq_hooks.core.ledger.ledger import Ledger
from wq_hooks.core.monitoring.progress import Progress, ProgressMeter
from wq_hooks.core.monitoring.queue_state import shown, state_of
from wq_hooks.core.monitoring.view import View, Viewer
from wq_hooks.core.position.snapshot import Snapshot
from wq_hooks.core.protocol import messages
from wq_hooks.core.protocol.messages import Claim, Report
from wq_hooks.core.waits import Patience, Stall, holders_in_words, listed

_LOOK_AGAIN_SECS = 0.5
_MAX_LOGGED_ITEMS = 5
_LOGGED_EVENTS = {
    "missing": "Work queue %s: an item was taken and not reported: %s.",
    "given_up": "Work queue %s: gave up %s, which failed too often.",
}


class Chief:
    """Owns a ledger, and does one thing with it at a time.

    Args:
      name: Name of the queue.
      ledger: Ledger, where the queue starts.
      clock: Returns seconds.
      attempts: Keeps how often items failed; None: nobody asks.

    Attributes:
      name: Name of the queue.
      ledger: The ledger. A decision that depends on two of its values needs
        `changed`.
      generation: Differs from one chief of the queue to the next; a claim of
        another one is of no item here.
      changed: The lock, which is told of each change.
      has_news: Whether something has changed that consumers wait for.
      is_stopped: Whether nothing is handed out any more.
    """

    def __init__(
        self,
        name: str,
        ledger: Ledger,
        *,
        clock: Callable[[], float] = time.monotonic,
        attempts: AttemptsKeeper | None = None,
    ):
        self.name = name
        self.ledger = ledger
        self.generation = uuid.uuid4().hex[:12]
        self.changed = threading.Condition()
        self.has_news = False
        self.is_stopped = False
        self._clock = clock
        self._attempts = attempts
        if attempts is not None:
            ledger.note_readers(attempts.reads_records)

    # Items.

    def hand_out(
        self, consumer: Consumer, completed: Sequence[Claim]
    ) -> Item | None:
        """Gives one item to a consumer in the chief's own process, at once.

        Args:
          consumer: The consumer that asks.
          completed: The items that it has completed.

        Returns:
          The item; None at the end of data.
        """
        with self.changed:
            now = self._clock()
            self.apply(Report(messages.ASK, consumer, tuple(completed)), now)
            items = self.ledger.issue(1, now)
            for item in items:
                self.ledger.lease(consumer, item.ticket, now)
            self.record_changes()
            return items[0] if items else None

    def note(self, report: Report) -> None:
        """Tells the ledger what a consumer of the chief's own process says."""
        with self.changed:
            self.apply(report, self._clock())
            self.record_changes()
            self.changed.notify_all()

    def apply(self, report: Report, now: float) -> None:
        """Tells the ledger what a consumer says; called under the lock."""
        ledger, sender = self.ledger, report.sender
        measures = report.measures or (None,) * len(report.claims)
        measured = [
            (claim.ticket, measure)
            for claim, measure in zip(report.claims, measures)
            if claim.generation == self.generation
        ]
        tickets = [ticket for ticket, _ in measured]
        if report.records:
            ledger.count_records(sender, report.records)
        if report.kind == messages.LEASE:
            for ticket in tickets:
                ledger.lease(sender, ticket, now)
            return
        if report.kind == messages.RETURN:
            for ticket in tickets:
                ledger.hand_back(sender, ticket, now)
            return
        for ticket, measure in measured:
            ledger.acknowledge(sender, ticket, now, measure)
        if report.kind == messages.ASK:
            ledger.ask(sender, now)
        elif report.kind == messages.ENDED:
            ledger.end(sender, now)
        elif report.kind == messages.THROUGH:
            ledger.note_through(sender, now)
        elif report.kind in (messages.LEAVE, messages.HAND_OVER):
            is_in_order = report.kind == messages.HAND_OVER
            ledger.leave(sender, now, in_order=is_in_order)
        elif report.kind == messages.ALIVE:
            ledger.heard_of_task(sender, now)

    def tick(self, now: float) -> None:
        """Does what is to be done from time to time; under the lock."""
        self.ledger.pull_works()
        self.ledger.expire(now)
        self.record_changes()
        self.changed.notify_all()

    def record_changes(self) -> bool:
        """Keeps attempts and logs what has happened; under the lock.

        Returns:
          Whether anything has, beside that items were completed.
        """
        # Not after the lock: a reader gets its item when this is written.
        self._keep_attempts()
        return self._log_events()

    def pull_works(self) -> None:
        """Lets works that were added be handed out, or the queue end."""
        with self.changed:
            self.ledger.pull_works()
            self.has_news = True
            self.changed.notify_all()

    @property
    def num_added(self) -> int:
        """Number of works that were ever added while the queue ran."""
        with self.changed:
            added = self.ledger.plan.added
            return 0 if added is None else added.num_added

    def wait_for_works(self, timeout_secs: float) -> bool:
        """Waits, in an open queue, until something could be handed out.

        Args:
          timeout_secs: Give up after that long.

        Returns:
          Whether to ask again: the queue is open, or there is something.
        """
        ledger = self.ledger
        with self.changed:
            if ledger.is_open:
                self.changed.wait_for(
                    lambda: ledger.has_to_issue() or not ledger.is_open,
                    timeout_secs,
                )
            return ledger.is_open or ledger.has_to_issue()

    # The end.

    def stop(self) -> None:
        """Ends all waits."""
        with self.changed:
            self.is_stopped = True
            self.changed.notify_all()

    def wait_for_end(self, task: str, is_stopped: Callable[[], bool]) -> bool:
        """Waits, as a consumer of the chief, for the end of all data.

        The chief leaves last: it gets the end of data only when nobody else
        holds an item, and goes back to work when one is handed back.

        Args:
          task: The chief's own task, whose leases do not count.
          is_stopped: Whether to give up waiting.

        Returns:
          Whether it is the end; False: ask again.
        """
        is_told = False
        policy = self.ledger.end_policy
        patience = Patience(self._clock)
        with self.changed:
            while not is_stopped() and not self.is_stopped:
                if policy.is_end_for_chief(task):
                    return True
                if not policy.is_exhausted:
                    return False
                if not is_told:
                    is_told = True
                    logging.info(
                        "Work queue %s: nothing remains to be handed out; the "
                        "chief waits for %d items that others hold.",
                        self.name,
                        policy.num_held_by_others(task),
                    )
                if patience.is_over():
                    holders = self.ledger.holders()
                    holders.pop(task, None)
                    logging.warning(
                        "Work queue %s: nothing remains to be handed out; the "
                        "chief (%s) has waited %d s for what others hold: %s.",
                        self.name,
                        task,
                        patience.secs,
                        holders_in_words(holders),
                    )
                self.changed.wait(_LOOK_AGAIN_SECS)
        return True

    def in_last_steps(self, task: str) -> list[str]:
        """Returns for whose last steps a task waits; see `EndPolicy`."""
        with self.changed:
            policy = self.ledger.end_policy
            return policy.in_last_steps(task, self._clock())

    def wait_until_left(
        self,
        task: str,
        timeout_secs: float,
        *,
        is_over: bool,
        stall: Stall | None = None,
    ) -> bool:
        """Waits until no consumer of other tasks is there any more.

        Args:
          task: The chief's own task.
          timeout_secs: Give up after that long.
          is_over: Whether items may be left undone.
          stall: How long nothing was completed, if this goes on with a wait.

        Returns:
          Whether they have left.
        """
        deadline = self._clock() + timeout_secs
        stall = stall or Stall(self._clock)
        with self.changed:
            policy = self.ledger.end_policy
            while not policy.may_close(task, self._clock(), is_over=is_over):
                left_secs = deadline - self._clock()
                if left_secs <= 0:
                    return False
                if stall.is_over(self.ledger.completed):
                    self._warn_of_others(task, stall.patience.secs)
                self.changed.wait(min(_LOOK_AGAIN_SECS, left_secs))
        return True

    def _warn_of_others(self, task: str, secs: float) -> None:
        others = self.others(task)
        if others:
            logging.warning(
                "Work queue %s: %s has waited %d s for others to leave: %s; "
                "they hold: %s.",
                self.name,
                task,
                secs,
                listed(others),
                holders_in_words(self.ledger.holders()) or "nothing",
            )
        else:
            logging.warning(
                "Work queue %s: %s has waited %d s; %s items remain, %d are in "
                "flight, and nobody is there to take one.",
                self.name,
                task,
                secs,
                self.ledger.remaining,
                self.ledger.in_flight,
            )

    def is_somebody_asking(self) -> bool:
        """Returns whether a consumer waits for an item, or may have none."""
        with self.changed:
            return any(
                state.asking_since is not None
                for state in self.ledger.consumers.values()
            )

    def others(self, task: str) -> list[str]:
        """Returns the other tasks whose consumers are there."""
        with self.changed:
            return self.ledger.membership.others(task, self._clock())

    # What is told of it.

    def snapshot(self) -> Snapshot:
        """Returns the position."""
        with self.changed:
            return self.ledger.snapshot(self.name)

    def keep_attempts(self) -> None:
        """Keeps how often items failed; see `AttemptsKeeper.keep`."""
        with self.changed:
            self._keep_attempts()

    def forgive(self) -> None:
        """Notes that the chief ends, or pauses, without a failure."""
        with self.changed:
            if self._attempts is not None:
                self._attempts.forgive(self.ledger)

    def note_save(self) -> None:
        """Notes that the position was saved."""
        with self.changed:
            self.ledger.events.last_save = self._clock()

    def progress(self, meter: ProgressMeter) -> Progress:
        """Returns how far the queue is."""
        with self.changed:
            return meter.measure(self.ledger, self._clock())

    def state(self) -> dict[str, Any]:
        """Returns who has what; see `core/monitoring/queue_state.py`."""
        with self.changed:
            return state_of(self.ledger, self._clock())

    def view(self, viewer: Viewer) -> View:
        """Returns all that is written of the queue."""
        with self.changed:
            return viewer.look(self.ledger, self._clock(), time.time())

    def _keep_attempts(self) -> None:
        if self._attempts is not None:
            self._attempts.keep(self.ledger)

    def _log_events(self) -> bool:
        """Logs what has happened.

        Returns:
          Whether anything has, beside that items were completed.
        """
        news = self.ledger.events.take_news()
        for event in news:
            text = _LOGGED_EVENTS.get(event.kind)
            what = event.item.text if event.item else event.consumer
            if text is not None:
                logging.warning(text, self.name, shown(what))
            elif event.kind == "lost":
                held = [
                    shown(e.item.text)
                    for e in news
                    if e.kind == "returned"
                    and e.consumer == event.consumer
                    and e.item is not None
                ]
                logging.warning(
                    "Work queue %s: %s was lost; what it held goes to the "
                    "others: %s.",
                    self.name,
                    event.consumer,
                    ", ".join(held[:_MAX_LOGGED_ITEMS])
                    + (", ..." if len(held) > _MAX_LOGGED_ITEMS else ""),
                )
            elif event.kind == "back":
                state = self.ledger.consumers.get(event.consumer)
                if state is not None:
                    logging.info(
                        "Work queue %s: %s is back, in its start number %d.",
                        self.name,
                        event.consumer,
                        state.num_starts,
                    )
        return bool(news)
