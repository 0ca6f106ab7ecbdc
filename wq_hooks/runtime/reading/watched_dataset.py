"""What `to_dataset` returns in eager mode: it knows what is put behind it.

    dataset = records.batch(4).to_dataset()    # a WatchedDataset
    for batch in dataset.map(f).prefetch(1):   # another one
        train(batch)

Keras, strategies and users put more behind a dataset (`fit(class_weight=...)`
a `map` and a `prefetch`), which then holds batches that no step has trained.
The methods here give a dataset that knows how it differs from the pipeline, and
reports, when it is iterated, what the train loop has fetched of it. What does
not come through them (a strategy, `zip`, an argument of a tf.function) is
iterated without a report: see `Watch.UNSEEN`.

The trap: a method that is missing here is one of which nothing is known.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from wq_hooks.core.consumer.batches_in_training import Watch
from wq_hooks.runtime.ports.dataset_ops import (
    after,
    queue_options,
    when_reached,
)
from wq_hooks.runtime.reading import record_events as events

if TYPE_CHECKING:
    from wq_hooks.runtime.reading.records_port import RecordsPort

# What gives other elements than it gets, or in another order, but leaves none
# out unless that is asked of it.
_REGROUPING = (
    "batch",
    "bucket_by_sequence_length",
    "filter",
    "flat_map",
    "group_by_window",
    "ignore_errors",
    "interleave",
    "padded_batch",
    "ragged_batch",
    "rebatch",
    "rejection_resample",
    "shuffle",
    "unbatch",
    "unique",
    "window",
)


class WatchedDataset(tf.data.Dataset):
    """A dataset whose iterations report themselves; see the module.

    Args:
      dataset: Dataset that it wraps.
      port: Port that it reports to.
      watch: How the train loop can be seen from its end.
      is_parallel: Whether its order hangs on its option `deterministic`.
    """

    def __init__(
        self,
        dataset: Any,
        port: RecordsPort,
        watch: Watch = Watch.ASKED,
        *,
        is_parallel: bool = False,
    ):
        # Before the base class asks for the inputs.
        self._inner = dataset
        self._port = port
        self._watch = watch
        self._is_parallel = is_parallel
        self._reporting: Any = None
        super().__init__(tf.data.experimental.to_variant(dataset))
        # In a graph they are not known.
        self._known = self.options() if tf.executing_eagerly() else None

    @property
    def watch(self) -> Watch:
        """How the train loop can be seen from its end."""
        is_in_order = (
            self._known is not None and self._known.deterministic is not False
        )
        if self._is_parallel and not is_in_order:
            return _regrouped(self._watch)
        return self._watch

    @property
    def unwatched(self) -> Any:
        """The dataset that it consists of."""
        return self._inner

    @property
    def element_spec(self) -> Any:
        """As tf.data.Dataset.element_spec."""
        return self._inner.element_spec

    def _inputs(self) -> list[Any]:
        """What tf.data asks a subclass for; there is no public name."""
        return [self._inner]

    def __iter__(self) -> Any:
        return iter(self._reported())

    def reduce(self, *args: Any, **kwargs: Any) -> Any:
        """As tf.data.Dataset.reduce, which is how a tf.function iterates."""
        return self._reported().reduce(*args, **kwargs)

    # One element for one element, in order.

    def map(
        self,
        map_func: Callable[..., Any],
        num_parallel_calls: Any = None,
        deterministic: bool | None = None,
        **kwargs: Any,
    ) -> Any:
        """As tf.data.Dataset.map."""
        mapped = self._inner.map(
            map_func,
            num_parallel_calls=num_parallel_calls,
            deterministic=deterministic,
            **kwargs,
        )
        is_parallel = num_parallel_calls is not None
        if is_parallel and deterministic is False:
            return self._derived(mapped, _regrouped(self._watch))
        hangs_on_option = is_parallel and deterministic is None
        return self._derived(mapped, is_parallel=hangs_on_option)

    def prefetch(self, *args: Any, **kwargs: Any) -> Any:
        """As tf.data.Dataset.prefetch."""
        return self._derived(self._inner.prefetch(*args, **kwargs))

    def enumerate(self, *args: Any, **kwargs: Any) -> Any:
        """As tf.data.Dataset.enumerate."""
        return self._derived(self._inner.enumerate(*args, **kwargs))

    def scan(self, *args: Any, **kwargs: Any) -> Any:
        """As tf.data.Dataset.scan."""
        return self._derived(self._inner.scan(*args, **kwargs))

    def with_options(self, *args: Any, **kwargs: Any) -> Any:
        """As tf.data.Dataset.with_options."""
        return self._derived(
            self._inner.with_options(*args, **kwargs), self._watch
        )

    def take(self, *args: Any, **kwargs: Any) -> Any:
        """As tf.data.Dataset.take."""
        return self._cut(self._inner.take(*args, **kwargs))

    def take_while(self, *args: Any, **kwargs: Any) -> Any:
        """As tf.data.Dataset.take_while."""
        return self._cut(self._inner.take_while(*args, **kwargs))

    # Inside.

    def _cut(self, dataset: Any) -> Any:
        is_in_order = self.watch in (Watch.ASKED, Watch.PASSED, Watch.CUT)
        return self._derived(
            dataset, Watch.CUT if is_in_order else Watch.UNSEEN
        )

    def _derived(
        self,
        dataset: Any,
        watch: Watch | None = None,
        *,
        is_parallel: bool = False,
    ) -> Any:
        """Returns what a method has given, watched if it can be.

        Args:
          dataset: Dataset that the method has given.
          watch: How it is watched; None: its elements are those of this one.
          is_parallel: See `__init__`.
        """
        if watch is None:
            watch = self._watch
            if watch is Watch.ASKED:
                watch = Watch.PASSED
        derived = WatchedDataset(
            dataset,
            self._port,
            watch,
            is_parallel=is_parallel or self._is_parallel,
        )
        if watch not in (Watch.ASKED, Watch.PASSED):
            self._port.regrouped.add(derived)
        return derived

    def _reported(self) -> Any:
        """Returns the dataset with its reports."""
        if self.watch is Watch.UNSEEN:
            return self._inner
        if not tf.executing_eagerly():
            return self._new_reporting()
        if self._reporting is None:
            self._reporting = self._new_reporting()
        return self._reporting

    def _new_reporting(self) -> Any:
        options = self._known or tf.data.Options()
        reporting = _reporting(self._inner, self._port, self.watch)
        # Ours come last: what is between this and the loop is not seen.
        return reporting.with_options(options).with_options(queue_options())


def _regrouping(name: str) -> Callable[..., Any]:
    def method(self: WatchedDataset, *args: Any, **kwargs: Any) -> Any:
        dataset = getattr(self._inner, name)(*args, **kwargs)
        if name == "rebatch" and tf.distribute.has_strategy():
            # A strategy divides each batch among its replicas.
            return dataset
        return self._derived(dataset, _regrouped(self._watch))

    method.__name__ = name
    method.__doc__ = f"As tf.data.Dataset.{name}."
    return method


for _name in _REGROUPING:
    # Some of them are not in all versions.
    if hasattr(tf.data.Dataset, _name):
        setattr(WatchedDataset, _name, _regrouping(_name))


def _regrouped(watch: Watch) -> Watch:
    """Returns how a dataset is watched behind what regroups its elements."""
    is_cut = watch in (Watch.CUT, Watch.UNSEEN)
    return Watch.UNSEEN if is_cut else Watch.AT_END


def _reporting(dataset: Any, port: RecordsPort, watch: Watch) -> Any:
    """Returns a dataset that reports how it is iterated."""

    def iterated(_: Any) -> Any:
        # A name for this iteration, reported before anything is read.
        number = port.new_number()
        number = after(port.note(events.WATCHED, watch, number), number)
        # All of it, as a dataset of this function.
        own = dataset.take(tf.zeros_like(number) - 1)
        if watch is Watch.ASKED:
            return own
        end = when_reached(
            lambda: port.note_counts(events.END_SEEN, number), own
        )
        name = events.count_name(events.PASSED, number)
        passed = port.counter.counted(own, name).concatenate(end)
        return port.counter.observed(passed)

    iterated = tf.autograph.experimental.do_not_convert(iterated)
    return tf.data.Dataset.from_tensors(0).flat_map(iterated)
