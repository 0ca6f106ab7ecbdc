"""Programs that start in a moment: forked from a process that has TensorFlow.

    process = forked.popen([sys.executable, "train.py"], env={...})
    done = forked.run([sys.executable, "-m", "model_zoo.x"], env={...})
    with forked.clusters():
        Cluster(...)  # starts its tasks so, too

To import TensorFlow takes three seconds of a core, which is most of what a test
of processes costs. Each program is a process of its own all the same, with its
own pid, session, environment and pipes, and dies alone; only what it imports is
there before it begins.

What TensorFlow reads from the environment when it is imported must be the same
for both: there is a zygote for each of these settings. What is not a program of
ours is started as ever. The trap: all forks of a zygote share a hash seed.
"""

from __future__ import annotations

import array
import atexit
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import types
from pathlib import Path
from unittest import mock

from tests.support.paths import ROOT
from tests.support.zygote import MAX_REQUEST
from wq_hooks.launcher import process_group

# Read by Python or TensorFlow when they start.
_READ_AT_START = ("TF_", "KERAS_", "PYTHON", "CUDA_", "LD_", "XLA_", "OMP_")
_READ_LATER = ("TF_CONFIG", "PYTHONUNBUFFERED", "PYTHONPATH")
_OUR_MODULES = ("model_zoo.", "benchmarks.")
_STREAMS = ("stdin", "stdout", "stderr")
_END_SECS = 30.0


def popen(command, **kwargs):
    """As subprocess.Popen, but that stdin is empty unless it is a pipe.

    Args:
      command: The program and its arguments.
      **kwargs: env, cwd, text, stdin, stdout and stderr (PIPE or None); for
        what is not forked, the rest, too.
    """
    return _zygotes.popen(command, **kwargs)


def run(command, *, timeout, check=False, **kwargs):
    """As subprocess.run, whose output is text; see popen."""
    process = popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **kwargs,
    )
    try:
        out, err = process.communicate(timeout=timeout)
    except BaseException:
        process.kill()
        process.communicate()
        raise
    done = subprocess.CompletedProcess(command, process.returncode, out, err)
    if check:
        done.check_returncode()
    return done


@contextlib.contextmanager
def clusters():
    """Has each Cluster fork its tasks."""
    forking = types.SimpleNamespace(**{**vars(subprocess), "Popen": popen})
    with mock.patch.object(process_group, "subprocess", forking):
        yield


class Zygotes:
    """Starts programs, forked where that is possible."""

    def __init__(self):
        self._lock = threading.Lock()
        self._zygotes = {}

    def close(self):
        """Ends them, and what they were forked into."""
        with self._lock:
            zygotes, self._zygotes = self._zygotes, {}
        for zygote in zygotes.values():
            zygote.close()

    def popen(self, command, *, env=None, cwd=None, text=False, **kwargs):
        """Starts a program; see the function."""
        if env is None or not _is_ours(command):
            return subprocess.Popen(
                command, env=env, cwd=cwd, text=text, **kwargs
            )
        settings = tuple(sorted(_settings(env).items()))
        with self._lock:
            zygote = self._zygotes.get(settings)
            if zygote is None:
                zygote = self._zygotes[settings] = _Zygote(env)
            return zygote.fork(
                command,
                env=env,
                cwd=cwd or os.getcwd(),
                text=text,
                piped=[kwargs.get(x) == subprocess.PIPE for x in _STREAMS],
            )


class ForkedProcess:
    """What tests need of a subprocess.Popen."""

    def __init__(self, command, stdin, stdout, stderr, text):
        self.args = command
        self.pid = 0
        self.stdin, self.stdout, self.stderr = (
            None if fd is None else os.fdopen(fd, mode if text else f"{mode}b")
            for fd, mode in zip((stdin, stdout, stderr), "wrr")
        )
        self.returncode = None
        self._ended = threading.Event()
        self._readers = None

    def poll(self):
        return self.returncode

    def wait(self, timeout=None):
        if not self._ended.wait(timeout):
            raise subprocess.TimeoutExpired(self.args, timeout)
        return self.returncode

    def communicate(self, timeout=None):
        """Returns what it wrote into two pipes, when it has ended."""
        if self._readers is None:
            self._readers = [_Reader(self.stdout), _Reader(self.stderr)]
        self.wait(timeout)
        return tuple(reader.result() for reader in self._readers)

    def send_signal(self, signum):
        if self.returncode is None:
            os.kill(self.pid, signum)

    def terminate(self):
        self.send_signal(signal.SIGTERM)

    def kill(self):
        self.send_signal(signal.SIGKILL)

    def note_end(self, returncode):
        self.returncode = returncode
        self._ended.set()


class _Reader(threading.Thread):
    """Reads a stream to its end, and closes it."""

    def __init__(self, stream):
        super().__init__(daemon=True)
        self._stream = stream
        self.start()

    def run(self):
        with self._stream as stream:
            self._data = stream.read()

    def result(self):
        self.join()
        return self._data


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

    def fork(self, command, *, env, cwd, text, piped):
        """Returns a ForkedProcess.

        Args:
          command: The program and its arguments.
          env: Its whole environment.
          cwd: Its directory.
          text: Whether its pipes are of text.
          piped: Whether stdin, stdout and stderr are pipes.
        """
        theirs, ours = zip(*map(_stream, range(3), piped))
        process = ForkedProcess(command, *ours, text)
        request = {"argv": command[1:], "env": dict(env), "cwd": str(cwd)}
        self._socket.sendmsg(
            [json.dumps(request).encode()],
            [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", theirs))],
        )
        for fd in theirs:
            os.close(fd)
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
                message = self._socket.recv(MAX_REQUEST)
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
        return command[2].startswith(_OUR_MODULES)
    return command[1].endswith(".py") and Path(command[1]).is_file()


def _stream(number, is_piped):
    """Returns a standard stream: its end for the program, and ours or None."""
    if is_piped:
        reading, writing = os.pipe()
        return (writing, reading) if number else (reading, writing)
    if number == 0:
        return os.open(os.devnull, os.O_RDONLY), None
    return os.dup(number), None


def _settings(env):
    return {
        name: value
        for name, value in env.items()
        if name.startswith(_READ_AT_START) and name not in _READ_LATER
    }


_zygotes = Zygotes()
atexit.register(_zygotes.close)
