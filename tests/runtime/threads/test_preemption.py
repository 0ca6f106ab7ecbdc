"""SIGTERM to real processes; they need no TensorFlow."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from tests.support.environment import environment
from tests.support.paths import PROGRAMS


class Program:
    """One of the functions of tests/programs/preempted.py."""

    def __init__(self, name, *args):
        self._process = subprocess.Popen(
            [sys.executable, PROGRAMS / "preempted.py", name, *map(str, args)],
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines = []
        while not self.lines or not self.lines[-1].endswith("ready"):
            line = self._process.stdout.readline()
            assert line, self.wait() or self.log
            self.lines.append(line.rstrip("\n"))

    def terminate(self):
        self._process.send_signal(signal.SIGTERM)

    def wait(self):
        """Returns its exit code; afterwards `lines` is all that it said."""
        with self._process:
            self.lines += self._process.stdout.read().splitlines()
            self.log = self._process.stderr.read()
        return self._process.returncode


@pytest.mark.parametrize(
    ("name", "exit_code", "said"),
    [
        ("leaves_in_order", 143, ["told", "finally", "atexit"]),
        ("has_an_exit_code", 75, ["told", "finally", "atexit"]),
        (
            "chains_a_handler",
            143,
            ["handler", "told", "finally", "atexit"],
        ),
        ("has_children", 143, ["told", "finally", "atexit"]),
        (
            "keeps_a_descriptor_that_was_there",
            143,
            ["asyncio", "told", "atexit"],
        ),
        # Nothing more is run there.
        ("is_idle_outside_of_python", 143, ["told"]),
        # As if nobody had been there.
        ("gives_back", -signal.SIGTERM, []),
        ("gives_back_in_another_thread", -signal.SIGTERM, []),
        ("leaves_it_alone", -signal.SIGTERM, []),
    ],
)
def test_at_sigterm(name, exit_code, said):
    program = Program(name)
    program.terminate()
    assert program.wait() == exit_code, program.log
    assert sorted(program.lines) == sorted(["ready", *said])


def test_who_has_nothing_to_save_is_left_at_once():
    program = Program("is_idle")
    program.terminate()
    assert program.wait() == 143, program.log
    assert set(program.lines) - {"told"} == {"ready", "finally", "atexit"}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("leaves_an_ignored_one_alone", []),
        ("leaves_the_handler_of_a_later_one_alone", ["later"]),
    ],
)
def test_who_handles_it_himself_is_left_alone(name, said):
    program = Program(name)
    assert program.wait() == 3, program.log
    assert program.lines == [*said, "ready", "atexit"]


@pytest.mark.parametrize(
    "name", ["is_told_by_a_notice", "is_told_by_a_notice_while_idle"]
)
def test_a_notice_does_the_same(tmp_path, name):
    program = Program(name, tmp_path / "notice")
    (tmp_path / "notice").touch()
    assert program.wait() == 143, program.log
    assert set(program.lines) - {"told"} == {"ready", "finally", "atexit"}
    assert "Notice of a preemption" in program.log


def test_a_process_that_does_not_leave_is_ended():
    program = Program("does_not_leave")
    begin = time.monotonic()
    program.terminate()
    assert program.wait() == 143, program.log
    assert time.monotonic() - begin >= 2.0
    # What it had not written yet is not lost.
    assert sorted(program.lines) == ["buffered", "ready", "told"]
    assert "the grace period is over" in program.log


def test_a_second_one_ends_at_once():
    program = Program("stops_for_a_second")
    program.terminate()
    begin = time.monotonic()
    while "told" not in program.lines:
        program.lines.append(program._process.stdout.readline().strip())
    # One that comes soon is the same, passed on by somebody.
    program.terminate()
    time.sleep(max(0.0, begin + 1.0 - time.monotonic()))
    program.terminate()
    assert program.wait() == 143, program.log
    assert "a second SIGTERM" in program.log
    assert time.monotonic() - begin < 20
