"""What stands between `records` and `to_dataset`, and how it is built.

    operations = (Operation(spec, apply=...), ...)
    pipeline = build(reading, operations)
    pipeline.tagged, pipeline.run_ahead

The pipeline is built when all of it is known, for some is left to the reader.
Each record that a filter leaves out is reported, which takes longer than
reading it; what a reader does not give was never a record. And batches of
records in order need not be told which item each record is of.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import tensorflow as tf

from wq_hooks.runtime.ports.tuning import can_be_tuned, says_of_tuning, untuned
from wq_hooks.runtime.reading.reader_streams import (
    FromItems,
    batches_read,
    pairs_read,
)
from wq_hooks.runtime.reading.records_port import RecordsPort
from wq_hooks.runtime.records.batching import Batching
from wq_hooks.runtime.records.divided import flat_mapped
from wq_hooks.runtime.records.tagged import TaggedDataset, has_rows
from wq_hooks.runtime.records.traced_function import TracedFunction, as_it_is

OfDataset = Callable[[Any], Any]


@dataclass(frozen=True)
class Operation:
    """A method that was called.

    Args:
      spec: Spec of its elements.
      apply: Applies it to a TaggedDataset.
      of_reader: Applies it to the dataset of one item; None where that gives
        other elements.
      saves_reports: Whether nothing has to be reported if the reader does it.
      may_fail_alone: Whether an element at which it fails is lost alone.
      batching: Function that makes batches, if they have a fixed size.
      divides: Whether records of one element may come in several elements.
      run_ahead: Applies it to a dataset, if it does nothing but run ahead.
      options: The options, if it is `with_options`.
      asks_for_tuning: Whether it has AUTOTUNE for a number of calls.
    """

    spec: Any
    apply: Callable[[TaggedDataset], TaggedDataset]
    of_reader: OfDataset | None = None
    saves_reports: bool = False
    may_fail_alone: bool = False
    batching: Batching | None = None
    divides: bool = False
    run_ahead: OfDataset | None = None
    options: Any = None
    asks_for_tuning: bool = False


@dataclass(frozen=True)
class Reading:
    """How records are read.

    Args:
      port: The local queues.
      from_items: Makes a dataset of one of items, (slot, text).
      reader: Maps the text of an item to a dataset.
      cycle_length: How many items are read in turn, each in a lane.
      is_endless: Whether the items never end.
    """

    port: RecordsPort
    from_items: FromItems
    reader: TracedFunction
    cycle_length: int
    is_endless: bool


@dataclass(frozen=True)
class Pipeline:
    """What was built: pairs, and a prefetch of them or None."""

    tagged: TaggedDataset
    run_ahead: OfDataset | None = None

    @property
    def pairs(self) -> Any:
        """The dataset of (slots, element)."""
        if self.run_ahead is None:
            return self.tagged.pairs
        return self.run_ahead(self.tagged.pairs)

    def then(self, operation: Operation) -> Pipeline:
        """Returns the pipeline with one operation more."""
        if operation.run_ahead is not None:
            tagged = self.tagged.of(self.pairs)
            return Pipeline(tagged, operation.run_ahead)
        if operation.options is not None:
            pairs = self.tagged.pairs.with_options(operation.options)
            return replace(self, tagged=self.tagged.of(pairs))
        tagged = operation.apply(self.tagged.of(self.pairs))
        return Pipeline(tagged.with_spec(operation.spec))


def build(reading: Reading, operations: Sequence[Operation]) -> Pipeline:
    """Returns the pipeline that operations make of what a reader gives."""
    num_of_reader = num_left_to_reader(operations, reading.cycle_length)
    own, rest = operations[:num_of_reader], operations[num_of_reader:]

    def reader(text: Any) -> Any:
        dataset = reading.reader(text)
        for operation in own:
            if operation.of_reader is not None:
                dataset = operation.of_reader(dataset)
        return dataset

    spec = own[-1].spec if own else reading.reader.output_spec.element_spec
    batching = rest[0].batching if rest else None
    if (
        batching is not None
        and not batching.runs_ahead
        and batching.takes_remainder(spec)
        and reading.cycle_length == 1
        and has_rows(spec)
        and not any(operation.divides for operation in rest)
    ):
        pairs = batches_read(
            reading.port,
            reading.from_items,
            reader,
            batching.with_remainder,
            batching.batch_size,
        )
        batches = TaggedDataset(reading.port, pairs, is_numbered=True)
        batches = batching.without_remainder(batches)
        pipeline = Pipeline(batches.with_spec(rest[0].spec))
        rest = rest[1:]
    else:
        pairs = pairs_read(
            reading.port,
            reading.from_items,
            reader,
            cycle_length=reading.cycle_length,
        )
        pipeline = Pipeline(TaggedDataset(reading.port, pairs))
    for operation in rest:
        pipeline = pipeline.then(operation)
    return pipeline


def tuned_as_asked(
    dataset: Any, reading: Reading, operations: Sequence[Operation]
) -> Any:
    """Returns a dataset whose tuning is on where that is asked for.

    Args:
      dataset: What was made of the operations.
      reading: See `build`.
      operations: See `build`.
    """
    for operation in reversed(operations):
        if says_of_tuning(operation.options):
            options = tf.data.Options()
            options.autotune = operation.options.autotune
            return dataset.with_options(options)
    asks = reading.reader.asks_for_tuning or any(
        operation.asks_for_tuning for operation in operations
    )
    return dataset if asks and can_be_tuned() else untuned(dataset)


def num_left_to_reader(
    operations: Sequence[Operation], cycle_length: int
) -> int:
    """Returns how many operations the reader does.

    Maps are among them only where something follows that saves reports: calls
    in parallel pause between two items there.
    """
    num = 0
    for index, operation in enumerate(operations):
        if operation.of_reader is None:
            break
        if operation.divides and cycle_length > 1:
            # Elements of several items come in another order then.
            break
        if operation.saves_reports:
            num = index + 1
    return num


def ignoring_errors(
    operations: Sequence[Operation],
    spec: Any,
    of_reader: OfDataset,
    cycle_length: int,
) -> tuple[Operation, ...]:
    """Returns operations and `ignore_errors` after them.

    Raises:
      ValueError: If it could not be told which records an error has lost.
    """
    ignoring = Operation(
        spec, lambda tagged: tagged, of_reader, saves_reports=True
    )
    candidate = (*operations, ignoring)
    if num_left_to_reader(candidate, cycle_length) == len(candidate):
        return candidate
    num_before = len(operations)
    while num_before and operations[num_before - 1].may_fail_alone:
        num_before -= 1
    alone = operations[num_before:]
    if not alone:
        raise ValueError(
            "Expected ignore_errors() right after the map or filter whose "
            "errors it ignores; got it after something else, where it is "
            "not known which records an error has lost. Call it there, or in "
            "the reader: records(lambda path: "
            "TFRecordDataset(path).ignore_errors())."
        )

    def attempt(element: Any) -> Any:
        dataset = tf.data.Dataset.from_tensors(element)
        for operation in alone:
            if operation.of_reader is not None:
                dataset = operation.of_reader(dataset)
        return of_reader(dataset)

    divided = Operation(
        spec,
        lambda tagged: flat_mapped(tagged, as_it_is(attempt)),
        divides=True,
    )
    return (*operations[:num_before], divided)
