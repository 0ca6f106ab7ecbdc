"""Local queues between a coordinator and its workers.

    channels = [ItemChannel(f"train/{k}") for k in range(num_workers)]
    items = WorkerChannel(channels, index)        # where a worker's function is

A worker of a ParameterServerStrategy runs no Python: it asks queues that stand
on the coordinator by TensorFlow's own runtime. Which worker's they are is
chosen when the function runs.

The trap: all that touches a queue is placed on the coordinator, in one piece.
What a worker that dies has begun there goes on to its end.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from wq_hooks.runtime.ports.item_channel import END, ItemChannel
from wq_hooks.runtime.ports.item_port import ItemPort
from wq_hooks.runtime.reading import record_events as events
from wq_hooks.runtime.reading.element_counter import new_counter
from wq_hooks.runtime.reading.records_port import RecordsPort
from wq_hooks.runtime.reading.watched_dataset import WatchedDataset


class _Selected:
    """The queue of the worker with an index, a tensor; on the coordinator."""

    def __init__(self, queues: Sequence[Any], index: Any):
        self._queues = list(queues)
        self._index = index
        self._device = queues[0].queue_ref.device

    def __getattr__(self, name: str) -> Any:
        def on_coordinator(*args: Any) -> Any:
            with tf.device(self._device):
                chosen = tf.queue.QueueBase.from_list(self._index, self._queues)
                return getattr(chosen, name)(*args)

        return on_coordinator


class CoordinatorItemPort(ItemPort):
    """The coordinator's end of a channel, whose dataset is on a worker."""

    def __init__(self, channel: ItemChannel):
        super().__init__(channel, None)

    def wait_for_any_demand(self) -> tuple[bool, bool]:
        """Waits until the worker wants something.

        Returns:
          Whether it is the first demand of a new iteration, and whether it is
          the question if there will be more, instead of an item.
        """
        while True:
            demand, num_ready = (int(x) for x in self._call("wait"))
            self._refill(num_ready)
            number = abs(demand)
            with self._lock:
                if number < self._iteration:
                    # The op that waits for it has been replaced.
                    self._free(number)
                    continue
                if self._is_asked:
                    # An op that a dead worker has begun may still wait here,
                    # and would take the answer that its successor waits for.
                    self._free(self._iteration)
                return self._note_question(number), demand < 0

    @property
    def is_demanded(self) -> bool:
        """Whether the worker has asked once more."""
        return bool(int(self._call("num_questions")))

    def put_more(self) -> None:
        """Answers that there is more."""
        self.put_slot(0, b"")

    def _free(self, iteration: int) -> None:
        self._put_row(iteration, END, -1, b"")


class WorkerChannel(ItemChannel):
    """The same channel as seen by the worker that runs the graph."""

    def __init__(self, channels: Sequence[ItemChannel], index: Any):
        self.is_shared = False
        self.mailbox = None
        self._device = channels[0].source.device
        self._numbers, self._demand, self._answers = (
            _Selected(queues, index)
            for queues in zip(*(channel.queues for channel in channels))
        )

    def wait_for_more(self) -> Any:
        """Returns whether there is more, when that is known; tf.bool."""
        with tf.device(self._device):
            iteration = self.new_number()
            kind, _, _ = self._ask(-iteration, iteration)
            return tf.not_equal(kind, END)

    def new_number(self) -> Any:
        """Returns a number that is met once; see ItemChannel."""
        with tf.device(self._device):
            return super().new_number()

    def _ask(self, demand: Any, iteration: Any) -> Any:
        with tf.device(self._device):
            return super()._ask(demand, iteration)


class WorkerRecordsPort(RecordsPort):
    """A RecordsPort as seen by the worker that runs the graph."""

    # The coordinator could not.
    keeps_records = False

    def __init__(
        self,
        ports: Sequence[RecordsPort],
        index: Any,
        counts_name: str,
    ):
        self.num_parallel_steps = ports[0].num_parallel_steps
        self.regrouped = weakref.WeakSet()
        self._events = _Selected([port._events for port in ports], index)
        self.counter = new_counter(counts_name, is_remote=True)
        self.channel: WorkerChannel = WorkerChannel(
            [port.channel for port in ports], index
        )

    def note_ready(self, iteration: Any, number: Any, slots: Any) -> Any:
        """Returns an op that reports a batch that waits to be fetched."""
        # The counts are made here, where nobody else reads them.
        return self.note_counts(
            events.READY, iteration, number, events.records_per_slot(slots)
        )

    def watched(self, dataset: Any) -> Any:
        """Returns a dataset that knows whether something follows it."""
        return WatchedDataset(dataset, self)

    def in_passes(self, dataset: Any) -> Any:
        """Returns pass after pass of a dataset, until there is no more."""
        is_more = tf.autograph.experimental.do_not_convert(
            lambda _: self.channel.wait_for_more()
        )
        passes = tf.data.Dataset.from_tensors(0).repeat().take_while(is_more)
        return passes.flat_map(lambda _: dataset)
