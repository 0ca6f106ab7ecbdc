"""Runs a tool of the system, such as ip or mount."""

from __future__ import annotations

import os
import re
import subprocess

_TIMEOUT_SECS = 20.0


_PID = re.compile(r"wq-chaos-(\d+)")


def own_name():
    """Returns a prefix for things of this process, known to `is_left_over`."""
    return f"wq-chaos-{os.getpid()}"


def is_left_over(name):
    """Whether a thing is of a process that was killed before it removed it."""
    match = _PID.match(name)
    return match is not None and not os.path.exists(f"/proc/{match.group(1)}")


def run_command(*command):
    """Runs a command to its end; returns the lines that it prints.

    Raises:
      OSError: If it fails, or is not there; with what it says.
    """
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_SECS,
        check=False,
    )
    if done.returncode:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout.splitlines()
