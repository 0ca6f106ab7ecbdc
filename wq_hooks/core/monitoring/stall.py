"""When a queue counts as stalled: one rule for the tab and the status.

if idle_secs > stall_limit_secs(state): ...
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# For longer than this, and than so many of the longer items; for this long
# where no item is done yet.
_MIN_SECS = 60.0
_FACTOR = 3.0
_UNKNOWN_SECS = 600.0


def stall_limit_secs(state: Mapping[str, Any]) -> float:
    """Returns for how long a queue may stand still, in seconds.

    Args:
      state: Checked state of a queue; see `queue_state.py`.
    """
    if not state["in_flight"]:
        return _MIN_SECS
    if state["item_secs"] is None:
        return _UNKNOWN_SECS
    return max(_FACTOR * float(state["item_secs"][2]), _MIN_SECS)


def is_stalled(state: Mapping[str, Any]) -> bool:
    """Returns whether a queue that has items left stands still."""
    if state["remaining"] == 0 and not state["in_flight"]:
        return False
    return bool(state["idle_secs"] > stall_limit_secs(state))
