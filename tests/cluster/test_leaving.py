"""Leaving takes 5 s at most, however long a process has trained."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import forked
from tests.support.environment import environment
from tests.support.paths import ROOT

# The thread that tunes tf.data sleeps for up to 40 s by then.
TRAIN_SECS = 62.0
LEAVE_SECS = 5.0


HANG_SECS = 280
CASES = [
    (how, is_tuned)
    for how in ("session", "sessions", "keras")
    for is_tuned in (False, True)
]


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """Returns a program for each case; they train at the same time."""
    directory = tmp_path_factory.mktemp("works")
    works = [str(directory / str(number)) for number in range(4)]
    for work in works:
        Path(work).write_text("a line\n" * 1000)
    started = {case: start(*case, works) for case in CASES}
    yield started
    for program in started.values():
        program.kill()
        program.communicate()


def start(how, is_tuned, works):
    command = [sys.executable, "tests/programs/leave.py", f"--how={how}"]
    command += ["--is_tuned"] * is_tuned + [f"--secs={TRAIN_SECS}", "--works"]
    return forked.popen(
        command + works,
        cwd=ROOT,
        env=environment(has_keras=True),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(("how", "is_tuned"), CASES)
def test_leaving_takes_five_seconds_at_most(programs, how, is_tuned):
    program = programs[how, is_tuned]

    printed, errors = program.communicate(timeout=HANG_SECS)

    assert program.returncode == 0, errors
    left = [
        float(line.split()[1])
        for line in printed.splitlines()
        if line.startswith("LEFT")
    ]
    assert len(left) == (2 if how == "sessions" else 1)
    assert max(left) < LEAVE_SECS
