"""Savers that take the position of the queues along.

A SaverGuard wraps `save` and `restore` of one tf.compat.v1.train.Saver:

* before a save it writes the position to where the Saver reads it, and holds
  it there until the save is through;
* before a restore it takes the items of an earlier chief out of circulation:
  what workers trained of them between the restore of the model and the
  beginning of the queue would stay in the model, and be trained again;
* a checkpoint without the position restores as usual, and the queue starts
  fresh.

The guard wraps an object, not the class: TensorFlow gives no listener to
MonitoredTrainingSession, and no Saver that tolerates a missing name.
"""

from __future__ import annotations

import contextlib
import math
import os
import threading
import time
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tensorflow.compat.v1 as tf1

from wq_hooks.core.chief.feeder import Feeder
from wq_hooks.runtime.host.session_queue import SessionQueue
from wq_hooks.runtime.host.tensorflow_private import STEP_READS, saved_by
from wq_hooks.runtime.transport.liveness.chief_claim import expect_no_chief
from wq_hooks.runtime.transport.mailbox_session import MailboxSession
from wq_hooks.runtime.transport.position_saveable import WorkQueuePosition

_GUARDS = "_wq_hooks_guards"
_SETTLE_SECS = 2.0
# Where a Scaffold, and a Supervisor, puts what it is not given.
_OPS_OF_SCAFFOLDS = (
    tf1.GraphKeys.READY_OP,
    tf1.GraphKeys.INIT_OP,
    tf1.GraphKeys.LOCAL_INIT_OP,
)


def guards_of(graph: tf.Graph) -> list[SaverGuard]:
    """Returns the guards of the Savers of a graph, in order of building."""
    if not hasattr(graph, _GUARDS):
        setattr(graph, _GUARDS, [])
    guards: list[SaverGuard] = getattr(graph, _GUARDS)
    return guards


def guard_saver(
    graph: tf.Graph, saver: tf1.train.Saver, queues: Sequence[SessionQueue]
) -> None:
    """Guards a Saver, once, while it is being built; see the module.

    Args:
      graph: The graph.
      saver: Takes the position of a queue of the graph along.
      queues: The queues of the graph; the list may grow later.
    """
    guards = guards_of(graph)
    if all(guard.saver is not saver for guard in guards):
        guard = SaverGuard(saver, queues)
        guards.append(guard)
        guard.build()


def is_trained_from(graph: tf.Graph) -> bool:
    """Returns whether a session of a graph is one in which a model is trained.

    Who evaluates or predicts with the input of a training restores the
    position of the training, and wants to see all records.

    Args:
      graph: The graph, of which a session has begun.
    """
    if graph.get_collection(tf1.GraphKeys.EVAL_STEP):
        return False
    if graph.get_collection(STEP_READS):
        return True
    if not any(graph.get_collection(key) for key in _OPS_OF_SCAFFOLDS):
        # A session by hand: who restores there means it.
        return True
    # A session that trains restores the newest checkpoint of a directory. For
    # a prediction Estimator names the file, and nothing counts steps.
    return not any(guard.is_from_file for guard in guards_of(graph))


def is_saved_without_queues(graph: tf.Graph) -> bool:
    """Returns whether the one Saver of a session takes no position along.

    Args:
      graph: The graph, of which a session has begun.
    """
    return (
        graph.finalized
        and not guards_of(graph)
        and any(op.type == "SaveV2" for op in graph.get_operations())
    )


def save_again(
    session: tf1.Session, feeder: Feeder, *, since: float | None = None
) -> None:
    """Saves once more at the end, if the last save knows too little.

    TensorFlow does not save at the end where the last step happened to be one
    at which it had saved already; but only now its items are completed.

    Args:
      session: The session that ends.
      feeder: Feeder of the queue.
      since: When the process was told to go, in seconds of the monotonic
        clock. Nobody else saves then where the session ends in between.
    """
    for guard in guards_of(session.graph):
        guard.save_again(session, feeder, since)


class SaverGuard:
    """Wraps `save` and `restore` of a Saver.

    Args:
      saver: The Saver.
      queues: The queues of its graph; the list may grow later.

    Attributes:
      is_from_file: Whether it has restored a file that was named, not the
        newest one of a directory.
    """

    def __init__(self, saver: tf1.train.Saver, queues: Sequence[SessionQueue]):
        self.saver = saver
        self.is_from_file = False
        self._queues = queues
        self._save = saver.save
        self._restore = saver.restore
        self._recover = saver.recover_last_checkpoints
        self._has_own_restore = (
            type(saver).restore is not tf1.train.Saver.restore
        )
        self._without_queues: tf1.train.Saver | None = None
        self._last_save: tuple[Any, Any, str, Any, Any] | None = None
        self._saved_at = -math.inf
        # Of each generation: how many items were completed at the last save.
        self._num_saved: dict[str, int | None] = {}
        self._lock = threading.Lock()
        saver.save = self.save
        saver.restore = self.restore
        saver.recover_last_checkpoints = self.recover_last_checkpoints

    def build(self) -> None:
        """Builds a Saver for checkpoints without the queues."""
        saved = saved_by(self.saver)
        rest: Any
        if isinstance(saved, dict):
            rest = {k: v for k, v in saved.items() if not _is_position(v)}
        else:
            rest = [v for v in saved if not _is_position(v)]
        with (
            tf.control_dependencies(None),
            tf.device(None),
            tf1.name_scope(None),
        ):
            self._without_queues = tf1.train.Saver(
                rest, sharded=True, allow_empty=True, name="save_without_queues"
            )

    def save(self, sess: Any, save_path: str, *args: Any, **kwargs: Any) -> Any:
        """Saves, with the position as it is at this instant."""
        self._last_save = (sess, step_of(sess), save_path, args, kwargs)
        self._saved_at = time.monotonic()
        with contextlib.ExitStack() as stack:
            for queue in self._queues:
                directory = os.path.dirname(save_path)
                stack.enter_context(queue.freeze_position(directory))
            self._num_saved = {
                queue.feeder.chief.generation: queue.feeder.num_saved
                for queue in self._queues
                if queue.feeder is not None
            }
            return self._save(sess, save_path, *args, **kwargs)

    def save_again(
        self, sess: Any, feeder: Feeder, since: float | None
    ) -> None:
        """Saves once more if items were completed since, without a step.

        The checkpoint stands beside the last one, under the same step: to
        write over that one could damage it. Where the process was told to go,
        it is saved as well what later steps have trained, unless it was saved
        since.
        """
        with self._lock:
            if self._last_save is None or self._saved_at >= (since or math.inf):
                return
            session, step, save_path, args, kwargs = self._last_save
            if session is not sess or step is None:
                return
            now = step_of(sess)
            if now == step:
                save_path = f"{save_path}-end"
            elif since is None:
                return
            else:
                kwargs = {**kwargs, "global_step": now}
            # What was reported last may not be known yet.
            feeder.flush(_SETTLE_SECS)
            num_saved = self._num_saved.get(feeder.chief.generation)
            if now == step and num_saved == feeder.chief.ledger.completed:
                return
            # A thread of its own is in eager mode until it says otherwise.
            with sess.graph.as_default(), feeder.freeze_position():
                self._num_saved[feeder.chief.generation] = feeder.num_saved
                self._save(
                    sess,
                    save_path,
                    *args,
                    **{**kwargs, "write_meta_graph": False},
                )

    def recover_last_checkpoints(self, checkpoint_paths: Any) -> None:
        """Notes that what was restored is the newest of a directory."""
        self.is_from_file = False
        self._recover(checkpoint_paths)

    def restore(self, sess: Any, save_path: str) -> None:
        """Restores, also from a checkpoint that lacks the queues."""
        self.is_from_file = True
        missing = self._missing(save_path)
        for queue in self._queues:
            has_position = queue.name not in missing
            queue.note_restore(save_path, has_position=has_position)
            if queue.role.is_chief and queue.feeder is None:
                mailbox = MailboxSession(queue.mailbox, sess)
                # The Saver would meet it first, in a step of its own.
                mailbox.expect_own_state()
                expect_no_chief(queue, mailbox, time.sleep)
                mailbox.invalidate_items()
        if (
            not missing
            or self._without_queues is None
            # It has its own way with what a checkpoint lacks.
            or self._has_own_restore
        ):
            self._restore(sess, save_path)
            return
        self._without_queues.restore(sess, save_path)
        reader = tf.train.load_checkpoint(save_path)
        for queue in self._queues:
            position = b""
            if queue.name not in missing and queue.options.save:
                position = reader.get_tensor(queue.mailbox.position.key)
            MailboxSession(queue.mailbox, sess).restore_position(
                position.decode()
            )

    def _missing(self, save_path: str) -> list[str]:
        try:
            reader = tf.train.load_checkpoint(save_path)
        except (ValueError, tf.errors.OpError):
            return []  # The Saver itself has the better words for it.
        return [
            queue.name
            for queue in self._queues
            if queue.options.save
            and not reader.has_tensor(queue.mailbox.position.key)
        ]


def _is_position(saved: Any) -> bool:
    return isinstance(saved, WorkQueuePosition)


def step_of(session: tf1.Session) -> int | None:
    """Returns the global step, None if the graph has none."""
    step = tf1.train.get_global_step(session.graph)
    return None if step is None else int(session.run(step))
