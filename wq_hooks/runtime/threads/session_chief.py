"""The chief in one session: feeds the queue, and leaves last.

    chief = SessionChief(queue, session, mailbox, "chief:0", threads)
    chief.feed(group)              # in a thread, until the session stops
    chief.is_end(group)            # for the chief's own consumers

The trap: on a worker all of this is there and does nothing.
"""

from __future__ import annotations

import math
import os
import threading
import time

import tensorflow.compat.v1 as tf1

from wq_hooks.core import log as logging
from wq_hooks.core.chief.chief import Chief
from wq_hooks.core.chief.feeder import Feeder
from wq_hooks.core.ledger.consumer_state import Consumer
from wq_hooks.core.ledger.end_policy import LAST_STEPS_SECS, ChiefStop
from wq_hooks.core.protocol import messages
from wq_hooks.core.waits import Patience, listed
from wq_hooks.errors import TwoChiefsError
from wq_hooks.runtime.host.cluster import addresses_of_tasks
from wq_hooks.runtime.host.session_queue import SessionQueue
from wq_hooks.runtime.saving import saver_guard
from wq_hooks.runtime.threads.consumer_group import LEAVE_SECS, ConsumerGroup
from wq_hooks.runtime.threads.session_threads import SessionThreads
from wq_hooks.runtime.transport.liveness.chief_claim import (
    expect_no_chief,
    note_own_generation,
)
from wq_hooks.runtime.transport.liveness.death_watch import DeathWatch
from wq_hooks.runtime.transport.mailbox_session import MailboxSession

_RECORD_SECS = 10.0
_POLL_SECS = 0.1
_LAST_STEPS_POLL_SECS = 0.05


class SessionChief:
    """The chief's part in one session.

    Args:
      queue: The queue.
      session: The session.
      mailbox: The mailboxes, through that session.
      task: The chief's task, in this session.
      threads: The threads of the session.

    Attributes:
      feeder: Keeps the mailboxes filled and drained; None before that.
      has_left: Set when this task's own consumers have left.
    """

    def __init__(
        self,
        queue: SessionQueue,
        session: tf1.Session,
        mailbox: MailboxSession,
        task: Consumer,
        threads: SessionThreads,
    ):
        self._consumer = task
        self.feeder: Feeder | None = None
        self.has_left = threading.Event()
        self._queue = queue
        self._session = session
        self._mailbox = mailbox
        self._task = task.name
        self._threads = threads
        self._ready = threading.Event()

    @property
    def chief(self) -> Chief | None:
        """The owner of the ledger, where the chief feeds."""
        return None if self.feeder is None else self.feeder.chief

    def wait_until_ready(self, timeout_secs: float = math.inf) -> None:
        """Waits, on the chief, until the queue has begun from its position.

        Args:
          timeout_secs: Go on after that long.
        """
        deadline = time.monotonic() + timeout_secs
        while not self._ready.wait(_POLL_SECS):
            if not self._threads.is_live or time.monotonic() > deadline:
                return

    def is_somebody_asking(self) -> bool:
        """Whether somebody waits for an item, as far as is known here."""
        return self.chief is not None and self.chief.is_somebody_asking()

    def wait_for_others_at_end(self, timeout_secs: float) -> None:
        """Waits, on the chief, until the others have left, if all is done.

        Args:
          timeout_secs: Go on after that long.
        """
        if self.chief is not None and self.chief.ledger.is_done:
            self.chief.wait_until_left(self._task, timeout_secs, is_over=True)

    def wait_for_last_steps(self) -> None:
        """Waits, on the chief, until the others have trained what they had.

        What they train from buffers is saved with the model by the chief
        alone.
        """
        patience = Patience()
        step, moved = None, time.monotonic()
        while self.chief is not None and self._threads.is_live:
            if self._threads.is_preempted:
                return
            tasks = self.chief.in_last_steps(self._task)
            now = time.monotonic()
            former, step = step, saver_guard.step_of(self._session)
            if step != former:
                moved = now
            if not tasks or step is None or now > moved + LAST_STEPS_SECS:
                return
            if patience.is_over():
                logging.warning(
                    "Work queue %s: the data have ended; the chief (%s) has "
                    "waited %d s for the last steps of %s.",
                    self._queue.name,
                    self._task,
                    patience.secs,
                    listed(tasks),
                )
            self._threads.coord.wait_for_stop(_LAST_STEPS_POLL_SECS)

    def feed(self, group: ConsumerGroup) -> None:
        """Feeds the queue until the session stops, and says how it ends."""
        pause = self._threads.coord.wait_for_stop
        expect_no_chief(self._queue, self._mailbox, pause)
        ledger = self._queue.new_ledger(self._mailbox.take_restored())
        ledger.membership.own_task = self._consumer
        chief = Chief(
            self._queue.name,
            ledger,
            attempts=self._queue.new_attempts(self._task, group.reads_records),
        )
        feeder = Feeder(
            chief,
            self._mailbox,
            who=messages.chief_text(
                self._task, is_presumed=self._queue.role.is_presumed_chief
            ),
        )
        note_own_generation(self._queue, chief.generation)
        # A chief that was stopped may wait for a report: it gets this one.
        self._mailbox.report(messages.WAKE_UP)
        self._mailbox.announce()
        self.feeder = feeder
        # From now on the board tells what is left over from an earlier life.
        feeder.feed()
        self._ready.set()
        self._threads.start(feeder.drain_forever, "drainer")
        self._threads.start(self._stop_feeder, "stopper")
        self._threads.start(lambda: self._watch_tasks(chief), "death-watch")
        try:
            feeder.feed_forever()
        except TwoChiefsError:
            # What is reported from now on is for the other one.
            feeder.stop(ends_job=False)
            self._mailbox.report(messages.WAKE_UP, LEAVE_SECS)
            raise
        if self._threads.has_ended_well():
            self.has_left.wait(LEAVE_SECS)
            saver_guard.save_again(
                self._session, feeder, since=self._threads.preempted_at
            )
        feeder.flush(LEAVE_SECS)
        is_over = ledger.end_policy.ends_job(
            has_ended_well=self._threads.has_ended_well(),
            is_last_step=self._is_last_step(),
            is_preempted=self._threads.is_preempted,
        )
        has_left = self._threads.has_ended_well() and not is_over
        feeder.stop(
            ends_job=is_over, left=self._stop_text() if has_left else ""
        )
        self._mailbox.report(messages.WAKE_UP, LEAVE_SECS)

    def _watch_tasks(self, chief: Chief) -> None:
        """Notices tasks that have died."""
        addresses = addresses_of_tasks(self._session, os.environ)
        addresses.pop(self._task, None)
        beat_secs = self._queue.options.beat_secs
        watch = DeathWatch(chief, addresses, beat_secs=beat_secs)
        watch.watch(self._threads.coord.wait_for_stop)

    def withdraw(self) -> None:
        """Hands out no more; does nothing on a worker."""
        if self.feeder is not None:
            self.feeder.chief.forgive()
            self.feeder.withdraw()

    def _is_last_step(self) -> bool:
        """Whether the session has come to the last step of the job."""
        origin = self._queue.role.origin
        last = None if origin is None else origin.last_step_of_job
        step = None if last is None else saver_guard.step_of(self._session)
        return step is not None and last is not None and step >= last

    def _stop_text(self) -> str:
        """Returns how the chief leaves, for the board."""
        origin = self._queue.role.origin
        return messages.stop_text(
            ChiefStop(
                self._task,
                step=saver_guard.step_of(self._session),
                # The others have as many to do, where this one comes back.
                num_steps=None
                if origin is None or self._threads.is_preempted
                else origin.num_steps,
            )
        )

    def wait_until_recorded(self) -> None:
        """Waits, on the chief, until it is kept what it has just taken."""
        if self.feeder is not None:
            self.feeder.flush(_RECORD_SECS)

    def _stop_feeder(self) -> None:
        self._threads.coord.wait_for_stop()
        if self.feeder is not None:
            self.feeder.wake_to_stop()

    def is_end(self, group: ConsumerGroup) -> bool:
        """Returns whether the chief's own consumers get the end of data.

        It waits for what others hold; False means to ask again.
        """
        feeder = self.feeder
        if feeder is None:
            return True
        is_stopped = self._threads.coord.should_stop
        if not feeder.chief.wait_for_end(self._task, is_stopped):
            return False
        # The ledger knows then what an iterator that was initialized again has
        # given back.
        group.flush()
        feeder.flush(LEAVE_SECS)
        return feeder.chief.wait_for_end(self._task, is_stopped)
