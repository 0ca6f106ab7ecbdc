from __future__ import annotations

import math

import pytest

from wq_hooks.core.items.plan import Plan
from wq_hooks.core.items.works import Works
from wq_hooks.core.ledger.consumer_state import Consumer
from wq_hooks.core.ledger.ledger import Ledger
from wq_hooks.core.monitoring.progress import ProgressMeter

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
        assert progress.recent_items_per_sec == 0.0
        assert progress.eta_secs is None
        assert progress.oldest_in_flight_secs == 0.0
        assert progress.oldest_holder == ""
        assert progress.in_words() == (
            "0 of 4 items completed, 0 in flight, level 1.00 epochs"
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
        # The clock starts with the first consumer, at 5 s.
        assert progress.recent_items_per_sec == 0.4
        assert progress.eta_secs == pytest.approx(15.0)
        assert progress.oldest_in_flight_secs == 4.0
        assert progress.oldest_holder == "worker:1"
        assert progress.in_words() == (
            "2 of 8 items completed, 2 in flight, level 1.00 epochs, "
            "0.4 items/s, 15 s to go, oldest lease 4 s (worker:1)"
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
        assert meter.measure(ledger, now=1.0).recent_items_per_sec == 0.0

    def test_the_rate_is_that_of_the_last_minutes(self):
        ledger = make_ledger("a", num_epochs=None)
        meter = ProgressMeter()
        for minute in range(60):
            now = minute * 60.0
            progress = meter.measure(ledger, now)
            train(ledger, A, 60 if minute < 30 else 600, now)
        assert progress.recent_items_per_sec == pytest.approx(10.0)
        assert len(meter._points) <= 7

    def test_the_rate_is_known_also_when_measured_rarely(self):
        ledger = make_ledger("a", num_epochs=None)
        meter = ProgressMeter()
        for hour in range(5):
            progress = meter.measure(ledger, hour * 3600.0)
            train(ledger, A, 36, hour * 3600.0)
        assert progress.recent_items_per_sec == pytest.approx(0.01)

    def test_a_queue_that_goes_back_to_a_checkpoint_has_no_negative_rate(self):
        meter = ProgressMeter()
        ledger = make_ledger("abcdefgh")
        meter.measure(ledger, now=0.0)
        train(ledger, A, 6)
        meter.measure(ledger, now=10.0)
        restored = make_ledger("abcdefgh")
        train(restored, A, 2)
        progress = meter.measure(restored, now=20.0)
        assert progress.recent_items_per_sec == 0.0
        assert progress.eta_secs is None
        train(restored, A, 1)
        assert meter.measure(restored, now=30.0).recent_items_per_sec == 0.1


class Steady:
    """Workers that take a given time for an item, one after the other."""

    def __init__(self, secs_of, num_items, begin=0.0):
        self.ledger = make_ledger([f"w{i}" for i in range(num_items)])
        self.secs_of = dict(enumerate(secs_of))
        self.free_at = dict.fromkeys(self.secs_of, begin)
        self.held = {}
        self.now = 0.0

    def run_until(self, time):
        while self.free_at and min(self.free_at.values()) <= time:
            k = min(self.free_at, key=self.free_at.get)
            now, worker = self.free_at[k], Consumer(f"worker:{k}", "x")
            if k in self.held:
                self.ledger.acknowledge(worker, self.held.pop(k), now)
                self.now = now
            tickets = take(self.ledger, worker, 1, now)
            if tickets:
                (self.held[k],) = tickets
                self.free_at[k] += self.secs_of[k]
            else:
                del self.free_at[k]


class TestEstimate:
    @pytest.mark.parametrize("secs_of", [[40.0] * 4, [40.0] * 3 + [160.0]])
    @pytest.mark.parametrize("every", [5.0, 17.0, 60.0])
    @pytest.mark.parametrize("begin", [0.0, 50.0])
    @pytest.mark.parametrize("num_items", [80, 400])
    def test_is_within_a_tenth_from_one_quarter_on(
        self, secs_of, every, begin, num_items
    ):
        whole = Steady(secs_of, num_items, begin)
        whole.run_until(math.inf)
        end = whole.now
        job = Steady(secs_of, num_items, begin)
        now, errors = 0.0, []
        meter = ProgressMeter()
        while now < end:
            job.run_until(now)
            progress = meter.measure(job.ledger, now)
            if begin + (end - begin) / 4 < now < end:
                error = now + progress.eta_secs - end
                errors.append(abs(error) / (end - begin))
            now += every
        assert max(errors) < 0.1

    def test_the_end_waits_for_the_slowest(self):
        job = Steady([10.0, 10.0, 95.0], 22)
        meter = ProgressMeter()
        for now in range(0, 120, 5):
            job.run_until(now)
            progress = meter.measure(job.ledger, now)
        assert progress.remaining == 0
        assert progress.in_flight == 1
        assert progress.eta_secs == pytest.approx(75)

    def test_records(self):
        ledger = make_ledger()
        meter = ProgressMeter()
        take(ledger, A)
        meter.measure(ledger, 0.0)
        ledger.count_records(A, 600)
        progress = meter.measure(ledger, 60.0)
        assert (progress.records, progress.recent_records_per_sec) == (
            600,
            10.0,
        )
