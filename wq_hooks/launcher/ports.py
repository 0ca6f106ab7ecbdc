"""Ports for servers of this machine, which no two launchers choose at a time.

    ports = ReservedPorts(3)
    addresses = [f"127.0.0.1:{port}" for port in ports.numbers]

A server binds its port only some seconds after it was chosen, and two jobs that
start at the same time must not choose the same one. So a launcher that chooses
a TCP port holds, as a sign to others, the UDP port of the same number; the
system frees it when the process dies. POSIX only; does not import TensorFlow.

The trap: any other program may still take a port in between. The task then
fails with "address in use"; start the job again.
"""

from __future__ import annotations

import contextlib
import random
import socket
import weakref

_HOST = "127.0.0.1"
# Below those that systems give to connections (Linux from 32768 on, others from
# 49152), one of which could take a port before the task binds it.
_PORTS = range(10_000, 32_768)


class ReservedPorts:
    """Different loopback ports that nobody listens on and nobody has reserved.

    They are reserved as long as this object, or until `release`.

    Raises:
      OSError: If there are not so many.
    """

    def __init__(self, num_ports: int):
        signs = contextlib.ExitStack()
        self.release = weakref.finalize(self, signs.close)
        numbers: list[int] = []
        # A generator of its own: programs that seed the other one would all
        # choose the same ports.
        for port in random.Random().sample(_PORTS, len(_PORTS)):
            if len(numbers) == num_ports:
                break
            sign = _reserve(port)
            if sign is not None:
                signs.enter_context(sign)
                numbers.append(port)
        self.numbers = tuple(numbers)
        if len(numbers) < num_ports:
            self.release()
            raise OSError(
                f"Expected {num_ports} free ports; got {len(numbers)}."
            )


def free_ports(num_ports: int) -> list[int]:
    """Returns ports as `ReservedPorts` does, but does not keep them reserved.

    They are for servers that this process starts at once.
    """
    ports = ReservedPorts(num_ports)
    ports.release()
    return list(ports.numbers)


def _reserve(port: int) -> socket.socket | None:
    """Returns the sign that a port is reserved; None if it is not free."""
    sign = socket.socket(type=socket.SOCK_DGRAM)
    try:
        sign.bind((_HOST, port))
        with socket.socket() as server:
            server.bind((_HOST, port))
    except OSError:
        sign.close()
        return None
    return sign
