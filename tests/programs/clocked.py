"""Runs a program whose wall clock is set an hour back and forth meanwhile.

python clocked.py train.py ...      # LD_PRELOAD: tests/support/shifted_clock.c
python clocked.py read              # reads a queue in eager mode

It prints `HOURS <how many it was ahead>` when it has seen the clock jump.
"""

from __future__ import annotations

import ctypes
import itertools
import runpy
import sys
import threading
import time

from wq_hooks import WorkQueue

HOUR_SECS = 3600
_EVERY_SECS = 0.3
_NUM_ITEMS = 40
_STEP_SECS = 0.03


def set_clock_forever() -> None:
    set_shift = ctypes.CDLL(None).set_clock_shift
    set_shift.argtypes = [ctypes.c_int64]
    begin = time.time() - time.monotonic()
    for number, hours in enumerate(itertools.cycle((-1, 1, 0, 1, -1))):
        set_shift(hours * HOUR_SECS)
        ahead = time.time() - time.monotonic() - begin
        if number < 2:
            print("HOURS", round(ahead / HOUR_SECS), flush=True)
        time.sleep(_EVERY_SECS)


def read() -> None:
    """Trains each item of a queue in a step of an eager loop."""
    works = [str(i) for i in range(_NUM_ITEMS)]
    with WorkQueue(works, shuffle=False) as queue:
        for item in queue.input_dataset().as_numpy_iterator():
            print("GOT", item.decode(), flush=True)
            time.sleep(_STEP_SECS)
        print("POSITION", queue.snapshot(), flush=True)


if __name__ == "__main__":
    threading.Thread(target=set_clock_forever, daemon=True).start()
    if sys.argv[1] == "read":
        read()
    else:
        sys.argv = sys.argv[1:]
        runpy.run_path(sys.argv[0], run_name="__main__")
