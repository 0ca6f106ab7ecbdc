"""Ports that no two launchers choose at the same time."""

from __future__ import annotations

import gc
import json
import signal
import socket
import subprocess
import sys

import pytest

from wq_hooks.launcher import ports as ports_module
from wq_hooks.launcher.local_cluster import Cluster
from wq_hooks.launcher.ports import ReservedPorts, free_ports

DEADLINE_SECS = 60

RESERVE = """
import sys, time
from wq_hooks.launcher.ports import ReservedPorts
ports = ReservedPorts(1)
print(*ports.numbers, flush=True)
time.sleep(600)
"""


@pytest.fixture
def two(monkeypatch):
    """The only two ports that there are to choose from."""
    ports = free_ports(2)
    monkeypatch.setattr(ports_module, "_PORTS", ports)
    return ports


def test_they_are_different_ports():
    ports = free_ports(50)
    assert len(set(ports)) == 50
    # Not of those that Linux, or others, give to connections.
    assert all(10_000 <= port < 32_768 for port in ports)
    assert free_ports(0) == []


def test_they_are_those_that_nobody_has(two):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", two[0]))
        assert free_ports(1) == two[1:]
        with pytest.raises(OSError, match="Expected 2 free ports; got 1"):
            free_ports(2)
    # What was reserved in vain is free again.
    assert sorted(free_ports(2)) == sorted(two)


def test_a_server_may_bind_what_is_reserved(two):
    reserved = ReservedPorts(1)
    with socket.socket() as server:
        server.bind(("127.0.0.1", reserved.numbers[0]))


def test_what_is_reserved_is_nobody_elses(two):
    reserved = ReservedPorts(1)
    (other,) = ReservedPorts(1).numbers
    assert {other, *reserved.numbers} == set(two)
    gc.collect()
    assert free_ports(1) == [other]
    reserved.release()
    assert sorted(free_ports(2)) == sorted(two)


def test_a_cluster_keeps_its_ports_while_no_task_has_bound_them(two):
    cluster = Cluster(["true"], num_ps=0)
    with pytest.raises(OSError, match="Expected 1 free ports; got 0"):
        free_ports(1)
    config = json.loads(cluster.environment("chief:0")["TF_CONFIG"])
    addresses = [a for tasks in config["cluster"].values() for a in tasks]
    assert sorted(addresses) == [f"127.0.0.1:{port}" for port in sorted(two)]
    del cluster
    gc.collect()
    assert sorted(free_ports(2)) == sorted(two)


def test_a_process_keeps_them_from_others_until_it_is_killed(monkeypatch):
    with subprocess.Popen(
        [sys.executable, "-c", RESERVE], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            port = int(process.stdout.readline())
            monkeypatch.setattr(ports_module, "_PORTS", [port])
            with pytest.raises(OSError, match="got 0"):
                free_ports(1)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait(DEADLINE_SECS)
        assert free_ports(1) == [port]
