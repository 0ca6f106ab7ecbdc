"""Leaving takes 5 s at most, however long a process has trained."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.environment import environment
from tests.support.paths import ROOT

# The thread that tunes tf.data sleeps for up to 40 s by then.
TRAIN_SECS = 62.0
LEAVE_SECS = 5.0


@pytest.mark.parametrize("is_tuned", [False, True])
@pytest.mark.parametrize("how", ["session", "sessions", "keras"])
def test_leaving_takes_five_seconds_at_most(tmp_path, how, is_tuned):
    works = [tmp_path / str(number) for number in range(4)]
    for work in works:
        work.write_text("a line\n" * 1000)
    command = [sys.executable, "-m", "tests.programs.leave", f"--how={how}"]
    command += ["--is_tuned"] * is_tuned + [f"--secs={TRAIN_SECS}", "--works"]
    done = subprocess.run(
        [*command, *map(str, works)],
        cwd=ROOT,
        env=environment(has_keras=True),
        stdout=subprocess.PIPE,
        check=True,
        text=True,
        timeout=280,
    )
    left = [
        float(line.split()[1])
        for line in done.stdout.splitlines()
        if line.startswith("LEFT")
    ]
    assert len(left) == (2 if how == "sessions" else 1)
    assert max(left) < LEAVE_SECS
