"""Lets workers begin as soon as the chief has initialised the model.

    hooks.append(WaitForModelHook(server.target, session_config))

The trap: without it a worker that is a moment too early sleeps for 30 seconds
(`recovery_wait_secs` of TensorFlow's SessionManager, which neither
MonitoredTrainingSession nor Estimator lets one set) and trains on nothing.
"""

from __future__ import annotations

import tensorflow as tf

tf1 = tf.compat.v1


class WaitForModelHook(tf.compat.v1.train.SessionRunHook):
    """Waits for the variables; on workers, not on the chief.

    `begin` opens a session of its own and asks every `every_n_secs` whether
    all global variables are initialised, so that the session proper finds them
    ready. Give it as the last hook: variables that other hooks make in `begin`
    count too. It does nothing later, so also nothing after a failure.

    Args:
      master: The session's target.
      config: The session's ConfigProto, with its device filters.
      every_n_secs: How long to sleep between two questions.
      max_wait_secs: When to give up.
    """

    def __init__(
        self,
        master: str,
        config: tf.compat.v1.ConfigProto,
        *,
        every_n_secs: float = 0.5,
        max_wait_secs: float = 600.0,
    ) -> None:
        self._master = master
        self._config = config
        self._every_n_secs = every_n_secs
        self._max_wait_secs = max_wait_secs

    def begin(self) -> None:
        """Waits.

        Raises:
          tf.errors.DeadlineExceededError: After `max_wait_secs`.
        """
        manager = tf1.train.SessionManager(
            ready_op=tf1.report_uninitialized_variables(tf1.global_variables()),
            graph=tf1.get_default_graph(),
            recovery_wait_secs=self._every_n_secs,
        )
        session = manager.wait_for_session(
            self._master,
            config=self._config,
            max_wait_secs=self._max_wait_secs,
        )
        session.close()
