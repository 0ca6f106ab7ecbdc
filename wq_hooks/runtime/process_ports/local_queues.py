"""The local queues between a dataset in eager mode and its consumer.

    port = ItemPort("a")
    dataset = port.items()             # of (slot, text), for tf.data
    port.wait_for_demand()             # a thread of the consumer
    port.put(slot, text)

Each time the dataset is iterated is an *iteration* with a number of its own. A
new one takes the place of the one before, which will not be asked for more:
what was meant for that one is recognised by its number and dropped.

The trap: two iterations at a time are refused. The older one gets an error.

Another one: each Python number that is made a tensor in eager mode is kept for
good, with 750 bytes (the cache of pywrap_tensor.cc); a NumPy number is not.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow.compat.v1 as tf1

from wq_hooks.runtime.ports.dataset_ops import queue_options
from wq_hooks.runtime.ports.session_ports import UNLIMITED

# What a row of the answers is.
_ITEM = 0
END = 1
_ERROR = 2

_CPU = "/device:CPU:0"


class ItemPort:
    """Hands items to a dataset; see the module.

    Args:
      shared_name: Name of its queues, unique in this process.
    """

    def __init__(self, shared_name: str):
        def queue(name: str, dtypes: Any) -> Any:
            return tf1.FIFOQueue(
                UNLIMITED,
                dtypes=dtypes,
                shapes=[()] * len(dtypes),
                shared_name=f"{shared_name}/{name}",
                name=name,
            )

        with tf.init_scope(), tf.device(_CPU):
            self._next_iteration = queue("iterations", [tf.int64])
            self._next_iteration.enqueue(1)
            self._demand = queue("demand", [tf.int64])
            self._answers = queue(
                "answers", [tf.int64, tf.int64, tf.int64, tf.string]
            )
        self._iteration = 0
        self._is_asked = False
        self._has_failed = False
        self._lock = threading.Lock()

    # In the dataset.

    def items(self) -> Any:
        """Returns a tf.data.Dataset of (slot, text)."""
        return self.passes(lambda items: items)

    def passes(self, dataset_of: Callable[[Any], Any]) -> Any:
        """Returns a dataset each pass over which is an iteration.

        Args:
          dataset_of: Maps the items of one, a dataset of (slot, text), to its
            dataset.
        """
        dataset = tf.data.Dataset.from_tensors(0).map(_plain(self._begin))
        dataset = dataset.flat_map(
            _plain(lambda number: dataset_of(self._items_of(number)))
        )
        return dataset.with_options(queue_options())

    def _items_of(self, iteration: Any) -> Any:
        """Returns the dataset of (slot, text) of one iteration."""
        dataset = tf.data.Dataset.from_tensors(iteration).repeat()
        dataset = dataset.map(_plain(self._take))
        return dataset.take_while(_plain(_is_item)).map(_plain(_strip))

    def _begin(self, _: Any) -> Any:
        number = self._next_iteration.dequeue()
        with tf.control_dependencies(
            [self._next_iteration.enqueue(number + 1)]
        ):
            return tf.identity(number)

    def _take(self, iteration: Any) -> Any:
        return self._ask(iteration, iteration)

    def _ask(self, demand: Any, iteration: Any) -> Any:
        """Returns (kind, slot, text) of the answer to a row of `demand`."""
        with tf.control_dependencies([self._demand.enqueue(demand)]):
            row = self._answers.dequeue()
        # What an earlier iteration has asked for and not fetched is dropped.
        row = tf.while_loop(
            lambda number, *_: number < iteration,
            lambda *_: tuple(self._answers.dequeue()),
            tuple(row),
        )
        number, kind, slot, text = row
        # And what a later one waits for goes back to it.
        is_later = tf.expand_dims(number > iteration, 0)
        put_back = self._answers.enqueue_many(
            [tf.boolean_mask(tf.expand_dims(x, 0), is_later) for x in row]
        )
        with tf.control_dependencies([put_back]):
            is_mine = tf.debugging.Assert(
                tf.equal(number, iteration),
                [
                    "Expected one iterator of a WorkQueue's dataset at a "
                    "time; a later one has taken the place of this one."
                ],
            )
            is_good = tf.debugging.Assert(tf.not_equal(kind, _ERROR), [text])
        with tf.control_dependencies([is_mine, is_good]):
            return tf.identity(kind), tf.identity(slot), tf.identity(text)

    # In the consumer's thread.

    def wait_for_demand(self) -> bool:
        """Waits until the dataset wants one item more.

        Returns:
          Whether it is the first one of a new iteration.
        """
        while True:
            iteration = int(self._demand.dequeue())
            with self._lock:
                if iteration >= self._iteration:
                    # What was under way when it failed was never given out.
                    is_new = iteration > self._iteration or self._has_failed
                    self._iteration = iteration
                    self._is_asked = True
                    self._has_failed = False
                    return is_new

    def put(self, slot: int, text: bytes) -> None:
        """Gives it one."""
        self._answer(_ITEM, slot, text)

    def put_end(self) -> None:
        """Gives it the end of data."""
        self._answer(END)

    def fail(self, message: str) -> None:
        """Raises an InvalidArgumentError where the dataset waits, if it does.

        May be called from any thread.
        """
        self._answer(_ERROR, text=message.encode())

    def close(self) -> None:
        """Ends what waits on the port, for good."""
        for queue in (self._demand, self._answers, self._next_iteration):
            queue.close(cancel_pending_enqueues=True)

    def _answer(self, kind: int, slot: int = -1, text: bytes = b"") -> None:
        with self._lock:
            if self._is_asked:
                self._is_asked = False
                self._has_failed = kind == _ERROR
                self._enqueue(self._iteration, kind, slot, text)

    def _enqueue(
        self, iteration: int, kind: int, slot: int, text: bytes
    ) -> None:
        numbers = [np.int64(number) for number in (iteration, kind, slot)]
        self._answers.enqueue([*numbers, text])


def _is_item(kind: Any, slot: Any, text: Any) -> Any:
    del slot, text
    return tf.equal(kind, _ITEM)


def _strip(kind: Any, slot: Any, text: Any) -> Any:
    del kind
    return slot, text


def _plain(function: Any) -> Any:
    """Returns a function that AutoGraph leaves as it is."""
    return tf.autograph.experimental.do_not_convert(function)
