"""A session's `run` for eager mode: ops of a private graph, as functions.

    session = FunctionSession()
    port = session.build(lambda: RecordsPort("a"))
    session.run(port.num_events)

What was written for a tf.compat.v1.Session runs unchanged over it, as long as
the resources were made outside of the graph (in a `tf.init_scope`): they are
captured.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import tensorflow as tf
import tensorflow.compat.v1 as tf1

T = TypeVar("T")


class FunctionSession:
    """Runs ops of one graph eagerly; may be used from several threads."""

    sess_str = ""

    def __init__(self) -> None:
        self._wrapped: Any = None
        self._functions: dict[Any, Any] = {}
        self._lock = threading.Lock()

    def build(self, builder: Callable[[], T]) -> T:
        """Returns what `builder` has built in the graph; to be called once."""
        built: list[T] = []
        self._wrapped = tf1.wrap_function(
            lambda: built.append(builder()), signature=[]
        )
        return built[0]

    def run(
        self,
        fetches: Any,
        feed_dict: Mapping[Any, Any] | None = None,
        options: Any = None,
    ) -> Any:
        """As tf.compat.v1.Session.run; `options` are not heeded."""
        del options
        feeds = dict(feed_dict or {})
        return self.run_fed(fetches, list(feeds), list(feeds.values()))

    def run_fed(
        self, fetches: Any, feeds: Sequence[Any], values: Sequence[Any]
    ) -> Any:
        """As `run`; in eager mode a tensor cannot be the key of a dict.

        Args:
          fetches: See `run`.
          feeds: Placeholders.
          values: Values to feed.
        """
        flat = tf.nest.flatten(fetches)
        key = (tuple(map(id, flat)), tuple(map(id, feeds)))
        with self._lock:
            function = self._functions.get(key)
            if function is None:
                function = self._wrapped.prune(feeds, flat)
                self._functions[key] = function
        fetched = function(
            *(
                # A Python number would be kept by TensorFlow: see ItemPort.
                tf.constant(np.asarray(v, feed.dtype.as_numpy_dtype))
                for feed, v in zip(feeds, values)
            )
        )
        fetched = [None if v is None else v.numpy() for v in fetched]
        return tf.nest.pack_sequence_as(fetches, fetched)
