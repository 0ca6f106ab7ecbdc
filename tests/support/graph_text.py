"""Graphs as text, quickly.

    graph_text.quicken()

With each checkpoint of a MonitoredTrainingSession TensorFlow writes the graph
as text, by a function in Python that takes a tenth of the time of such a test.
The same text comes from the library behind protobuf in a tenth of that; only
the entries of a map may be in another order.
"""

from __future__ import annotations

import tensorflow as tf
from google.protobuf import text_format

_message_to_string = text_format.MessageToString


def quicken():
    """Has GraphDefs converted quickly in this process."""
    text_format.MessageToString = _quick


def _quick(message, *args, **kwargs):
    is_plain = not args and kwargs in ({}, {"float_format": ""})
    if is_plain and isinstance(message, tf.compat.v1.GraphDef):
        return str(message)
    return _message_to_string(message, *args, **kwargs)
