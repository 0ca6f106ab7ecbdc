"""The chief's side: the ledger on one hand, the mailboxes on the other.

A Dispatcher owns the ledger and its lock. One thread feeds (`feed_forever`),
one drains (`drain_forever`); both speak to a ChiefTransport, which is a mailbox
seen through a session. Without TensorFlow, and tested so.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from wq_hooks.core import log as logging
from wq_hooks.core.chief.board_writer import BoardWriter
from wq_hooks.core.chief.flow_control import Flow
from wq_hooks.core.chief.position_writer import PositionKeeper
from wq_hooks.core.items.plan import Item
from wq_hooks.core.items.works import encoded
from wq_hooks.core.ledger.attempts import AttemptsKeeper
from wq_hooks.core.ledger.consumer_state import Consumer
from wq_hooks.core.ledger.ledger import Ledger
from wq_hooks.core.monitoring.progress import Progress, ProgressMeter
from wq_hooks.core.monitoring.queue_state import shown, state_of
from wq_hooks.core.monitoring.view import View, Viewer
from wq_hooks.core.position.snapshot import Snapshot
from wq_hooks.core.protocol import messages
from wq_hooks.core.protocol.dropped_rows import DroppedRows
from wq_hooks.core.protocol.messages import Claim, Report
from wq_hooks.core.protocol.transports import ChiefTransport
from wq_hooks.core.waits import Patience, Stall, holders_in_words, listed
from wq_hooks.errors import TwoChiefsError

_TICK_SECS = 0.5
# If the last one could not tell what is missing.
_MIN_TICK_SECS = 0.2
_POSITION_EVERY_SECS = 1.0
_FEED_EVERY_SECS = 0.2
_MAX_LOGGED_ITEMS = 5
# To find what was taken and not reported, there must be a moment when all that
# was reported is known.
_LOOK_EVERY_SECS = 2.0
_LOGGED_EVENTS = {
    "missing": "Work queue %s: an item was taken and not reported: %s.",
    "given_up": "Work queue %s: gave up %s, which failed too often.",
}


class Dispatcher:
    """Feeds the work mailbox from the ledger, the ledger from the reports.

    Args:
      name: Name of the queue.
      ledger: Where it starts.
      transport: The mailboxes.
      chief: Who this is; see `messages.chief_text`.
      clock: Returns seconds.
      attempts: Keeps how often items failed; None: nobody asks.
    """

    def __init__(
        self,
        name: str,
        ledger: Ledger,
        transport: ChiefTransport,
        *,
        chief: str = "",
        clock: Callable[[], float] = time.monotonic,
        attempts: AttemptsKeeper | None = None,
    ):
        self.ledger = ledger
        self.generation = uuid.uuid4().hex[:12]
        self._name = name
        self._chief = chief
        self._board = BoardWriter(name, ledger, self.generation, chief)
        self._transport = transport
        self._clock = clock
        self._flow = Flow()
        self._dropped = DroppedRows(name, "a report")
        self._attempts = attempts
        if attempts is not None:
            ledger.note_readers(attempts.reads_records)
        self._keeper = PositionKeeper(self.snapshot, transport.write_position)
        self._changed = threading.Condition()
        self._stopped = False
        self._is_closed = False
        self._end_token = ""
        self._num_marks = 0
        self._last_mark = 0
        self._awaited_mark = 0
        self._has_news = False
        self._last_look = -math.inf
        self._last_tick = -math.inf
        self._next_tick = 0.0
        self._next_position = 0.0

    # Threads.

    def feed_forever(self) -> None:
        """Feeds until `stop`."""
        while not self._stopped:
            self.feed()
            with self._changed:
                self._changed.wait_for(
                    lambda: self._stopped or self.has_to_feed(),
                    _FEED_EVERY_SECS,
                )

    def drain_forever(self) -> None:
        """Applies reports until `stop`, and the next report after it."""
        while True:
            begin = self._clock()
            rows = self._transport.receive()
            self.apply(rows, waited_secs=self._clock() - begin)
            if self._is_closed:
                return
            with self._changed:
                self._changed.wait_for(
                    lambda: (
                        self._is_closed or self._last_mark < self._awaited_mark
                    ),
                    self.gather_secs(),
                )

    def wake_to_stop(self) -> None:
        """Lets `feed_forever` return."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def stop(self, *, ends_job: bool, left: str = "") -> None:
        """Lets both threads end.

        Args:
          ends_job: Whether the consumers get the end of data, since nobody
            will feed them any more.
          left: Else: how the chief has left, for the board; "": by an error,
            which says nothing. See `wq_hooks.core.ledger.end_policy`.
        """
        self.wake_to_stop()
        self._is_closed = True
        if not ends_job and not left:
            return
        elements = []
        if ends_job and not self._end_token:
            self._end_token = uuid.uuid4().hex[:12]
            elements.append(_end(self._end_token))
        with self._changed:
            if not ends_job and not self.ledger.end_policy.is_end:
                # What the chief has handed back remains.
                self._end_token = ""
            board = self._board.last_entries(
                self._end_token,
                self._clock(),
                has_ended=ends_job,
                left=left,
            )
        self._transport.deliver(elements, board)

    # Steps, also for tests.

    def feed(self) -> None:
        """Brings the work mailbox, the board and the position up to date.

        The board is not written for every item.
        """
        now = self._clock()
        if now >= self._next_tick:
            self._last_tick = now
            self._next_tick = now + _TICK_SECS
            self._tick(now)
        with self._changed:
            self._has_news = False
            self.ledger.plan_backup(now)
            num_left = self.ledger.num_issued
            room = self._flow.room(num_left, len(self.ledger.consumers))
            elements = [
                (
                    messages.ITEM,
                    self.generation,
                    str(item.ticket),
                    encoded(item.text),
                )
                for item in self.ledger.issue(room, now)
            ]
            self._flow.note_issued(len(elements), num_left=num_left, now=now)
            end_token = self._end_token
            if not self.ledger.end_policy.is_end:
                end_token = ""
            elif not end_token:
                end_token = uuid.uuid4().hex[:12]
                elements.append(_end(end_token))
            self._end_token = end_token
            board = self._board.entries(end_token, now)
        changes = self._board.changes(board)
        if elements or (changes and self._board.is_due(changes, now)):
            self._transport.deliver(elements, changes)
            self._board.note_written(changes, now)
        if now >= self._next_position:
            self._next_position = now + _POSITION_EVERY_SECS
            self._keeper.write_older()

    def apply(
        self,
        rows: Sequence[bytes],
        *,
        waited_secs: float = 0.0,
    ) -> None:
        """Tells the ledger what the reports say.

        Args:
          rows: What came out of the mailbox. What cannot be read is counted,
            logged once and dropped.
          waited_secs: How long there was none before.
        """
        with self._changed:
            now = self._clock()
            self._flow.note_waited(waited_secs, now)
            num_issued = self.ledger.num_issued
            for row in rows:
                try:
                    report = messages.parse_report(row)
                except messages.UnreadableError as e:
                    self._dropped.note(row, e)
                    self.ledger.dropped_rows = self._dropped.num
                    continue
                self._apply(report, now)
            self._keep_attempts()
            num_taken = num_issued - self.ledger.num_issued
            self._flow.note_taken(num_taken, now)
            # Far from the end they can wait for the next items.
            self._has_news |= self._log_events()
            self._has_news |= self.ledger.is_near_end
            if now > self._last_look + _LOOK_EVERY_SECS:
                # At no other time are so few reports on their way.
                self._next_tick = min(
                    self._next_tick, self._last_tick + _MIN_TICK_SECS
                )
            self._changed.notify_all()

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
        with self._changed:
            now = self._clock()
            self._apply(Report(messages.ASK, consumer, tuple(completed)), now)
            items = self.ledger.issue(1, now)
            for item in items:
                self.ledger.lease(consumer, item.ticket, now)
            self._keep_attempts()
            self._log_events()
            return items[0] if items else None

    def note(self, report: Report) -> None:
        """Tells the ledger what a consumer of the chief's own process says."""
        with self._changed:
            self._apply(report, self._clock())
            self._keep_attempts()
            self._log_events()
            self._changed.notify_all()

    def pull_works(self) -> None:
        """Lets works that were added be handed out, or the queue end."""
        with self._changed:
            self.ledger.pull_works()
            self._has_news = True
            self._changed.notify_all()

    @property
    def num_added(self) -> int:
        """Number of works that were ever added while the queue ran."""
        with self._changed:
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
        with self._changed:
            if ledger.is_open:
                self._changed.wait_for(
                    lambda: ledger.has_to_issue() or not ledger.is_open,
                    timeout_secs,
                )
            return ledger.is_open or ledger.has_to_issue()

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
        with self._changed:
            while not is_stopped() and not self._stopped:
                if policy.is_end_for_chief(task):
                    return True
                if not policy.is_exhausted:
                    return False
                if not is_told:
                    is_told = True
                    logging.info(
                        "Work queue %s: nothing remains to be handed out; the "
                        "chief waits for %d items that others hold.",
                        self._name,
                        policy.num_held_by_others(task),
                    )
                if patience.is_over():
                    holders = self.ledger.holders()
                    holders.pop(task, None)
                    logging.warning(
                        "Work queue %s: nothing remains to be handed out; the "
                        "chief (%s) has waited %d s for what others hold: %s.",
                        self._name,
                        task,
                        patience.secs,
                        holders_in_words(holders),
                    )
                self._changed.wait(_TICK_SECS)
        return True

    def in_last_steps(self, task: str) -> list[str]:
        """Returns for whose last steps a task waits; see `EndPolicy`."""
        with self._changed:
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
        with self._changed:
            policy = self.ledger.end_policy
            while not policy.may_close(task, self._clock(), is_over=is_over):
                left_secs = deadline - self._clock()
                if left_secs <= 0:
                    return False
                if stall.is_over(self.ledger.completed):
                    self._warn_of_others(task, stall.patience.secs)
                self._changed.wait(min(_TICK_SECS, left_secs))
        return True

    def _warn_of_others(self, task: str, secs: float) -> None:
        others = self.others(task)
        if others:
            logging.warning(
                "Work queue %s: %s has waited %d s for others to leave: %s; "
                "they hold: %s.",
                self._name,
                task,
                secs,
                listed(others),
                holders_in_words(self.ledger.holders()) or "nothing",
            )
        else:
            logging.warning(
                "Work queue %s: %s has waited %d s; %s items remain, %d are in "
                "flight, and nobody is there to take one.",
                self._name,
                task,
                secs,
                self.ledger.remaining,
                self.ledger.in_flight,
            )

    def is_somebody_asking(self) -> bool:
        """Returns whether a consumer waits for an item, or may have none."""
        with self._changed:
            return any(
                state.asking_since is not None
                for state in self.ledger.consumers.values()
            )

    def others(self, task: str) -> list[str]:
        """Returns the other tasks whose consumers are there."""
        with self._changed:
            return self.ledger.membership.others(task, self._clock())

    # The position.

    def snapshot(self) -> Snapshot:
        """Returns the position."""
        with self._changed:
            return self.ledger.snapshot(self._name)

    def keep_attempts(self) -> None:
        """Keeps how often items failed; see `AttemptsKeeper.keep`."""
        with self._changed:
            self._keep_attempts()

    def forgive(self) -> None:
        """Notes that the chief ends, or pauses, without a failure."""
        with self._changed:
            if self._attempts is not None:
                self._attempts.forgive(self.ledger)

    def progress(self, meter: ProgressMeter) -> Progress:
        """Returns how far the queue is."""
        with self._changed:
            return meter.measure(self.ledger, self._clock())

    def state(self) -> dict[str, Any]:
        """Returns who has what; see `core/monitoring/queue_state.py`."""
        with self._changed:
            return state_of(self.ledger, self._clock())

    def view(self, viewer: Viewer) -> View:
        """Returns all that is written of the queue."""
        with self._changed:
            return viewer.look(self.ledger, self._clock(), time.time())

    @property
    def num_saved(self) -> int | None:
        """Number of items that were completed at the last save, if any."""
        return self._keeper.num_saved

    @contextlib.contextmanager
    def held_position(self, settle_secs: float = 1.0) -> Iterator[None]:
        """Writes the position, and keeps it as it is inside the block.

        Args:
          settle_secs: How long to wait for reports that are on their way;
            what they acknowledge would otherwise be done again.
        """
        self.settle(settle_secs)
        with self._keeper.held():
            yield

    def settle(self, secs: float) -> None:
        """Waits until what was reported before now is known.

        Args:
          secs: Give up after that long.
        """
        # An empty mailbox would not tell: it may just have been emptied.
        with self._changed:
            self._num_marks += 1
            number = self._num_marks
        if not self._transport.mark(number):
            return
        deadline = self._clock() + secs
        with self._changed:
            self._changed.notify_all()
            self._awaited_mark = max(self._awaited_mark, number)
            while (
                self._last_mark < number
                and self._clock() < deadline
                and not self._is_closed
            ):
                self._changed.wait(0.02)

    def gather_secs(self) -> float:
        """Returns how long reports may gather."""
        ledger = self.ledger
        return self._flow.gather_secs(
            ledger.num_issued,
            len(ledger.consumers),
            is_near_end=ledger.is_near_end,
        )

    def has_to_feed(self) -> bool:
        """Returns whether `feed` has something to do now."""
        is_end = self.ledger.end_policy.is_end
        if self._has_news or bool(self._end_token) != is_end:
            return True
        if self._clock() >= self._next_tick:
            return True
        ledger = self.ledger
        room = self._flow.room(ledger.num_issued, len(ledger.consumers))
        return room > 0 and ledger.has_to_issue()

    # Inside.

    def _tick(self, now: float) -> None:
        """What has to be done from time to time."""
        num_work = self._transport.num_work()
        # What was reported before the mailbox was measured must be known.
        if self._transport.num_reports() == 0:
            with self._changed:
                self.ledger.find_missing(num_work, now)
                self._last_look = now
        generation, chief = self._transport.look_up(
            messages.ITEM, messages.CHIEF
        )
        if self._board.is_written and generation not in ("", self.generation):
            self._meet_other_chief(chief)
        if self._end_token and num_work == 0:
            # A taker died while it had the end of data in its hands.
            self._transport.deliver([_end(self._end_token)], {})
        with self._changed:
            self.ledger.pull_works()
            self.ledger.expire(now)
            self._keep_attempts()
            self._log_events()
            self._changed.notify_all()

    def _meet_other_chief(self, other: str) -> None:
        """Gives way to another chief, unless that one only presumes to be it.

        Args:
          other: What the board says of it.

        Raises:
          TwoChiefsError: If it is not for this one to stay.
        """
        name, is_presumed = messages.parse_chief(other)
        own_name, is_own_presumed = messages.parse_chief(self._chief)
        if not is_presumed or is_own_presumed:
            raise TwoChiefsError(
                f"Expected to be the only chief of work queue {self._name!r}; "
                f"another process ({name or 'unknown'}) has begun to feed it, "
                f"and this one is {own_name or 'unknown'}. Give the queue a "
                "name or container of its own, or is_chief=False on all tasks "
                "but one; where TF_CONFIG tells, give all tasks the same "
                "cluster."
            )
        logging.warning(
            "Work queue %s: %s takes itself for the chief, since its TF_CONFIG "
            "and session name none; the chief is %s, and goes on. Give all "
            "tasks the same cluster in TF_CONFIG.",
            self._name,
            name,
            own_name,
        )
        self._board.forget()

    def _keep_attempts(self) -> None:
        # Not after the lock: a reader gets its item when this is written.
        if self._attempts is not None:
            self._attempts.keep(self.ledger)

    def _apply(self, report: Report, now: float) -> None:
        ledger, sender = self.ledger, report.sender
        tickets = [
            claim.ticket
            for claim in report.claims
            if claim.generation == self.generation
        ]
        if report.records:
            ledger.count_records(sender, report.records)
        if report.kind == messages.WAKE:
            if report.mark <= self._num_marks:
                self._last_mark = max(self._last_mark, report.mark)
            return
        if report.kind == messages.LEASE:
            for ticket in tickets:
                ledger.lease(sender, ticket, now)
            return
        if report.kind == messages.RETURN:
            for ticket in tickets:
                ledger.hand_back(sender, ticket, now)
            return
        for ticket in tickets:
            ledger.acknowledge(sender, ticket, now)
        if report.kind == messages.ASK:
            ledger.ask(sender, now)
        elif report.kind == messages.ENDED:
            ledger.end(sender, now)
        elif report.kind == messages.THROUGH:
            ledger.note_through(sender, now)
        elif report.kind == messages.LEAVE:
            ledger.leave(sender, now)
        elif report.kind == messages.ALIVE:
            ledger.heard_of_task(sender, now)

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
                logging.warning(text, self._name, shown(what))
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
                    self._name,
                    event.consumer,
                    ", ".join(held[:_MAX_LOGGED_ITEMS])
                    + (", ..." if len(held) > _MAX_LOGGED_ITEMS else ""),
                )
            elif event.kind == "joined":
                state = self.ledger.consumers.get(event.consumer)
                if state is not None and state.lives > 1:
                    logging.info(
                        "Work queue %s: %s is back, in its life number %d.",
                        self._name,
                        event.consumer,
                        state.lives,
                    )
        return bool(news)


def _end(token: str) -> tuple[int, str, str, bytes]:
    return (messages.END, token, "-1", b"")
