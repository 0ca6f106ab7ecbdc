"""What the chief leaves on the board for `wq-hooks status`: a few kilobytes.

    text = status_text(viewer.look(ledger, now, wall_time))

It is the state of the view with the workers that matter most: those that
hold an item for longest come first.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from wq_hooks.core.monitoring.view import View

MAX_WORKERS = 50
MAX_WAITING = 1000
# A look costs some 30 microseconds for each consumer: rarely, if many.
_EVERY_SECS = 2.0
_EVERY_SECS_OF_CONSUMER = 0.02


def status_text(
    view: View, *, has_ended: bool = False, waiting: Sequence[str] = ()
) -> str:
    """Returns the status as one line of JSON.

    Args:
      view: View of the queue.
      has_ended: Whether it is the chief's last word.
      waiting: The tasks that have waited for an item for long.
    """

    def urgency(worker: dict[str, object]) -> tuple[bool, float]:
        items = worker["items"]
        held = items[0]["held_secs"] if isinstance(items, list) and items else 0
        return bool(worker["has_left"]), -held

    workers = sorted(view.state["workers"], key=urgency)[:MAX_WORKERS]
    for worker in workers:
        worker["items"] = worker["items"][:1]
    state = {
        **view.state,
        "has_ended": has_ended,
        "workers": workers,
        "waiting": list(waiting[:MAX_WAITING]),
    }
    return json.dumps(state, separators=(",", ":"))


def pause_secs(num_consumers: int) -> float:
    """Returns how long to wait from one status to the next."""
    return max(_EVERY_SECS, _EVERY_SECS_OF_CONSUMER * num_consumers)
