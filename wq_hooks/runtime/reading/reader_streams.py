"""Items become records: lanes that read one item after the other.

    pairs = pairs_read(port, from_items, reader, cycle_length=4)
    pairs = batches_read(port, from_items, reader, batch, 512)

The trap: each record passes whatever dataset is added here, and a function that
is called for each of them would cost more than reading it. One that merely
passes its arguments on, as that of `map` below, is never called.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import tensorflow as tf
import tensorflow.compat.v1 as tf1

from wq_hooks.core.consumer.lanes import MAX_BATCHES, batch_number
from wq_hooks.runtime.ports.dataset_ops import after, when_reached
from wq_hooks.runtime.reading import record_events as events
from wq_hooks.runtime.reading.file_readers import Reader
from wq_hooks.runtime.reading.item_ends import is_repeatable
from wq_hooks.runtime.reading.records_port import RecordsPort


class FromItems(Protocol):
    """Makes a dataset of one of items, (slot, text); see ItemChannel.passes."""

    def __call__(
        self,
        dataset_of: Callable[[Any], Any],
        then: Callable[[Any], Any] | None = None,
        /,
    ) -> Any:
        """Returns the dataset."""


def pairs_read(
    port: RecordsPort,
    from_items: FromItems,
    reader: Reader,
    *,
    cycle_length: int = 1,
) -> Any:
    """Returns the records of all items, as a dataset of (slot, element).

    Args:
      port: The local queues.
      from_items: Makes a dataset of one of items; see FromItems.
      reader: Maps the text of an item (tf.string scalar) to a dataset. Where it
        fails, its item stays open.
      cycle_length: How many items are read in turn, each in a lane.
    """

    def items_of(items: Any, index: Any) -> Any:
        # A name for this lane of this iterator.
        lane = port.new_number() * cycle_length + index
        own = items.map(lambda slot, text: (lane, slot, text))
        # It goes on to the end when the last item was read to its end.
        end = when_reached(
            lambda: port.note_counts(events.LANE_ENDED, lane), own
        )
        return port.counter.counted(own, events.ITEMS).concatenate(end)

    @tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
    def records_of(lane: Any, slot: Any, text: Any) -> Any:
        slot = after(port.note_counts(events.OPENED, lane, slot), slot)
        # A copy: tf.data asks for the size of each element, which a tensor
        # that came from Python tells in a roundabout way.
        slot = tf.gather([slot], 0)
        records = reader(text)
        # What tf.data spreads over the arguments of a function.
        is_spread = type(records.element_spec) is tuple
        pairs = records.map(
            lambda *record: (slot, record if is_spread else record[0])
        )
        _note_reading(port, slot, records)
        return port.counter.counted(pairs, events.count_name(events.LANE, lane))

    if cycle_length == 1:
        # Each record passes one `flat_map`, as it does where a plain pipeline
        # reads files.
        return from_items(
            lambda items: items_of(items, tf.constant(0, tf.int64)),
            lambda items: items.flat_map(records_of),
        )
    lanes = tf.data.Dataset.range(cycle_length)
    return from_items(
        lambda items: lanes.interleave(
            lambda index: items_of(items, index).flat_map(records_of),
            cycle_length=cycle_length,
        )
    )


def batches_read(
    port: RecordsPort,
    from_items: FromItems,
    reader: Reader,
    batch: Callable[[Any], Any],
    batch_size: Any,
) -> Any:
    """Returns batches of the records, as a dataset of (number, elements).

    The number of the batch, one for all its records, replaces
    their slots. So the records have to stay in order.

    Args:
      port: The local queues.
      from_items: See `pairs_read`.
      reader: See `pairs_read`.
      batch: Makes a dataset of batches of one of records, in the thread that
        asks for them, without running ahead.
      batch_size: How many records a batch has, but for the last.
    """

    def batches_of(items: Any) -> Any:
        # A name for this iterator.
        lane = port.new_number()

        def records_of(slot: Any, text: Any) -> Any:
            opened = port.note_counts(
                events.OPENED_IN_BATCHES, lane, slot, batch_size
            )
            slot = after(opened, slot)
            records = reader(text)
            _note_reading(port, slot, records)
            return records

        own = port.counter.counted(items, events.ITEMS)
        records = port.counter.counted(
            own.flat_map(records_of), events.count_name(events.LANE, lane)
        )
        # A batch in which there is an error has a number, too. (A function that
        # gives them would take a tenth of a millisecond for each.)
        numbers = tf.data.Dataset.range(
            batch_number(lane, 0), batch_number(lane, MAX_BATCHES), -1
        )
        batches = tf.data.Dataset.zip((numbers, batch(records)))
        end = when_reached(
            lambda: port.note_counts(events.LANE_ENDED, lane), batches
        )
        name = events.count_name(events.BATCHES, lane)
        return port.counter.counted(batches, name).concatenate(end)

    return from_items(batches_of)


def _note_reading(port: RecordsPort, slot: Any, records: Any) -> None:
    """Reports that a reader can be asked for records, and keeps them."""
    # Behind all that the reader does, for it may fail anywhere.
    graph = tf1.get_default_graph()
    is_kept = port.keeps_records and is_repeatable(graph)
    with tf.control_dependencies(graph.get_operations()):
        kept = port.look_ahead.keep(slot, records) if is_kept else tf.no_op()
    with tf.control_dependencies([kept]):
        port.note(events.READING, slot, int(is_kept))
