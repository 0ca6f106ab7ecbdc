"""The position of a queue, as what a tf.compat.v1.train.Saver saves.

    position = WorkQueuePosition(place, saved, restore, on_build)
    tf1.add_to_collection(tf1.GraphKeys.SAVEABLE_OBJECTS, position)

It is no variable. A Saver that is not told what to save takes it along, as it
takes the tables; what knows variables alone does not see it: a warm start,
`init_from_checkpoint`, a Saver over a list of variables, or what asks whether
all of them are initialized.

A Saver that takes it along is found while it is built. TensorFlow tells nobody
of it, and a Scaffold that was made with a Saver keeps it in no collection.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tensorflow.compat.v1 as tf1

from wq_hooks.runtime.host.callers import owners_above
from wq_hooks.runtime.host.tensorflow_private import SaveableObject, SaveSpec


class WorkQueuePosition(SaveableObject):
    """A position; the class is named so that users can tell it from others.

    Args:
      place: The handle of a string variable, in which nothing is kept. Its op
        has the name that the position has in a checkpoint.
      saved: The position to be saved, a tf.string scalar.
      restore: Maps a position, a tf.string scalar, to the op that restores it.
      on_build: Called with each Saver that takes the position along, when it
        is built.

    Attributes:
      key: Names the position in a checkpoint.
    """

    def __init__(
        self,
        place: Any,
        saved: Any,
        restore: Callable[[Any], tf.Operation],
        on_build: Callable[[tf1.train.Saver], None] | None,
    ):
        self._restore_op = restore
        self._on_build = on_build
        self.key = place.op.name
        spec = SaveSpec(saved, "", self.key)
        # In an exported graph we are but a name. Who imports it finds the
        # tensor of this name in our place, which has to be one that a Saver
        # can save.
        read = tf.raw_ops.ReadVariableOp(resource=place, dtype=tf.string)
        super().__init__(saved, [spec], read.name)

    @property
    def specs(self) -> Any:
        """What is saved. A Saver that is being built asks for it."""
        saver = _saver_being_built()
        if saver is not None and self._on_build is not None:
            self._on_build(saver)
        return self._specs

    @specs.setter
    def specs(self, specs: Any) -> None:
        self._specs = specs

    def restore(self, restored_tensors: Any, restored_shapes: Any) -> Any:
        """Returns the op that restores the position."""
        del restored_shapes
        return self._restore_op(restored_tensors[0])


def _saver_being_built() -> tf1.train.Saver | None:
    """Returns the Saver whose method has called us, if any."""
    for caller in owners_above():
        if isinstance(caller, tf1.train.Saver):
            return caller
    return None
