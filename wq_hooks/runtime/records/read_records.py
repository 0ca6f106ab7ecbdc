"""Records as they come from a reader.

records = records_read(port, from_items, tf.data.TextLineDataset)
dataset = records.filter(is_wanted).batch(512).to_dataset()
"""

from __future__ import annotations

import tensorflow as tf

from wq_hooks.runtime.reading.file_readers import Reader, of_one_file
from wq_hooks.runtime.reading.records_port import RecordsPort
from wq_hooks.runtime.records.operations import FromItems, Reading
from wq_hooks.runtime.records.records import Records
from wq_hooks.runtime.records.traced_function import TracedFunction


def records_read(
    port: RecordsPort,
    from_items: FromItems,
    reader: Reader,
    *,
    cycle_length: int = 1,
    is_endless: bool = False,
) -> Records:
    """Returns the records that a reader gives.

    Args:
      port: The local queues.
      from_items: Makes a dataset of the items.
      reader: See `lanes.pairs_read`.
      cycle_length: Likewise.
      is_endless: Whether the items never end.
    """
    traced = TracedFunction(
        of_one_file(reader), tf.TensorSpec([], tf.string), "records()"
    )
    template = tf.data.Dataset.from_tensors("").flat_map(traced.spread)
    reading = Reading(port, from_items, traced, cycle_length, is_endless)
    return Records(reading, template)


def expect_reader(reader: object) -> None:
    """Raises TypeError if it is no function."""
    if not callable(reader):
        raise TypeError(
            "Expected reader to be a function that maps an item to a dataset, "
            f"such as tf.data.TextLineDataset; got {reader!r:.200}."
        )
