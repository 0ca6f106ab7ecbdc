"""How to let `fit` end at once, from `on_train_begin`.

Keras 2 raises "Empty logs" where a whole `fit` has met no data, as when a job
that is done is started again. No public call ends a `fit` before its first
epoch, so this uses the way by which BackupAndRestore sets the first epoch; it
is the one place that does.
"""

from __future__ import annotations

from typing import Any


class _LastEpoch:
    """What Keras 2 asks for the first epoch, instead of a backup's."""

    def __init__(self, epochs: int):
        self._epochs = epochs

    def maybe_load_initial_counters_from_ckpt(
        self, *args: Any, **kwargs: Any
    ) -> tuple[int, int]:
        """Returns (first epoch, first step)."""
        del args, kwargs
        return self._epochs, 0


def skip_fit(model: Any, epochs: int) -> None:
    """Lets a `fit` of so many epochs, which has just begun, go through none."""
    if hasattr(model, "_maybe_load_initial_counters_from_ckpt"):
        model._training_state = _LastEpoch(epochs)
    else:
        model._initial_epoch = epochs


def unskip_fit(model: Any) -> None:
    """Undoes `skip_fit`, for the next `fit`."""
    if isinstance(getattr(model, "_training_state", None), _LastEpoch):
        model._training_state = None
    elif getattr(model, "_initial_epoch", None):
        model._initial_epoch = None
