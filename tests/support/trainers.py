"""Tasks of an InProcessCluster, each with a graph that is built at once."""

from __future__ import annotations

import contextlib

import tensorflow as tf

from tests.support.sessions import initializers, item_of
from wq_hooks import WorkQueue

tf1 = tf.compat.v1

WORKS = [f"part-{i}" for i in range(12)]


class Trainer:
    """A task whose graph is built now, and which trains when it is told to."""

    def __init__(
        self,
        cluster,
        index,
        container,
        device=None,
        *,
        source="take",
        **queue_args,
    ):
        args = {"works": WORKS, "shuffle": False, **queue_args}
        self.names = []
        with cluster.task(index, container) as self.task:
            self.graph = tf1.get_default_graph()
            step = tf1.train.get_or_create_global_step()
            scope = contextlib.ExitStack()
            if device is not None:
                scope.enter_context(tf1.device(None))
                scope.enter_context(tf1.container(container))
                scope.enter_context(tf1.device(device))
            with scope:
                self.queue = WorkQueue(**args)
                self.item = item_of(self.queue, source)
            with tf.control_dependencies([self.item]):
                self.stepped = step.assign_add(1)

    def train(
        self,
        *,
        is_chief,
        is_ready,
        may_train,
        hooks=(),
        directory=None,
        num_steps=None,
        **session_args,
    ):
        """Trains in a MonitoredTrainingSession; returns the items.

        Args:
          is_chief: Whether it prepares the model.
          is_ready: Set when there is a session.
          may_train: Waited for then.
          hooks: Hooks for the session.
          directory: Directory of the checkpoints.
          num_steps: Where the loop is left.
          **session_args: **session args for the session.
        """
        names = self.names
        with (
            self.graph.as_default(),
            tf1.train.MonitoredTrainingSession(
                self.task.target,
                is_chief=is_chief,
                config=self.task.config,
                hooks=list(hooks),
                checkpoint_dir=directory,
                save_summaries_steps=None,
                log_step_count_steps=None,
                **session_args,
            ) as session,
        ):
            is_ready.set()
            assert may_train.wait(60)
            while not session.should_stop():
                names.append(session.run([self.item, self.stepped])[0].decode())
                if num_steps is not None and len(names) == num_steps:
                    break
        return names


@contextlib.contextmanager
def bare(trainer, *, init=False, fails=False):
    """A bare session of a task, whose queue runners run."""
    with (
        trainer.graph.as_default(),
        tf1.Session(trainer.task.target, config=trainer.task.config) as session,
    ):
        session.run(initializers() if init else tf1.tables_initializer())
        coord = tf1.train.Coordinator()
        threads = tf1.train.start_queue_runners(session, coord)
        try:
            yield session, coord
        finally:
            coord.request_stop()
        if not fails:
            coord.join(threads, stop_grace_period_secs=60)
