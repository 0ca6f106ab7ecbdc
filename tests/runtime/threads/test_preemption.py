"""SIGTERM to real processes; they need no TensorFlow."""

from __future__ import annotations

import signal
import time

import pytest

from tests.support.terminated import Program


def program(name, *args):
    """Starts one of the functions there, and waits until it is ready."""
    started = Program("preempted.py", name, *args)
    started.wait_for_line("ready$")
    return started


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
    started = program(name)
    started.terminate()
    assert started.wait() == exit_code, started.log
    assert sorted(started.lines) == sorted(["ready", *said])


def test_who_has_nothing_to_save_is_left_at_once():
    started = program("is_idle")
    started.terminate()
    assert started.wait() == 143, started.log
    assert set(started.lines) - {"told"} == {"ready", "finally", "atexit"}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("leaves_an_ignored_one_alone", []),
        ("leaves_the_handler_of_a_later_one_alone", ["later"]),
    ],
)
def test_who_handles_it_himself_is_left_alone(name, said):
    started = program(name)
    assert started.wait() == 3, started.log
    assert started.lines == [*said, "ready", "atexit"]


@pytest.mark.parametrize(
    "name", ["is_told_by_a_notice", "is_told_by_a_notice_while_idle"]
)
def test_a_notice_does_the_same(tmp_path, name):
    started = program(name, tmp_path / "notice")
    (tmp_path / "notice").touch()
    assert started.wait() == 143, started.log
    assert set(started.lines) - {"told"} == {"ready", "finally", "atexit"}
    assert "Notice of a preemption" in started.log


def test_a_process_that_does_not_leave_is_ended():
    started = program("does_not_leave")
    begin = time.monotonic()
    started.terminate()
    assert started.wait() == 143, started.log
    assert time.monotonic() - begin >= 2.0
    # What it had not written yet is not lost.
    assert sorted(started.lines) == ["buffered", "ready", "told"]
    assert "the grace period is over" in started.log


def test_a_second_one_ends_at_once():
    started = program("stops_for_a_second")
    started.terminate()
    begin = time.monotonic()
    started.wait_for_line("told")
    # One that comes soon is the same, passed on by somebody.
    started.terminate()
    time.sleep(max(0.0, begin + 1.0 - time.monotonic()))
    started.terminate()
    assert started.wait() == 143, started.log
    assert "a second SIGTERM" in started.log
    assert time.monotonic() - begin < 20
