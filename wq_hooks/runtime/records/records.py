"""Records that know which item they came from, through a tf.data pipeline.

    dataset = queue.records(tf.data.TextLineDataset)
    dataset = dataset.shuffle(20000).batch(512).map(parse).prefetch(1)
    dataset = dataset.to_dataset()

The methods here are those of tf.data.Dataset. Each gives what it gives there:
the template, a plain dataset of the same elements that is never iterated, says
what that is. What `to_dataset` builds carries along of which records an element
consists; see `operations.py` and `tagged.py`.

The trap: the batches that come out of `to_dataset` must go straight into the
train step. Put `prefetch` before it, not behind: a batch counts as trained when
the next one is asked for. (In eager mode it is looked at who asks: see
`watched.py`.)
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
from wq_hooks.runtime.reading import record_events as events
from wq_hooks.runtime.records import divided
from wq_hooks.runtime.records.limits import expect_end, limited, limited_while
from wq_hooks.runtime.records.operations import ignoring_errors
from wq_hooks.runtime.records.record_batches import BatchMethods
from wq_hooks.runtime.records.refused_methods import NO_DATASET, reason_against
from wq_hooks.runtime.records.tagged import TaggedDataset
from wq_hooks.runtime.records.traced_function import as_it_is


class Records(BatchMethods):
    """A pipeline of records that know their item; see the module.

    Args:
      reading: How records are read.
      template: A plain dataset of the same elements.
      operations: What is done with the records.
    """

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
        if not is_said and not traced.is_stateful:
            # What tf.data would do, had `queue_options` not to forbid it
            # everywhere: it would run ahead behind `to_dataset`, too.
            kwargs["num_parallel_calls"] = tf.data.AUTOTUNE

        def mapped(dataset: Any) -> Any:
            return dataset.map(traced.spread, *args, **kwargs)

        return self._then(
            mapped(self._template),
            lambda tagged: tagged.mapped(traced, *args, **kwargs),
            of_reader=mapped,
            may_fail_alone=True,
        )

    def filter(self, predicate: Callable[..., Any], **kwargs: Any) -> Records:
        """As tf.data.Dataset.filter; what is left out counts as seen.

        Behind `WorkQueue.records` and maps it costs about what it costs without
        a queue. Further down each record that is left out is reported, which
        takes tens of microseconds.
        """
        traced = self._traced(predicate, "Dataset.filter()")

        def filtered(dataset: Any) -> Any:
            return dataset.filter(traced.spread, **kwargs)

        return self._then(
            filtered(self._template),
            lambda tagged: tagged.kept(
                events.FILTERED, lambda _, element: traced(element), **kwargs
            ),
            of_reader=filtered,
            saves_reports=True,
            may_fail_alone=True,
        )

    def flat_map(self, map_func: Callable[..., Any], **kwargs: Any) -> Records:
        """As tf.data.Dataset.flat_map.

        An element counts as seen when all that was made of it was. Behind
        `WorkQueue.records` and maps it costs what it costs without a queue.
        Further down each element that is made is reported, which takes tens of
        microseconds.
        """
        traced = self._traced(map_func, "Dataset.flat_map()")

        def mapped(dataset: Any) -> Any:
            return dataset.flat_map(traced.spread, **kwargs)

        return self._then(
            mapped(self._template),
            lambda tagged: divided.flat_mapped(tagged, traced, **kwargs),
            of_reader=mapped,
            divides=True,
            saves_reports=True,
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
            self._template.interleave(traced.spread, **kwargs),
            lambda tagged: divided.interleaved(tagged, traced, **kwargs),
            divides=True,
        )

    def ignore_errors(self, *args: Any, **kwargs: Any) -> Records:
        """As tf.data.Dataset.ignore_errors; what was lost counts as seen.

        It ignores the errors of the maps and filters right before it, and
        where there is nothing else between it and the reader, the reader's.

        Raises:
          ValueError: If it is not behind one of these.
        """

        def ignoring(dataset: Any) -> Any:
            return dataset.ignore_errors(*args, **kwargs)

        return Records(
            self._reading,
            ignoring(self._template),
            ignoring_errors(
                self._operations,
                self.element_spec,
                ignoring,
                self._reading.cycle_length,
            ),
        )

    def enumerate(self, start: Any = 0, **kwargs: Any) -> Records:
        """As tf.data.Dataset.enumerate."""

        def enumerated(tagged: TaggedDataset) -> TaggedDataset:
            def swap(number: Any, pair: Any) -> Any:
                slots, element = pair
                return tagged.slots_of(slots, element), (number, element)

            pairs = tagged.pairs.enumerate(start, **kwargs).map(as_it_is(swap))
            return tagged.of(pairs, is_numbered=False)

        return self._then(self._template.enumerate(start, **kwargs), enumerated)

    def take(self, count: Any, **kwargs: Any) -> Records:
        """As tf.data.Dataset.take; what it leaves out counts as seen.

        It is read to the end of the data, for its items to be completed. To
        look at some elements, call `take` behind `to_dataset`: there, items
        that are not finished stay open.

        Raises:
          ValueError: If the queue has no end.
        """
        expect_end(self._reading.is_endless, f"take({count})")
        template = self._template.take(count, **kwargs)
        return self._then(template, lambda tagged: limited(tagged, count, 0))

    def skip(self, count: Any, **kwargs: Any) -> Records:
        """As tf.data.Dataset.skip; what it leaves out counts as seen.

        It skips the first elements of each iteration, and not those of each
        item: that is a matter of the reader.
        """
        template = self._template.skip(count, **kwargs)
        return self._then(template, lambda tagged: limited(tagged, -1, count))

    def take_while(
        self, predicate: Callable[..., Any], **kwargs: Any
    ) -> Records:
        """As tf.data.Dataset.take_while; see `take`."""
        expect_end(self._reading.is_endless, "take_while")
        traced = self._traced(predicate, "Dataset.take_while()")
        template = self._template.take_while(traced.spread, **kwargs)
        return self._then(
            template, lambda tagged: limited_while(tagged, traced)
        )

    def prefetch(self, *args: Any, **kwargs: Any) -> Records:
        """As tf.data.Dataset.prefetch."""
        return self._passed(
            lambda dataset: dataset.prefetch(*args, **kwargs), is_prefetch=True
        )

    def with_options(self, options: tf.data.Options, **kwargs: Any) -> Records:
        """As tf.data.Dataset.with_options."""
        template = self._template.with_options(options, **kwargs)
        return self._then(template, lambda tagged: tagged, options=options)

    def repeat(self, count: int | None = None) -> NoReturn:
        """Not to be had: the queue repeats.

        Raises:
          ValueError: Always.
        """
        raise ValueError(
            f"Expected num_epochs={count} of the WorkQueue instead of "
            f"repeat({count}): when the queue has ended there is nothing to "
            "repeat."
        )

    def to_dataset(self) -> Any:
        """Returns a tf.data.Dataset of what the user sees.

        A batch counts as trained when the train loop asks for the next one.
        In eager mode that holds behind `map` and `prefetch`, too; see
        `runtime/reading/watched_dataset.py` for what else may follow.
        """

        def iterated(_: Any) -> Any:
            # A name for this iteration.
            iteration = self._reading.port.new_number()
            iteration = after(
                self._reading.port.note_counts(events.BEGIN, iteration),
                iteration,
            )
            batches = self._batches(iteration)
            end = when_reached(
                lambda: self._reading.port.note(events.END_OF_DATA, iteration),
                batches,
            )
            return self._reading.port.counter.observed(batches.concatenate(end))

        # Built here, where it can be seen, and not within the function.
        self._pipeline()
        once = tf.data.Dataset.from_tensors(0).flat_map(as_it_is(iterated))
        port = self._reading.port
        batches = port.in_passes(once).with_options(queue_options())
        return port.watched(batches)

    def _batches(self, iteration: Any) -> Any:
        """Returns the batches, which report the slots of their records.

        A function that stands between two train steps keeps them waiting, for
        a tenth of a step where all cores are busy. So a batch reports itself
        in the thread that runs ahead, and tf.data counts which were fetched.
        It does so in a filter, which leaves none out: a function that returned
        the batch would cost an op for each of its tensors.
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
            return reported.map(lambda _, batch: batch)
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
            passing(self._template),
            lambda tagged: tagged.of(passing(tagged.pairs)),
            run_ahead=passing if is_prefetch else None,
        )
