"""A queue runner whose threads feed what Python functions return.

    runner = GeneralQueueRunner(queue, [queue.enqueue(x)], [read], [x])
    tf.compat.v1.train.add_queue_runner(runner)

The trap: functions are not part of the graph. A graph imported from a MetaGraph
holds a plain `QueueRunner` instead, which runs the enqueue ops without feeding.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Mapping, Sequence
from typing import Any, Callable, overload

import tensorflow as tf

logger = logging.getLogger(__name__)

# What follows the enqueue ops where `close_op` does.
_ORDER = (
    "close_op",
    "cancel_op",
    "queue_closed_exception_types",
    "queue_runner_def",
    "import_scope",
    "feed_dict_funcs",
    "feed_tensors",
)


class GeneralQueueRunner(tf.compat.v1.train.QueueRunner):
    """Runs each enqueue op in a thread, fed by a function of its own.

    Each thread repeats `sess.run(enqueue_op, feed_dict={tensor: func()})`.
    Without functions this is `tf.compat.v1.train.QueueRunner` itself.

    * A function ends by raising `StopIteration`, `tf.errors.OutOfRangeError` or
      one of `queue_closed_exception_types`. That ends its thread. The last
      thread to end closes the queue: consumers take what is left inside, and
      then get `tf.errors.OutOfRangeError`.
    * Any other exception stops the `Coordinator`, which raises it from `join`.
      Without one it is logged and kept in `exceptions_raised`.
    * A stop request is seen before and after each call; what the function
      returned in the meantime is dropped. A call cannot be interrupted: a
      function that waits for long should look at `coord.should_stop()` or have
      a timeout, since `coord.join` waits for it (120 s, unless told otherwise).
    * A function that is given to several threads must be thread-safe.

    Args:
      queue: A `tf.queue.QueueBase`.
      enqueue_ops: List of enqueue ops, each with a thread; one may be repeated.
      feed_dict_funcs: None, or a list with a function without arguments for
        each enqueue op, which returns the value to feed.
      feed_tensors: None, or a list with the tensor to feed for each enqueue op.
        It may be a tuple of tensors; its function then returns a tuple too.
      **base_args: `close_op`, `cancel_op`, `queue_closed_exception_types`,
        `queue_runner_def` and `import_scope`, as in the base class. They may
        also stand where the base class has them, from the third place on; then
        `feed_dict_funcs` and `feed_tensors` come last.

    Raises:
      ValueError: If one of `feed_dict_funcs` and `feed_tensors` is missing, or
        not as long as `enqueue_ops`.
      TypeError: If one is not a list or tuple; if a function is not callable.
    """

    @overload
    def __init__(
        self,
        queue: tf.queue.QueueBase | None = ...,
        enqueue_ops: Sequence[tf.Operation] | None = ...,
        feed_dict_funcs: Sequence[Callable[[], Any]] | None = ...,
        feed_tensors: Sequence[Any] | None = ...,
        **base_args: Any,
    ) -> None: ...

    @overload
    def __init__(
        self,
        queue: tf.queue.QueueBase | None,
        enqueue_ops: Sequence[tf.Operation] | None,
        close_op: tf.Operation | None,
        cancel_op: tf.Operation | None = ...,
        *more: Any,
        **more_args: Any,
    ) -> None: ...

    def __init__(
        self,
        queue: Any = None,
        enqueue_ops: Any = None,
        *args: Any,
        **base_args: Any,
    ) -> None:
        base_args.update(_named(args, base_args))
        feed_dict_funcs = base_args.pop("feed_dict_funcs", None)
        feed_tensors = base_args.pop("feed_tensors", None)
        _check_feeds(enqueue_ops, feed_dict_funcs, feed_tensors)
        super().__init__(queue, enqueue_ops, **base_args)
        self._feeds = list(zip(feed_dict_funcs or (), feed_tensors or ()))
        self._feed_lock = threading.Lock()
        # Session -> how many of its threads have not ended.
        self._num_feeding: Any = weakref.WeakKeyDictionary()
        self._feed_exceptions: list[Exception] = []

    def __repr__(self) -> str:
        threads = f"{len(self.enqueue_ops)} threads, {len(self._feeds)} fed"
        return f"{type(self).__name__}({self.name!r}, {threads})"

    @property
    def exceptions_raised(self) -> list[Exception]:
        """What ended threads that have no `Coordinator` to tell."""
        if not self._feeds:
            return super().exceptions_raised
        return self._feed_exceptions

    def create_threads(
        self, sess: Any, coord: Any = None, daemon: bool = False,
        start: bool = False,
    ) -> list[threading.Thread]:  # fmt: skip
        """Creates the threads that run the enqueue ops in session `sess`.

        With a `coord`, one more closes the queue when a stop is requested.
        Returns the threads; none if those of an earlier call for `sess` run.
        """
        if not self._feeds:
            return super().create_threads(sess, coord, daemon, start)
        with self._feed_lock:
            if self._num_feeding.get(sess, 0) > 0:
                return []
            self._num_feeding[sess] = len(self._feeds)
            self._feed_exceptions = []
        runs: list[tuple[str, Callable[..., None], tuple[Any, ...]]] = [
            (op.name, self._run_feed, (sess, coord, op, *feed))
            for op, feed in zip(self.enqueue_ops, self._feeds)
        ]
        if coord is not None:
            runs.append(("close_on_stop", self._cancel_on_stop, (sess, coord)))
        threads = []
        for name, target, args in runs:
            thread = threading.Thread(target=target, args=args, daemon=daemon)
            thread.name = f"QueueRunnerThread-{self.name}-{name}"
            if coord is not None:
                coord.register_thread(thread)
            if start:
                thread.start()
            threads.append(thread)
        return threads

    def _run_feed(
        self, sess: Any, coord: Any, op: Any, func: Any, tensors: Any
    ) -> None:
        """Enqueues until the function ends, a failure or a stop request."""
        closed = self.queue_closed_exception_types
        ends = (StopIteration, tf.errors.OutOfRangeError, *closed)
        try:
            while not _should_stop(coord):
                try:
                    value = func()
                except ends:
                    break
                if _should_stop(coord):
                    break
                feed_dict = _feed_dict(func, tensors, value)
                try:
                    sess.run(op, feed_dict=feed_dict)
                except closed:
                    break
        except Exception as e:
            if coord is None:
                logger.exception("Exception in %r", self)
                self._feed_exceptions.append(e)
            elif coord.should_stop():
                # Mostly the enqueue that the stop has cancelled. It cannot be
                # reported: a coordinator that has joined would raise it here.
                logger.debug("Ignored after the stop request: %s", e)
            else:
                coord.request_stop(e)
        finally:
            with self._feed_lock:
                self._num_feeding[sess] -= 1
                is_last = self._num_feeding[sess] == 0
            # After a stop request the queue is cancelled instead. Otherwise,
            # whatever ended the thread, no consumer may wait for it for ever.
            if is_last and not _should_stop(coord):
                _run_ignoring_errors(sess, self.close_op)

    def _cancel_on_stop(self, sess: Any, coord: Any) -> None:
        coord.wait_for_stop()
        _run_ignoring_errors(sess, self.cancel_op)


def _should_stop(coord: Any) -> bool:
    return coord is not None and coord.should_stop()


def _is_op(value: Any) -> bool:
    return isinstance(value, tf.Operation)


def _named(args: tuple[Any, ...], named: Mapping[str, Any]) -> dict[str, Any]:
    """Returns by name what follows the enqueue ops.

    It is the feeds, or the base class' arguments in its order, in which
    `close_op` and `cancel_op` are ops, and feeds are lists.
    """
    is_base_order = len(args) > 2 or any(map(_is_op, args[:1]))
    if args[:1] == (None,) and any(map(_is_op, args[1:])):
        is_base_order = True
    order = _ORDER if is_base_order else _ORDER[-2:]
    if len(args) > len(order):
        raise TypeError(
            f"Expected at most {2 + len(order)} positional arguments; got "
            f"{2 + len(args)}."
        )
    for value in args[:2] if is_base_order else ():
        if value is not None and not _is_op(value):
            raise TypeError(
                "Expected close_op and cancel_op, as the third and the fourth "
                f"argument where others follow; got {value!r:.200}. Give "
                "feed_dict_funcs and feed_tensors by name."
            )
    given = dict(zip(order, args))
    for key in given.keys() & named.keys():
        raise TypeError(f"Expected {key} once; got it twice.")
    return given


def _check_feeds(enqueue_ops: Any, funcs: Any, tensors: Any) -> None:
    if funcs is None and tensors is None:
        return
    num_ops = len(enqueue_ops or ())
    feeds = {"feed_dict_funcs": funcs, "feed_tensors": tensors}
    for argument, values in feeds.items():
        expected = f"Expected {argument} with one entry for each enqueue op"
        if values is None:
            raise ValueError(f"{expected}, {num_ops}; got {argument}=None.")
        if not isinstance(values, (list, tuple)):
            raise TypeError(f"{expected}, as a list; got {values!r}.")
        if len(values) != num_ops:
            raise ValueError(f"{expected}, {num_ops}; got {len(values)}.")
    for i, func in enumerate(funcs):
        if not callable(func):
            argument = f"feed_dict_funcs[{i}]"
            raise TypeError(f"Expected {argument} as a callable; got {func!r}.")


def _feed_dict(func: Any, tensors: Any, value: Any) -> dict[Any, Any]:
    if not isinstance(tensors, (list, tuple)):
        return {tensors: value}
    if not isinstance(value, (list, tuple)) or len(value) != len(tensors):
        raise ValueError(
            f"Expected {func!r} to return a tuple of {len(tensors)} values, "
            f"one for each feed tensor; got {value!r}."
        )
    return dict(zip(tensors, value))


def _run_ignoring_errors(sess: Any, op: Any) -> None:
    """Closes a queue that, like its session, may be closed already."""
    try:
        sess.run(op)
    except Exception as e:
        logger.debug("Ignored when closing a queue: %s", e)
