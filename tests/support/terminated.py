"""A program that is started to be told to go."""

from __future__ import annotations

import re
import signal
import subprocess
import sys

from tests.support.environment import environment
from tests.support.paths import PROGRAMS


class Program:
    """One of tests/programs.

    Args:
      name: Name of its file.
      *args: Its arguments.

    Attributes:
      lines: What it has said on its standard output, as far as it was read.
      log: What it said on its standard error, when it has ended.
    """

    def __init__(self, name, *args):
        self._process = subprocess.Popen(
            [sys.executable, PROGRAMS / name, *map(str, args)],
            env=environment(has_keras=True),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines = []
        self.log = ""

    def wait_for_line(self, pattern):
        """Reads on until a line matches."""
        while True:
            line = self._process.stdout.readline()
            assert line, (self.wait(), self.log)
            self.lines.append(line.rstrip("\n"))
            if re.search(pattern, line):
                return

    def terminate(self):
        self._process.send_signal(signal.SIGTERM)

    def wait(self):
        """Returns its exit code; afterwards `lines` is all that it said."""
        with self._process:
            self.lines += self._process.stdout.read().splitlines()
            self.log = self._process.stderr.read()
        return self._process.returncode
