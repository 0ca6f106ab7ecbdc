"""A network of a job's own: each task in a namespace, on one switch.

    with Network(["ps:0", "chief:0"]) as network:
        network.address("ps:0", 2222)        # "10.77.0.1:2222"
        network.cut("ps:0")                  # packets vanish, connections stay
        network.mend("ps:0")

Linux, as root. A task joins its namespace itself (`join`), before anything of
TensorFlow runs.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os

from tests.chaos.commands import is_left_over, own_name, run_command

VARIABLE = "CHAOS_NETWORK_NAMESPACE"
_SUBNET = "10.77.0"
_CLONE_NEWNET = 0x40000000
_numbers = itertools.count()


class Network:
    """Namespaces that are there inside of the context.

    Args:
      tasks: Names of the tasks.

    Raises:
      OSError: On entry, if this machine does not let us; it says why.
    """

    def __init__(self, tasks):
        prefix = f"{own_name()}-{next(_numbers)}"
        self._switch = f"{prefix}-switch"
        self._links = {task: f"link{i}" for i, task in enumerate(tasks)}
        self._namespaces = {
            task: f"{prefix}-{link}" for task, link in self._links.items()
        }
        self._exit = contextlib.ExitStack()

    def __enter__(self):
        for line in _ip("netns", "list"):
            if is_left_over(line):
                _ip("netns", "del", line.split()[0])
        with contextlib.ExitStack() as stack:
            for name in (self._switch, *self._namespaces.values()):
                _ip("netns", "add", name)
                stack.callback(_ip, "netns", "del", name)
            self._connect()
            self._exit = stack.pop_all()
        return self

    def __exit__(self, *exc_info):
        self._exit.close()

    def _connect(self):
        switch = ["-n", self._switch]
        _ip(*switch, "link", "add", "switch", "type", "bridge")
        _ip(*switch, "link", "set", "switch", "up")
        for number, (task, link) in enumerate(self._links.items(), 1):
            name = self._namespaces[task]
            peer = ["peer", "name", "eth0", "netns", name]
            _ip(*switch, "link", "add", link, "type", "veth", *peer)
            _ip(*switch, "link", "set", link, "master", "switch", "up")
            address = f"{_SUBNET}.{number}/24"
            _ip("-n", name, "addr", "add", address, "dev", "eth0")
            _ip("-n", name, "link", "set", "eth0", "up")
            _ip("-n", name, "link", "set", "lo", "up")

    def address(self, task, port):
        """Returns the address of a server of a task."""
        return f"{_SUBNET}.{list(self._links).index(task) + 1}:{port}"

    def environment(self, task):
        """Returns what `join` reads in the process of a task."""
        return {VARIABLE: self._namespaces[task]}

    def cut(self, task):
        """Lets nothing through to a task, nor from it."""
        _ip("-n", self._switch, "link", "set", self._links[task], "down")

    def mend(self, task):
        """Connects a task again."""
        _ip("-n", self._switch, "link", "set", self._links[task], "up")


def join():
    """Moves this process, which has one thread yet, into its namespace."""
    name = os.environ.get(VARIABLE)
    if not name:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    with open(f"/run/netns/{name}") as file:
        if libc.setns(file.fileno(), _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"setns to {name}")


def _ip(*arguments):
    return run_command("ip", *arguments)
