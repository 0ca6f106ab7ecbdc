"""Records that know which item they came from, through a tf.data pipeline.

    dataset = queue.records(tf.data.TextLineDataset)
    dataset = dataset.shuffle(20000).batch(512).map(parse).prefetch(1)
    dataset = dataset.to_dataset()

The methods here are those of tf.data.Dataset. Each gives what it gives there:
the template, a plain dataset of the same elements that is never iterated, says
what that is. What `to_dataset` builds carries along of which records an element
consists; see `operations.py` and `tagged.py`.

The trap: the batches that come out of `to_dataset` must go straight into the
train step. Call `prefetch` before it, not after it: a batch counts as trained
when the next one is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

import tensorflow as tf

from wq_hooks.runtime.ports.dataset_ops import (
    after,
    queue_options,
    when_reached,
)
from wq_hooks.runtime.ports.tuning import is_autotune
from wq_hooks.runtime.reading import record_events as events
from wq_hooks.runtime.reading.file_readers import Reader, of_one_file
from wq_hooks.runtime.reading.reader_streams import FromItems
from wq_hooks.runtime.reading.records_port import RecordsPort
from wq_hooks.runtime.records import divided
from wq_hooks.runtime.records.limits import expect_end, limited, limited_while
from wq_hooks.runtime.records.operations import (
    Reading,
    ignoring_errors,
    tuned_as_asked,
)
from wq_hooks.runtime.records.record_batches import BatchMethods
from wq_hooks.runtime.records.refused_methods import NO_DATASET, reason_against
from wq_hooks.runtime.records.tagged import TaggedDataset
from wq_hooks.runtime.records.traced_function import (
    TracedFunction,
    as_it_is,
)


class Records(BatchMethods):
    """A pipeline of records that know their item; see the module."""

    @property
    def pairs(self) -> Any:
        """The dataset of (slots, element)."""
        return self._pipeline().pairs

    def __repr__(self) -> str:
        return f"Records({self.element_spec!r})"

    def __iter__(self) -> NoReturn:
        raise TypeError(NO_DATASET)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            raise AttributeError(reason_against(name))

    def options(self) -> tf.data.Options:
        """As tf.data.Dataset.options."""
        return self._template.options()

    def cardinality(self) -> Any:
        """As tf.data.Dataset.cardinality: nobody knows."""
        return tf.constant(tf.data.UNKNOWN_CARDINALITY, tf.int64)

    def apply(self, transformation_func: Callable[[Any], Any]) -> Any:
        """As tf.data.Dataset.apply: of what calls the methods here."""
        records = transformation_func(self)
        if not isinstance(records, Records):
            raise TypeError(
                "Expected transformation_func to return what a method of its "
                f"argument returns; got {records!r:.200}."
            )
        return records

    def shuffle(self, *args: Any, **kwargs: Any) -> Records:
        """As tf.data.Dataset.shuffle."""
        return self._passed(lambda dataset: dataset.shuffle(*args, **kwargs))

    def map(
        self, map_func: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Records:
        """As tf.data.Dataset.map.

        A function without state is called in parallel, as tf.data does on its
        own accord; `num_parallel_calls=None` says otherwise.
        """
        traced = self._traced(map_func, "Dataset.map()")
        is_said = bool(args) or "num_parallel_calls" in kwargs
        num_parallel_calls = [*args, kwargs.get("num_parallel_calls")][0]
        # TensorFlow 2.19 and later: it is to run in the caller's thread.
        is_said = is_said or bool(kwargs.get("synchronous"))
        if not is_said and not traced.is_stateful:
            # As tf.data does. `queue_options` forbids it everywhere, since it
            # would run ahead after `to_dataset`, too. Where nobody asks for
            # tuning these are as many calls as there are cores, 16 at most.
            kwargs["num_parallel_calls"] = tf.data.AUTOTUNE
        return self._then(
            lambda dataset: dataset.map(traced.spread, *args, **kwargs),
            lambda tagged: tagged.mapped(traced, *args, **kwargs),
            may_be_read=True,
            may_fail_alone=True,
            asks_for_tuning=is_autotune(num_parallel_calls),
        )

    def filter(self, predicate: Callable[..., Any], **kwargs: Any) -> Records:
        """As tf.data.Dataset.filter; what is left out counts as seen.

        Right after `WorkQueue.records` and maps it is the reader's. Elsewhere
        each record that is left out is reported, which takes some time.
        """
        traced = self._traced(predicate, "Dataset.filter()")
        return self._then(
            lambda dataset: dataset.filter(traced.spread, **kwargs),
            lambda tagged: tagged.kept(
                events.FILTERED, lambda _, element: traced(element), **kwargs
            ),
            may_be_read=True,
            saves_reports=True,
            may_fail_alone=True,
        )

    def flat_map(self, map_func: Callable[..., Any], **kwargs: Any) -> Records:
        """As tf.data.Dataset.flat_map.

        An element counts as seen when all that was made of it was. Right after
        `WorkQueue.records` and maps it is the reader's. Elsewhere each element
        that is made is reported, which takes some time.
        """
        traced = self._traced(map_func, "Dataset.flat_map()")
        return self._then(
            lambda dataset: dataset.flat_map(traced.spread, **kwargs),
            lambda tagged: divided.flat_mapped(tagged, traced, **kwargs),
            may_be_read=True,
            divides=True,
            saves_reports=True,
            asks_for_tuning=traced.asks_for_tuning,
        )

    def interleave(
        self,
        map_func: Callable[..., Any],
        cycle_length: int | None = None,
        block_length: int | None = None,
        num_parallel_calls: int | None = None,
        **kwargs: Any,
    ) -> Records:
        """As tf.data.Dataset.interleave; see `flat_map`."""
        kwargs["cycle_length"] = cycle_length
        kwargs["block_length"] = block_length
        kwargs["num_parallel_calls"] = num_parallel_calls
        traced = self._traced(map_func, "Dataset.interleave()")
        return self._then(
            lambda dataset: dataset.interleave(traced.spread, **kwargs),
            lambda tagged: divided.interleaved(tagged, traced, **kwargs),
            divides=True,
            asks_for_tuning=is_autotune(num_parallel_calls)
            or traced.asks_for_tuning,
        )

    def ignore_errors(self, *args: Any, **kwargs: Any) -> Records:
        """As tf.data.Dataset.ignore_errors; what was lost counts as seen.

        It ignores the errors of the maps and filters right before it, and
        where there is nothing else between it and the reader, the reader's.

        Raises:
          ValueError: If it is not right after one of these.
        """

        def ignoring(dataset: Any) -> Any:
            return dataset.ignore_errors(*args, **kwargs)

        operations = ignoring_errors(
            self._operations,
            self.element_spec,
            ignoring,
            self._reading.cycle_length,
        )
        return Records(self._reading, ignoring(self._template), operations)

    def enumerate(self, start: Any = 0, **kwargs: Any) -> Records:
        """As tf.data.Dataset.enumerate."""

        def enumerated(tagged: TaggedDataset) -> TaggedDataset:
            def swap(number: Any, pair: Any) -> Any:
                slots, element = pair
                return tagged.slots_of(slots, element), (number, element)

            pairs = tagged.pairs.enumerate(start, **kwargs).map(as_it_is(swap))
            return tagged.of(pairs, is_numbered=False)

        return self._then(
            lambda dataset: dataset.enumerate(start, **kwargs), enumerated
        )

    def take(self, count: Any, **kwargs: Any) -> Records:
        """As tf.data.Dataset.take; what it leaves out counts as seen.

        The data are read to their end, for all items to be completed. To look
        at some elements, call `take` after `to_dataset`: there, items that are
        not finished stay open.

        Raises:
          ValueError: If the queue has no end.
        """
        expect_end(self._reading.is_endless, f"take({count})")
        return self._then(
            lambda dataset: dataset.take(count, **kwargs),
            lambda tagged: limited(tagged, count, 0),
        )

    def skip(self, count: Any, **kwargs: Any) -> Records:
        """As tf.data.Dataset.skip; what it leaves out counts as seen.

        It skips the first elements of each iteration. To skip those of each
        item, call `skip` in the reader.
        """
        return self._then(
            lambda dataset: dataset.skip(count, **kwargs),
            lambda tagged: limited(tagged, -1, count),
        )

    def take_while(
        self, predicate: Callable[..., Any], **kwargs: Any
    ) -> Records:
        """As tf.data.Dataset.take_while; see `take`."""
        expect_end(self._reading.is_endless, "take_while")
        traced = self._traced(predicate, "Dataset.take_while()")
        return self._then(
            lambda dataset: dataset.take_while(traced.spread, **kwargs),
            lambda tagged: limited_while(tagged, traced),
        )

    def prefetch(self, *args: Any, **kwargs: Any) -> Records:
        """As tf.data.Dataset.prefetch."""
        return self._passed(
            lambda dataset: dataset.prefetch(*args, **kwargs), is_prefetch=True
        )

    def with_options(self, options: tf.data.Options, **kwargs: Any) -> Records:
        """As tf.data.Dataset.with_options."""
        return self._then(
            lambda dataset: dataset.with_options(options, **kwargs),
            lambda tagged: tagged,
            options=options,
        )

    def repeat(self, count: int | None = None) -> NoReturn:
        """Raises ValueError: the queue repeats its works by `num_epochs`."""
        raise ValueError(
            f"Expected num_epochs={count} of the WorkQueue instead of "
            f"repeat({count}): when the queue has ended there is nothing to "
            "repeat."
        )

    def to_dataset(self) -> Any:
        """Returns a tf.data.Dataset of what the user sees.

        A batch counts as trained when the train loop asks for the next one.
        In eager mode that holds after `map` and `prefetch`, too; see
        `runtime/reading/watched_dataset.py` for what else may follow.
        """
        port = self._reading.port

        def iterated(_: Any) -> Any:
            iteration = port.new_number()
            iteration = after(
                port.note_counts(events.BEGIN, iteration), iteration
            )
            batches = self._batches(iteration)
            end = when_reached(
                lambda: port.note(events.END_OF_DATA, iteration), batches
            )
            return port.counter.observed(batches.concatenate(end))

        # Built here, where errors can be seen, and not within the function.
        self._pipeline()
        once = tf.data.Dataset.from_tensors(0).flat_map(as_it_is(iterated))
        batches = port.in_passes(once).with_options(queue_options())
        return port.watched(
            tuned_as_asked(batches, self._reading, self._operations)
        )

    def _batches(self, iteration: Any) -> Any:
        """Returns the batches, which report the slots of their records.

        A function between two train steps keeps them waiting. So a batch
        reports itself in the thread that runs ahead, and tf.data counts which
        were fetched. A filter that leaves none out reports it: a function that
        returned the batch would cost an op for each of its tensors.
        """
        port = self._reading.port
        pipeline = self._pipeline()
        tagged, run_ahead = pipeline.tagged, pipeline.run_ahead
        if run_ahead is None:
            reported = tagged.pairs.filter(
                lambda *pair: after(
                    port.note_batch(iteration, tagged.slots_of(*pair)), True
                )
            )
            return port.counter.timed(
                reported.map(lambda _, batch: batch),
                events.count_name(events.ASKED, iteration),
            )
        # A batch in which there is an error has a number, too, and counts as
        # fetched when the error has been raised.
        ready = tagged.pairs.enumerate(1).filter(
            lambda number, pair: after(
                port.note_ready(iteration, number, tagged.slots_of(*pair)), True
            )
        )
        return port.counter.counted(
            run_ahead(ready.map(lambda _, pair: pair[1])),
            events.count_name(events.FETCHED, iteration),
        )

    def _passed(
        self, passing: Callable[[Any], Any], *, is_prefetch: bool = False
    ) -> Records:
        """Returns the records as they pass what does nothing to each."""
        return self._then(
            passing,
            lambda tagged: tagged.of(passing(tagged.pairs)),
            run_ahead=passing if is_prefetch else None,
        )


def records_read(
    port: RecordsPort,
    from_items: FromItems,
    reader: Reader,
    *,
    cycle_length: int = 1,
    is_endless: bool = False,
) -> Records:
    """Returns the records that a reader gives; for arguments see `Reading`."""
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
