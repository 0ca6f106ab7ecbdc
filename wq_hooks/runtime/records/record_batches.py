"""The methods of `Records` that make batches, or take them apart.

What `drop_remainder=True` leaves at the end counts as seen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from wq_hooks.runtime.ports.tuning import is_autotune
from wq_hooks.runtime.records import batching, divided
from wq_hooks.runtime.records.batching import Batching
from wq_hooks.runtime.records.records_base import R, RecordsBase
from wq_hooks.runtime.records.traced_function import TracedFunction


class BatchMethods(RecordsBase):
    """The methods; see `Records`."""

    def batch(
        self: R,
        batch_size: Any,
        drop_remainder: bool = False,
        num_parallel_calls: Any = None,
        deterministic: bool | None = None,
        **kwargs: Any,
    ) -> R:
        """As tf.data.Dataset.batch."""
        kwargs["num_parallel_calls"] = num_parallel_calls
        kwargs["deterministic"] = deterministic

        def batch(dataset: Any, _: bool, drop: bool) -> Any:
            return dataset.batch(batch_size, drop_remainder=drop, **kwargs)

        runs_ahead = num_parallel_calls is not None
        return self._batched(
            Batching(batch, batch_size, drop_remainder, runs_ahead),
            asks_for_tuning=is_autotune(num_parallel_calls),
        )

    def padded_batch(
        self: R,
        batch_size: Any,
        padded_shapes: Any = None,
        padding_values: Any = None,
        drop_remainder: bool = False,
        **kwargs: Any,
    ) -> R:
        """As tf.data.Dataset.padded_batch."""

        def batch(dataset: Any, shapes: Any, values: Any, drop: bool) -> Any:
            return dataset.padded_batch(
                batch_size, shapes, values, drop_remainder=drop, **kwargs
            )

        make = batching.padded(batch, padded_shapes, padding_values)
        return self._batched(
            Batching(make, batch_size, drop_remainder, pads=True)
        )

    def ragged_batch(
        self: R,
        batch_size: Any,
        drop_remainder: bool = False,
        row_splits_dtype: Any = tf.int64,
        **kwargs: Any,
    ) -> R:
        """As tf.data.Dataset.ragged_batch."""
        kwargs["row_splits_dtype"] = row_splits_dtype

        def batch(dataset: Any, _: bool, drop: bool) -> Any:
            return dataset.ragged_batch(
                batch_size, drop_remainder=drop, **kwargs
            )

        # It maps, as the reader does not.
        return self._batched(
            Batching(
                batch, batch_size, drop_remainder, runs_ahead=True, pads=True
            )
        )

    def bucket_by_sequence_length(
        self: R,
        element_length_func: Callable[..., Any],
        bucket_boundaries: Any,
        bucket_batch_sizes: Any,
        padded_shapes: Any = None,
        padding_values: Any = None,
        pad_to_bucket_boundary: bool = False,
        no_padding: bool = False,
        drop_remainder: bool = False,
        **kwargs: Any,
    ) -> R:
        """As tf.data.Dataset.bucket_by_sequence_length."""
        length_func = self._traced(
            element_length_func, "Dataset.bucket_by_sequence_length()"
        )
        args = (
            bucket_boundaries,
            bucket_batch_sizes,
            padded_shapes,
            padding_values,
        )
        kwargs["pad_to_bucket_boundary"] = pad_to_bucket_boundary
        kwargs["no_padding"] = no_padding
        return self._then(
            lambda dataset: dataset.bucket_by_sequence_length(
                length_func.spread,
                *args,
                drop_remainder=drop_remainder,
                **kwargs,
            ),
            lambda tagged: batching.bucketed(
                tagged,
                length_func,
                *args,
                drop_remainder=drop_remainder,
                **kwargs,
            ),
        )

    def group_by_window(
        self: R,
        key_func: Callable[..., Any],
        reduce_func: Callable[[Any, Any], Any],
        window_size: Any = None,
        window_size_func: Callable[[Any], Any] | None = None,
        **kwargs: Any,
    ) -> R:
        """As tf.data.Dataset.group_by_window.

        Each element that `reduce_func` makes of a window counts as one of all
        its records, and is reported; see `flat_map`.
        """
        method = "Dataset.group_by_window()"
        key = self._traced(key_func, method)
        key_spec = tf.TensorSpec([], tf.int64)
        window_spec = tf.data.DatasetSpec(self.element_spec)
        reduce = TracedFunction(reduce_func, (key_spec, window_spec), method)
        size = None
        if window_size_func is not None:
            size = TracedFunction(window_size_func, key_spec, method).spread
        return self._then(
            lambda dataset: dataset.group_by_window(
                key.spread, reduce.spread, window_size, size, **kwargs
            ),
            lambda tagged: divided.grouped_by_window(
                tagged, key, reduce, window_size, size, **kwargs
            ),
            divides=True,
            asks_for_tuning=reduce.asks_for_tuning,
        )

    def unbatch(self: R, **kwargs: Any) -> R:
        """As tf.data.Dataset.unbatch.

        Where a function has made of a batch another number of rows, each row
        counts as one of all its records.
        """
        batching.expect_rows(self.element_spec, "unbatch()")
        return self._then(
            lambda dataset: dataset.unbatch(**kwargs),
            lambda tagged: batching.unbatched(tagged, **kwargs),
            may_be_read=True,
            divides=True,
            saves_reports=True,
        )

    def rebatch(
        self: R, batch_size: Any, drop_remainder: bool = False, **kwargs: Any
    ) -> R:
        """As tf.data.Dataset.rebatch; see `unbatch`."""
        batching.expect_rows(self.element_spec, "rebatch()")
        return self._then(
            lambda dataset: dataset.rebatch(
                batch_size, drop_remainder, **kwargs
            ),
            lambda tagged: batching.rebatched(
                tagged, batch_size, drop_remainder, **kwargs
            ),
            divides=True,
        )
