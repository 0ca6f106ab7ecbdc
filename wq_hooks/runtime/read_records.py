"""Records as they come from a reader, and what can be left to it.

    records = records_read(port, from_items, tf.data.TextLineDataset)
    dataset = records.filter(is_wanted).batch(512).to_dataset()

Each record that a filter leaves out is reported, which takes longer than
reading it. What a reader does not give was never a record. And batches of
records in order need not be told which item each record is of.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wq_hooks.runtime.file_readers import Reader, of_one_file
from wq_hooks.runtime.lanes import batches_read, pairs_read
from wq_hooks.runtime.records import Batching, Records, has_rows
from wq_hooks.runtime.records_port import RecordsPort

# Makes a dataset of one of items, (slot, text), where the items come out.
FromItems = Callable[[Callable[[Any], Any]], Any]


def records_read(
    port: RecordsPort,
    from_items: FromItems,
    reader: Reader,
    *,
    cycle_length: int = 1,
) -> Records:
    """Returns the records that a reader gives.

    Args:
      port: The local queues.
      from_items: Makes a dataset of the items.
      reader: See `lanes.pairs_read`.
      cycle_length: Likewise.
    """
    reading = _Reading(port, from_items, cycle_length)
    return _ReadRecords(reading, of_one_file(reader))


def expect_reader(reader: object) -> None:
    """Raises TypeError if it is no function."""
    if not callable(reader):
        raise TypeError(
            "Expected reader to be a function that maps an item to a dataset, "
            f"such as tf.data.TextLineDataset; got {reader!r:.200}."
        )


class _Reading:
    """How the records of a port are read.

    Args:
      port: The local queues.
      from_items: Makes a dataset of one of items, (slot, text).
      cycle_length: See `lanes.pairs_read`.
    """

    def __init__(
        self, port: RecordsPort, from_items: FromItems, cycle_length: int
    ):
        self.port = port
        self.from_items = from_items
        self.cycle_length = cycle_length

    def pairs(self, reader: Reader) -> Any:
        """Returns records one by one; see `lanes.pairs_read`."""
        return self.from_items(
            lambda items: pairs_read(
                self.port, items, reader, cycle_length=self.cycle_length
            )
        )

    def batches(
        self, reader: Reader, batch: Callable[[Any], Any], batch_size: Any
    ) -> Any:
        """Returns them in batches; see `lanes.batches_read`."""
        return self.from_items(
            lambda items: batches_read(
                self.port, items, reader, batch, batch_size
            )
        )


class _ReadRecords(Records):
    """Records one by one, in order: what follows can be the reader's.

    Args:
      reading: How records are read.
      reader: What gives the records as they are here.
      pairs: Dataset of (slot, element), where they are mapped behind the
        reader; None: the reader has done it all.
    """

    def __init__(self, reading: _Reading, reader: Reader, pairs: Any = None):
        self._reading = reading
        self._reader = reader
        self._is_mapped = pairs is not None
        super().__init__(
            reading.port, pairs if self._is_mapped else reading.pairs(reader)
        )

    def map(self, map_func: Callable[..., Any], **kwargs: Any) -> Records:
        """As tf.data.Dataset.map.

        The reader maps only where a filter follows: calls in parallel pause
        between two items there.
        """
        pairs, kwargs_of_reader = self._mapped(map_func, kwargs)

        def mapped(text: Any) -> Any:
            return self._reader(text).map(map_func, **kwargs_of_reader)

        return _ReadRecords(self._reading, mapped, pairs)

    def filter(self, predicate: Callable[..., Any], **kwargs: Any) -> Records:
        """As tf.data.Dataset.filter."""

        def filtered(text: Any) -> Any:
            return self._reader(text).filter(predicate, **kwargs)

        return _ReadRecords(self._reading, filtered)

    def _batched(
        self,
        of_pairs: Batching,
        of_elements: Batching | None,
        batch_size: Any,
        drop_remainder: bool,
    ) -> Records:
        is_in_order = not self._is_mapped and self._reading.cycle_length == 1
        if (
            of_elements is None
            or not is_in_order
            or not has_rows(self.element_spec)
        ):
            return super()._batched(
                of_pairs, of_elements, batch_size, drop_remainder
            )
        spec = None

        def batch(elements: Any) -> Any:
            nonlocal spec
            spec = of_elements(elements, drop_remainder).element_spec
            return of_elements(elements, False)

        batches = Records(
            self._port,
            self._reading.batches(self._reader, batch, batch_size),
            is_of_batches=True,
        )
        return (
            batches._full_ones(batch_size, spec) if drop_remainder else batches
        )
