"""Who waits for a session in a process that was forked."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import os, threading
import tensorflow.compat.v1 as tf1
from wq_hooks import WorkQueue

def watchers():
    with tf1.Graph().as_default():
        WorkQueue(["a"]).take()
    return [t.name for t in threading.enumerate()].count("session-wait")

assert watchers() == 1
child = os.fork()
if not child:
    os._exit(watchers())
_, status = os.waitpid(child, 0)
print("in the child:", os.WEXITSTATUS(status), "in the parent:", watchers())
"""


def test_a_child_has_a_watch_of_its_own():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "in the child: 1 in the parent: 1" in done.stdout, done.stderr
