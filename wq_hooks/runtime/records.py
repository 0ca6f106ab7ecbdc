"""Records that know which item they came from, through a tf.data pipeline.

    dataset = queue.records(tf.data.TextLineDataset)
    dataset = dataset.shuffle(20000).batch(512).map(parse).prefetch(1)
    dataset = dataset.to_dataset()

Between `records` and `to_dataset` each element is of the form
`(number, (slot, what the user sees))`; `core/record_tracker.py` says what the
two tf.int64 mean. The methods here are those of tf.data.Dataset, applied to
what the user sees.

The trap: the batches that come out of `to_dataset` must go straight into the
train step. Put `prefetch` before it, not behind: a batch counts as trained when
the next one is asked for.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow.compat.v1 as tf1
from absl import logging

from wq_hooks.core.messages import Claim
from wq_hooks.core.record_tracker import RecordTracker
from wq_hooks.runtime.ports import UNLIMITED, SessionPort, discard_op

# An event is a vector of numbers, its kind first.
_OPENED = 0  # an item begins: its slot, its lane
_BATCH = 1  # a batch goes to the train step: slots and numbers of its records
_FILTERED = 2  # left out by a filter: likewise
_REMAINDER = 3  # left out by drop_remainder: likewise
_END_OF_DATA = 4
TRAINED = 5  # all that was delivered so far was trained
FLUSH = 6  # somebody waits until all events before this one were counted

_TensorProto = type(tf.make_tensor_proto(0))

# Marked as stateful lest it be left out; it changes nothing.
_ASSERT = "Assert"


class RecordsPort:
    """The local queues behind `records`.

    Items go out as (slot, text), and events come back.

    Args:
      shared_name: Of its queues, unique in this process.
      num_clients: How many batches are trained at a time.
    """

    def __init__(self, shared_name: str, num_clients: int = 1):
        def queue(name: str, dtypes: Any, shapes: Any) -> Any:
            # In eager mode the ops below stand in a function, and the queues
            # outside of it, so that datasets can use them too.
            with tf.init_scope():
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
        self._events = queue("events", [tf.string], [()])
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
        self.end_events = self._events.close(cancel_pending_enqueues=True)

    def take(self) -> tuple[Any, Any]:
        """Returns (slot, text): asks for an item and waits for it."""
        with tf.control_dependencies([self._demand.enqueue(True)]):
            slot, text = self._proxy.dequeue()
            return slot, text

    def note(self, kind: int, *numbers: Any) -> Any:
        """Returns an op that reports one event, with tf.int64 scalars."""
        return self._events.enqueue([_event(kind, [_i64(n) for n in numbers])])

    def note_batch(self, slots: Any, numbers: Any) -> Any:
        """Returns an op that reports a batch that goes to the train step.

        It stands between two train steps, so it only passes on what it has;
        who counts the events finds out what they say.

        Args:
          slots: tf.int64 of any shape: whose records are in it.
          numbers: The same for their numbers.
        """
        return self._events.enqueue([_event(_BATCH, [slots, numbers])])

    def note_dropped(
        self, kind: int, slots: Any, numbers: Any, is_kept: Any
    ) -> Any:
        """Returns an op that reports records left out, unless they are kept.

        Args:
          kind: Who left them out.
          slots: As of `note_batch`.
          numbers: As of `note_batch`.
          is_kept: tf.bool scalar.
        """
        event = tf.expand_dims(_event(kind, [slots, numbers]), 0)
        # Without control flow: a report of no events is none.
        num_times = tf.cast(tf.logical_not(is_kept), tf.int32)
        event = tf.repeat(event, tf.reshape(num_times, [1]), axis=0)
        return self._events.enqueue_many([event])

    def in_passes(self, dataset: Any) -> Any:
        """Returns what a user's pipeline gives in all."""
        return dataset

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
        self._num_left_over = 0
        self.last_flush = 0

    def wait_for_demand(self) -> None:
        """Waits until the pipeline wants one item more."""
        self._run(self._port.wait)

    def put(self, claim: Claim, text: bytes) -> None:
        """Gives it one."""
        slot = self.start(claim, text)
        self._run(self._port.put, self._port.feeds, [slot, text])

    def start(self, claim: Claim, text: bytes) -> int:
        """Opens the account of an item; returns its slot."""
        self._last_slot += 1
        slot = self._last_slot
        self.tracker.start(slot, claim, text.decode("utf-8", "replace"))
        return slot

    def close(self) -> None:
        """Gives it the end of data."""
        self._run(self._port.close)

    def count_events(self) -> list[Claim]:
        """Waits for events; returns the items that they complete."""
        self._is_counting = False
        events = self._run(self._port.next_events)
        self._is_counting = True
        for message in events:
            content = _TensorProto.FromString(message).tensor_content
            event = np.frombuffer(content, np.int64)
            self._count(int(event[0]), event[1:])
        return self.tracker.take_completed()

    def _count(self, kind: int, numbers: Any) -> None:
        tracker = self.tracker
        if kind == _OPENED:
            slot, lane = numbers.tolist()
            tracker.open(slot, lane)
        elif kind == _BATCH:
            tracker.begin_batch()
            for slot, count, first, last in _by_item(numbers):
                tracker.deliver(slot, count, first, last)
        elif kind in (_FILTERED, _REMAINDER):
            for slot, count, first, last in _by_item(numbers):
                tracker.drop(slot, count, first, last)
                self._num_left_over += count if kind == _REMAINDER else 0
        elif kind == TRAINED:
            tracker.train_delivered()
        elif kind == FLUSH:
            self.last_flush = int(numbers[0])
        else:
            self._finish()

    def _finish(self) -> None:
        for name in self.tracker.finish():
            logging.error(
                "Records of %s may have been lost, where a reader or a "
                "function has failed; it stays open.",
                name,
            )
        if self._num_left_over:
            logging.warning(
                "%d records were read and not trained: what drop_remainder "
                "leaves at the end of the data.",
                self._num_left_over,
            )
            self._num_left_over = 0

    def is_settled(self) -> bool:
        """Whether no event waits to be counted."""
        return not self._is_counting and not self._run(self._port.num_events)


class Records:
    """A pipeline of records that know their item; see the module.

    Args:
      port: The local queues.
      pairs: Dataset of (number, (slot, element)).
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

        A function that is called for each record would cost more than reading
        it. One that merely passes its arguments on, as that of `map` below, is
        never called.

        Args:
          port: The local queues.
          items: Dataset of (slot, text).
          reader: Maps the text of an item (tf.string scalar) to a dataset.
          cycle_length: How many items are read in turn, each in a lane.
        """

        def items_of(index: Any) -> Any:
            # A name for this lane of this iterator.
            lane = _i64(tf.timestamp() * 1e6) * cycle_length + index
            return items.map(lambda slot, text: (lane, slot, text))

        def records_of(lane: Any, slot: Any, text: Any) -> Any:
            with tf.control_dependencies([port.note(_OPENED, slot, lane)]):
                slot = tf.identity(slot)
            return reader(text).map(lambda *record: (slot, _one(record)))

        def numbered(records: Any) -> Any:
            # The number goes first: one is used up for a record that fails.
            numbers = tf.data.Dataset.range(tf.int64.max)
            return tf.data.Dataset.zip((numbers, records))

        lanes = tf.data.Dataset.range(cycle_length)
        if cycle_length == 1:
            # Numbered outside of any function: one dataset less to go through.
            records = lanes.flat_map(items_of).flat_map(records_of)
            return cls(port, numbered(records))
        return cls(
            port,
            lanes.interleave(
                lambda index: numbered(items_of(index).flat_map(records_of)),
                cycle_length=cycle_length,
            ),
        )

    @property
    def pairs(self) -> Any:
        """The dataset of (number, (slot, element))."""
        return self._pairs

    def __repr__(self) -> str:
        return f"Records({self.element_spec!r})"

    @property
    def element_spec(self) -> Any:
        """What the elements are, as of tf.data.Dataset.element_spec."""
        return self._pairs.element_spec[1][1]

    def shuffle(self, *args: Any, **kwargs: Any) -> Records:
        """As tf.data.Dataset.shuffle."""
        return self._with(self._pairs.shuffle(*args, **kwargs))

    def batch(
        self, batch_size: Any, drop_remainder: bool = False, **kwargs: Any
    ) -> Records:
        """As tf.data.Dataset.batch.

        What `drop_remainder=True` leaves at the end counts as seen.
        """

        def batch(drop_remainder: bool) -> Any:
            return self._pairs.batch(
                batch_size, drop_remainder=drop_remainder, **kwargs
            )

        return self._batched(batch, batch_size, drop_remainder)

    def padded_batch(
        self,
        batch_size: Any,
        padded_shapes: Any = None,
        padding_values: Any = None,
        drop_remainder: bool = False,
        **kwargs: Any,
    ) -> Records:
        """As tf.data.Dataset.padded_batch; see `batch`."""
        if padded_shapes is not None:
            padded_shapes = ([], ([], padded_shapes))
        if padding_values is not None:
            zero = tf.constant(0, tf.int64)
            padding_values = (zero, (zero, padding_values))

        def batch(drop_remainder: bool) -> Any:
            return self._pairs.padded_batch(
                batch_size,
                padded_shapes,
                padding_values,
                drop_remainder=drop_remainder,
                **kwargs,
            )

        return self._batched(batch, batch_size, drop_remainder)

    def map(self, map_func: Callable[..., Any], **kwargs: Any) -> Records:
        """As tf.data.Dataset.map.

        A function without state is called in parallel, as tf.data does on its
        own accord; `num_parallel_calls` says otherwise.
        """
        is_stateful = False

        def map_pair(number: Any, pair: Any) -> Any:
            nonlocal is_stateful
            slot, element = pair
            element = _call(map_func, element)
            is_stateful |= _has_state(tf1.get_default_graph())
            return number, (slot, element)

        pairs = self._pairs.map(map_pair, **kwargs)
        if "num_parallel_calls" not in kwargs and not is_stateful:
            # What tf.data would do, had `without_hidden_prefetch` not to
            # forbid it everywhere: it would run ahead behind `to_dataset`, too.
            pairs = self._pairs.map(
                map_pair, num_parallel_calls=tf.data.AUTOTUNE, **kwargs
            )
        return self._with(pairs)

    def filter(self, predicate: Callable[..., Any], **kwargs: Any) -> Records:
        """As tf.data.Dataset.filter; what is left out counts as seen."""
        return self._with(
            self._filtered(
                self._pairs,
                _FILTERED,
                lambda _, element: _call(predicate, element),
                **kwargs,
            )
        )

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

        def strip(numbers: Any, pair: Any) -> Any:
            slots, element = pair
            with tf.control_dependencies([port.note_batch(slots, numbers)]):
                return tf.nest.map_structure(
                    tf.identity, element, expand_composites=True
                )

        stripped = self._pairs.map(strip)
        return self._port.in_passes(
            stripped.concatenate(
                _when_reached(lambda: port.note(_END_OF_DATA), stripped)
            )
        ).with_options(without_hidden_prefetch())

    def _with(self, pairs: Any) -> Records:
        return Records(self._port, pairs)

    def _batched(
        self, batch: Callable[[bool], Any], batch_size: Any, drop: bool
    ) -> Records:
        if not drop:
            return self._with(batch(False))
        # tf.data would drop the rest without a word.
        full = self._filtered(
            batch(False),
            _REMAINDER,
            lambda slots, _: tf.equal(_i64(tf.shape(slots)[0]), batch_size),
        )
        spec = batch(True).element_spec
        return self._with(full.map(lambda *pair: _of_shape(pair, spec)))

    def _filtered(
        self,
        pairs: Any,
        kind: int,
        predicate: Callable[..., Any],
        **kwargs: Any,
    ) -> Any:
        port = self._port

        def keep(numbers: Any, pair: Any) -> Any:
            slots, element = pair
            is_kept = tf.convert_to_tensor(predicate(slots, element), tf.bool)
            note = port.note_dropped(kind, slots, numbers, is_kept)
            with tf.control_dependencies([note]):
                return tf.identity(is_kept)

        return pairs.filter(keep, **kwargs)


def without_hidden_prefetch() -> tf.data.Options:
    """Returns options that keep tf.data from running ahead on its own accord.

    It adds a prefetch at the end, and makes plain maps parallel ones; both take
    what nobody has asked for yet.
    """
    options = tf.data.Options()
    options.experimental_optimization.inject_prefetch = False
    options.experimental_optimization.map_parallelization = False
    return options


def _has_state(graph: Any) -> bool:
    """Whether it matters how often and in which order a function is called."""
    return any(
        op.op_def.is_stateful and op.type != _ASSERT
        for op in graph.get_operations()
    )


def _when_reached(note: Callable[[], Any], dataset: Any) -> Any:
    """Returns an empty dataset like `dataset` that runs an op when reached.

    Behind another dataset it is reached when all before it was asked for.
    """

    def run(count: Any) -> Any:
        with tf.control_dependencies([note()]):
            return dataset.take(tf.identity(count))

    return tf.data.Dataset.from_tensors(tf.constant(0, tf.int64)).flat_map(run)


def _event(kind: int, values: Sequence[Any]) -> Any:
    """Returns the tf.string scalar that stands for an event."""
    flat = [tf.reshape(value, [-1]) for value in (_i64(kind), *values)]
    return tf.io.serialize_tensor(tf.concat(flat, 0))


def _by_item(records: Any) -> list[list[int]]:
    """Returns (slot, how many, first number, last number) of each item.

    Args:
      records: np.int64 array: the slots of the records, then their numbers.
    """
    slots, numbers = records.reshape(2, -1)
    if len(slots) == 1:  # a filter tells one at a time
        return [[int(slots[0]), 1, int(numbers[0]), int(numbers[0])]]
    slots, places, counts = np.unique(
        slots, return_inverse=True, return_counts=True
    )
    first = np.full(len(slots), np.iinfo(np.int64).max)
    last = np.full(len(slots), -1)
    np.minimum.at(first, places, numbers)
    np.maximum.at(last, places, numbers)
    columns = (slots, counts, first, last)
    return [list(map(int, row)) for row in zip(*columns)]


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


def _of_shape(values: Any, spec: Any) -> Any:
    """Returns `values` with the shapes of `spec`, which are known to hold."""

    def shaped(value: Any, expected: Any) -> Any:
        if isinstance(value, tf.Tensor):
            return tf.ensure_shape(value, expected.shape)
        if isinstance(value, tf.SparseTensor):
            value = tf.sparse.map_values(tf.identity, value)
            value.set_shape(expected.shape)
        return value

    return tf.nest.map_structure(shaped, values, spec)
