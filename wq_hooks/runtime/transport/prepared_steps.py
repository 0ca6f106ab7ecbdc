"""Steps that are run often, at less than half of what `Session.run` costs.

    steps = Steps(session)
    steps.run(queue.size())
    steps.run(enqueue, [text], [b"a.csv"])

`Session.run` looks its fetches and feeds up again each time, which takes longer
than the step itself (0.2 of 0.3 ms for the size of a local queue).

In a local session, no step is passed to a pool of threads either: each op of a
queue would wake one more of them. The caller runs the ops; those behind an op
that had to wait are run by the thread that ended its waiting. So a step must be
small, and none of its ops may hold a thread. Servers run steps as always.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow.compat.v1 as tf1

from wq_hooks.core import log as logging
from wq_hooks.runtime.host.tensorflow_private import (
    CallableOptions,
    preparer_of,
)

# See RunOptions.inter_op_thread_pool.
_CALLERS_THREAD = -1

# What a server says of a step that it takes for one that it has had before.
_REFUSAL = "request was received twice"
# How often a step is made again.
MAX_REFUSALS = 8


class Steps:
    """Runs steps of one session; may be called from several threads.

    Args:
      session: The session. One that cannot prepare a step runs each of them as
        it comes.
    """

    def __init__(self, session: tf1.Session):
        self._session = session
        # A FunctionSession has it.
        self._run_fed = getattr(session, "run_fed", None)
        self._prepare = preparer_of(session)
        self._prepared: dict[tuple[str, ...], Any] = {}

    def run(
        self,
        fetches: Any,
        feeds: Sequence[Any] = (),
        values: Sequence[Any] = (),
    ) -> Any:
        """Runs one step.

        Args:
          fetches: A tensor, an operation, or a list of tensors.
          feeds: Placeholders.
          values: Values to feed.

        Returns:
          As of `tf.compat.v1.Session.run`, whose errors it raises.
        """
        try:
            return self._fetched(fetches, feeds, values)
        except tf.errors.CancelledError as e:
            if not is_refusal(e):
                raise
            # TensorFlow 2.21 names the part of the step that was cancelled
            # for it. Who gets that takes the session for a closed one.
            raise tf.errors.AbortedError(e.node_def, e.op, e.message) from e

    def run_repeatable(
        self,
        fetches: Any,
        feeds: Sequence[Any] = (),
        values: Sequence[Any] = (),
    ) -> Any:
        """Runs a step that may be done twice, again if it was refused.

        Args and result as of `run`; see `is_refusal`.
        """
        for _ in range(MAX_REFUSALS):
            try:
                return self.run(fetches, feeds, values)
            except tf.errors.AbortedError as e:
                if not is_refusal(e):
                    raise
                logging.debug("A step is run again: %s", e.message)
        return self.run(fetches, feeds, values)

    def _fetched(
        self, fetches: Any, feeds: Sequence[Any], values: Sequence[Any]
    ) -> Any:
        if self._run_fed is not None:
            return self._run_fed(fetches, feeds, values)
        if self._prepare is None:
            return self._session.run(fetches, dict(zip(feeds, values)))
        is_list = isinstance(fetches, list)
        wanted = fetches if is_list else [fetches]
        key = (*(x.name for x in wanted), "", *(x.name for x in feeds))
        step = self._prepared.get(key)
        if step is None:
            # Two threads may prepare the same step; one of them is forgotten.
            step = self._prepared[key] = self._prepare(_options(wanted, feeds))
        fetched = step(
            *(
                np.asarray(value, feed.dtype.as_numpy_dtype)
                for feed, value in zip(feeds, values)
            )
        )
        if is_list:
            return fetched
        return fetched[0] if fetched else None


def is_refusal(error: tf.errors.OpError) -> bool:
    """Returns whether a server took a step for one that it has had before.

    That happens to one of 40,000 steps that are the first with their number: a
    new thread draws the number for each step, from a generator seeded with 32
    bits, and a server knows the last 100,000 (`GetUniqueRequestId`,
    `ThreadLocalNew64` and `RecentRequestIds` in TensorFlow's source; measured
    with 2.15 and 2.21).

    That server has done nothing of the step; others may have done their parts.
    """
    return _REFUSAL in error.message


def _options(fetches: Sequence[Any], feeds: Sequence[Any]) -> Any:
    options = CallableOptions()
    options.run_options.inter_op_thread_pool = _CALLERS_THREAD
    for fetch in fetches:
        if isinstance(fetch, tf.Operation):
            options.target.append(fetch.name)
        else:
            options.fetch.append(fetch.name)
    options.feed.extend(feed.name for feed in feeds)
    return options
