"""Keras callbacks: the queue under `model.fit`, with Keras 2 and Keras 3.

model.fit(dataset, callbacks=[WorkQueueCheckpoint(queue, directory)])
"""

from __future__ import annotations

from wq_hooks.keras_callbacks.work_queue_callback import WorkQueueCallback
from wq_hooks.keras_callbacks.work_queue_checkpoint import WorkQueueCheckpoint

__all__ = ["WorkQueueCallback", "WorkQueueCheckpoint"]
