from __future__ import annotations

import json
import math

import pytest

from wq_hooks.core.ledger import Consumer, Ledger
from wq_hooks.core.plan import Plan
from wq_hooks.core.progress import (
    STATE_VERSION,
    ProgressMeter,
    duration_in_words,
    state_of,
)
from wq_hooks.core.works import Works

A = Consumer("worker:0", "a1")
B = Consumer("worker:1", "b1")


def make_ledger(works="abcd", *, num_epochs=1, **kwargs):
    plan = Plan.fresh(
        Works(list(works), prefix="p/"),
        num_epochs=num_epochs,
        shuffle=False,
        seed=0,
    )
    return Ledger(plan, **kwargs)


def take(ledger, consumer, num_items=1, now=0.0):
    tickets = [item.ticket for item in ledger.issue(num_items, now)]
    for ticket in tickets:
        ledger.lease(consumer, ticket, now)
    return tickets


def train(ledger, consumer, num_items=1, now=0.0):
    for ticket in take(ledger, consumer, num_items, now):
        ledger.acknowledge(consumer, ticket, now)


class TestProgress:
    def test_at_the_beginning(self):
        progress = ProgressMeter().measure(make_ledger(), now=100.0)
        assert progress.remaining == progress.total == 4
        assert progress.in_flight == progress.completed == 0
        assert progress.level == 1.0
        assert progress.epoch == 0.0
        assert progress.items_per_sec == 0.0
        assert progress.eta_secs is None
        assert progress.oldest_lease_secs == 0.0
        assert progress.oldest_holder == ""
        assert progress.num_consumers == 0
        assert progress.in_words() == (
            "0 of 4 items completed, 0 in flight, level 1.00"
        )

    def test_half_way(self):
        ledger = make_ledger(num_epochs=2)
        meter = ProgressMeter()
        meter.measure(ledger, now=0.0)
        train(ledger, A, 2, now=5.0)
        take(ledger, B, now=6.0)
        take(ledger, A, now=8.0)
        progress = meter.measure(ledger, now=10.0)
        assert (
            progress.remaining,
            progress.in_flight,
            progress.completed,
            progress.total,
        ) == (4, 2, 2, 8)
        assert progress.level == 1.0
        assert progress.low_watermark == 2
        assert progress.epoch == 0.5
        assert progress.items_per_sec == 0.2
        assert progress.eta_secs == pytest.approx(30.0)
        assert progress.oldest_lease_secs == 4.0
        assert progress.oldest_holder == "worker:1"
        assert progress.num_consumers == 2
        assert progress.in_words() == (
            "2 of 8 items completed, 2 in flight, level 1.00, 0.2 items/s, "
            "30 s to go, oldest lease 4 s (worker:1)"
        )

    def test_at_the_end(self):
        ledger = make_ledger("a")
        meter = ProgressMeter()
        meter.measure(ledger, now=0.0)
        train(ledger, A)
        ledger.leave(A, 0.0)
        progress = meter.measure(ledger, now=1.0)
        assert progress.remaining == progress.in_flight == 0
        assert progress.eta_secs == 0.0
        assert progress.num_consumers == 0

    def test_without_end(self):
        ledger = make_ledger("ab", num_epochs=None)
        meter = ProgressMeter()
        meter.measure(ledger, now=0.0)
        train(ledger, A, 3)
        progress = meter.measure(ledger, now=1.0)
        assert progress.remaining is None
        assert progress.total is None
        assert progress.eta_secs is None
        assert progress.epoch == 1.5
        assert progress.in_words().startswith("3 of endless items completed")

    def test_repeated_and_given_up_items_are_told(self):
        ledger = make_ledger("ab", max_attempts=2)
        for life in ("1", "2", "3"):
            consumer = Consumer("worker:0", life)
            ledger.heard(consumer, 0.0)
            take(ledger, consumer)
        progress = ProgressMeter().measure(ledger, now=0.0)
        assert progress.repeated == 1
        assert progress.given_up == 1
        assert progress.in_words().endswith("1 handed out again, 1 GIVEN UP")

    def test_two_measures_at_the_same_time(self):
        ledger = make_ledger()
        meter = ProgressMeter()
        meter.measure(ledger, now=1.0)
        train(ledger, A)
        assert meter.measure(ledger, now=1.0).items_per_sec == 0.0

    def test_the_rate_is_that_of_the_last_minutes(self):
        ledger = make_ledger("a", num_epochs=None)
        meter = ProgressMeter()
        for minute in range(60):
            now = minute * 60.0
            progress = meter.measure(ledger, now)
            train(ledger, A, 60 if minute < 30 else 600, now)
        assert progress.items_per_sec == pytest.approx(10.0)
        assert len(meter._points) <= 7

    def test_the_rate_is_known_also_when_measured_rarely(self):
        ledger = make_ledger("a", num_epochs=None)
        meter = ProgressMeter()
        for hour in range(5):
            progress = meter.measure(ledger, hour * 3600.0)
            train(ledger, A, 36, hour * 3600.0)
        assert progress.items_per_sec == pytest.approx(0.01)

    def test_a_queue_that_goes_back_to_a_checkpoint_has_no_negative_rate(self):
        meter = ProgressMeter()
        ledger = make_ledger("abcdefgh")
        meter.measure(ledger, now=0.0)
        train(ledger, A, 6)
        meter.measure(ledger, now=10.0)
        restored = make_ledger("abcdefgh")
        train(restored, A, 2)
        progress = meter.measure(restored, now=20.0)
        assert progress.items_per_sec == 0.0
        assert progress.eta_secs is None
        train(restored, A, 1)
        assert meter.measure(restored, now=30.0).items_per_sec == 0.1


class TestState:
    def test_is_json_with_one_entry_for_each_task(self):
        ledger = make_ledger("abcdef", num_epochs=2)
        train(ledger, A, 1)
        take(ledger, A, 1, now=2.0)
        take(ledger, Consumer("worker:0/2", "a1"), 1, now=3.0)
        take(ledger, B, 1, now=4.0)
        ledger.leave(B, 5.0)
        state = json.loads(json.dumps(state_of(ledger, now=10.0)))
        assert state["version"] == STATE_VERSION
        assert (state["total"], state["items_per_epoch"]) == (12, 6)
        assert (
            state["remaining"],
            state["in_flight"],
            state["completed"],
            state["low_watermark"],
        ) == (9, 2, 1, 1)
        assert [worker["name"] for worker in state["workers"]] == [
            "worker:0",
            "worker:1",
        ]
        first, second = state["workers"]
        assert (first["taken"], first["completed"]) == (3, 1)
        assert not first["has_left"]
        assert first["last_heard_secs"] == 7.0
        assert first["item_secs"] == 0.0
        assert first["items"] == [
            {"ticket": 1, "text": "p/b", "held_secs": 8.0},
            {"ticket": 2, "text": "p/c", "held_secs": 7.0},
        ]
        assert second["has_left"]
        assert second["items"] == []
        assert second["item_secs"] is None

    def test_names_what_was_given_up(self):
        ledger = make_ledger("ab", max_attempts=1)
        take(ledger, A)
        ledger.leave(A, 0.0)
        assert state_of(ledger, 0.0)["given_up"] == ["p/a"]

    def test_without_end(self):
        state = state_of(make_ledger(num_epochs=None), 0.0)
        assert state["total"] is None
        assert state["remaining"] is None

    def test_holding_items_of_two_epochs_does_not_disturb_the_hand_out(self):
        plan = Plan.fresh(
            Works([f"w{i}" for i in range(20)]),
            num_epochs=2,
            shuffle=True,
            seed=1,
        )
        ledger = Ledger(plan)
        take(ledger, A, 25)
        order = plan._order
        state_of(ledger, 0.0)
        assert plan._order is order


@pytest.mark.parametrize(
    ("secs", "words"),
    [
        (-1.0, "0 s"),
        (0.0, "0 s"),
        (0.4, "0 s"),
        (45.2, "45 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (200, "3 min 20 s"),
        (3599.4, "59 min 59 s"),
        (3599.6, "1 h 0 min"),
        (7530, "2 h 5 min"),
        (math.pi * 1e6, "872 h 39 min"),
    ],
)
def test_durations_in_words(secs, words):
    assert duration_in_words(secs) == words
