"""Jobs of Keras that get SIGTERM, and go on when they are started again."""

from __future__ import annotations

import json
import os
import signal
import sys
import time

import pytest

from tests.support import forked
from tests.support.environment import environment
from tests.support.paths import PROGRAMS

BATCH_SIZE = 4
SHUFFLE_BUFFER = 9
GRACE_SECS = 25.0
# Only so that a hang fails.
DEADLINE_SECS = 250
PREEMPTED = 143


@pytest.fixture
def run(tmp_path):
    """Runs the program; returns (exit code, what it said, log)."""

    def run(saver, where=""):
        program = str(PROGRAMS / "keras_preempted.py")
        done = forked.run(
            [sys.executable, program, saver, str(tmp_path), where],
            env={**os.environ, **environment(has_keras=True)},
            timeout=DEADLINE_SECS,
        )
        said = {}
        for line in done.stdout.splitlines():
            said.update(json.loads(line))
        return done.returncode, said, done.stderr

    return run


def preempt_and_resume(run, saver, where):
    """Returns what the job says at its end."""
    status, said, err = run(saver, where)
    assert time.monotonic() - said["stopped"] < GRACE_SECS, err
    assert status == PREEMPTED, err
    assert "Traceback" not in err
    status, said, err = run(saver)
    assert status == 0, err
    assert said["is_done"]
    assert said["lost"] == 0
    return said


@pytest.mark.parametrize(
    ("saver", "where"),
    [
        ("checkpoint", "step"),
        ("checkpoint", "wait"),
        ("checkpoint", "first"),
        ("checkpoint", "before"),
        ("checkpoint", "evaluate"),
        ("executions", "wait"),
        ("backup", "step"),
        ("backup", "evaluate_wait"),
        ("backup_steps", "step"),
        ("weights", "step"),
        ("weights_steps", "wait"),
    ],
)
def test_records_in_order_are_trained_once(run, saver, where):
    said = preempt_and_resume(run, saver, where)
    assert said["repeated"] <= BATCH_SIZE


@pytest.mark.parametrize("where", ["shuffledstep", "shuffledwait"])
def test_a_shuffle_buffer_may_be_trained_again(run, where):
    said = preempt_and_resume(run, "checkpoint", where)
    assert said["repeated"] <= BATCH_SIZE + SHUFFLE_BUFFER


def test_without_on_preemption_sigterm_is_left_alone(run):
    status, _, err = run("none", "step")
    assert status == -signal.SIGTERM, err
