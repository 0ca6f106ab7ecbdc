"""The names that the writer of summaries and the TensorBoard tab share.

The tensors of a queue are tagged `<queue>/state`, `<queue>/takes` and
`<queue>/events` and hold JSON. They belong to three plugin names, since
TensorBoard keeps a number of points for each name: of the state only the last
one is wanted.

The trap: after a resume the steps go back, and TensorBoard drops all points of
a tag that are not before the new step. What has happened stays true: takes and
events are written at steps of their own, which are below 0 and go on.
"""

from __future__ import annotations

from wq_hooks.core.monitoring.schema import CHART, shown_in

PLUGIN_NAME = "work_queue"
TAKES_PLUGIN_NAME = "work_queue_takes"
EVENTS_PLUGIN_NAME = "work_queue_events"
STATE_TAG = "state"
TAKES_TAG = "takes"
EVENTS_TAG = "events"
# Points of a tensor that TensorBoard is asked to keep, by plugin name.
KEPT_SAMPLES = {
    PLUGIN_NAME: 10,
    TAKES_PLUGIN_NAME: 1000,
    EVENTS_PLUGIN_NAME: 1000,
}
_MOST_MICROSECS = 1 << 62
# What the plugin reads of a queue, under `<queue>/`.
SERIES_TAGS = tuple(shown_in(CHART))


def tag_of(queue: str, tag: str) -> str:
    """Returns the full tag of a queue's series or tensor."""
    return f"{queue}/{tag}"


def history_step(wall_time: float) -> int:
    """Returns the step of what has happened: below 0, and rising.

    Args:
      wall_time: Time in seconds since 1970.
    """
    return int(wall_time * 1e6) - _MOST_MICROSECS


def queue_of(tag: str) -> str:
    """Returns the queue that a full tag belongs to."""
    return tag.rpartition("/")[0]
