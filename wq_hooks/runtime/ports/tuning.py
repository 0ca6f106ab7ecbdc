"""tf.data's tuning is off where nobody asks for it.

    dataset = untuned(dataset)
    dataset.map(parse).prefetch(1)                                # it is off
    dataset.map(parse, num_parallel_calls=tf.data.AUTOTUNE)       # it is on

Where there is nothing to tune it costs time for each element, and whoever
destroys an iterator may wait for its thread, which sleeps; see
`docs/decisions/35-tuning-is-off.md`. A buffer of
`prefetch(tf.data.AUTOTUNE)` grows without it. The user's options come first.

The trap: in eager mode, and inside of a function of `interleave` or `apply`,
AUTOTUNE alone does not turn it on. It gives as many calls in parallel as there
are cores, 16 at most, which is where tf.data's tuning begins.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tensorflow.compat.v1 as tf1

# The methods that return a dataset. `apply` calls these in turn.
_METHODS = (
    "batch",
    "bucket_by_sequence_length",
    "cache",
    "concatenate",
    "enumerate",
    "filter",
    "filter_with_legacy_function",
    "flat_map",
    "group_by_window",
    "ignore_errors",
    "interleave",
    "map",
    "map_with_legacy_function",
    "padded_batch",
    "prefetch",
    "ragged_batch",
    "rebatch",
    "rejection_resample",
    "repeat",
    "scan",
    "shard",
    "shuffle",
    "skip",
    "snapshot",
    "take",
    "take_while",
    "unbatch",
    "unique",
    "window",
    "with_options",
)


def untuned(dataset: Any) -> Any:
    """Returns a dataset without tuning, until a method of it asks for that."""
    options = tf.data.Options()
    options.autotune.enabled = False
    result = dataset.with_options(options)
    for name in _METHODS:
        # Some of them are not in all versions.
        if hasattr(dataset, name):
            setattr(result, name, _passed_on(getattr(dataset, name)))
    return result


def _passed_on(method: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a method whose result is tuned only where it says so."""

    @functools.wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        result = method(*args, **kwargs)
        arguments = inspect.signature(method).bind(*args, **kwargs).arguments
        is_tuned = says_of_tuning(arguments.get("options")) or (
            can_be_tuned() and is_autotune(arguments.get("num_parallel_calls"))
        )
        return result if is_tuned else untuned(result)

    return call


def can_be_tuned() -> bool:
    """Whether AUTOTUNE for a number of calls turns the tuning on.

    In eager mode whoever drops an iterator would wait for its thread, and
    Python would hold all other threads for so long.
    """
    return not tf.executing_eagerly()


def says_of_tuning(options: Any) -> bool:
    """Whether tf.data.Options, or None, turn the tuning on or off."""
    return options is not None and options.autotune.enabled is not None


def is_autotune(number: Any) -> bool:
    """Whether a number of parallel calls is, or may be, AUTOTUNE."""
    if isinstance(number, tf.Tensor):
        number = tf.get_static_value(number)
        return number is None or number == tf.data.AUTOTUNE
    return number is not None and number == tf.data.AUTOTUNE


def asks_for_tuning(graph: tf.Graph) -> bool:
    """Whether a dataset in a graph of a function asks to be tuned."""
    content: Any = graph.as_graph_def()
    bodies = [content.node]
    bodies += [function.node_def for function in content.library.function]
    return any(_has_autotune(nodes) for nodes in bodies)


def _has_autotune(nodes: Any) -> bool:
    by_name = {node.name: node for node in nodes}
    for node in nodes:
        if not node.op.startswith(("Parallel", "MapAndBatch")):
            continue
        for text in node.input:
            source = by_name.get(text.split(":")[0])
            if source is not None and _is_autotune_node(source):
                return True
    return False


def _is_autotune_node(node: tf1.NodeDef) -> bool:
    if node.op != "Const" or node.attr["dtype"].type != tf.int64:
        return False
    value = tf.make_ndarray(node.attr["value"].tensor)
    return value.ndim == 0 and value == tf.data.AUTOTUNE
