"""Makes a task slower: it is stopped and continued, in proportion.

    with SlowDown(cluster, {"worker:1": 4.0}):
        ...                       # worker:1 runs a quarter of the time

Any program can be slowed down like that, and does not notice. The trap: time
that the program sleeps or waits passes while it is stopped, so a program that
mostly waits becomes less slow than asked for.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Mapping

from wq_hooks.launcher.local_cluster import Cluster

# How long a task runs at a time. Longer than a step, so that short sleeps do
# not all fall into the pauses; shorter than a heartbeat.
_RUN_SECS = 0.2


class SlowDown(contextlib.ExitStack):
    """Slows tasks of a cluster down as long as the context lasts.

    Args:
      cluster: The tasks.
      factors: Task -> how many times slower it is to be, >= 1.
    """

    def __init__(self, cluster: Cluster, factors: Mapping[str, float]):
        super().__init__()
        self._cluster = cluster
        self._factors = factors

    def __enter__(self) -> SlowDown:
        stop = threading.Event()
        for task, factor in self._factors.items():
            if factor > 1:
                thread = threading.Thread(
                    target=self._run, args=(task, factor, stop), daemon=True
                )
                thread.start()
                self.callback(thread.join)
        # Called first.
        self.callback(stop.set)
        return self

    def _run(self, task: str, factor: float, stop: threading.Event) -> None:
        while not stop.wait(_RUN_SECS):
            self._cluster.kill(task, signal.SIGSTOP)
            stop.wait(_RUN_SECS * (factor - 1))
            self._cluster.kill(task, signal.SIGCONT)
