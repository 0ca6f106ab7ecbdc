"""What a server holds under the names of a queue, and is none of ours.

    with own_state_expected("train", "/job:ps/task:0"):
        ...                             # opens the queue's resources there

A resource of TensorFlow lives as long as its server. Another version of
wq-hooks, or another program, may have left one there under the same name, with
other columns. TensorFlow says so of each step that opens it, and its message is
about nodes of a graph.

The trap: who opens a resource first makes it. So it is enough to open all of
them once, before anything else is done.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import tensorflow as tf

from wq_hooks.errors import ForeignStateError

# What TensorFlow says where a resource is of another kind, or has other
# columns. Other errors of the same classes are about devices.
_OF_RESOURCES = (
    "Shared queue '",
    "Conflicting key/value dtypes",
    "Expected shape",
    "Lookup table is not initialized",
    "Table not initialized",
)
_MAX_CHARS = 300


@contextlib.contextmanager
def own_state_expected(name: str, where: str) -> Iterator[None]:
    """Says in words that a server holds something else under our names.

    Args:
      name: Name of the queue.
      where: The device, or the address of the server.

    Raises:
      ForeignStateError: If a step inside the block meets something else.
    """
    try:
        yield
    except (
        tf.errors.InvalidArgumentError,
        tf.errors.FailedPreconditionError,
    ) as e:
        found = _what_is_there(e.message)
        if not found:
            raise
        # TensorFlow's error would be shown as its cause.
        raise ForeignStateError(
            f"Expected {where or 'this process'} to hold nothing but its own "
            f"under the name of work queue {name!r}; another version of "
            f"wq-hooks, or another program, has left something there ({found})"
            ". Restart the parameter server, or give the queue another name."
        ) from None


def _what_is_there(message: str) -> str:
    """Returns what TensorFlow says of a resource, "" if it is no such error."""
    for line in message.splitlines():
        if any(part in line for part in _OF_RESOURCES):
            return line.strip().rstrip(".")[:_MAX_CHARS]
    return ""
