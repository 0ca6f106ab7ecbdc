"""The incarnation of a task: it says where the process is, too.

Consumer("worker:1", own_incarnation())
"""

from __future__ import annotations

import os
import socket
import uuid

from wq_hooks.core.ledger.consumer_state import incarnation_at


def own_incarnation() -> str:
    """Returns a name that is met once, with the host and the process id."""
    token = uuid.uuid4().hex[:12]
    return incarnation_at(token, socket.gethostname(), os.getpid())
