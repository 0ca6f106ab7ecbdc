"""Who waits for a session says so: TensorFlow does, but not as a warning.

    watch(work_queue)        # when it is made

A worker's session begins when the chief's has initialised the model, and each
session when all servers answer. Until then, and again when a session was lost,
TensorFlow waits inside of what creates it, and no thread of a queue runs. So
one thread of the process looks from time to time whether a session has been
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
from wq_hooks.runtime.callers import owner_of
from wq_hooks.runtime.host import Host

_MAX_POLL_SECS = 5.0
_AT_WORK = ("create_session", "prepare_or_wait_for_session")
_CREATORS = (
    tf1.train.ChiefSessionCreator,
    tf1.train.WorkerSessionCreator,
    tf1.train.Supervisor,
)

_queues: weakref.WeakSet[Any] = weakref.WeakSet()
_lock = threading.Lock()
_is_watching = False


def watch(queue: Host) -> None:
    """Watches from now on whether the sessions of a queue come."""
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
        creators = _creators_at_work() if waiting else []
        patiences = {
            id(creator): patiences.get(id(creator)) or Patience()
            for creator in creators
        }
        for creator in creators:
            patience = patiences[id(creator)]
            if patience.is_over():
                for queue in waiting:
                    _warn(queue, creator, patience.secs)


def _creators_at_work() -> list[Any]:
    """Returns what creates a session at this moment, in any thread."""
    creators = []
    for frame in sys._current_frames().values():
        step: Any = frame
        while step is not None:
            if step.f_code.co_name in _AT_WORK:
                owner = owner_of(step)
                if isinstance(owner, _CREATORS):
                    creators.append(owner)
            step = step.f_back
    return creators


def _warn(queue: Host, creator: Any, secs: float) -> None:
    is_worker = isinstance(creator, tf1.train.WorkerSessionCreator) or (
        isinstance(creator, tf1.train.Supervisor) and not creator.is_chief
    )
    logging.warning(
        "Work queue %s: %s has waited %d s for a session: %sfor the servers of "
        "its cluster, among them the parameter server on %s. Do their "
        "processes run?",
        queue.name,
        queue.task.name,
        secs,
        "for the chief to initialise the model (who has "
        "MonitoredTrainingSession(is_chief=True)), or "
        if is_worker
        else "",
        queue.mailbox.device or "this process",
    )
