"""Errors that the package raises on its own account.

Wrong arguments raise ValueError or TypeError, and the end of data raises
tf.errors.OutOfRangeError, as TensorFlow's own queues do; neither stands here.
"""

from __future__ import annotations


class WorkQueueError(Exception):
    """Base class of the errors of this package."""


class SnapshotError(WorkQueueError, ValueError):
    """A snapshot is damaged, foreign, or of a newer format; nothing changed."""


class TwoChiefsError(WorkQueueError, RuntimeError):
    """Another process acts as the chief of the same queue."""


class CutOffError(WorkQueueError, RuntimeError):
    """A parameter server has not answered for longer than `give_up_secs`."""


class ForeignStateError(WorkQueueError, RuntimeError):
    """A server holds something else under the names of a queue."""


class SourceError(WorkQueueError, ValueError):
    """A source cannot be read, or is not what it was when it was listed."""
