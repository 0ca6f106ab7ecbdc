"""SyncReplicasHook: synchronous updates that end when the data ends.

    optimizer = tf.compat.v1.train.SyncReplicasOptimizer(
        optimizer, replicas_to_aggregate=2, total_num_replicas=3
    )
    train_op = optimizer.minimize(loss, global_step=step)
    hooks = [SyncReplicasHook(optimizer, is_chief)]

It replaces `optimizer.make_session_run_hook(is_chief)`. A replica
takes a token, pushes its gradients and waits for the next token. With that
other hook, one that leaves, or that waits for data, keeps its token, and the
last ones wait for theirs for ever.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tensorflow.compat.v1 as tf1

from wq_hooks.core import log as logging
from wq_hooks.engines.graph import GraphEngine, engines_in
from wq_hooks.errors import WorkQueueError

_LOOK_EVERY_SECS = 0.25
# A step that lasts longer may be waiting for a token.
_PATIENCE_SECS = 1.0
# To be added at a time; those that are left stay on the server.
_MAX_TOKENS = 16


class SyncReplicasHook(tf1.train.SessionRunHook):
    """Runs a SyncReplicasOptimizer over a WorkQueue, up to its end.

    `begin` builds ops. `after_create_session` initialises what the optimizer
    needs and starts, on the chief, the updates. `before_run` and `after_run`
    note how long a step lasts: if it is long, the tokens are gone, and a
    replica is kept waiting by the queue or the data are at their end, a thread
    adds tokens. `end` gives back the token of this replica; at the end of data
    the chief stays until the others have left, since it makes their updates.
    After an error TensorFlow does not call `end`. When the session is created
    again, all is as with a new one.

    Unlike TensorFlow's hook it never closes the queue of tokens, so that a
    chief that has failed does not look like the end of data to the others, and
    the servers can be used for the next job.

    Args:
      optimizer: A `tf.compat.v1.train.SyncReplicasOptimizer`.
      is_chief: Whether this task makes the updates.
      num_tokens: Tokens to start with; -1: replicas_to_aggregate.

    Raises:
      ValueError: In `begin`, if the optimizer has not applied gradients yet.
      WorkQueueError: In `begin`, if the graph has no WorkQueue.
    """

    def __init__(
        self,
        optimizer: tf1.train.SyncReplicasOptimizer,
        is_chief: bool,
        *,
        num_tokens: int = -1,
    ):
        self._optimizer = optimizer
        self._is_chief = is_chief
        self._num_tokens = num_tokens
        self._queues: list[GraphEngine] = []
        self._step_began: float | None = None

    def begin(self) -> None:
        """Builds the ops; see the class."""
        self._queues = engines_in(tf1.get_default_graph())
        if not self._queues:
            raise WorkQueueError(
                "Expected a WorkQueue in the graph of the session; there is "
                "none."
            )
        runner = self._optimizer.get_chief_queue_runner()
        self._update = runner.enqueue_ops[0]
        tokens = runner.queue
        step = tf1.train.get_global_step()
        with tf.control_dependencies(None), tf1.device(step.device):
            self._num_left = tokens.size()
            self._num_added = tf1.placeholder(tf.int32, [])
            # Of the present step: what is pushed with it is not stale.
            present = tf.fill([self._num_added], step.read_value())
            self._add = tokens.enqueue_many(present)
        self._not_ready = self._optimizer.ready_for_local_init_op
        self._init = [self._optimizer.local_step_init_op]
        if self._is_chief:
            self._init = [
                self._optimizer.chief_init_op,
                self._optimizer.get_init_tokens_op(self._num_tokens),
            ]

    def after_create_session(
        self, session: tf1.Session, coord: tf.train.Coordinator
    ) -> None:
        """Initialises, and starts the threads of the session."""
        self._step_began = None
        missing = session.run(self._not_ready)
        if len(missing):
            raise RuntimeError(
                "Expected all variables to be initialised before "
                f"SyncReplicasOptimizer; got none yet for {missing!r:.200}."
            )
        for op in self._init:
            session.run(op)
        if self._is_chief:
            # Not registered with the Coordinator, which would wait for it for
            # two minutes: it waits for gradients until the session is closed.
            _start(self._update_forever, session, coord)
        _start(self._lend_forever, session, coord)

    def before_run(self, run_context: tf1.train.SessionRunContext) -> None:
        """Notes that a step begins."""
        del run_context
        self._step_began = time.monotonic()

    def after_run(
        self,
        run_context: tf1.train.SessionRunContext,
        run_values: tf1.train.SessionRunValues,
    ) -> None:
        """Notes that it has ended."""
        del run_context, run_values
        self._step_began = None

    def end(self, session: tf1.Session) -> None:
        """Gives back the token; the chief waits for the others."""
        self._step_began = None
        self._add_tokens(session, 1)
        if self._is_chief:
            for queue in self._queues:
                service = queue.service(session)
                if service is not None:
                    service.wait_for_others_at_end(queue.options.lease_secs)

    def _update_forever(
        self, session: tf1.Session, coord: tf.train.Coordinator
    ) -> None:
        update = session.make_callable(self._update)
        while True:
            update()

    def _lend_forever(
        self, session: tf1.Session, coord: tf.train.Coordinator
    ) -> None:
        num_tokens = 1
        looked_at = 0.0
        while not coord.wait_for_stop(_LOOK_EVERY_SECS):
            began = self._step_began
            if began is None:
                continue
            if time.monotonic() - max(began, looked_at) < _PATIENCE_SECS:
                continue
            looked_at = time.monotonic()
            services = [queue.service(session) for queue in self._queues]
            if not any(x is not None and x.keeps_waiting() for x in services):
                continue
            if session.run(self._num_left) == 0:
                self._add_tokens(session, num_tokens)
                # Who has steps left when the chief has gone needs one for each.
                num_tokens = min(2 * num_tokens, _MAX_TOKENS)

    def _add_tokens(self, session: tf1.Session, num_tokens: int) -> None:
        session.run(self._add, {self._num_added: num_tokens})


def _start(
    target: Callable[[Any, Any], None],
    session: tf1.Session,
    coord: tf.train.Coordinator,
) -> None:
    """Runs a thread until the session ends; its error ends the session."""

    def run() -> None:
        try:
            target(session, coord)
        except Exception as e:
            # Closing a session cancels what its threads wait for.
            if coord.should_stop() or isinstance(e, tf.errors.CancelledError):
                logging.debug("Synchronous replicas: %s", e)
            else:
                coord.request_stop(e)

    threading.Thread(
        target=run, name=f"sync-replicas-{target.__name__}", daemon=True
    ).start()
