"""What is used of TensorFlow without a public name, in one place.

Seen on TensorFlow 2.15 and 2.21, all of it. Beside it there are only the call
stack (`callers.py`, `session_origin.py`) and Keras' first epoch
(`keras_callbacks/skip.py`); `docs/private-access.md` lists all three.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow.compat.v1 as tf1

# The options of a step that is prepared once and run often; see `preparer_of`.
from tensorflow.core.protobuf.config_pb2 import CallableOptions

# What a Saver saves beside variables has to be of this class.
from tensorflow.python.training.saving.saveable_object import (
    SaveableObject,
    SaveSpec,
)

__all__ = [
    "STEP_READS",
    "CallableOptions",
    "SaveSpec",
    "SaveableObject",
    "last_step_of",
    "num_steps_of",
    "preparer_of",
    "saved_by",
]

# The collection in which the hooks of TensorFlow that belong to a training, the
# CheckpointSaverHook among them, keep how they read the global step. Estimator
# puts it there before it calls an input_fn.
STEP_READS = "global_step_read_op_cache"


def last_step_of(hook: tf1.train.StopAtStepHook) -> int | None:
    """Returns the global step at which a hook stops; None: not known yet.

    With `num_steps` it is not known before the session is there.
    """
    return getattr(hook, "_last_step", None)


def num_steps_of(hook: tf1.train.StopAtStepHook) -> int | None:
    """Returns after how many steps a hook stops; None: at a global step."""
    return getattr(hook, "_num_steps", None)


def saved_by(saver: tf1.train.Saver) -> Any:
    """Returns what a Saver saves, a list or a dictionary.

    It is set by the time that the Saver asks what there is to save.
    """
    return saver._var_list


def preparer_of(session: Any) -> Callable[[Any], Any] | None:
    """Returns what prepares a step of a session, of CallableOptions, or None.

    `Session.make_callable` is public, but goes through Session.run as soon as
    something is fed. Keras feeds its graphs in the way that is used here.
    """
    return getattr(session, "_make_callable_from_options", None)
