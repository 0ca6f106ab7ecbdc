"""The process that is forked into programs; see forked.py for its use.

    python -m tests.support.zygote <number of a socket>

Each message asks for a program: JSON with its arguments, environment and
directory, and its standard streams as file descriptors. The answers are its pid
and, later, its return code. When the other end of the socket is closed, even
because its process was killed, everything that still runs is killed.

Nothing of TensorFlow runs before the fork, so there is no thread of it that a
program could miss.
"""

from __future__ import annotations

import array
import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
import types
from pathlib import Path

import numpy as np

MAX_REQUEST = 1 << 20
_IMPORTED = (
    "tensorflow",
    "tensorflow.compat.v1",
    "absl.app",
    "wq_hooks.work_queue",
    "wq_hooks.hooks.work_queue_hook",
)
# With TF_USE_LEGACY_KERAS there is none; see environment.py.
_IMPORTED_WITH_KERAS = ("wq_hooks.keras_callbacks",)


def main():
    connection = socket.socket(fileno=int(sys.argv[1]))
    _import()
    added = ["", os.getcwd(), *_python_path(os.environ)]
    path = [p for p in sys.path if p not in added]
    request = _serve(connection)
    if request is not None:
        # In a child: the interpreter ends with what it runs.
        _run(request, path)


def _import():
    for name in _IMPORTED:
        importlib.import_module(name)
    if os.environ.get("TF_USE_LEGACY_KERAS") != "1":
        for name in _IMPORTED_WITH_KERAS:
            importlib.import_module(name)
    for name in ("graph_text", "grappler"):
        importlib.import_module(f"tests.support.{name}").quicken()
    # A collection in a child does not copy all pages of what is imported.
    gc.collect()
    gc.freeze()


def _serve(connection):
    """Forks; returns what a child is to do, None at the end."""
    children = {}
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    while True:
        for fd, _ in poll.poll():
            if fd != connection.fileno():
                pid = children.pop(fd)
                poll.unregister(fd)
                os.close(fd)
                returncode = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                _send(connection, pid=pid, returncode=returncode)
                continue
            message, ancillary, _, _ = connection.recvmsg(
                MAX_REQUEST, socket.CMSG_SPACE(3 * array.array("i").itemsize)
            )
            if not message:
                for pid in children.values():
                    # It may not have a group of its own yet.
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(pid, signal.SIGKILL)
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)
                return None
            fds = array.array("i")
            fds.frombytes(ancillary[0][2])
            begun, begins = os.pipe()
            pid = os.fork()
            if pid == 0:
                os.setsid()
                os.close(begun)
                os.close(begins)
                for number, source in enumerate(fds):
                    os.dup2(source, number)
                for source in [*fds, *children]:
                    os.close(source)
                connection.close()
                return json.loads(message)
            for source in fds:
                os.close(source)
            # What is sent to its group before it has one would be lost.
            os.close(begins)
            os.read(begun, 1)
            os.close(begun)
            _send(connection, pid=pid)
            fd = os.pidfd_open(pid)
            children[fd] = pid
            poll.register(fd, select.POLLIN)


def _send(connection, **answer):
    with contextlib.suppress(OSError):
        connection.send(json.dumps(answer).encode())


def _run(request, path):
    """Runs a program as `python` would."""
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    is_unbuffered = bool(os.environ.get("PYTHONUNBUFFERED"))
    sys.stdout.reconfigure(write_through=is_unbuffered)
    sys.stderr.reconfigure(line_buffering=True, write_through=is_unbuffered)
    # Python seeds its own `random` after a fork.
    np.random.seed()
    argv = request["argv"]
    if argv[0] == "-m":
        sys.argv = argv[1:]
        sys.path[:] = [request["cwd"], *_python_path(os.environ), *path]
        runpy.run_module(argv[1], run_name="__main__", alter_sys=True)
        return
    sys.argv = argv
    sys.path[:] = [
        str(Path(argv[0]).parent),
        *_python_path(os.environ),
        *path,
    ]
    # It stays after its end: its threads may go on for a while.
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    main.__file__ = argv[0]
    code = compile(Path(argv[0]).read_text(), argv[0], "exec")
    exec(code, main.__dict__)


def _python_path(env):
    return [p for p in env.get("PYTHONPATH", "").split(os.pathsep) if p]


if __name__ == "__main__":
    main()
