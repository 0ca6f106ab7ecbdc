"""Drives processes of their own; see programs/console.py."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading

from tests.support import forked
from tests.support.environment import environment
from tests.support.paths import PROGRAMS, ROOT

# Turns a hang into a failure.
HANG_SECS = 120.0
_PROGRAM = PROGRAMS / "console.py"


class Console:
    """A process that runs what it is told.

    Args:
      setup: Python, run at once.
    """

    def __init__(self, setup=""):
        self.process = forked.popen(
            [sys.executable, str(_PROGRAM)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, **environment()},
            text=True,
        )
        self._answers = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._num_ahead = 0
        self.tell(setup)

    def tell(self, code):
        """Has it run some code, and does not wait for it."""
        self._send({"run": code})
        self._num_ahead += 1

    def begin(self, expression):
        """Has it evaluate an expression; `answer` returns the value."""
        self._finish()
        self._send({"value": expression})

    def answer(self):
        """Returns what it was asked for with `begin`."""
        answer = self._answers.get(timeout=HANG_SECS)
        assert answer is not None, "The process has ended."
        assert "error" not in answer, answer["error"]
        return answer["value"]

    def ask(self, expression):
        """Returns the value of an expression there."""
        self.begin(expression)
        return self.answer()

    def run(self, code):
        """Runs some code there."""
        self.tell(code)
        self._finish()

    def kill(self):
        """Ends it with SIGKILL."""
        self.process.kill()
        self.wait()

    def wait(self):
        """Waits for its end, and returns the exit code."""
        code = self.process.wait(HANG_SECS)
        self._reader.join(HANG_SECS)
        self.process.stdin.close()
        self.process.stdout.close()
        return code

    def _finish(self):
        while self._num_ahead:
            self._num_ahead -= 1
            self.answer()

    def _send(self, request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()

    def _read(self):
        for line in self.process.stdout:
            self._answers.put(json.loads(line))
        self._answers.put(None)
