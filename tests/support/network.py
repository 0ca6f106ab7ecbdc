"""Machines of a network on this one: a namespace for each task of a job.

    with Network(["ps:0", "chief:0", "worker:0"]) as network:
        job = Job(path, network=network)
        network.cut("worker:0")

Needs the right to make network namespaces; `why_no_network` says why not.
"""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
import uuid


@functools.cache
def why_no_network():
    """Returns why there are no namespaces here, or None."""
    if shutil.which("ip") is None:
        return "no network namespaces: there is no program ip (iproute2)"
    name = f"wq-{uuid.uuid4().hex[:6]}"
    for command in (
        ["netns", "add", name],
        ["-n", name, "link", "add", "one", "type", "veth"],
        ["-n", name, "link", "add", "hub", "type", "bridge"],
        ["netns", "exec", name, "true"],
    ):
        result = subprocess.run(["ip", *command], capture_output=True)
        if result.returncode:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)
            return (
                f"no network namespaces: ip {' '.join(command)}: "
                f"{result.stderr.decode().strip()}"
            )
    _ip("netns", "del", name)
    return None


class Network:
    """Namespaces that are joined by a bridge in one of their own."""

    def __init__(self, tasks):
        self._prefix = f"wq-{uuid.uuid4().hex[:6]}"
        self._hub = f"{self._prefix}-hub"
        self._tasks = list(tasks)

    def __enter__(self):
        self._add(self._hub)
        _ip("-n", self._hub, "link", "add", "hub", "type", "bridge")
        _ip("-n", self._hub, "link", "set", "hub", "up")
        for task in self._tasks:
            name, link = self.namespace(task), self._link(task)
            self._add(name)
            _ip(
                *("-n", self._hub, "link", "add", link, "type", "veth"),
                *("peer", "name", "eth0", "netns", name),
            )
            _ip("-n", self._hub, "link", "set", link, "master", "hub")
            _ip("-n", self._hub, "link", "set", link, "up")
            address = f"{self.host(task)}/24"
            _ip("-n", name, "addr", "add", address, "dev", "eth0")
            _ip("-n", name, "link", "set", "eth0", "up")
        return self

    def __exit__(self, *exception):
        for name in [*map(self.namespace, self._tasks), self._hub]:
            _ip("netns", "del", name)

    def namespace(self, task):
        """Returns the namespace of a task."""
        return f"{self._prefix}-{self._tasks.index(task)}"

    def host(self, task):
        """Returns the address of a task's host."""
        return f"10.83.0.{self._tasks.index(task) + 1}"

    def to_json(self):
        """Returns {task: [namespace, host]}."""
        return json.dumps(
            {t: [self.namespace(t), self.host(t)] for t in self._tasks}
        )

    def cut(self, task):
        """Lets nothing through to a host, nor from it."""
        _ip("-n", self._hub, "link", "set", self._link(task), "down")

    def heal(self, task):
        """Undoes `cut`."""
        _ip("-n", self._hub, "link", "set", self._link(task), "up")

    def _link(self, task):
        return f"task{self._tasks.index(task)}"

    def _add(self, name):
        _ip("netns", "add", name)
        _ip("-n", name, "link", "set", "lo", "up")


def _ip(*command):
    subprocess.run(["ip", *command], check=True)
