"""Savers that take the position of the queues along.

A SaverGuard wraps `save` and `restore` of one tf.compat.v1.train.Saver:

* before a save it writes the position into the queue's string variable, and
  holds it there until the save is through;
* before a restore it takes the items of an earlier chief out of circulation:
  what workers trained of them between the restore of the model and the
  beginning of the queue would stay in the model, and be trained again;
* a checkpoint from before the queue was added restores as usual, and the queue
  starts fresh.

The guard wraps an object, not the class: TensorFlow gives no listener to
MonitoredTrainingSession, and no Saver that tolerates a missing variable.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tensorflow.compat.v1 as tf1
from absl import logging

from wq_hooks.core.dispatcher import Dispatcher
from wq_hooks.runtime.host import Host
from wq_hooks.runtime.mailbox import MailboxSession

_GUARD = "_wq_hooks_guard"
_SETTLE_SECS = 2.0


def guard_savers(graph: tf.Graph, queues: Sequence[Host]) -> None:
    """Guards each Saver of a graph's SAVERS collection, once.

    Args:
      graph: The graph.
      queues: The queues of the graph; the list may grow later.
    """
    for saver in graph.get_collection(tf1.GraphKeys.SAVERS):
        guard_saver(saver, queues)


def directory_of(graph: tf.Graph) -> str | None:
    """Returns where the Savers of a graph have restored from, if they have."""
    for saver in graph.get_collection(tf1.GraphKeys.SAVERS):
        for path in saver.last_checkpoints[-1:]:
            return os.path.dirname(path)
    return None


def guard_saver(saver: tf1.train.Saver, queues: Sequence[Host]) -> None:
    """Guards one Saver, once; see the module."""
    if not hasattr(saver, _GUARD):
        setattr(saver, _GUARD, SaverGuard(saver, queues))


def save_again(session: tf1.Session, dispatcher: Dispatcher) -> None:
    """Saves once more at the end, if the last save knows too little.

    TensorFlow does not save at the end where the last step happened to be one
    at which it had saved already; but only now its items are completed.

    Args:
      session: The session that ends.
      dispatcher: Of the queue.
    """
    for saver in session.graph.get_collection(tf1.GraphKeys.SAVERS):
        if hasattr(saver, _GUARD):
            getattr(saver, _GUARD).save_again(session, dispatcher)


class SaverGuard:
    """Wraps `build`, `save` and `restore` of a Saver.

    Args:
      saver: The Saver.
      queues: The queues of its graph; the list may grow later.
    """

    def __init__(self, saver: tf1.train.Saver, queues: Sequence[Host]):
        self._queues = queues
        self._saver = saver
        self._build = saver.build
        self._save = saver.save
        self._restore = saver.restore
        self._without_queues: tf1.train.Saver | None = None
        self._last_save: tuple[Any, Any, str, Any, Any] | None = None
        self._lock = threading.Lock()
        saver.build = self.build
        saver.save = self.save
        saver.restore = self.restore
        if not tf1.get_default_graph().finalized and saver.saver_def:
            self._build_without_queues()

    def build(self) -> None:
        """Builds the Saver, and one for checkpoints without the queues."""
        self._build()
        # A session that is created again builds once more, to no effect.
        if not tf1.get_default_graph().finalized:
            self._build_without_queues()

    def save(self, sess: Any, save_path: str, *args: Any, **kwargs: Any) -> Any:
        """Saves, with the position as it is at this instant."""
        self._last_save = (sess, _step_of(sess), save_path, args, kwargs)
        with contextlib.ExitStack() as stack:
            for queue in self._queues:
                directory = os.path.dirname(save_path)
                stack.enter_context(queue.held_position(directory))
            return self._save(sess, save_path, *args, **kwargs)

    def save_again(self, sess: Any, dispatcher: Dispatcher) -> None:
        """Saves once more if items were completed since, without a step.

        The checkpoint stands beside the last one, under the same step: to
        write over that one could damage it.
        """
        with self._lock:
            if self._last_save is None:
                return
            session, step, save_path, args, kwargs = self._last_save
            if session is not sess or step is None or step != _step_of(sess):
                return
            # What was reported last may not be known yet.
            dispatcher.settle(_SETTLE_SECS)
            if dispatcher.is_saved:
                return
            # A thread of its own is in eager mode until it says otherwise.
            with sess.graph.as_default(), dispatcher.held_position():
                self._save(
                    sess,
                    f"{save_path}-end",
                    *args,
                    **{**kwargs, "write_meta_graph": False},
                )

    def restore(self, sess: Any, save_path: str) -> None:
        """Restores, also from a checkpoint that lacks the queues."""
        for queue in self._queues:
            queue.checkpoint_directory = os.path.dirname(save_path)
            if queue.is_chief and queue.dispatcher is None:
                MailboxSession(queue.mailbox, sess).invalidate_items()
        missing = self._missing(save_path)
        if not missing or self._without_queues is None:
            self._restore(sess, save_path)
            return
        logging.info(
            "Work queue %s: checkpoint %s was written before the queue was "
            "added; the queue starts at the beginning.",
            ", ".join(missing),
            save_path,
        )
        self._without_queues.restore(sess, save_path)
        reader = tf.train.load_checkpoint(save_path)
        for queue in self._queues:
            mailbox = queue.mailbox
            if queue.name in missing or not queue.is_saved:
                sess.run(mailbox.position.initializer)
            else:
                position = reader.get_tensor(mailbox.position.op.name)
                sess.run(
                    mailbox.write_position, {mailbox.position_feed: position}
                )

    def _build_without_queues(self) -> None:
        if self._without_queues is not None:
            return
        positions = {queue.mailbox.position.ref() for queue in self._queues}

        def is_position(variable: Any) -> bool:
            return hasattr(variable, "ref") and variable.ref() in positions

        # No public attribute tells what a Saver saves; it is set when the
        # Saver has been built.
        saved = getattr(self._saver, "_var_list", None)
        if saved is None:
            saved = tf1.global_variables() + tf1.get_collection(
                tf1.GraphKeys.SAVEABLE_OBJECTS
            )
        rest: Any
        if isinstance(saved, dict):
            rest = {k: v for k, v in saved.items() if not is_position(v)}
        else:
            rest = [v for v in saved if not is_position(v)]
        self._without_queues = tf1.train.Saver(
            rest, sharded=True, allow_empty=True, name="save_without_queues"
        )

    def _missing(self, save_path: str) -> list[str]:
        try:
            reader = tf.train.load_checkpoint(save_path)
        except (ValueError, tf.errors.OpError):
            return []  # The Saver itself has the better words for it.
        return [
            queue.name
            for queue in self._queues
            if queue.is_saved
            and not reader.has_tensor(queue.mailbox.position.op.name)
        ]


def _step_of(session: tf1.Session) -> int | None:
    """Returns the global step, None if the graph has none."""
    step = tf1.train.get_global_step(session.graph)
    return None if step is None else int(session.run(step))
