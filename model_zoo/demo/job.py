"""Runs a job by `wq-hooks launch`, and stays in charge of it.

    was_ended = run(["python", "train.py"], "logs", watch, timeout_secs=300)

When it returns or raises, also by ctrl-C, no process of the job is left.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

NUM_TRAINERS = 3
NUM_PROCESSES = 1 + NUM_TRAINERS
SLOW_TASK = "worker:1"

WQ_HOOKS = [os.path.join(os.path.dirname(sys.executable), "wq-hooks")]

_POLL_SECS = 0.25
_ROOT = pathlib.Path(__file__).resolve().parents[2]


class JobFailedError(Exception):
    """A task has failed, or the job has not ended in time."""


def environment() -> dict[str, str]:
    """The environment of all programs of the demo."""
    paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "TF_CPP_MIN_LOG_LEVEL": "2",
        # One graphics card is not enough for four processes.
        "CUDA_VISIBLE_DEVICES": "",
    }


def run(
    command: Sequence[str],
    log_dir: str,
    watch: Callable[[], signal.Signals | None],
    timeout_secs: float,
    *,
    is_restarted: bool = False,
) -> bool:
    """Runs a job on a parameter server, a chief and two workers to its end.

    Args:
      command: What each task runs.
      log_dir: Where each task's output goes.
      watch: Called again and again meanwhile, and at the end. A signal: send it
        to all tasks.
      timeout_secs: How long it may take.
      is_restarted: Whether a task that fails is started again, once.

    Returns:
      Whether `watch` has ended it.

    Raises:
      JobFailedError: If a task fails, or the job has not ended in time.
    """
    deadline = time.monotonic() + timeout_secs
    os.makedirs(log_dir, exist_ok=True)
    log = pathlib.Path(log_dir, "launch.log")
    launch = [*WQ_HOOKS, "launch", "--ps=1", f"--workers={NUM_TRAINERS - 1}"]
    launch += ["--restart=1"] if is_restarted else []
    launch += ["--grace-secs=2", f"--log-dir={log_dir}"]
    with log.open("w") as output:
        process = subprocess.Popen(
            [*launch, "--", *command],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment(),
            start_new_session=True,  # ctrl-C is for this process alone
        )
        try:
            while process.poll() is None:
                signum = watch()
                if signum is not None:
                    pids = re.findall(r"\(pid (\d+)\)", log.read_text())
                    for pid in pids:
                        with contextlib.suppress(ProcessLookupError):
                            os.kill(int(pid), signum)
                    process.wait(timeout=60)
                    return True
                if time.monotonic() > deadline:
                    raise JobFailedError(
                        f"Expected the job to end within {timeout_secs:g} s; "
                        f"see {log_dir}."
                    )
                time.sleep(_POLL_SECS)
        finally:
            process.terminate()
            process.wait(timeout=60)
    if process.returncode:
        lines = "\n  ".join(log.read_text().splitlines()[-20:])
        raise JobFailedError(f"A task has failed. The end of {log}:\n  {lines}")
    watch()
    return False


def output(command: Sequence[str]) -> str:
    """Runs a program to its end; returns what it has written.

    Raises:
      JobFailedError: If it fails.
    """
    done = subprocess.run(
        command, env=environment(), capture_output=True, text=True
    )
    if done.returncode:
        raise JobFailedError(done.stderr)
    return done.stdout
