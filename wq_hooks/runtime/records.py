"""Records that know which item they came from, through a tf.data pipeline.

    dataset = queue.records(tf.data.TextLineDataset)
    dataset = dataset.shuffle(20000).batch(512).map(parse).prefetch(1)
    dataset = dataset.to_dataset()

Between `records` and `to_dataset` each element is a pair of a slot (the number
of its item, tf.int64) and what the user sees. The methods here are those of
tf.data.Dataset, applied to the second of the pair.

The trap: the batches that come out of `to_dataset` must go straight into the
train step. Put `prefetch` before it, not behind: a batch counts as trained when
the next one is asked for.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tensorflow.compat.v1 as tf1
from absl import logging

from wq_hooks.core.messages import Claim
from wq_hooks.core.record_tracker import RecordTracker
from wq_hooks.runtime.ports import UNLIMITED, SessionPort, discard_op

# Records are counted in chunks of this many: one event for each chunk.
_CHUNK = 1024
_CHUNKS_AHEAD = 2

# An event is a row of three numbers: kind, slot, number of records.
_READ = 0  # a chunk of an item was opened that has so many
_END_OF_ITEM = 1  # behind so many chunks
_BATCH = 2  # a batch goes to the train step; the rows of kind 3 that follow
_DELIVERED = 3  # say what is in it
_DROPPED = 4  # a filter leaves out so many
_END_OF_DATA = 5


class RecordsPort:
    """The local queues behind `records`.

    Items go out as (slot, text), and events come back.

    Args:
      shared_name: Of its queues, unique in this process.
      num_clients: How many batches are trained at a time.
    """

    def __init__(self, shared_name: str, num_clients: int = 1):
        def queue(name: str, dtypes: Any, shapes: Any) -> Any:
            return tf1.FIFOQueue(
                UNLIMITED,
                dtypes=dtypes,
                shapes=shapes,
                shared_name=f"{shared_name}/{name}",
                name=name,
            )

        self.num_clients = num_clients
        self._demand = queue("demand", [tf.bool], [()])
        self._proxy = queue("proxy", [tf.int64, tf.string], [(), ()])
        self._events = queue("events", [tf.int64], [(3,)])
        self.wait = self._demand.dequeue()
        self.feeds = [
            tf1.placeholder(tf.int64, []),
            tf1.placeholder(tf.string, []),
        ]
        self.put = self._proxy.enqueue(self.feeds)
        self.close = self._proxy.close()
        self.num_events = self._events.size()
        first = tf.expand_dims(self._events.dequeue(), 0)
        with tf.control_dependencies([first]):
            rest = self._events.dequeue_many(self._events.size())
        self.next_events = tf.concat([first, rest], 0)
        self.discard = discard_op(self._demand, self._proxy, self._events)

    def take(self) -> tuple[Any, Any]:
        """Returns (slot, text): asks for an item and waits for it."""
        with tf.control_dependencies([self._demand.enqueue(True)]):
            slot, text = self._proxy.dequeue()
            return slot, text

    def note(self, kind: Any, slot: Any = 0, number: Any = 0) -> Any:
        """Returns an op that reports one event."""
        row = [tf.cast(x, tf.int64) for x in (kind, slot, number)]
        return self._events.enqueue([tf.stack(row)])

    def note_batch(self, slots: Any) -> Any:
        """Returns an op that reports a batch that goes to the train step."""
        slots, _, counts = tf.unique_with_counts(
            tf.reshape(slots, [-1]), out_idx=tf.int64
        )
        rows = tf.stack(
            [tf.fill(tf.shape(slots), _i64(_DELIVERED)), slots, counts], 1
        )
        return self._events.enqueue_many(
            [tf.concat([[[_i64(_BATCH), _i64(0), _i64(0)]], rows], 0)]
        )

    def note_dropped(self, slots: Any, is_kept: Any) -> Any:
        """Returns an op that reports records left out, unless they are kept."""
        slots = tf.reshape(slots, [-1])
        ones = tf.ones_like(slots)
        rows = tf.stack([_i64(_DROPPED) * ones, slots, ones], 1)
        # Without control flow: a report of no rows is none.
        is_dropped = tf.logical_not(tf.reshape(is_kept, [1]))
        num_times = tf.cast(is_dropped, tf.int32)
        return self._events.enqueue_many([tf.repeat(rows, num_times, axis=0)])

    def in_session(self, session: tf1.Session) -> RecordsPortSession:
        """Returns the port as seen through a session."""
        return RecordsPortSession(self, session)


class RecordsPortSession(SessionPort):
    """A port in a session, with the account of its records.

    Args:
      port: The port.
      session: The session.
    """

    num_ahead = 0

    def __init__(self, port: RecordsPort, session: tf1.Session):
        super().__init__(session, port.discard)
        self.tracker = RecordTracker(port.num_clients)
        self._port = port
        # What an earlier session left behind in the queues is recognised by
        # its slots.
        self._last_slot = secrets.randbits(40) << 20
        self._is_counting = False

    def wait_for_demand(self) -> None:
        """Waits until the pipeline wants one item more."""
        self._run(self._port.wait)

    def put(self, claim: Claim, text: bytes) -> None:
        """Gives it one."""
        self._last_slot += 1
        slot = self._last_slot
        self.tracker.start(slot, claim, text.decode("utf-8", "replace"))
        self._run(self._port.put, dict(zip(self._port.feeds, (slot, text))))

    def close(self) -> None:
        """Gives it the end of data."""
        self._run(self._port.close)

    def count_events(self) -> list[Claim]:
        """Waits for events; returns the items that they complete."""
        self._is_counting = False
        rows = self._run(self._port.next_events)
        self._is_counting = True
        for kind, slot, number in rows.tolist():
            self._count(kind, slot, number)
        return self.tracker.take_completed()

    def _count(self, kind: int, slot: int, number: int) -> None:
        tracker = self.tracker
        if kind == _READ:
            tracker.read(slot, number)
        elif kind == _END_OF_ITEM:
            failed = tracker.end_of_item(slot, number)
            if failed is not None:
                logging.error(
                    "The reader has failed at %s, which stays open.", failed
                )
        elif kind == _BATCH:
            tracker.begin_batch()
        elif kind == _DELIVERED:
            tracker.deliver(slot, number)
        elif kind == _DROPPED:
            tracker.drop(slot, number)
        else:
            num_dropped = tracker.finish()
            if num_dropped:
                logging.warning(
                    "%d records were read and not trained: what "
                    "drop_remainder leaves at the end of the data.",
                    num_dropped,
                )

    def is_settled(self) -> bool:
        """Whether no event waits to be counted."""
        return not self._is_counting and not self._run(self._port.num_events)


class Records:
    """A pipeline of records that know their item; see the module.

    Args:
      port: The local queues.
      pairs: Dataset of (slot, element).
    """

    def __init__(self, port: RecordsPort, pairs: Any):
        self._port = port
        self._pairs = pairs

    @classmethod
    def read(
        cls,
        port: RecordsPort,
        items: Any,
        reader: Callable[[Any], Any],
        *,
        cycle_length: int = 1,
    ) -> Records:
        """Returns the records of all items.

        Records are counted in chunks, since a function that is called for
        each record would cost more than reading it: one that merely passes
        its arguments on, as below, is never called.

        Args:
          port: The local queues.
          items: Dataset of (slot, text).
          reader: Maps the text of an item (tf.string scalar) to a dataset.
          cycle_length: How many items are read in turn, chunk by chunk.
        """

        def chunks_of(slot: Any, text: Any) -> Any:
            records = reader(text)
            # Read by a thread of its own, to make up for the counting; within
            # the item, so that the next one is not taken early.
            chunks = records.window(_CHUNK).prefetch(_CHUNKS_AHEAD)
            chunks = chunks.map(lambda *chunk: (_zipped(_one(chunk)), False))
            # The end is a chunk without records. Its index tells how many
            # there should have been before it: a reader that fails loses one,
            # and some, as of TFRecords, then go on as if nothing were missing.
            end = tf.data.Dataset.from_tensors(records.take(0))
            end = end.map(lambda chunk: (chunk, True))
            chunks = tf.data.Dataset.zip((_counter(), chunks.concatenate(end)))
            return chunks.map(lambda index, chunk: (slot, index, *chunk))

        def records_of(slot: Any, index: Any, chunk: Any, is_end: Any) -> Any:
            event = port.note(
                tf.where(is_end, _END_OF_ITEM, _READ),
                slot,
                tf.cond(is_end, lambda: index, chunk.cardinality),
            )
            with tf.control_dependencies([event]):
                slot = tf.identity(slot)
            return chunk.map(lambda *record: (slot, _one(record)))

        if cycle_length == 1:
            chunks = items.flat_map(chunks_of)
        else:
            chunks = items.interleave(chunks_of, cycle_length=cycle_length)
        pairs = chunks.flat_map(records_of)
        return cls(port, pairs)

    def __repr__(self) -> str:
        return f"Records({self.element_spec!r})"

    @property
    def element_spec(self) -> Any:
        """What the elements are, as of tf.data.Dataset.element_spec."""
        return self._pairs.element_spec[1]

    def shuffle(self, *args: Any, **kwargs: Any) -> Records:
        """As tf.data.Dataset.shuffle."""
        return self._with(self._pairs.shuffle(*args, **kwargs))

    def batch(self, *args: Any, **kwargs: Any) -> Records:
        """As tf.data.Dataset.batch.

        What `drop_remainder=True` leaves at the end counts as seen.
        """
        return self._with(self._pairs.batch(*args, **kwargs))

    def padded_batch(
        self,
        batch_size: int,
        padded_shapes: Any = None,
        padding_values: Any = None,
        **kwargs: Any,
    ) -> Records:
        """As tf.data.Dataset.padded_batch."""
        if padded_shapes is not None:
            padded_shapes = ([], padded_shapes)
        if padding_values is not None:
            padding_values = (tf.constant(0, tf.int64), padding_values)
        pairs = self._pairs.padded_batch(
            batch_size, padded_shapes, padding_values, **kwargs
        )
        return self._with(pairs)

    def map(self, map_func: Callable[..., Any], **kwargs: Any) -> Records:
        """As tf.data.Dataset.map."""
        pairs = self._pairs.map(
            lambda slot, element: (slot, _call(map_func, element)), **kwargs
        )
        return self._with(pairs)

    def filter(self, predicate: Callable[..., Any], **kwargs: Any) -> Records:
        """As tf.data.Dataset.filter; what is left out counts as seen."""
        port = self._port

        def keep(slots: Any, element: Any) -> Any:
            is_kept = tf.convert_to_tensor(_call(predicate, element), tf.bool)
            with tf.control_dependencies([port.note_dropped(slots, is_kept)]):
                return tf.identity(is_kept)

        return self._with(self._pairs.filter(keep, **kwargs))

    def prefetch(self, *args: Any, **kwargs: Any) -> Records:
        """As tf.data.Dataset.prefetch."""
        return self._with(self._pairs.prefetch(*args, **kwargs))

    def with_options(self, options: tf.data.Options) -> Records:
        """As tf.data.Dataset.with_options."""
        return self._with(self._pairs.with_options(options))

    def repeat(self, count: int | None = None) -> Records:
        """Not to be had: the queue repeats.

        Raises:
          ValueError: Always.
        """
        raise ValueError(
            f"Expected num_epochs={count} of the WorkQueue in the place of "
            f"repeat({count}): when the queue has ended there is nothing to "
            "repeat."
        )

    def to_dataset(self) -> Any:
        """Returns a tf.data.Dataset of what the user sees.

        Whenever it is asked for a batch, the one before counts as trained.
        """
        port = self._port

        def strip(slots: Any, element: Any) -> Any:
            with tf.control_dependencies([port.note_batch(slots)]):
                return tf.nest.map_structure(
                    tf.identity, element, expand_composites=True
                )

        stripped = self._pairs.map(strip)
        return stripped.concatenate(
            _when_reached(lambda: port.note(_END_OF_DATA), stripped)
        ).with_options(without_hidden_prefetch())

    def _with(self, pairs: Any) -> Records:
        return Records(self._port, pairs)


def without_hidden_prefetch() -> tf.data.Options:
    """Returns options that keep tf.data from adding a prefetch at the end.

    It does so of its own accord, and takes what nobody has asked for yet.
    """
    options = tf.data.Options()
    options.experimental_optimization.inject_prefetch = False
    return options


def _when_reached(note: Callable[[], Any], dataset: Any) -> Any:
    """Returns an empty dataset like `dataset` that runs an op when reached.

    Behind another dataset it is reached when all before it was asked for.
    """

    def run(count: Any) -> Any:
        with tf.control_dependencies([note()]):
            return dataset.take(tf.identity(count))

    return tf.data.Dataset.from_tensors(tf.constant(0, tf.int64)).flat_map(run)


def _counter() -> Any:
    """Returns a dataset of 0, 1, 2, ...

    Dataset.range (and with it enumerate) would make tf.data optimise a graph
    anew for each item, which takes longer than to read one.
    """
    zero = _i64(0)
    zeros = tf.data.Dataset.from_tensors(zero).repeat()
    return zeros.scan(zero, lambda count, _: (count + 1, count))


def _i64(value: Any) -> Any:
    return tf.cast(value, tf.int64)


def _one(values: tuple[Any, ...]) -> Any:
    """Returns what tf.data has spread over the arguments of a function."""
    return values[0] if len(values) == 1 else values


def _call(function: Callable[..., Any], element: Any) -> Any:
    """Calls a function of the user's as tf.data does: tuples are spread."""
    return (
        function(*element) if isinstance(element, tuple) else function(element)
    )


def _zipped(chunk: Any) -> Any:
    """Returns the datasets of a window's components as one dataset."""
    if isinstance(chunk, tf.data.Dataset):
        return chunk
    return tf.data.Dataset.zip(chunk)
