"""Tasks that start in a moment: forked from a process that has TensorFlow.

    zygotes = Zygotes()
    process = zygotes.popen([sys.executable, "train.py"], env={...})

To import TensorFlow takes four seconds of a core, which was most of what the
tests of clusters cost. Each task is a process of its own all the same, with its
own pid, session, environment and pipes, and dies alone; only what it imports
is there before it begins. Nothing of TensorFlow runs before the fork, so there
is no thread that it could miss.

What TensorFlow reads from the environment when it is imported must be the same
for both: there is a zygote for each of these settings. What is not a program of
ours is started as ever.
"""

from __future__ import annotations

import array
import contextlib
import importlib
import json
import os
import runpy
import select
import socket
import subprocess
import sys
import threading
import types
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.support.paths import ROOT

_IMPORTED = ("tensorflow", "tensorflow.compat.v1", "wq_hooks", "absl.app")
# Read by Python or TensorFlow when they start.
_READ_AT_START = ("TF_", "KERAS_", "PYTHON", "CUDA_", "LD_", "XLA_", "OMP_")
_READ_LATER = ("TF_CONFIG", "PYTHONUNBUFFERED", "PYTHONPATH")
_MAX_REQUEST = 1 << 20
_END_SECS = 30.0


class Zygotes:
    """Starts programs, forked where that is possible."""

    def __init__(self):
        self._lock = threading.Lock()
        self._zygotes = {}

    def close(self):
        for zygote in self._zygotes.values():
            zygote.close()

    def popen(self, command, *, env=None, **kwargs):
        """As subprocess.Popen, as far as ProcessGroup uses it."""
        if env is None or not _is_ours(command):
            return subprocess.Popen(command, env=env, **kwargs)
        settings = tuple(sorted(_settings(env).items()))
        with self._lock:
            zygote = self._zygotes.get(settings)
            if zygote is None:
                zygote = self._zygotes[settings] = _Zygote(env)
            return zygote.fork(command, env)


class ForkedProcess:
    """What ProcessGroup needs of a subprocess.Popen."""

    def __init__(self, stdout, stderr):
        self.pid = 0
        self.stdout = os.fdopen(stdout, "rb")
        self.stderr = os.fdopen(stderr, "rb")
        self.returncode = None
        self._ended = threading.Event()

    def wait(self):
        self._ended.wait()
        return self.returncode

    def communicate(self):
        """Returns what it wrote, as text, when it has ended."""
        with ThreadPoolExecutor() as pool, self.stdout, self.stderr:
            streams = pool.map(lambda s: s.read(), (self.stdout, self.stderr))
            out, err = (data.decode(errors="replace") for data in streams)
        self.wait()
        return out, err

    def note_end(self, returncode):
        self.returncode = returncode
        self._ended.set()


class _Zygote:
    """The process that is forked, as seen by the one that asks for it."""

    def __init__(self, env):
        self._socket, theirs = socket.socketpair(
            socket.AF_UNIX, socket.SOCK_SEQPACKET
        )
        with theirs:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "tests.support.zygote",
                    str(theirs.fileno()),
                ],
                env={k: v for k, v in env.items() if k != "TF_CONFIG"},
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self._changed = threading.Condition()
        self._new = None
        self._processes = {}
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def close(self):
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._reader.join()
        self._socket.close()
        try:
            self._process.wait(_END_SECS)
        finally:
            self._process.kill()

    def fork(self, command, env):
        """Returns a ForkedProcess."""
        out, their_out = os.pipe()
        err, their_err = os.pipe()
        process = ForkedProcess(out, err)
        request = {"argv": command[1:], "env": env, "cwd": os.getcwd()}
        fds = array.array("i", [their_out, their_err])
        self._socket.sendmsg(
            [json.dumps(request).encode()],
            [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)],
        )
        os.close(their_out)
        os.close(their_err)
        with self._changed:
            self._new = process
            # An answer may have come before.
            self._changed.notify_all()
            self._changed.wait_for(lambda: process.pid)
        if process.pid < 0:
            raise OSError("The zygote is gone.")
        return process

    def _read(self):
        while True:
            try:
                message = self._socket.recv(_MAX_REQUEST)
            except OSError:
                message = b""
            with self._changed:
                if not message:
                    for process in [*self._processes.values(), self._new]:
                        if process is not None and process.returncode is None:
                            process.pid = process.pid or -1
                            process.note_end(-1)
                    self._changed.notify_all()
                    return
                answer = json.loads(message)
                pid = answer["pid"]
                if "returncode" in answer:
                    self._processes.pop(pid).note_end(answer["returncode"])
                    continue
                self._changed.wait_for(lambda: self._new is not None)
                process, self._new = self._new, None
                self._processes[pid] = process
                process.pid = pid
                self._changed.notify_all()


def _is_ours(command):
    """Whether it is a program that imports TensorFlow."""
    if not hasattr(os, "pidfd_open") or command[0] != sys.executable:
        return False
    if command[1] == "-m":
        return command[2].startswith("model_zoo.")
    path = Path(command[1])
    return path.suffix == ".py" and ROOT in path.parents


def _settings(env):
    return {
        name: value
        for name, value in env.items()
        if name.startswith(_READ_AT_START) and name not in _READ_LATER
    }


# In the zygote.


def _main():
    connection = socket.socket(fileno=int(sys.argv[1]))
    for name in _IMPORTED:
        importlib.import_module(name)
    added = ["", os.getcwd(), *_python_path(os.environ)]
    path = [p for p in sys.path if p not in added]
    request = _serve(connection)
    if request is not None:
        # In a child: the interpreter ends with what it runs.
        _run(request, path)


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
                _MAX_REQUEST, socket.CMSG_SPACE(8)
            )
            if not message:
                return None
            fds = array.array("i")
            fds.frombytes(ancillary[0][2])
            pid = os.fork()
            if pid == 0:
                os.setsid()
                nothing = os.open(os.devnull, os.O_RDONLY)
                for number, source in enumerate([nothing, *fds]):
                    os.dup2(source, number)
                for source in [nothing, *fds, *children]:
                    os.close(source)
                connection.close()
                return json.loads(message)
            for source in fds:
                os.close(source)
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
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)
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
    _main()
