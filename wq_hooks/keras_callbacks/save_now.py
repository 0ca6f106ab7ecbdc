"""Lets the callbacks of a `fit` that save do it now, before the process goes.

    saved = save_now(callbacks_around(), at)

Keras tells a callback of the end of a batch and of an epoch, and of nothing
else. So those of Keras that save are told once more of the last batch, or of an
epoch, as their own `save_freq` says. What others keep, they have kept already.

The trap: an epoch that was cut short is not over. BackupAndRestore goes on
with the epoch after the one that it was told of last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import tensorflow as tf

from wq_hooks.core import log as logging
from wq_hooks.runtime.host.callers import owners_above

_KERAS = ("keras", "tf_keras")


@dataclass
class Place:
    """Where a `fit` is.

    Attributes:
      epoch: Index of the epoch.
      batch: Index of the last batch that was trained in it.
      is_epoch_over: Whether all steps of the epoch were trained.
      logs: What Keras has said of the last batch.
    """

    epoch: int = 0
    batch: int = -1
    is_epoch_over: bool = False
    logs: Mapping[str, Any] = field(default_factory=dict)


def callbacks_around() -> list[Any]:
    """Returns the callbacks of the `fit` that calls one of them right now."""
    for owner in owners_above(_KERAS):
        if isinstance(owner, tf.keras.callbacks.CallbackList):
            return list(owner.callbacks)
    return []


def save_now(callbacks: Sequence[Any], place: Place) -> list[str]:
    """Lets the callbacks of Keras that save do it now.

    One that fails is reported, and the others go on.

    Args:
      callbacks: The callbacks of the `fit`.
      place: Place where it is.

    Returns:
      Which of them have saved, by the names of their classes.
    """
    saved = []
    for callback in callbacks:
        name = type(callback).__name__
        try:
            if isinstance(callback, tf.keras.callbacks.BackupAndRestore):
                _back_up(callback, place)
            elif isinstance(callback, tf.keras.callbacks.ModelCheckpoint):
                if callback.save_best_only:
                    logging.info(
                        "%s saves the best model only; what it has stays.", name
                    )
                    continue
                _checkpoint(callback, place)
            else:
                continue
        except Exception as e:
            logging.error("%s could not save: %r", name, e)
            continue
        saved.append(name)
    return saved


def _back_up(callback: Any, place: Place) -> None:
    if not callback.save_freq:
        # Keras' own handler of preemptions saves.
        return
    if callback.save_freq == "epoch":
        done = place.epoch if place.is_epoch_over else place.epoch - 1
        callback.on_epoch_begin(done)
        callback.on_epoch_end(done)
    else:
        # The next batch may have begun.
        callback.on_train_batch_begin(place.batch)
        _end_batch(callback, place)


def _checkpoint(callback: Any, place: Place) -> None:
    if callback.save_freq == "epoch":
        callback.on_epoch_end(place.epoch, _numbers(place.logs))
    else:
        _end_batch(callback, place)


def _end_batch(callback: Any, place: Place) -> None:
    save_freq, callback.save_freq = callback.save_freq, 1
    try:
        callback.on_train_batch_end(place.batch, _numbers(place.logs))
    finally:
        callback.save_freq = save_freq


def _numbers(logs: Mapping[str, Any]) -> dict[str, Any]:
    """Returns logs as Keras gives them to callbacks: numbers, not tensors."""
    return {
        key: value.numpy() if hasattr(value, "numpy") else value
        for key, value in logs.items()
    }
