"""Who waits for a session says so: TensorFlow does, but not as a warning.

    watch(work_queue)        # when it is made

A worker's session begins when the chief's has initialised the model, and each
session when all servers answer. Until then, and again when a session was lost,
TensorFlow waits inside of what creates it, and no thread of a queue runs.
Where a server has died, it waits as well in closing the session that was lost.
So one thread of the process looks from time to time whether a session has been
under way for long, of which queues wait.
"""

from __future__ import annotations

import sys
import threading
import time
import weakref
from typing import Any

import tensorflow.compat.v1 as tf1

from wq_hooks.core import log as logging
from wq_hooks.core import waits
from wq_hooks.core.waits import Patience
from wq_hooks.runtime.host.callers import owner_of
from wq_hooks.runtime.host.session_queue import SessionQueue
from wq_hooks.runtime.threads.giving_up import end_if_cut_off

_MAX_POLL_SECS = 5.0
# In which methods of TensorFlow a session may be waited for, and of whom.
_AT_WORK: dict[str, Any] = {
    "create_session": (
        tf1.train.ChiefSessionCreator,
        tf1.train.WorkerSessionCreator,
    ),
    "prepare_or_wait_for_session": tf1.train.Supervisor,
    "close": tf1.Session,
}

_queues: weakref.WeakSet[Any] = weakref.WeakSet()
_lock = threading.Lock()
_is_watching = False


def watch(queue: SessionQueue) -> None:
    """Watches from now on whether the sessions of a queue come and go."""
    global _is_watching
    with _lock:
        _queues.add(queue)
        if _is_watching:
            return
        _is_watching = True
    threading.Thread(
        target=_watch_forever, name="session-wait", daemon=True
    ).start()


def _watch_forever() -> None:
    patiences: dict[int, Patience] = {}
    while True:
        time.sleep(min(waits.FIRST_SECS / 4, _MAX_POLL_SECS))
        with _lock:
            # TensorFlow finalizes a graph before it makes a session.
            waiting = [
                queue
                for queue in _queues
                if queue.graph.finalized and not queue.is_running
            ]
        owners = _owners_at_work() if waiting else []
        patiences = {
            id(owner): patiences.get(id(owner)) or Patience()
            for owner in owners
        }
        for queue in waiting:
            if _closes_session_of(queue, owners):
                end_if_cut_off(queue)
        for owner in owners:
            patience = patiences[id(owner)]
            if not patience.is_over():
                continue
            for queue in waiting:
                if isinstance(owner, tf1.Session):
                    if _closes_session_of(queue, [owner]):
                        _warn(queue, "its lost session to close: ", patience)
                else:
                    _warn(queue, _creation_in_words(owner), patience)


def _owners_at_work() -> list[Any]:
    """Returns what creates or closes a session now, in any thread."""
    owners = []
    for frame in sys._current_frames().values():
        step: Any = frame
        while step is not None:
            kind = _AT_WORK.get(step.f_code.co_name, ())
            if kind and isinstance(owner := owner_of(step), kind):
                owners.append(owner)
            step = step.f_back
    return owners


def _closes_session_of(queue: SessionQueue, owners: list[Any]) -> bool:
    """Whether a session of a queue's graph is among those being closed."""
    return any(
        isinstance(owner, tf1.Session) and owner.graph is queue.graph
        for owner in owners
    )


def _creation_in_words(creator: Any) -> str:
    is_worker = isinstance(creator, tf1.train.WorkerSessionCreator) or (
        isinstance(creator, tf1.train.Supervisor) and not creator.is_chief
    )
    for_chief = (
        "for the chief to initialise the model (who has "
        "MonitoredTrainingSession(is_chief=True)), or "
    )
    return f"a session: {for_chief if is_worker else ''}"


def _warn(queue: SessionQueue, what: str, patience: Patience) -> None:
    logging.warning(
        "Work queue %s: %s has waited %d s for %sfor the servers of its "
        "cluster, among them the parameter server on %s. Do their processes "
        "run?",
        queue.name,
        queue.task.name,
        patience.secs,
        what,
        queue.mailbox.device or "this process",
    )
