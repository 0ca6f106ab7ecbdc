from __future__ import annotations

import pytest

from wq_hooks import Preemption
from wq_hooks.core.preemption import Signals, Timetable, as_preemption


@pytest.mark.parametrize(
    ("argument", "error", "text"),
    [
        ({"grace_secs": 0}, ValueError, "0 < grace_secs"),
        ({"grace_secs": "25"}, TypeError, "grace_secs"),
        ({"exit_code": 256}, ValueError, "exit_code <= 255"),
        ({"exit_code": -1}, ValueError, "exit_code >= 0"),
        ({"exit_code": 1.0}, TypeError, "exit_code"),
        ({"notice": True}, TypeError, "function without arguments"),
    ],
)
def test_a_bad_argument_is_refused(argument, error, text):
    with pytest.raises(error, match=text):
        Preemption(**argument)


def test_what_a_hook_takes():
    settings = Preemption(grace_secs=10)
    assert as_preemption(settings) is settings
    assert as_preemption(None) is None
    with pytest.raises(TypeError, match="a Preemption, or None"):
        as_preemption(False)


@pytest.mark.parametrize(
    ("grace_secs", "drain_until", "wait_until"),
    [(25.0, 101.0, 110.0), (2.0, 100.4, 100.8)],
)
def test_the_timetable(grace_secs, drain_until, wait_until):
    timetable = Timetable(100.0, grace_secs)
    assert timetable.drain_until == pytest.approx(drain_until)
    assert timetable.wait_until == pytest.approx(wait_until)
    assert timetable.end == 100.0 + grace_secs


class TestSignals:
    def test_one_that_is_passed_on_is_the_same(self):
        signals = Signals()
        assert not signals.is_second("descriptor", 1.0)
        assert not signals.is_second("descriptor", 1.4)
        assert signals.is_second("descriptor", 1.5)

    def test_a_handler_that_runs_late_hears_of_the_first(self):
        signals = Signals()
        assert not signals.is_second("descriptor", 1.0)
        assert not signals.is_second("handler", 9.0)
        assert signals.is_second("handler", 9.5)
