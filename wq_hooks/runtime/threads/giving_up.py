"""Ends a process that is cut off for good.

    end_process("train", "worker:1", reason, session=session, coord=coord)

A step on a server that does not answer cannot be ended but by closing its
session, and that may wait for the same server. So the process is asked to end
in order, and is ended by force a few seconds later. The force comes from a
thread of C that needs no lock of Python, and says where each thread hangs.
"""

from __future__ import annotations

import contextlib
import faulthandler
import sys
import threading
import weakref

import tensorflow as tf
import tensorflow.compat.v1 as tf1

from wq_hooks.core import log as logging
from wq_hooks.core.waits import Unanswered
from wq_hooks.errors import CutOffError
from wq_hooks.runtime.host.session_queue import SessionQueue

# The process is gone within 5 s.
_FORCE_SECS = 4.0
# Nobody who counts looks less often.
_LOOK_SECS = 10.0
_STANDARD_ERROR = 2

_unanswered: weakref.WeakKeyDictionary[SessionQueue, Unanswered] = (
    weakref.WeakKeyDictionary()
)


def unanswered_of(queue: SessionQueue) -> Unanswered:
    """Returns what counts how long a queue's heartbeats were not answered.

    It lives as long as the queue: the next session may not come to one.
    """
    return _unanswered.setdefault(queue, Unanswered(_LOOK_SECS))


def note_answer(queue: SessionQueue) -> None:
    """Notes that the servers of a queue answer, who creates a session."""
    unanswered = _unanswered.get(queue)
    if unanswered is not None:
        unanswered.note_answer()


def end_if_cut_off(queue: SessionQueue) -> None:
    """Ends this process if a lost session has not come back for too long.

    To be called again and again while a step that is to create it waits. The
    first session of a queue is waited for without end.

    Args:
      queue: A queue of the session.
    """
    unanswered = _unanswered.get(queue)
    if unanswered is None:
        return
    secs = unanswered.look()
    give_up_secs = queue.options.give_up_secs
    if 0 < give_up_secs <= secs:
        end_process(
            queue.name,
            queue.task.name,
            f"its session was lost, and no other could be created; nothing was "
            f"heard of the parameter server for {secs:.0f} s (give_up_secs="
            f"{give_up_secs:g})",
        )


def end_process(
    queue: str,
    task: str,
    reason: str,
    *,
    session: tf1.Session | None = None,
    coord: tf.train.Coordinator | None = None,
) -> None:
    """Ends this process with an error, within 5 s.

    Args:
      queue: Name of the queue.
      task: Name of this process.
      reason: Why.
      session: The session, which is closed.
      coord: The session's Coordinator, which raises the error.
    """
    error = CutOffError(
        f"Work queue {queue}: {task} is cut off, and gives up: {reason}. Start "
        "this process again where it can reach the server."
    )
    logging.error("%s", error)
    with contextlib.suppress(Exception):
        sys.stdout.flush()
    faulthandler.dump_traceback_later(
        _FORCE_SECS, exit=True, file=_STANDARD_ERROR
    )
    if coord is not None:
        coord.request_stop(error)
    if session is not None:
        threading.Thread(
            target=session.close, name="close", daemon=True
        ).start()
