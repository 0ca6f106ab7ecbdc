"""What a script sees of the log: each line once, and ours as TensorFlow's."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

import wq_hooks
from tests.support.environment import environment

PROGRAM = """
import logging, sys
import tensorflow as tf
from absl import app
from absl import logging as absl_logging
import wq_hooks
tf1 = tf.compat.v1

def main(argv):
    for _ in range(2):
        with tf.Graph().as_default():
            step = tf1.train.get_or_create_global_step()
            queue = wq_hooks.WorkQueue(["a", "b"])
            item = queue.take()
            train_op = step.assign_add(1)
            with tf1.train.MonitoredTrainingSession(
                checkpoint_dir=sys.argv[1], hooks=[wq_hooks.WorkQueueHook()]
            ) as session:
                while not session.should_stop():
                    session.run([item, train_op])
"""
FINALIZED = "Graph was finalized"
BEGUN = "from the beginning"
NOTHING_LEFT = "nothing is left to be trained"


def counts(tmp_path, *lines):
    """Returns how often the standard error has each of three lines."""
    program = "\n".join([PROGRAM, *lines])
    result = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        env=environment(),
    )
    return [
        len(re.findall(text, result.stderr))
        for text in (FINALIZED, BEGUN, NOTHING_LEFT)
    ]


def test_of_a_plain_script_warnings_are_seen(tmp_path):
    assert counts(tmp_path, "main([])") == [0, 0, 1]


def test_tensorflow_s_lines_come_once(tmp_path):
    verbosity = "tf1.logging.set_verbosity(tf1.logging.INFO)"
    handlers = "main([]); assert not logging.getLogger().handlers"
    assert counts(tmp_path, verbosity, handlers) == [2, 0, 1]


def test_our_lines_have_the_verbosity_of_absl(tmp_path):
    verbosity = "absl_logging.set_verbosity(absl_logging.INFO)"
    assert counts(tmp_path, verbosity, "main([])") == [0, 1, 1]


def test_what_python_s_logging_is_told_to_write_comes_once(tmp_path):
    config = "logging.basicConfig(level=logging.INFO)"
    verbosity = "absl_logging.set_verbosity(absl_logging.INFO)"
    _, *ours = counts(tmp_path, config, verbosity, "main([])")
    assert ours == [1, 1]


def test_in_a_program_of_absl(tmp_path):
    _, *ours = counts(
        tmp_path,
        "absl_logging.set_verbosity(absl_logging.INFO)",
        "app.run(main, argv=sys.argv[:1])",
    )
    assert ours == [1, 1]


@pytest.mark.parametrize("path", ["absl import logging", "absl.logging import"])
def test_absl_s_functions_are_not_called(path):
    """The first call gives the root logger a handler."""
    folder = wq_hooks.__path__[0]
    found = subprocess.run(
        ["grep", "-rlE", f"(from|import) {path}", folder, "--include=*.py"],
        capture_output=True,
        text=True,
    )
    assert found.stdout == ""
