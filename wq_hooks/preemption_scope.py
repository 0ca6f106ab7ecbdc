"""A train loop of one's own whose process may be told to go.

    with PreemptionScope(save=manager.save):
        for batch in dataset:
            train_step(batch)

The trap: at SIGTERM the loop ends as at the end of data. What follows the
block does not run then; what follows the loop inside the block does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import tensorflow as tf

from wq_hooks.core.preemption import PREEMPTION, Preemption, as_preemption
from wq_hooks.runtime.threads import preemption
from wq_hooks.runtime.threads.process_threads import (
    end_all_early,
    settle_all,
)

if TYPE_CHECKING:
    from typing_extensions import Self


class PreemptionScope:
    """Saves at the end of its block, and ends the process, at SIGTERM.

    In eager mode, for loops without a Keras callback, and for a process that
    serves a queue. At SIGTERM all queues of the process take no more items, and
    their datasets and `take` end as at the end of data, with what the pipeline
    holds; `join` returns. At the end of the block what was trained is
    acknowledged, `save` is called, the rest goes back to the line, and the
    process ends. Without a scope it ends at once.

    Args:
      save: Function that saves model and position, such as the `save` of a
        tf.train.CheckpointManager; None: nothing is saved, as in a process that
        has connected to a queue.
      on_preemption: What to do at SIGTERM, or at a notice; None: leave it
        alone.

    Raises:
      TypeError: If an argument is of a wrong type.

    Example:
      with PreemptionScope(save=manager.save) as scope:
        for batch in dataset:
          train_step(batch)
          if scope.is_preempted:  # Leaves what a shuffle buffer holds.
            break
    """

    def __init__(
        self,
        save: Callable[[], object] | None = None,
        *,
        on_preemption: Preemption | None = PREEMPTION,
    ):
        if save is not None and not callable(save):
            raise TypeError(
                "Expected save to be a function without arguments, or None; "
                f"got {save!r:.80}."
            )
        self._save = save
        self._settings = as_preemption(on_preemption)
        self._watch = preemption.watch(None)

    @property
    def is_preempted(self) -> bool:
        """Whether the process was told to go."""
        return self._watch.is_preempted

    def __enter__(self) -> Self:
        """Watches from now on."""
        self._watch = preemption.watch(
            self._settings, end_all_early, name="the train loop"
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, *error: object
    ) -> None:
        """Saves and leaves if the process was told to go.

        Raises:
          SystemExit: If it was, unless another error is under way.
        """
        # What `take` raises then.
        is_end = kind is None or issubclass(kind, tf.errors.OutOfRangeError)
        if not self.is_preempted or not is_end:
            self._watch.close()
            return
        settle_all()
        if self._save is not None:
            self._save()
        self._watch.leave()
