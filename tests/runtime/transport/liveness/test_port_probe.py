from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

import pytest

from wq_hooks.core.chief.failure_detector import Answer
from wq_hooks.runtime.transport.liveness.port_probe import find_endpoint, knock

_LISTEN = """
import socket, sys
listening = socket.create_server(("127.0.0.1", 0), backlog=16)
print(listening.getsockname()[1], flush=True)
while True:
    listening.accept()[0].close()
"""


@pytest.fixture
def listener():
    process = subprocess.Popen(
        [sys.executable, "-c", _LISTEN], stdout=subprocess.PIPE, text=True
    )
    process.port = int(process.stdout.readline())
    yield process
    process.kill()
    process.communicate()


def test_a_process_that_listens_accepts(listener):
    endpoint = find_endpoint(f"localhost:{listener.port}")
    assert knock(endpoint) is Answer.ACCEPTED


def test_a_process_that_was_killed_refuses(listener):
    endpoint = find_endpoint(f"127.0.0.1:{listener.port}")
    listener.kill()
    listener.wait()
    assert knock(endpoint) is Answer.REFUSED
    assert find_endpoint(f"127.0.0.1:{listener.port}") is None


def test_a_process_that_is_stopped_never_refuses(listener):
    """Its kernel accepts, and is silent when nobody takes what it accepted."""
    endpoint = find_endpoint(f"127.0.0.1:{listener.port}")
    os.kill(listener.pid, signal.SIGSTOP)
    answers = {knock(endpoint, timeout_secs=0.02) for _ in range(60)}
    os.kill(listener.pid, signal.SIGCONT)
    assert answers == {Answer.ACCEPTED, Answer.SILENT}


@pytest.mark.parametrize(
    "address",
    [
        "",
        "no-port",
        "host:port",
        "127.0.0.1:99999999",
        "name.invalid:2222",
        "\0:1",
    ],
)
def test_what_is_no_address_is_not_found(address):
    assert find_endpoint(address) is None


def test_an_address_of_version_6():
    try:
        server = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6 on loopback")
    with server:
        assert find_endpoint(f"[::1]:{server.getsockname()[1]}") is not None
