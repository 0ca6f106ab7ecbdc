"""What runs for one queue in one session, on each task.

    service = Service(queue, session, coord)
    threads = service.create_threads(daemon=True)

It gives items to this task's readers, says that the task is alive, and how it
leaves. `session_chief.py` has what the chief does beside that.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from typing import Any

import tensorflow as tf
import tensorflow.compat.v1 as tf1

from wq_hooks.core import log as logging
from wq_hooks.core.chief.chief import Chief
from wq_hooks.core.chief.feeder import Feeder
from wq_hooks.core.consumer.consumer import ConsumerLoop
from wq_hooks.core.ledger.consumer_state import Consumer, consumer_name
from wq_hooks.core.protocol import messages
from wq_hooks.runtime.host.incarnation import own_incarnation
from wq_hooks.runtime.host.session_close import bound_close
from wq_hooks.runtime.host.session_queue import SessionQueue
from wq_hooks.runtime.ports.end_of_data import comes_from, watch_steps
from wq_hooks.runtime.saving import saver_guard
from wq_hooks.runtime.threads.consumer_group import LEAVE_SECS, ConsumerGroup
from wq_hooks.runtime.threads.giving_up import end_process, unanswered_of
from wq_hooks.runtime.threads.interrupt import on_interrupt
from wq_hooks.runtime.threads.session_chief import SessionChief
from wq_hooks.runtime.threads.session_threads import SessionThreads
from wq_hooks.runtime.transport.liveness.answer_watch import AnswerWatch
from wq_hooks.runtime.transport.liveness.server_watch import ServerWatch
from wq_hooks.runtime.transport.lookout import Lookout
from wq_hooks.runtime.transport.mailbox_session import MailboxSession
from wq_hooks.runtime.transport.meeting import (
    is_another_chief_there,
    meet_chief,
)

_OVER_POLL_SECS = 0.05
_MAX_NAMES = 20


class Service:
    """What runs for one queue in one session.

    Args:
      work_queue: The queue.
      session: The session.
      coord: The session's Coordinator, or None for one of its own.
    """

    def __init__(
        self,
        work_queue: SessionQueue,
        session: tf1.Session,
        coord: tf.train.Coordinator | None,
    ):
        self.session = session
        self._queue = work_queue
        self._threads = SessionThreads(
            work_queue.name, session, coord, lambda: work_queue.has_hook
        )
        self._coord = self._threads.coord
        self._mailbox = MailboxSession(work_queue.mailbox, session)
        self._mailbox.expect_own_state()
        self._is_keeper_over = threading.Event()
        task = work_queue.task.name
        if work_queue.task.job == "local" and "/job:" in (
            work_queue.mailbox.device
        ):
            # Nobody said which task this is, and the others would say the
            # same: call it by its server, such as "10.0.0.7:2222".
            server = tf.compat.as_str(session.sess_str)
            task = server.rpartition("/")[2] or task
        self._task = Consumer(task, own_incarnation())
        self._watch = ServerWatch(
            work_queue.name,
            self._task.name,
            work_queue.mailbox.device,
            tf.compat.as_str(session.sess_str or ""),
            unanswered=unanswered_of(work_queue),
            lease_secs=work_queue.options.lease_secs,
            give_up_secs=work_queue.options.give_up_secs,
            give_up=self._give_up,
        )
        if work_queue.role.is_presumed_chief:
            self._give_way()
        self._chief = SessionChief(
            work_queue, session, self._mailbox, self._task, self._threads
        )
        self._group = ConsumerGroup(
            work_queue.transport(self._mailbox),
            self._threads.start,
            num_clients=work_queue.options.num_clients,
            acks_on_take=work_queue.options.acks_on_take,
            is_end=lambda: self._chief.is_end(self._group),
            wait_until_recorded=self._chief.wait_until_recorded
            if work_queue.options.counts_attempts
            else None,
        )
        self._sources: dict[ConsumerLoop, tf.Operation] = {}
        for number, ops in enumerate(work_queue.ports):
            port = ops.in_session(session)
            loop = self._group.add(
                port,
                Consumer(consumer_name(task, number), self._task.incarnation),
                # Its shuffle buffer would be kept from the train step. The
                # chief stays, for what others may hand back.
                pause=None
                if port.reads_records and not work_queue.role.is_chief
                else self._coord.wait_for_stop,
            )
            self._sources[loop] = ops.source.op
        # The consumers whose readers are through with all that they had.
        self._through: list[ConsumerLoop] = []
        watch_steps(session, self._note_end_of_data)
        bound_close(session)
        self._lookout = Lookout(
            work_queue.name,
            self._task.name,
            self._mailbox,
            self._group.gates,
            is_chief=work_queue.role.is_chief,
            origin=work_queue.role.origin,
            read_step=lambda: saver_guard.step_of(session),
            end=self._close_ports,
        )

    def _note_end_of_data(
        self, session: tf1.Session, fetches: Any, error: Any
    ) -> None:
        """Reports, as soon as a step has met it, what its readers had."""
        for loop, source in self._sources.items():
            # Before that it is another end.
            if not loop.has_ended or loop in self._through:
                continue
            if comes_from(source, session, fetches, error):
                self._through.append(loop)
                # If the session ends, it is over anyway.
                with contextlib.suppress(RuntimeError, tf.errors.OpError):
                    loop.report_through()
                    self._chief.wait_for_last_steps()

    def _give_way(self) -> None:
        """Becomes a worker where another task is seen to feed the queue."""
        queue = self._queue
        chief = is_another_chief_there(
            self._task.name, self._mailbox, self._coord.wait_for_stop
        )
        if chief:
            logging.warning(
                "Work queue %s: this task (%s) would be the chief, since its "
                "TF_CONFIG names none, but %s feeds the queue; this one takes "
                "items as a worker. Give all tasks the same cluster in "
                "TF_CONFIG.",
                queue.name,
                self._task.name,
                chief,
            )
            queue.role.give_way()

    def _warn_if_alone(self) -> None:
        """Says so if each task of a cluster would have a queue of its own."""
        target = tf.compat.as_str(self.session.sess_str or "")
        if target.startswith("grpc://") and "/job:" not in (
            self._queue.mailbox.device
        ):
            logging.warning(
                "Work queue %s stands on this task alone, so each task reads "
                "all works. Make it under a replica_device_setter, or "
                "tf.device('/job:ps/task:0').",
                self._queue.name,
            )

    @property
    def feeder(self) -> Feeder | None:
        """The chief's feeder, where it feeds."""
        return self._chief.feeder

    @property
    def chief(self) -> Chief | None:
        """The owner of the ledger, where the chief feeds."""
        return self._chief.chief

    @property
    def is_live(self) -> bool:
        """Whether its threads have not been asked to stop."""
        return self._threads.is_live

    def create_threads(self, *, daemon: bool) -> list[threading.Thread]:
        """Returns the threads that the Coordinator joins, not started."""
        self._warn_if_alone()
        targets = [(self._keep, "keeper")]
        if self._queue.role.is_chief:
            targets.insert(0, (self._feed, "feeder"))
        new_thread = self._threads.new_thread
        if not self._threads.is_alone:
            return [new_thread(*target, daemon=daemon) for target in targets]

        def run_alone() -> None:
            for target in targets:
                self._threads.start(*target)
            while not self._is_over():
                if self._coord.wait_for_stop(_OVER_POLL_SECS):
                    return

        return [new_thread(run_alone, "runner", daemon=daemon)]

    def _feed(self) -> None:
        self._chief.feed(self._group)

    def _is_over(self) -> bool:
        """Whether the data have ended for all readers that have begun."""
        begun = [loop for loop in self._group.loops if loop.has_begun]
        if begun:
            return all(loop.has_ended for loop in begun)
        if self._queue.role.is_chief:
            return self.chief is not None and (self.chief.ledger.is_done)
        return bool(self._mailbox.look_up(messages.END)[0])

    def note_end(self) -> None:
        """Notes, from a hook, that the session ends without an error."""
        self._threads.note_hook_ended()
        if self.chief is not None:
            self.chief.forgive()

    def begin_to_leave(self) -> None:
        """Takes no more items, and hands out none: the process has to go.

        The readers get the end of data behind what they have.
        """
        self._threads.note_preempted()
        # A session that is closed already has nothing that waits.
        with contextlib.suppress(RuntimeError, tf.errors.OpError):
            self._chief.withdraw()
            self._close_ports()

    def wait_until_ready(self, timeout_secs: float = math.inf) -> None:
        """Waits, on the chief, until the queue has begun from its position.

        Args:
          timeout_secs: Go on after that long.
        """
        self._chief.wait_until_ready(timeout_secs)

    def keeps_waiting(self) -> bool:
        """Whether somebody may wait for items, now or for good.

        Known everywhere of the end of data, before it on the chief alone.
        """
        return self._chief.is_somebody_asking() or bool(
            self._mailbox.look_up(messages.END)[0]
        )

    def wait_for_others_at_end(self, timeout_secs: float) -> None:
        """Waits, on the chief, until the others have left, if all is done.

        Args:
          timeout_secs: Go on after that long.
        """
        self._chief.wait_for_others_at_end(timeout_secs)

    def _keep(self) -> None:
        try:
            with on_interrupt(self._discard_ports):
                if self._queue.role.is_chief:
                    # It may have much to restore, before it asks the server.
                    self.wait_until_ready()
                self._watch.note_answer()
                if self._queue.mailbox.device:
                    self._threads.start(self._watch_server, "watcher")
                    self._threads.start(self._watch_answers, "answers")
                if len(self._group) and self._threads.is_live:
                    # What an earlier life of this task held is free at once.
                    self._group.report_alive(self._task)
                if not self._queue.role.is_chief:
                    meet_chief(
                        self._queue,
                        self._task.name,
                        self._mailbox,
                        self._pause,
                    )
                for loop in self._group.loops:
                    self._group.serve(loop)
                self._beat_forever()
            self._flush_at_end()
        finally:
            # Also when the parameter server is gone: the next session must
            # not find what is inside.
            self._is_keeper_over.set()
            self._tell_what_was_read()
            self._discard_ports()
        self._leave()
        self._chief.has_left.set()

    def _beat_forever(self) -> None:
        """Says that this task is alive, and looks whether it waits in vain."""
        next_beat = time.monotonic() + self._queue.options.beat_secs
        while not self._pause(self._pause_secs(next_beat)):
            if len(self._group) or self._queue.role.is_chief:
                self._lookout.look()
            if time.monotonic() < next_beat:
                continue
            next_beat = time.monotonic() + self._queue.options.beat_secs
            if len(self._group):
                self._group.report_alive(self._task)

    def _pause(self, secs: float) -> bool:
        """Waits; returns whether the session is asked to stop."""
        self._watch.note_answer()
        return self._coord.wait_for_stop(secs)

    def _watch_server(self) -> None:
        self._watch.watch(self._is_keeper_over.wait)

    def _watch_answers(self) -> None:
        watch = AnswerWatch(
            self._queue, self._mailbox, lambda: self._group.ports
        )
        error = watch.watch(self._is_keeper_over.wait)
        if error is not None:
            self._threads.fail(error)
            if not self._is_keeper_over.wait(LEAVE_SECS):
                # It waits for that answer itself.
                self.session.close()

    def _give_up(self, reason: str) -> None:
        end_process(
            self._queue.name,
            self._task.name,
            reason,
            session=self.session,
            coord=self._coord,
        )

    def _pause_secs(self, next_beat: float) -> float:
        beat_secs = max(0.0, next_beat - time.monotonic())
        return min(beat_secs, self._lookout.pause_secs)

    def flush(self) -> None:
        """Waits until all that was delivered so far has been counted."""
        self._group.flush()

    def _leave(self) -> None:
        has_ended_well = self._threads.has_ended_well()
        for loop in self._group.loops:
            is_through = has_ended_well and loop in self._through
            completed = loop.claims_at_end() if is_through else []
            if self._threads.is_known_to_end_well():
                # What is left was not read to its end, and has not failed.
                loop.hand_back()
            self._group.report_leave(
                loop, completed, in_order=self._threads.is_preempted
            )

    def _flush_at_end(self) -> None:
        # A session that was closed already has nothing more to say.
        with contextlib.suppress(RuntimeError, tf.errors.OpError):
            for loop, port in self._group:
                # If one has failed, then what was drawn last, and not the one
                # before.
                if port.is_drawn():
                    loop.report_asked()
            if not self._threads.has_error():
                self.flush()

    def _tell_what_was_read(self) -> None:
        """Logs what was being read: not all errors of readers say so."""
        names = [
            name for port in self._group.ports for name in port.under_way()
        ]
        if names:
            more = f" and {len(names) - _MAX_NAMES} more"
            logging.log(
                logging.INFO
                if self._threads.has_ended_well()
                else logging.WARNING,
                "Work queue %s: the session ends before all records of %s%s "
                "were trained.",
                self._queue.name,
                ", ".join(names[:_MAX_NAMES]),
                more if len(names) > _MAX_NAMES else "",
            )

    def _close_ports(self) -> None:
        for port in self._group.ports:
            port.end_early()

    def _discard_ports(self) -> None:
        for port in self._group.ports:
            port.discard()
