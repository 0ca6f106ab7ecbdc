"""Calls a function again when nobody has called it for too long.

    reporter = Reporter(report, every_secs=60.0, is_live=lambda: True)
    reporter.start()
    ...
    reporter.stop()

The chief reports after its steps. Near the end it may wait for the others in a
single step for many minutes, which is when a person wants to look.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

# A step that takes a little longer than usual is no silence.
_PATIENCE = 1.5
_MIN_SECS = 0.02


class Reporter:
    """Reports when it is told to, and of itself after a silence.

    Args:
      report: Reports; never called by two threads at a time.
      every_secs: How often it is told to, in seconds.
      is_live: Whether there is still something to report.
    """

    def __init__(
        self,
        report: Callable[[], None],
        *,
        every_secs: float,
        is_live: Callable[[], bool],
    ):
        self._call = report
        self._every_secs = max(every_secs, _MIN_SECS)
        self._is_live = is_live
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._last = time.monotonic()

    def start(self) -> None:
        """Starts the thread, which ends with `stop` or `is_live`."""
        threading.Thread(
            target=self._watch, name="work-queue-reporter", daemon=True
        ).start()

    def report(self) -> None:
        """Reports now."""
        with self._lock:
            self._last = time.monotonic()
            self._call()

    def stop(self) -> None:
        """Ends the thread; what it is at is finished first."""
        self._stopped.set()
        with self._lock:
            pass

    def _watch(self) -> None:
        while not self._stopped.wait(self._every_secs / 2):
            if not self._is_live():
                return
            silent_secs = time.monotonic() - self._last
            if silent_secs > _PATIENCE * self._every_secs:
                self.report()
