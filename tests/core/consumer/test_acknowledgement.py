from __future__ import annotations

import pytest

from wq_hooks.core.consumer.acknowledgement import (
    OnLastRecord,
    OnNext,
    OnTake,
)
from wq_hooks.core.protocol.messages import Claim


def claim(ticket):
    return Claim("gen", ticket)


class TestOnNext:
    def test_the_next_question_completes_the_item(self):
        rule = OnNext()
        assert rule.ask(0) == []
        rule.give(claim(0))
        assert rule.ask(0) == [claim(0)]
        assert rule.ask(0) == []
        assert rule.finish() == []

    def test_readers_and_items_ahead_add_up(self):
        rule = OnNext(num_clients=2)
        for ticket in range(5):
            rule.give(claim(ticket))
        assert rule.ask(1) == [claim(0), claim(1), claim(2)]
        assert rule.finish() == [claim(3), claim(4)]
        assert rule.finish() == []

    def test_what_is_held_goes_back(self):
        rule = OnNext()
        rule.give(claim(0))
        assert rule.abandon() == [claim(0)]
        assert rule.abandon() == []


class TestOnTake:
    def test_nothing_is_said_of_an_item(self):
        rule = OnTake()
        rule.give(claim(0))
        assert rule.ask(0) == rule.finish() == rule.abandon() == []


class TestOnLastRecord:
    def test_questions_complete_nothing(self):
        rule = OnLastRecord(lambda: [claim(0)])
        rule.give(claim(0))
        assert rule.ask(0) == rule.finish() == []

    def test_the_tracker_says_what_goes_back(self):
        rule = OnLastRecord(lambda: [claim(0)])
        assert rule.abandon() == [claim(0)]


@pytest.mark.parametrize("rule", [OnNext(), OnTake(), OnLastRecord(list)])
def test_a_rule_without_items_has_nothing_to_say(rule):
    assert rule.ask(0) == rule.finish() == rule.abandon() == []
