"""Sees processes start and end without asking again and again.

Each process holds the write end of a named pipe open: the read end comes to its
end when the last of them is gone, whoever its parent was.
"""

from __future__ import annotations

import os
import select
import sys

DEADLINE_SECS = 60.0

# Reports "ready" and then waits for a signal to end it.
HOLD = """
import os, signal
witness = open(os.environ["WITNESS"], "w")
print("ready", file=witness, flush=True)
while True:
    signal.pause()
"""

# The same, and so does a child that does not listen to SIGTERM.
HOLD_WITH_CHILD = f"""
import signal, subprocess, sys
subprocess.Popen([sys.executable, "-c", '''
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
{HOLD}
'''])
{HOLD}
"""


class Witness:
    """The read end of the named pipe `path`."""

    def __init__(self, path):
        os.mkfifo(path)
        self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self._unread = b""

    def close(self):
        os.close(self._fd)

    def wait_for_start(self, num_processes):
        """Waits until that many more processes have reported."""
        while self._unread.count(b"\n") < num_processes:
            assert self._read(), "all processes have ended"
        self._unread = self._unread.split(b"\n", num_processes)[-1]

    def wait_for_end(self):
        """Waits until no process is left."""
        while self._read():
            pass

    def _read(self):
        ready, _, _ = select.select([self._fd], [], [], DEADLINE_SECS)
        assert ready, "processes are still alive"
        data = os.read(self._fd, 4096)
        self._unread += data
        return data


def python(program):
    """The command that runs `program`."""
    return [sys.executable, "-c", program]
