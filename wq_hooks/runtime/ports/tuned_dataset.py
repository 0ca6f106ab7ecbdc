"""Iterators of a tuned dataset are destroyed in the background, in eager mode.

    for batch in TunedDataset(dataset): ...

Whoever drops the last reference to an iterator destroys it, and may wait for
the thread that tunes it for up to a minute; see `tuning.py`. Python would hold
all of its threads for so long, those that send heartbeats among them. So a
local queue of TensorFlow takes a reference of its own, and a thread drops it,
inside of an op.
"""

from __future__ import annotations

import contextlib
import threading
import time
import weakref
from typing import Any

import tensorflow as tf

_POLL_SECS = 0.02
_MANY = 1 << 30


class TunedDataset(tf.data.Dataset):
    """A dataset whose iterators keep nobody waiting; see the module.

    Args:
      dataset: What it consists of.
    """

    def __init__(self, dataset: Any):
        # Before the base class asks for the inputs.
        self._inner = dataset
        super().__init__(tf.data.experimental.to_variant(dataset))

    @property
    def element_spec(self) -> Any:
        """As tf.data.Dataset.element_spec."""
        return self._inner.element_spec

    def _inputs(self) -> list[Any]:
        """What tf.data asks a subclass for; there is no public name."""
        return [self._inner]

    def __iter__(self) -> Any:
        return destroyed_later(iter(self._inner))


def destroyed_later(iterator: Any) -> Any:
    """Returns an iterator that a thread destroys when it is dropped.

    Args:
      iterator: The iterator; inside of a tf.function nothing is done to it.
    """
    if tf.executing_eagerly():
        for handle in tf.nest.flatten(iterator, expand_composites=True):
            weakref.finalize(iterator, _destroy, handle).atexit = False
    return iterator


def _destroy(handle: Any) -> None:
    """Destroys an iterator in a thread of its own.

    Called where Python collects garbage: nothing of TensorFlow may run here.
    """
    threading.Thread(
        target=_drop, args=([handle],), name="destroy-iterator", daemon=True
    ).start()


def _drop(handles: list[Any]) -> None:
    with tf.init_scope(), tf.device("/device:CPU:0"):
        queue = tf.queue.FIFOQueue(_MANY, [tf.resource], [()])
    queue.enqueue(handles[0])
    handle = weakref.ref(handles.pop())
    while handle() is not None:
        time.sleep(_POLL_SECS)

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def drop() -> Any:
        with tf.control_dependencies([queue.dequeue()]):
            return tf.constant(0)

    # The process may be about to end.
    with contextlib.suppress(tf.errors.OpError):
        drop.get_concrete_function()()
