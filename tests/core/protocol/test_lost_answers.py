"""When a step counts as one whose answer is lost."""

from __future__ import annotations

import pytest

from wq_hooks.core.protocol.lost_answers import LostAnswers, OpenSteps

KEY, TEXT = 7, "number 3"
PATIENCE_SECS = 10.0
DONE = {KEY: TEXT}


class Looks:
    """Looks each second, and knows what was lost."""

    def __init__(self):
        self.now = 0.0
        self.steps = OpenSteps()
        self._answers = LostAnswers(
            lambda: list(self.steps),
            patience_secs=PATIENCE_SECS,
            step_secs=2.0,
            clock=lambda: self.now,
        )

    def look(self, found=(), *, times=1, secs=1.0, has_room=True):
        """Returns what is lost after so many looks; [] as soon as nothing."""
        lost = []
        for _ in range(times):
            self.now += secs
            suspects = self._answers.suspects()
            lost.append(
                self._answers.look(suspects, dict(found), has_room=has_room)
            )
        return [step.what for step in lost if step is not None]


@pytest.fixture
def looks():
    return Looks()


def test_a_question_that_the_server_has_not_answered_is_not_lost(looks):
    with looks.steps.open("take", KEY, TEXT):
        assert not looks.look(times=1000)
        # That is the one before.
        assert not looks.look({KEY: "number 2"}, times=1000)


def test_a_question_that_is_answered_and_does_not_return_is_lost(looks):
    with looks.steps.open("take", KEY, TEXT):
        assert not looks.look(DONE, times=11)
        assert looks.look(DONE) == ["take"]


def test_a_step_that_returns_is_not_lost(looks):
    for _ in range(50):
        with looks.steps.open("take", KEY, TEXT):
            assert not looks.look(DONE, times=10)
    assert not looks.look(DONE, times=50)


def test_it_counts_anew_when_the_server_takes_it_back(looks):
    with looks.steps.open("take", KEY, TEXT):
        for _ in range(50):
            assert not looks.look(DONE, times=10)
            assert not looks.look()


def test_a_step_that_never_waits_is_lost_where_there_is_room(looks):
    with looks.steps.open("report"):
        assert not looks.look(times=100, has_room=False)
        assert not looks.look(times=10)
        assert looks.look() == ["report"]


def test_one_that_was_stopped_waits_for_what_comes_when_it_goes_on(looks):
    with looks.steps.open("take", KEY, TEXT):
        assert not looks.look(DONE, times=4, secs=3600.0)
        # Two seconds each count.
        assert not looks.look(DONE, times=2, secs=3600.0)


def test_few_looks_are_not_enough(looks):
    answers = LostAnswers(
        lambda: list(looks.steps),
        patience_secs=PATIENCE_SECS,
        step_secs=1000.0,
        clock=lambda: looks.now,
    )
    with looks.steps.open("take", KEY, TEXT):
        answers.suspects()
        for _ in range(4):
            looks.now += 100.0
            suspects = answers.suspects()
            assert suspects
            assert answers.look(suspects, DONE, has_room=True) is None


def test_a_step_that_has_just_begun_is_not_asked_for(looks):
    answers = looks._answers
    with looks.steps.open("take", KEY, TEXT):
        assert answers.suspects() == []
        assert [step.what for step in answers.suspects()] == ["take"]
    assert answers.suspects() == []


def test_a_step_that_returns_while_the_server_is_asked_is_not_lost(looks):
    opened = looks.steps.open("take", KEY, TEXT)
    with opened:
        looks.look(DONE, times=11)
        suspects = looks._answers.suspects()
        assert suspects
    looks.now += 100.0
    assert looks._answers.look(suspects, DONE, has_room=True) is None


def test_numbers_differ():
    steps = OpenSteps()
    assert len({steps.new_number() for _ in range(9)}) == 9
