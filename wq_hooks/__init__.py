"""A global work queue for TensorFlow training on stock TensorFlow.

    from wq_hooks import WorkQueue, WorkQueueHook
    queue = WorkQueue(["day_0.csv", "day_1.csv"], num_epochs=2)

The names below are loaded when they are first used: importing the package does
not import TensorFlow, which the command line and the TensorBoard plugin rely
on.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from wq_hooks._version import __version__

if TYPE_CHECKING:
    from wq_hooks.core.preemption import Preemption
    from wq_hooks.hooks.sync_replicas_hook import SyncReplicasHook
    from wq_hooks.hooks.work_queue_hook import WorkQueueHook
    from wq_hooks.keras_callbacks import WorkQueueCallback, WorkQueueCheckpoint
    from wq_hooks.local_work_mgr import LocalWorkMgr
    from wq_hooks.preemption_scope import PreemptionScope
    from wq_hooks.queue_runner import GeneralQueueRunner
    from wq_hooks.readers.table import TableRecordDataset, TableRecordReader
    from wq_hooks.work_queue import WorkQueue

_MODULE_OF_NAME = {
    "GeneralQueueRunner": "wq_hooks.queue_runner",
    "LocalWorkMgr": "wq_hooks.local_work_mgr",
    "Preemption": "wq_hooks.core.preemption",
    "PreemptionScope": "wq_hooks.preemption_scope",
    "SyncReplicasHook": "wq_hooks.hooks.sync_replicas_hook",
    "TableRecordDataset": "wq_hooks.readers.table",
    "TableRecordReader": "wq_hooks.readers.table",
    "WorkQueue": "wq_hooks.work_queue",
    "WorkQueueCallback": "wq_hooks.keras_callbacks",
    "WorkQueueCheckpoint": "wq_hooks.keras_callbacks",
    "WorkQueueHook": "wq_hooks.hooks.work_queue_hook",
}

__all__ = [
    "GeneralQueueRunner",
    "LocalWorkMgr",
    "Preemption",
    "PreemptionScope",
    "SyncReplicasHook",
    "TableRecordDataset",
    "TableRecordReader",
    "WorkQueue",
    "WorkQueueCallback",
    "WorkQueueCheckpoint",
    "WorkQueueHook",
    "__version__",
]


def __getattr__(name: str) -> Any:
    """Loads a public name on first use (PEP 562)."""
    if name not in _MODULE_OF_NAME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = importlib.import_module(_MODULE_OF_NAME[name])
    except ModuleNotFoundError as e:
        if e.name != "tensorflow":
            raise
        raise ModuleNotFoundError(
            f"Expected TensorFlow to be installed, which {name} needs; there "
            'is none. Install "wq-hooks[tensorflow]", or a TensorFlow of your '
            "own.",
            name=e.name,
        ) from e
    value = getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
