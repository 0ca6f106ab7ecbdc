"""Who waits for a session says so: TensorFlow does, but not as a warning.

    watch(work_queue)        # when it is made

A worker's session begins when the chief's has initialised the model, and each
session when all servers answer. Until then, and again when a session was lost,
TensorFlow waits inside of what creates it, and no thread of a queue runs. So
one thread of the process looks from time to time whether a session has been
under way for long, of which queues wait.
"""

from __future__ import annotations

import functools
import os
import threading
import time
import weakref
from typing import NamedTuple

import tensorflow.compat.v1 as tf1

from wq_hooks.core import log as logging
from wq_hooks.core import waits
from wq_hooks.core.waits import Patience
from wq_hooks.runtime.host.session_queue import SessionQueue
from wq_hooks.runtime.host.stacks import call_of, calls_by_thread
from wq_hooks.runtime.threads.giving_up import end_if_cut_off, note_answer

_MAX_POLL_SECS = 5.0
_CREATES_AS_CHIEF = call_of(tf1.train.SessionManager.prepare_session)
_CREATES_AS_WORKER = call_of(tf1.train.SessionManager.wait_for_session)
# Of each step, also of those that are not run by `Session.run`.
_STEPS_FILENAME = call_of(tf1.Session.run).filename

_queues: weakref.WeakSet[SessionQueue] = weakref.WeakSet()
_lock = threading.Lock()
_is_watching = False


class _Creation(NamedTuple):
    """A session that a thread creates.

    Attributes:
      is_worker: Whether it waits for the chief to initialise the model.
      is_in_step: Whether a step of it waits for the servers at present.
    """

    is_worker: bool
    is_in_step: bool


def watch(queue: SessionQueue) -> None:
    """Watches from now on whether the sessions of a queue come."""
    global _is_watching
    _watch_forks()
    with _lock:
        _queues.add(queue)
        if _is_watching:
            return
        _is_watching = True
    threading.Thread(
        target=_watch_forever, name="session-wait", daemon=True
    ).start()


@functools.cache
def _watch_forks() -> None:
    os.register_at_fork(after_in_child=_forget)


def _forget() -> None:
    """Forgets the thread that watches, and what it held: a child has none."""
    global _is_watching, _lock
    _lock = threading.Lock()
    _is_watching = False


def _watch_forever() -> None:
    # Whether it is a worker's, and how long it has been waited for.
    patiences: dict[bool, Patience] = {}
    while True:
        time.sleep(min(waits.FIRST_SECS / 4, _MAX_POLL_SECS))
        with _lock:
            # TensorFlow finalizes a graph before it makes a session.
            waiting = [
                queue
                for queue in _queues
                if queue.graph.finalized and not queue.is_running
            ]
        creations = _creations() if waiting else []
        for queue in waiting if creations else ():
            if any(creation.is_in_step for creation in creations):
                end_if_cut_off(queue)
            else:
                note_answer(queue)
        patiences = {
            creation.is_worker: patiences.get(creation.is_worker) or Patience()
            for creation in creations
        }
        for is_worker, patience in patiences.items():
            if patience.is_over():
                for queue in waiting:
                    _warn(queue, patience, is_worker=is_worker)


def _creations() -> list[_Creation]:
    """Returns the sessions that are being created, in any thread."""
    return [
        _Creation(
            is_worker=_CREATES_AS_WORKER in calls,
            is_in_step=any(call.filename == _STEPS_FILENAME for call in calls),
        )
        for calls in calls_by_thread()
        if _CREATES_AS_CHIEF in calls or _CREATES_AS_WORKER in calls
    ]


def _warn(queue: SessionQueue, patience: Patience, *, is_worker: bool) -> None:
    for_chief = (
        "for the chief to initialise the model (who has "
        "MonitoredTrainingSession(is_chief=True)), or "
    )
    logging.warning(
        "Work queue %s: %s has waited %d s for a session: %sfor the servers of "
        "its cluster, among them the parameter server on %s. Do their "
        "processes run?",
        queue.name,
        queue.task.name,
        patience.secs,
        for_chief if is_worker else "",
        queue.mailbox.device or "this process",
    )
