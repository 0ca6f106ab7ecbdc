"""Reads slices block by block: one call of Python each, the rest TensorFlow.

A whole file is read by TensorFlow's own dataset.

The trap: what calls Python runs in the process that built the graph, not on a
remote task that merely executes it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

import numpy as np
import tensorflow as tf

from wq_hooks.core.items.works import encoded
from wq_hooks.sources import files

_F = TypeVar("_F", bound=Callable[..., Any])


def as_it_is(function: _F) -> _F:
    """Keeps AutoGraph, which warns of what it cannot read, off a reader."""
    return cast("_F", tf.autograph.experimental.do_not_convert(function))


def call_python(
    function: Callable[..., Any],
    args: Sequence[Any],
    dtypes: Any,
    shapes: Any,
) -> Any:
    """Returns what a Python function gives when the graph runs.

    It gets numbers as numpy has them, and strings as str. `dtypes` and static
    `shapes` are those of its result, or tuples of them.
    """

    def called(*values: Any) -> Any:
        return function(*(_as_text(value) for value in values))

    results = tf.numpy_function(called, args, dtypes)
    if not isinstance(dtypes, tuple):
        results.set_shape(shapes)
        return results
    for result, shape in zip(results, shapes):
        result.set_shape(shape)
    return tuple(results)


def read_in_blocks(
    item: Any,
    blocks_of: Callable[[str, int, int | None], Sequence[tuple[int, int]]],
    read_block: Callable[[Any, Any, Any], Any],
    read_whole: Callable[[Any, Any], Any],
) -> Any:
    """Returns the records of a file, or of a slice of it, as a dataset.

    Args:
      item: Text of an item, a tf.string scalar.
      blocks_of: Returns, in Python, [(start, end), ...] of the blocks of a
        slice (path, start, end).
      read_block: Returns a tensor of records, of tensors (path, start, end).
      read_whole: Returns a dataset of records, of tensors (path, compression).
    """

    def plan(text: str) -> tuple[bytes, bytes, Any]:
        path, start, end = files.parse_item(text)
        blocks: Sequence[tuple[int, int]] = ()
        if start is not None and (start > 0 or end is not None):
            # No block at all stands for a whole file.
            blocks = blocks_of(path, start, end) or [(start, start)]
        return (
            encoded(path),
            files.compression_of(path).encode(),
            np.array(blocks, dtype=np.int64).reshape(-1, 2),
        )

    path, compression, blocks = call_python(
        plan,
        [tf.convert_to_tensor(item, tf.string)],
        (tf.string, tf.string, tf.int64),
        ([], [], [None, 2]),
    )

    def whole() -> Any:
        records = until_whole(read_whole(path, compression), path, compression)
        return _wrapped(records)

    def sliced() -> Any:
        # `unbatch` moves the records out of a block, a dataset of tensor
        # slices would copy each.
        pieces = tf.data.Dataset.from_tensor_slices(blocks)
        records = pieces.map(lambda block: read_block(path, block[0], block[1]))
        return _wrapped(records.unbatch())

    is_whole = tf.equal(tf.shape(blocks)[0], 0)
    return _unwrapped(tf.cond(is_whole, whole, sliced))


def until_whole(records: Any, path: Any, compression: Any) -> Any:
    """Returns the records of a file, then an error if it was cut.

    Only compressed files are looked at: they are decompressed once more, at
    their end. Of others TensorFlow notices what is missing, or slices do.
    """

    def check(path: str) -> bool:
        files.expect_whole(path)
        return False

    def checked() -> Any:
        nothing = tf.data.Dataset.from_tensors(path).filter(
            lambda path: call_python(check, [path], tf.bool, [])
        )
        return _wrapped(records.concatenate(nothing))

    # Not a dataset more for files that are not compressed.
    variant = tf.cond(
        tf.not_equal(compression, ""),
        checked,
        lambda: _wrapped(records),
    )
    return _unwrapped(variant)


def _wrapped(records: Any) -> Any:
    """Returns a dataset as a branch of `tf.cond` can give it.

    Wrapped, its type is not looked into: TensorFlow 2.15 warns of an invalid
    graph where one branch gives what the other calls a tuple of one.
    """
    variant = tf.data.experimental.to_variant(records)
    return tf.raw_ops.WrapDatasetVariant(input_handle=variant)


def _unwrapped(variant: Any) -> Any:
    """Returns the dataset of tf.string that was wrapped."""
    return tf.data.experimental.from_variant(
        tf.raw_ops.UnwrapDatasetVariant(input_handle=variant),
        tf.TensorSpec([], tf.string),
    )


def _as_text(value: Any) -> Any:
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value.item()  # In eager mode.
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    return value
