"""A process that takes all its children with it, and is read line by line.

    with Guard() as guard:
        process = ProcessGroup(["make"], os.environ, guard, on_line, on_end)
        process.send_signal(signal.SIGTERM)
        process.join()

The trap: what makes a session of its own (`setsid`, a daemon) has left the
group, and stays. POSIX only.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import IO, Any, Callable

logger = logging.getLogger(__name__)

# How long what a process leaves behind (a resource tracker, a logger) may take
# to end by itself before it is killed.
_LEFTOVER_SECS = 1.0

# Reads groups, and "-5" for group 5 that has ended, until nobody is left who
# could write more.
_GUARD_PROGRAM = """
import os, signal, sys
groups = set()
for line in sys.stdin:
    group = int(line)
    (groups.add if group > 0 else groups.discard)(abs(group))
for group in groups:
    try:
        os.killpg(group, signal.SIGKILL)
    except OSError:
        pass
"""


class Guard:
    """Kills process groups when this process is gone, even by SIGKILL.

    It is a small process in a session of its own, at the other end of a pipe.
    Leaving the context ends it, and everything that it still guards.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> Guard:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _GUARD_PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,
        )
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._process.communicate()

    def add(self, group: int) -> None:
        """Guards a process group."""
        self._tell(group)

    def discard(self, group: int) -> None:
        """Guards a process group no longer."""
        self._tell(-group)

    def _tell(self, group: int) -> None:
        pipe = self._process.stdin
        with self._lock, contextlib.suppress(BrokenPipeError):
            if pipe is not None and not pipe.closed:
                pipe.write(b"%d\n" % group)


class ProcessGroup:
    """A running program in a session, and so a process group, of its own.

    Args:
      command: The program and its arguments.
      env: Whole environment of the process.
      guard: Guard of the group.
      on_line: Called with "stdout" or "stderr" and a line without its end, in a
        thread for each of the two.
      on_end: Called with the return code, in a thread, when the program has
        ended, its output is complete and what it left behind is killed.

    Raises:
      OSError: If the program cannot be executed.
    """

    def __init__(
        self,
        command: Sequence[str],
        env: Mapping[str, str],
        guard: Guard,
        on_line: Callable[[str, str], None],
        on_end: Callable[[int], None],
    ) -> None:
        self._guard = guard
        self._on_line = on_line
        self._on_end = on_end
        self._process = subprocess.Popen(
            command,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self.pid = self._process.pid
        guard.add(self.pid)
        self._watcher = _start_thread(self._watch)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(pid={self.pid})"

    def send_signal(self, signum: int) -> None:
        """Sends a signal to the whole group, if there is still anybody."""
        # On macOS a group of nothing but zombies answers "not permitted".
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signum)

    def join(self) -> None:
        """Waits until `on_end` has returned."""
        self._watcher.join()

    def _watch(self) -> None:
        process = self._process
        readers = [
            _start_thread(self._read, "stdout", process.stdout),
            _start_thread(self._read, "stderr", process.stderr),
        ]
        returncode = process.wait()
        # The pipes end when the last process that holds them has ended. The
        # group's number is not given away while somebody is in it.
        _join(readers, _LEFTOVER_SECS)
        self.send_signal(signal.SIGKILL)
        _join(readers, _LEFTOVER_SECS)
        self._guard.discard(self.pid)
        self._on_end(returncode)

    def _read(self, stream: str, pipe: IO[bytes]) -> None:
        with pipe:
            for raw in pipe:
                text = raw.decode("utf-8", "replace").rstrip("\r\n")
                try:
                    self._on_line(stream, text)
                except Exception:
                    # Reading goes on: nobody may block on a full pipe.
                    logger.exception("on_line failed for %r", text)


class Deadline:
    """A time limit in seconds over several waits; None: without limit."""

    def __init__(self, timeout_secs: float | None) -> None:
        self._timeout_secs = timeout_secs
        self._start_secs = time.monotonic()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._timeout_secs})"

    def remaining_secs(self) -> float | None:
        """Returns seconds, >= 0; None: without limit."""
        if self._timeout_secs is None:
            return None
        elapsed_secs = time.monotonic() - self._start_secs
        return max(0.0, self._timeout_secs - elapsed_secs)


def _start_thread(target: Callable[..., Any], *args: Any) -> threading.Thread:
    # Daemons: a process that escaped its group may hold a pipe for ever.
    thread = threading.Thread(target=target, args=args, daemon=True)
    thread.start()
    return thread


def _join(threads: Iterable[threading.Thread], timeout_secs: float) -> None:
    deadline = Deadline(timeout_secs)
    for thread in threads:
        thread.join(deadline.remaining_secs())
