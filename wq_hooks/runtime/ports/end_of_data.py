"""Which readers are through: those whose step has met the end of data.

    watch_steps(session, on_end)
    ...
    on_end(session, fetches, error)     # a step has raised OutOfRangeError
    comes_from(queue.queue_ref.op, session, fetches, error)

A local queue that is closed does not tell whether its reader has asked again,
which may be long after it has drawn the last item. The steps of a session do:
all of them, of MonitoredTrainingSession too, go through `run` of the session
object, and that is what is watched.

The trap: not every OutOfRangeError is that of the queue. A validation that runs
between two steps ends as well.
"""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import tensorflow as tf
import tensorflow.compat.v1 as tf1

_WATCH = "_wq_hooks_watch"
# What puts into the resource that is its first input.
_ENQUEUES = frozenset(
    f"QueueEnqueue{many}{version}"
    for many in ("", "Many")
    for version in ("", "V2")
)
# What fills the iterator that is its second input.
_MAKE_ITERATOR = "MakeIterator"

OnEnd = Callable[[tf1.Session, Any, tf.errors.OutOfRangeError], None]


def watch_steps(session: tf1.Session, on_end: OnEnd) -> None:
    """Calls a method when a step of a session raises OutOfRangeError.

    Args:
      session: The session.
      on_end: A bound method, which is kept weakly. It is called before the
        error is raised, with what was fetched.
    """
    watch = getattr(session, _WATCH, None)
    if watch is None:
        watch = _Watch(session)
        setattr(session, _WATCH, watch)
    watch.callbacks.append(weakref.WeakMethod(on_end))


class _Watch:
    """Replaces `run` of one session."""

    def __init__(self, session: tf1.Session):
        self.callbacks: list[Any] = []
        self._run: Callable[[], Any]
        # No session may be kept alive by its own watch.
        self._session = weakref.ref(session)
        run = session.run
        is_method = inspect.ismethod(run)
        self._run = weakref.WeakMethod(run) if is_method else lambda: run
        session.run = self.run

    def run(self, fetches: Any, *args: Any, **kwargs: Any) -> Any:
        """Runs a step as ever."""
        run, session = self._run(), self._session()
        if run is None or session is None:
            raise RuntimeError("Expected a session; got one that is gone.")
        try:
            return run(fetches, *args, **kwargs)
        except tf.errors.OutOfRangeError as e:
            for reference in self.callbacks:
                callback = reference()
                if callback is not None:
                    callback(session, fetches, e)
            raise


def comes_from(
    queue: tf.Operation,
    session: tf1.Session,
    fetches: Any,
    error: tf.errors.OutOfRangeError,
) -> bool:
    """Returns whether the end that a step has met may be that of a queue.

    Args:
      queue: The op of the queue.
      session: The session of the step.
      fetches: Fetches of the step.
      error: What it has raised. If it does not name its op, what was fetched
        counts.
    """
    ends = [error.op] if error.op is not None else []
    ops = ends or list(_ops_of(fetches, session.graph))
    seen = set(ops)
    while ops:
        op = ops.pop()
        if op is queue:
            return True
        for source in _sources_of(op):
            if source not in seen:
                seen.add(source)
                ops.append(source)
    return False


def _sources_of(op: tf.Operation) -> Iterator[tf.Operation]:
    """Yields the ops from which an op has what it gives."""
    for tensor in op.inputs:
        yield tensor.op
    yield from op.control_inputs
    for handle in op.outputs:
        if handle.dtype not in (tf.resource, tf.string):
            continue
        consumers = handle.consumers()
        for consumer in consumers:
            if consumer.type in _ENQUEUES and consumer.inputs[0] is handle:
                yield consumer
        made = [c for c in consumers if c.type == _MAKE_ITERATOR]
        # Of several, it is not known which has filled it.
        if len(made) == 1:
            yield made[0]


def _ops_of(fetches: Any, graph: tf.Graph) -> Iterator[tf.Operation]:
    if isinstance(fetches, Mapping):
        fetches = list(fetches.values())
    if isinstance(fetches, (list, tuple)):
        for fetch in fetches:
            yield from _ops_of(fetch, graph)
        return
    for part in tf.nest.flatten(fetches, expand_composites=True):
        try:
            element = graph.as_graph_element(part)
        except (TypeError, ValueError, KeyError):
            # Nothing is known of what is no part of the graph.
            continue
        yield element if isinstance(element, tf.Operation) else element.op
