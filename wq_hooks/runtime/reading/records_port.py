"""The local queues behind `records`: items go out, events come back.

    port = RecordsPort("train/records")
    dataset = port.channel.passes(...)            # the pipeline
    RecordsPortSession(port, session).count_forever(loop.acknowledge)

`core/consumer/record_tracker.py` says what the events mean. The trap: the ops
of a port stand in the graph in which it was made.
"""

from __future__ import annotations

import weakref
from typing import Any

import tensorflow as tf
import tensorflow.compat.v1 as tf1

from wq_hooks.runtime.ports.item_channel import ItemChannel
from wq_hooks.runtime.ports.port import UNLIMITED, discard_op
from wq_hooks.runtime.reading import record_events as events
from wq_hooks.runtime.reading.element_counter import new_counter
from wq_hooks.runtime.reading.item_ends import RecordLookAhead
from wq_hooks.runtime.reading.watched_dataset import WatchedDataset
from wq_hooks.runtime.transport.mailbox import Mailbox


class RecordsPort:
    """The local queues behind `records`.

    Items go out as (slot, text), and events come back.

    Args:
      shared_name: Name of its queues, unique in this process.
      num_parallel_steps: How many batches are trained at a time.
      mailbox: See ItemChannel.
    """

    # Whether this process can read an item a second time.
    keeps_records = True
    # Whether as many iterations as there are clients may read at a time.
    is_shared = False

    def __init__(
        self,
        shared_name: str,
        num_parallel_steps: int = 1,
        mailbox: Mailbox | None = None,
    ):
        self.num_parallel_steps = num_parallel_steps
        self.channel = ItemChannel(
            shared_name, num_parallel_steps if self.is_shared else 1, mailbox
        )
        # Datasets whose elements are not the batches, or not all of them.
        self.regrouped: weakref.WeakSet[Any] = weakref.WeakSet()
        # In eager mode the ops below stand in a function, and the queues
        # outside of it, so that datasets can use them too.
        with tf.init_scope():
            self._events = tf1.FIFOQueue(
                UNLIMITED,
                dtypes=[tf.string] * 2,
                shapes=[(), ()],
                shared_name=f"{shared_name}/events",
                name="events",
            )
        self.counter = new_counter(f"{shared_name}/counts")
        self.look_ahead = RecordLookAhead(f"{shared_name}/items")
        self.source = self.channel.source
        first = [tf.expand_dims(x, 0) for x in self._events.dequeue()]
        with tf.control_dependencies(first):
            # A batch that was fetched by now has reported itself before.
            counts = self.counter.read()
        with tf.control_dependencies([counts]):
            rest = self._events.dequeue_many(self._events.size())
        self.next_events = [tf.concat(pair, 0) for pair in zip(first, rest)]
        self.next_events.append(counts)
        self.flush_number = tf1.placeholder(tf.int64, [])
        self.flush = self.note_counts(events.FLUSH, self.flush_number)
        self.discard = discard_op(*self.channel.queues, self._events)
        self.end_events = self._events.close(cancel_pending_enqueues=True)

    def new_number(self) -> Any:
        """Returns a number met once, tf.int64; later ones are larger."""
        return self.channel.new_number()

    def note(self, kind: int, *numbers: Any) -> Any:
        """Returns an op that reports one event, with tf.int64 of any shape."""
        return self._events.enqueue([events.event(kind, numbers), ""])

    def note_counts(self, kind: int, *numbers: Any) -> Any:
        """Returns an op that reports one event, with the counts so far."""
        return self._events.enqueue(
            [events.event(kind, numbers), self.counter.read()]
        )

    def note_batch(self, iteration: Any, slots: Any) -> Any:
        """Returns an op that reports a batch that leaves the pipeline.

        Args:
          iteration: Iteration that the batch belongs to, a tf.int64
            scalar.
          slots: Slots of its records, tf.int64 of any shape.
        """
        return self.note(
            events.BATCH, iteration, events.records_per_slot(slots)
        )

    def note_ready(self, iteration: Any, number: Any, slots: Any) -> Any:
        """Returns an op that reports a batch that waits to be fetched.

        Args:
          iteration: Iteration that the batch belongs to, a tf.int64
            scalar.
          number: Number of the batch, likewise.
          slots: See `note_batch`.
        """
        return self.note(
            events.READY, iteration, number, events.records_per_slot(slots)
        )

    def note_dropped(self, kind: int, slots: Any, is_kept: Any) -> Any:
        """Returns an op that reports records left out, unless they are kept.

        Args:
          kind: Kind of the operation that left them out.
          slots: See `note_batch`.
          is_kept: tf.bool scalar.
        """
        records = events.records_per_slot(slots)
        event = tf.expand_dims(events.event(kind, [records]), 0)
        # Without control flow: a report of no events is none.
        event = event[: tf.cast(tf.logical_not(is_kept), tf.int32)]
        return self._events.enqueue_many([event, tf.zeros_like(event)])

    def in_passes(self, dataset: Any) -> Any:
        """Returns what a user's pipeline gives in all."""
        return dataset

    def watched(self, dataset: Any) -> Any:
        """Returns a user's pipeline so that it is seen who iterates it."""
        if tf.executing_eagerly():
            return WatchedDataset(dataset, self)
        return dataset
