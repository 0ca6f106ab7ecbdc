"""Small jobs that are killed with SIGKILL behind each of their steps."""

from __future__ import annotations

import json
import os
import signal
import sys

import pytest

from tests.support import forked
from tests.support.environment import environment
from tests.support.paths import PROGRAMS

NUM_STEPS = 6
NUM_ITEMS = 5
MAX_ATTEMPTS = 2
# Only so that a hang fails.
DEADLINE_SECS = 250


def run(name, *args, has_keras=False):
    """Runs a program in a process of its own."""
    done = forked.run(
        [sys.executable, str(PROGRAMS / name), *map(str, args)],
        env={**os.environ, **environment(has_keras=has_keras)},
        timeout=DEADLINE_SECS,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("kill_at", range(1, NUM_STEPS + 1))
@pytest.mark.parametrize(
    "mode",
    ["weighted", "weighted_shuffled", "beside"],
)
def test_keras_trains_all_records(tmp_path, mode, kill_at):
    """Also where Keras puts a map and a prefetch behind, for class weights."""
    args = ("keras_every_step.py", mode, tmp_path)
    status, _, err = run(*args, kill_at, has_keras=True)
    assert status == -signal.SIGKILL, err
    status, out, err = run(*args, 0, has_keras=True)
    assert status == 0, err
    outcome = json.loads(out.splitlines()[-1])
    assert outcome["is_done"]
    assert min(outcome["seen"]) >= 1, outcome["seen"]
    # A file in the shuffle buffer beside the one that is read.
    assert max(outcome["seen"]) <= 2, outcome["seen"]


@pytest.mark.parametrize("bad", range(NUM_ITEMS))
@pytest.mark.parametrize(
    "way", ["take", "dataset", "producer", "records", "eager"]
)
def test_a_damaged_item_is_given_up(tmp_path, way, bad):
    """Each start ends at it; all others are trained."""
    args = ("damaged_item.py", way, tmp_path, bad)
    for _ in range(MAX_ATTEMPTS):
        status, _, err = run(*args)
        assert status == -signal.SIGKILL, err
    status, _, err = run(*args)
    assert status == 0, err
    assert f"gave up {bad}" in err
    trained = (tmp_path / "trained").read_text().split()
    assert set(trained) == {str(i) for i in range(NUM_ITEMS)} - {str(bad)}
