"""What a port says to who connects: it accepts, refuses, or is silent.

    endpoint = find_endpoint("worker-1.example:2222")
    knock(endpoint)          # Answer.REFUSED: nobody listens there

A name may stand for several addresses. The one that has accepted once is asked
again, without the resolver, which may wait for long.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Any

from wq_hooks.core.chief.failure_detector import Answer

_TIMEOUT_SECS = 1.0


@dataclass(frozen=True)
class Endpoint:
    """A port of a host, under one of its addresses."""

    family: int
    address: Any


def find_endpoint(address: str) -> Endpoint | None:
    """Returns what accepts connections at an address, such as "host:2222".

    None: nothing does, as far as can be seen from here.
    """
    host, _, port = address.rpartition(":")
    try:
        found = socket.getaddrinfo(
            host.strip("[]"), int(port), type=socket.SOCK_STREAM
        )
    except (OSError, ValueError, OverflowError):
        return None
    for family, _, _, _, where in found:
        endpoint = Endpoint(family, where)
        if knock(endpoint) is Answer.ACCEPTED:
            return endpoint
    return None


def knock(endpoint: Endpoint, timeout_secs: float = _TIMEOUT_SECS) -> Answer:
    """Connects, and closes the connection at once.

    Args:
      endpoint: Address of the port.
      timeout_secs: Seconds after which a port without an answer is silent.
    """
    try:
        with socket.socket(endpoint.family, socket.SOCK_STREAM) as sock:
            sock.settimeout(timeout_secs)
            sock.connect(endpoint.address)
    except ConnectionRefusedError:
        return Answer.REFUSED
    except OSError:
        return Answer.SILENT
    return Answer.ACCEPTED
