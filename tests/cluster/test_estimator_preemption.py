"""SIGTERM to an Estimator that trains or evaluates."""

from __future__ import annotations

import json
import signal
import time

import pytest
import tensorflow as tf

from tests.support.terminated import Program

pytestmark = [
    pytest.mark.estimator,
    pytest.mark.skipif(
        not hasattr(tf, "estimator"),
        reason="tf.estimator ended with TensorFlow 2.15; this is "
        f"{tf.__version__}",
    ),
]

CODE = 143
GRACE_SECS = 25.0


def terminated(pattern, *args):
    """Returns a program that got SIGTERM behind a line, and after what time."""
    program = Program("train_estimator.py", *args)
    program.wait_for_line(pattern)
    begin = time.monotonic()
    program.terminate()
    program.returncode = program.wait()
    program.secs = time.monotonic() - begin
    return program


def trained(program):
    return [line for line in program.lines if line.startswith("TRAINED")]


def position_in(directory):
    """Returns the global step, and how many items are completed."""
    reader = tf.train.load_checkpoint(str(directory))
    position = json.loads(reader.get_tensor("work_queue/position"))["body"]
    outstanding = len(position["outstanding"])
    step = int(reader.get_tensor("global_step"))
    return step, position["next_ticket"] - outstanding


def test_in_training(tmp_path):
    first = terminated("TRAINED item-0009", tmp_path)
    assert first.returncode == CODE, first.log
    assert first.secs < GRACE_SECS
    assert "DONE" not in first.lines
    num_trained = len(trained(first))
    # All that was trained is saved, and completed.
    assert position_in(tmp_path) == (num_trained, num_trained)
    names = [path.name for path in tmp_path.glob("*.index")]
    assert len(names) == 2

    second = Program("train_estimator.py", tmp_path)
    assert second.wait() == 0, second.log
    assert trained(first) + trained(second) == [
        f"TRAINED item-{i:04d}" for i in range(200)
    ]


def test_in_an_evaluation_with_the_hook(tmp_path):
    program = terminated(
        "EVALUATED", tmp_path, "--how=evaluate", "--num_works=5"
    )
    assert program.returncode == CODE, program.log
    assert program.secs < GRACE_SECS
    assert "DONE" not in program.lines
    assert position_in(tmp_path) == (5, 5)


def test_in_an_evaluation_without_the_hook(tmp_path):
    """There is nothing to save any more: SIGTERM does what it always does."""
    program = terminated(
        "EVALUATED",
        tmp_path,
        "--how=evaluate",
        "--num_works=5",
        "--has_hook=0",
    )
    assert program.returncode == -signal.SIGTERM, program.log
    assert position_in(tmp_path) == (5, 5)


@pytest.mark.parametrize("has_hook", [1, 0])
def test_in_an_evaluation_inside_of_the_training(tmp_path, has_hook):
    program = terminated(
        "EVALUATED",
        tmp_path,
        "--how=train_and_evaluate",
        "--num_works=5",
        "--grace_secs=8",
        f"--has_hook={has_hook}",
    )
    assert program.returncode == CODE, program.log
    assert program.secs < GRACE_SECS
    # Without a hook nobody can end the evaluation but the grace period.
    is_over = "the grace period is over" in program.log
    assert is_over == (not has_hook)
    assert position_in(tmp_path)[0] == len(trained(program))
