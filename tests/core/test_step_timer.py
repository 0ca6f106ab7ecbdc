from __future__ import annotations

import pytest

from wq_hooks.core.step_timer import StepTimer


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def test_by_seconds():
    clock = Clock()
    timer = StepTimer(every_n_secs=10.0, clock=clock)
    assert timer.is_due(0)
    timer.note(0)
    clock.now += 9.9
    assert not timer.is_due(1)
    clock.now += 0.1
    assert timer.is_due(1)
    assert not timer.is_due(0)  # it was done at this step
    timer.reset()
    assert timer.is_due(0)


def test_by_steps():
    timer = StepTimer(every_n_steps=3)
    timer.note(5)
    assert [step for step in range(5, 10) if timer.is_due(step)] == [8, 9]


def test_the_wall_clock_does_not_matter(monkeypatch):
    timer = StepTimer(every_n_secs=1e-9)
    timer.note(0)
    monkeypatch.setattr("time.time", lambda: 0.0)
    assert timer.is_due(1)


@pytest.mark.parametrize("given", [{}, {"every_n_secs": 1, "every_n_steps": 1}])
def test_one_of_the_two(given):
    with pytest.raises(ValueError, match="Expected one of every_n_secs and"):
        StepTimer(**given)
