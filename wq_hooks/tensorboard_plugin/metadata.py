"""The names that the writer of summaries and the TensorBoard tab share.

The tensors of a queue are tagged `<queue>/state` and `<queue>/takes` and hold
JSON. They belong to two plugin names, since TensorBoard keeps a number of
points for each name: of the state only the last one is wanted.
"""

from __future__ import annotations

from wq_hooks.core.monitoring.schema import CHART, shown_in

PLUGIN_NAME = "work_queue"
TAKES_PLUGIN_NAME = "work_queue_takes"
STATE_TAG = "state"
TAKES_TAG = "takes"
# Points of a tensor that TensorBoard is asked to keep, by plugin name.
KEPT_SAMPLES = {PLUGIN_NAME: 10, TAKES_PLUGIN_NAME: 1000}
# What the plugin reads of a queue, under `<queue>/`.
SERIES_TAGS = tuple(shown_in(CHART))


def tag_of(queue: str, tag: str) -> str:
    """Returns the full tag of a queue's series or tensor."""
    return f"{queue}/{tag}"


def queue_of(tag: str) -> str:
    """Returns the queue that a full tag belongs to."""
    return tag.rpartition("/")[0]
