"""The threads of a queue in one session, and when they end.

TensorFlow starts queue runners with the session and joins their threads when
it stops. A thread that waits in a remote step would be waited for until the
grace period ends, so only two kinds of threads are registered with the
Coordinator, which never wait long: the keeper of a worker (heartbeat, leaving)
and the feeder of the chief. The others are daemons; closing the session
cancels what they wait for.

Without a Coordinator nobody tells these two to end. They are daemons as well
then, and serve until the session is closed; the one thread that can be joined
ends with the data.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tensorflow.compat.v1 as tf1

from wq_hooks.core import log as logging
from wq_hooks.core.chief.chief import Chief
from wq_hooks.core.chief.feeder import Feeder
from wq_hooks.core.consumer.consumer import ConsumerLoop
from wq_hooks.core.ledger.consumer_state import Consumer, consumer_name
from wq_hooks.core.ledger.end_policy import LAST_STEPS_SECS, ChiefStop
from wq_hooks.core.protocol import messages
from wq_hooks.core.waits import Patience, listed
from wq_hooks.errors import TwoChiefsError
from wq_hooks.runtime.host.session_queue import SessionQueue
from wq_hooks.runtime.ports.end_of_data import comes_from, watch_steps
from wq_hooks.runtime.saving import saver_guard
from wq_hooks.runtime.threads.consumer_group import LEAVE_SECS, ConsumerGroup
from wq_hooks.runtime.threads.interrupt import on_interrupt
from wq_hooks.runtime.transport.lookout import Lookout, ServerWatch
from wq_hooks.runtime.transport.mailbox_session import MailboxSession
from wq_hooks.runtime.transport.meeting import (
    is_another_chief_there,
    meet_chief,
)

_RECORD_SECS = 10.0
_POLL_SECS = 0.1
_OVER_POLL_SECS = 0.05
_MAX_NAMES = 20


class ServiceRunner(tf1.train.QueueRunner):
    """The queue runner that starts a queue's threads with the session.

    Args:
      new_service: Returns what is to run in a session; None if it runs.
      queue: A TensorFlow queue, for the exported graph.
      enqueue_op: An op of that queue, likewise.
    """

    def __init__(
        self,
        new_service: Callable[
            [tf1.Session, tf.train.Coordinator | None], Service | None
        ],
        queue: Any,
        enqueue_op: Any,
    ):
        super().__init__(queue, [enqueue_op])
        self._new_service = new_service

    def create_threads(
        self,
        sess: tf1.Session,
        coord: tf.train.Coordinator | None = None,
        daemon: bool = False,
        start: bool = False,
    ) -> list[threading.Thread]:
        """Returns the threads that have to be joined; starts all of them.

        Args:
          sess: The session.
          coord: The threads end when it stops, and report errors to it.
          daemon: Whether the process may end while they run.
          start: Whether to start them now.
        """
        service = self._new_service(sess, coord)
        if service is None:
            return []
        threads = service.create_threads(daemon=daemon)
        for thread in threads:
            if coord is not None:
                coord.register_thread(thread)
            if start:
                thread.start()
        return threads


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
        self.feeder: Feeder | None = None
        self._queue = work_queue
        self._coord = coord or tf1.train.Coordinator()
        self._is_alone = coord is None
        self._mailbox = MailboxSession(work_queue.mailbox, session)
        self._ready = threading.Event()
        self._has_left = threading.Event()
        self._is_keeper_over = threading.Event()
        self._has_hook_ended = False
        task = work_queue.task.name
        if work_queue.task.job == "local" and "/job:" in (
            work_queue.mailbox.device
        ):
            # Nobody said which task this is, and the others would say the
            # same: call it by its server, such as "10.0.0.7:2222".
            server = tf.compat.as_str(session.sess_str)
            task = server.rpartition("/")[2] or task
        self._task = Consumer(task, uuid.uuid4().hex[:12])
        self._watch = ServerWatch(
            work_queue.name,
            self._task.name,
            work_queue.mailbox.device,
            tf.compat.as_str(session.sess_str or ""),
        )
        if work_queue.role.is_presumed_chief:
            self._give_way()
        self._group = ConsumerGroup(
            work_queue.transport(self._mailbox),
            self._start_daemon,
            num_clients=work_queue.options.num_clients,
            acks_on_take=work_queue.options.acks_on_take,
            is_end=self._is_end,
            wait_until_recorded=self._wait_until_recorded
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
                    self._wait_for_last_steps()

    def _wait_for_last_steps(self) -> None:
        """Waits, on the chief, until the others have trained what they had.

        What they train from buffers is saved with the model by the chief
        alone.
        """
        patience = Patience()
        step, moved = None, time.monotonic()
        while self.chief is not None and self.is_live:
            tasks = self.chief.in_last_steps(self._task.name)
            now = time.monotonic()
            former, step = step, saver_guard.step_of(self.session)
            if step != former:
                moved = now
            if not tasks or step is None or now > moved + LAST_STEPS_SECS:
                return
            if patience.is_over():
                logging.warning(
                    "Work queue %s: the data have ended; the chief (%s) has "
                    "waited %d s for the last steps of %s.",
                    self._queue.name,
                    self._task.name,
                    patience.secs,
                    listed(tasks),
                )
            self._coord.wait_for_stop(_OVER_POLL_SECS)

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
    def chief(self) -> Chief | None:
        """The owner of the ledger, where the chief feeds."""
        return None if self.feeder is None else self.feeder.chief

    @property
    def is_live(self) -> bool:
        """Whether its threads have not been asked to stop."""
        return not self._coord.should_stop()

    def create_threads(self, *, daemon: bool) -> list[threading.Thread]:
        """Returns the threads that the Coordinator joins, not started."""
        self._warn_if_alone()
        targets = [(self._keep, "keeper")]
        if self._queue.role.is_chief:
            targets.insert(0, (self._feed, "feeder"))
        if not self._is_alone:
            return [self._thread(*target, daemon) for target in targets]

        def run_alone() -> None:
            for target in targets:
                self._start_daemon(*target)
            while not self._is_over():
                if self._coord.wait_for_stop(_OVER_POLL_SECS):
                    return

        return [self._thread(run_alone, "runner", daemon)]

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
        self._has_hook_ended = True
        if self.chief is not None:
            self.chief.forgive()

    def wait_until_ready(self, timeout_secs: float = math.inf) -> None:
        """Waits, on the chief, until the queue has begun from its position.

        Args:
          timeout_secs: Go on after that long.
        """
        deadline = time.monotonic() + timeout_secs
        while not self._ready.wait(_POLL_SECS):
            if self._coord.should_stop() or time.monotonic() > deadline:
                return

    def keeps_waiting(self) -> bool:
        """Whether somebody may wait for items, now or for good.

        Known everywhere of the end of data, before it on the chief alone.
        """
        if self.chief is not None and self.chief.is_somebody_asking():
            return True
        return bool(self._mailbox.look_up(messages.END)[0])

    def wait_for_others_at_end(self, timeout_secs: float) -> None:
        """Waits, on the chief, until the others have left, if all is done.

        Args:
          timeout_secs: Go on after that long.
        """
        if self.chief is not None and self.chief.ledger.is_done:
            self.chief.wait_until_left(
                self._task.name, timeout_secs, is_over=True
            )

    # The chief.

    def _feed(self) -> None:
        ledger = self._queue.new_ledger(self._mailbox.take_restored())
        chief = Chief(
            self._queue.name,
            ledger,
            attempts=self._queue.new_attempts(
                self._task.name, self._group.reads_records
            ),
        )
        feeder = Feeder(
            chief,
            self._mailbox,
            who=messages.chief_text(
                self._task.name, is_presumed=self._queue.role.is_presumed_chief
            ),
        )
        self.feeder = feeder
        # From now on the board tells what is left over from an earlier life.
        feeder.feed()
        self._ready.set()
        self._start_daemon(feeder.drain_forever, "drainer")
        self._start_daemon(self._stop_feeder, "stopper")
        try:
            feeder.feed_forever()
        except TwoChiefsError:
            # What is reported from now on is for the other one.
            feeder.stop(ends_job=False)
            self._mailbox.report(messages.WAKE_UP, LEAVE_SECS)
            raise
        if self._has_ended_well():
            self._has_left.wait(LEAVE_SECS)
            saver_guard.save_again(self.session, feeder)
        feeder.flush(LEAVE_SECS)
        is_over = ledger.end_policy.ends_job(
            has_ended_well=self._has_ended_well(),
            is_last_step=self._is_last_step(),
        )
        has_left = self._has_ended_well() and not is_over
        feeder.stop(
            ends_job=is_over, left=self._stop_text() if has_left else ""
        )
        self._mailbox.report(messages.WAKE_UP, LEAVE_SECS)

    def _is_last_step(self) -> bool:
        """Whether the session has come to the last step of the job."""
        origin = self._queue.role.origin
        last = None if origin is None else origin.last_step_of_job
        step = None if last is None else saver_guard.step_of(self.session)
        return step is not None and last is not None and step >= last

    def _stop_text(self) -> str:
        """Returns how the chief leaves, for the board."""
        origin = self._queue.role.origin
        return messages.stop_text(
            ChiefStop(
                self._task.name,
                step=saver_guard.step_of(self.session),
                num_steps=None if origin is None else origin.num_steps,
            )
        )

    def _wait_until_recorded(self) -> None:
        """Waits, on the chief, until it is kept what it has just taken."""
        if self.feeder is not None:
            self.feeder.flush(_RECORD_SECS)

    def _stop_feeder(self) -> None:
        self._coord.wait_for_stop()
        if self.feeder is not None:
            self.feeder.wake_to_stop()

    def _is_end(self) -> bool:
        feeder = self.feeder
        if feeder is None:
            return True
        is_stopped = self._coord.should_stop
        if not feeder.chief.wait_for_end(self._task.name, is_stopped):
            return False
        # The ledger knows then what an iterator that was initialized again has
        # given back.
        self.flush()
        feeder.flush(LEAVE_SECS)
        return feeder.chief.wait_for_end(self._task.name, is_stopped)

    # Every task.

    def _keep(self) -> None:
        if len(self._group):
            # What an earlier life of this task held is free at once.
            self._group.report_alive(self._task)
        try:
            with on_interrupt(self._discard_ports):
                if self._queue.role.is_chief:
                    # It may have much to restore, before it asks the server.
                    self.wait_until_ready()
                self._watch.note_answer()
                if self._queue.mailbox.device:
                    self._start_daemon(self._watch_server, "watcher")
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
        self._has_left.set()

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

    def _pause_secs(self, next_beat: float) -> float:
        beat_secs = max(0.0, next_beat - time.monotonic())
        return min(beat_secs, self._lookout.pause_secs)

    def flush(self) -> None:
        """Waits until all that was delivered so far has been counted."""
        self._group.flush()

    def _leave(self) -> None:
        has_ended_well = self._has_ended_well()
        for loop in self._group.loops:
            is_through = has_ended_well and loop in self._through
            completed = loop.claims_at_end() if is_through else []
            if self._is_known_to_end_well():
                # What is left was not read to its end, and has not failed.
                loop.hand_back()
            self._group.report_leave(loop, completed)

    def _has_ended_well(self) -> bool:
        """Whether the session was stopped on purpose, not by an error."""
        if _has_error(self._coord):
            return False
        # The Coordinator does not hear of an error in a train step, the hook
        # does: its `end` is not called.
        return self._has_hook_ended or not self._queue.has_hook

    def _is_known_to_end_well(self) -> bool:
        """Whether a hook says so: what is in flight has not failed."""
        return self._has_hook_ended and not _has_error(self._coord)

    def _flush_at_end(self) -> None:
        # A session that was closed already has nothing more to say.
        with contextlib.suppress(RuntimeError, tf.errors.OpError):
            for loop, port in self._group:
                # If one has failed, then what was drawn last, and not the one
                # before.
                if port.is_drawn():
                    loop.report_asked()
            if not _has_error(self._coord):
                self.flush()

    def _tell_what_was_read(self) -> None:
        """Logs what was being read: not all errors of readers say so."""
        names = [
            name for port in self._group.ports for name in port.under_way()
        ]
        if names:
            more = f" and {len(names) - _MAX_NAMES} more"
            logging.log(
                logging.INFO if self._has_ended_well() else logging.WARNING,
                "Work queue %s: the session ends before all records of %s%s "
                "were trained.",
                self._queue.name,
                ", ".join(names[:_MAX_NAMES]),
                more if len(names) > _MAX_NAMES else "",
            )

    def _close_ports(self) -> None:
        for port in self._group.ports:
            port.close()

    def _discard_ports(self) -> None:
        for port in self._group.ports:
            port.discard()

    # Threads.

    def _start_daemon(self, target: Callable[[], None], name: str) -> None:
        self._thread(target, name, daemon=True).start()

    def _thread(
        self, target: Callable[[], None], name: str, daemon: bool
    ) -> threading.Thread:
        return threading.Thread(
            target=self._guarded,
            args=(target,),
            name=f"{self._queue.name}-{name}",
            daemon=daemon,
        )

    def _guarded(self, target: Callable[[], None]) -> None:
        """Runs a thread; an error ends the session, as in a QueueRunner."""
        try:
            target()
        except Exception as e:
            if self._coord.should_stop() or _is_closed(e, self.session):
                # Closing a session cancels what its threads wait for.
                logging.debug("Work queue %s: %s", self._queue.name, e)
                if self._is_alone:
                    self._coord.request_stop()
                return
            if self._is_alone:
                # Nobody joins a Coordinator that could raise it.
                logging.error("Work queue %s: %s", self._queue.name, e)
            self._coord.request_stop(e)


def _has_error(coord: tf.train.Coordinator) -> bool:
    try:
        coord.raise_requested_exception()
    except Exception:
        return True
    return False


def _is_closed(error: Exception, session: tf1.Session) -> bool:
    if isinstance(error, tf.errors.CancelledError):
        return True
    return isinstance(error, RuntimeError) and "closed" in str(error).lower()
