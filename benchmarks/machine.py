"""What else the machine does while a benchmark runs.

    machine = Machine()
    ...                     # the benchmark
    machine.described()     # ", 2% busy before, 0.4% of its time taken by ..."

From /proc/stat (see proc(5)); where it is not Linux, nothing is known.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

_STAT = Path("/proc/stat")
# user, nice, system, idle, iowait, irq, softirq, steal; what guests of this
# machine use is within the first two.
_COLUMNS = slice(1, 9)
_IDLE_SHARE = 0.1


class CpuTimes(NamedTuple):
    """CPU time of all cores, in ticks of the kernel.

    Attributes:
      total: All of it.
      idle: When nothing was to be run.
      stolen: When something was, but the host ran other machines.
    """

    total: int
    idle: int
    stolen: int

    @classmethod
    def read(cls, text: str) -> CpuTimes:
        """Returns what has passed since the machine was started.

        Args:
          text: Text of /proc/stat.
        """
        ticks = [int(word) for word in text.split("\n")[0].split()[_COLUMNS]]
        return cls(sum(ticks), ticks[3] + ticks[4], ticks[7])

    def since(self, before: CpuTimes) -> CpuTimes:
        """Returns what has passed since then."""
        return CpuTimes(*(now - then for now, then in zip(self, before)))

    @property
    def busy_share(self) -> float:
        """The share in which something was to be run, from 0 to 1."""
        return 1 - self.idle / max(self.total, 1)

    @property
    def stolen_share(self) -> float:
        """The share that the host took away, from 0 to 1."""
        return self.stolen / max(self.total, 1)


class Machine:
    """What else ran before a benchmark, and beside it.

    Args:
      secs: How long to look before it begins.
    """

    def __init__(self, secs: float = 1.0):
        self._before = _now()
        time.sleep(secs)
        self._begin = _now()

    def described(self) -> str:
        """Returns it in words, after a comma; "" where nothing is known."""
        now = _now()
        if now is None or self._begin is None or self._before is None:
            return ""
        busy = self._begin.since(self._before).busy_share
        stolen = now.since(self._begin).stolen_share
        others = " with other things" if busy > _IDLE_SHARE else ""
        return (
            f", {busy:.0%} busy before{others}, {stolen:.1%} of its time taken "
            "by other machines"
        )


def _now() -> CpuTimes | None:
    try:
        return CpuTimes.read(_STAT.read_text())
    except OSError:
        return None
