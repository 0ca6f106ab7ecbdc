"""The tail, by a simulated clock: no job takes a second of real time."""

from __future__ import annotations

import heapq
import itertools
import math
import statistics
from collections import Counter
from random import Random

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from tests.support.simulated_cluster import SimulatedCluster
from wq_hooks.core.items.plan import Plan
from wq_hooks.core.items.works import Works
from wq_hooks.core.ledger import tail_scheduling
from wq_hooks.core.ledger.consumer_state import Consumer
from wq_hooks.core.ledger.ledger import Ledger
from wq_hooks.core.ledger.tail_scheduling import (
    _SLACK,
    Pace,
    useless_at_the_end,
)

POLL_SECS = 0.2

speeds = st.floats(0.1, 20.0)
paces = st.lists(
    st.tuples(speeds, st.floats(0.0, 30.0)), min_size=1, max_size=5
).map(lambda pairs: [Pace(f"w{i}", s, f) for i, (s, f) in enumerate(pairs)])


def equal(num_items):
    """Returns the lengths of items that are equal."""
    return [1.0] * num_items


def optimum(paces, num_items):
    """Brute force: the earliest end over all ways to deal out the items."""
    best = float("inf")
    for counts in itertools.product(range(num_items + 1), repeat=len(paces)):
        if sum(counts) == num_items:
            end = max(
                pace.free_at + count * pace.secs_per_unit
                for pace, count in zip(paces, counts)
                if count
            )
            best = min(best, end)
    return best


def first_come(paces, num_items, is_held_back):
    """Returns the end when each takes an item as soon as it is free."""
    free_at = {pace.name: pace.free_at for pace in paces}
    secs = {pace.name: pace.secs_per_unit for pace in paces}
    end = 0.0
    for remaining in range(num_items, 0, -1):
        now_paces = [Pace(n, secs[n], free_at[n]) for n in free_at]
        for name in sorted(free_at, key=free_at.get):
            # Busy consumers become free at their time, or wait from then on.
            if not is_held_back(name, now_paces, remaining, free_at[name]):
                break
        else:
            pytest.fail("everybody is held_back")
        free_at[name] += secs[name]
        end = max(end, free_at[name])
    return end


def bars(name, paces, remaining, now):
    return name in useless_at_the_end(paces, equal(remaining), now)


# The rule.


@given(paces, st.integers(1, 50), st.floats(0.0, 40.0))
def test_somebody_is_always_let_in(paces, num_items, now):
    paces = [Pace(p.name, p.secs_per_unit, max(now, p.free_at)) for p in paces]

    assert len(useless_at_the_end(paces, equal(num_items), now)) < len(paces)


@given(st.integers(1, 8), speeds, st.integers(0, 50), st.floats(0.0, 1e6))
def test_nobody_is_held_back_among_equals(num_consumers, secs, num_items, now):
    paces = [Pace(f"w{i}", secs, now) for i in range(num_consumers)]

    assert not useless_at_the_end(paces, equal(num_items), now)


@given(paces)
def test_nobody_is_held_back_while_items_are_plenty(paces):
    latest = max(pace.free_at + pace.secs_per_unit for pace in paces)
    rate = sum(1 / pace.secs_per_unit for pace in paces)
    # More than all together can do until the slowest has done one more.
    plenty = int(latest * rate) + len(paces) + 1

    assert not useless_at_the_end(paces, equal(plenty), 0.0)


def test_without_consumers_or_items_nobody_is_held_back():
    assert not useless_at_the_end([], equal(5), 0.0)
    assert not useless_at_the_end([Pace("a", 1.0, 0.0)], [], 0.0)


def test_a_slow_one_is_held_back_from_the_last_item():
    paces = [Pace("fast", 1.0, 0.5), Pace("slow", 4.0, 0.0)]

    assert useless_at_the_end(paces, equal(1), 0.0) == {"slow"}
    assert useless_at_the_end(paces, equal(3), 0.0) == {"slow"}
    # The fast one would end with the fourth at 4.5.
    assert not useless_at_the_end(paces, equal(4), 0.0)


def test_it_is_let_in_again_when_the_fast_one_stalls():
    paces = [Pace("fast", 1.0, 3.5), Pace("slow", 4.0, 0.0)]

    assert "slow" not in useless_at_the_end(paces, equal(1), 0.0)


@settings(deadline=None)
@given(
    st.lists(st.tuples(speeds, st.floats(0.0, 10.0)), min_size=1, max_size=3),
    st.integers(1, 8),
)
@example([(1.0, 0.0), (1.0, 0.0), (4.0, 0.0)], 8)
@example([(1.0, 0.0), (3.0, 0.0)], 4)
def test_the_end_is_that_of_the_best_of_all_ways(pairs, num_items):
    paces = [Pace(f"w{i}", s, f) for i, (s, f) in enumerate(pairs)]
    slack = _SLACK * max(pace.secs_per_unit for pace in paces)

    end = first_come(paces, num_items, bars)

    assert end <= optimum(paces, num_items) + slack + 1e-6


@given(paces, st.integers(1, 40))
def test_it_is_never_later_than_plain_first_come(paces, num_items):
    slack = _SLACK * max(pace.secs_per_unit for pace in paces)
    plain = first_come(paces, num_items, lambda *_: False)

    assert first_come(paces, num_items, bars) <= plain + slack + 1e-6


# Items that are long or short.

lengths_of_items = st.lists(st.floats(0.1, 10.0), min_size=1, max_size=12)


def best_in_order(paces, lengths):
    """Brute force: the earliest end when items are begun in their order."""
    best = math.inf
    for takers in itertools.product(range(len(paces)), repeat=len(lengths)):
        free_at = [pace.free_at for pace in paces]
        begin = end = 0.0
        for taker, length in zip(takers, lengths):
            begin = max(begin, free_at[taker])
            free_at[taker] = begin + paces[taker].secs_per_unit * length
            end = max(end, free_at[taker])
        best = min(best, end)
    return best


def in_order(paces, lengths, is_held_back):
    """Returns the end when whoever is free first, and let in, takes each."""
    now = end = 0.0
    for number in range(len(lengths)):
        for taker in sorted(paces, key=lambda p: (max(p.free_at, now), p.name)):
            then = max(taker.free_at, now)
            seen = [
                Pace(p.name, p.secs_per_unit, max(p.free_at, then))
                for p in paces
            ]
            if not is_held_back(taker.name, seen, lengths[number:], then):
                break
        else:
            pytest.fail("everybody is held_back")
        now = then
        done_at = now + taker.secs_per_unit * lengths[number]
        end = max(end, done_at)
        paces = [p for p in paces if p is not taker]
        paces.append(Pace(taker.name, taker.secs_per_unit, done_at))
    return end


def bars_of(name, paces, lengths, now):
    return name in useless_at_the_end(paces, lengths, now)


@given(paces, lengths_of_items, st.floats(0.0, 40.0))
def test_somebody_is_let_in_whatever_the_lengths(paces, lengths, now):
    paces = [Pace(p.name, p.secs_per_unit, max(now, p.free_at)) for p in paces]

    assert len(useless_at_the_end(paces, lengths, now)) < len(paces)


@given(paces, st.integers(1, 30), st.floats(0.0, 40.0), st.integers(-20, 30))
def test_the_unit_of_length_does_not_count(paces, num_items, now, power):
    paces = [Pace(p.name, p.secs_per_unit, max(now, p.free_at)) for p in paces]
    # Without rounding.
    unit = 2.0**power
    others = [Pace(p.name, p.secs_per_unit / unit, p.free_at) for p in paces]

    assert useless_at_the_end(
        others, [unit] * num_items, now
    ) == useless_at_the_end(paces, equal(num_items), now)


def test_a_slow_one_is_held_back_from_a_long_item_but_not_from_a_short_one():
    paces = [Pace("fast", 1.0, 0.0), Pace("slow", 4.0, 0.0)]

    assert useless_at_the_end(paces, [2.0, 0.5], 0.0) == {"slow"}
    # The long one is the fast one's, which would end at 2.5 with both.
    busy = [Pace("fast", 1.0, 2.0), Pace("slow", 4.0, 0.0)]
    assert "slow" not in useless_at_the_end(busy, [0.5], 0.0)


@pytest.mark.parametrize(
    ("secs", "is_held_back"), [(0.105, False), (0.12, True)]
)
def test_a_gain_that_is_shorter_than_the_wait_does_not_count(
    secs, is_held_back
):
    paces = [Pace("fast", 0.05, 0.05), Pace("slow", secs, 0.0)]

    assert useless_at_the_end(paces, [1.0], 0.0) == (
        {"slow"} if is_held_back else frozenset()
    )


def test_of_many_that_differ_the_mean_counts(monkeypatch):
    paces = [Pace("fast", 1.0, 0.0), Pace("slow", 9.0, 0.0)]
    lengths = [1.0, 1.5] * 3

    assert useless_at_the_end(paces, lengths, 0.0) == {"slow"}
    monkeypatch.setattr(tail_scheduling, "_MAX_DIFFERENT", 5)
    assert useless_at_the_end(paces, lengths, 0.0) == {"slow"}


@pytest.mark.parametrize("is_sorted", [True, False])
def test_the_end_is_near_the_best_of_all_ways(is_sorted):
    """The longest first, as they come, or in any order."""
    random = Random(1)
    ratios, plain_ratios = [], []
    for _ in range(150):
        paces = [
            Pace(
                f"w{i}",
                random.choice([1, 1, 2, 4, 8]) * random.uniform(0.9, 1.1),
                random.choice([0.0, random.uniform(0.0, 5.0)]),
            )
            for i in range(random.randint(1, 3))
        ]
        lengths = [
            random.uniform(0.2, 4.0) for _ in range(random.randint(1, 6))
        ]
        if is_sorted:
            lengths.sort(reverse=True)
        best = best_in_order(paces, lengths)
        plain = in_order(paces, lengths, lambda *_: False)
        end = in_order(paces, lengths, bars_of)
        assert end <= plain + 1e-6
        ratios.append(end / best)
        plain_ratios.append(plain / best)
    assert statistics.mean(plain_ratios) > 1.2
    assert statistics.mean(ratios) < (1.005 if is_sorted else 1.02)
    assert max(ratios) < (1.1 if is_sorted else 1.4)


# The ledger with it.


class Job:
    """A job in simulated time: who asks, takes, completes and dies.

    Args:
      num_items: Number of items.
      secs: Consumer name -> function of (time, item): how long it takes. The
        last one is the chief's, which leaves last.
      deaths: Consumer name -> when it dies.
      **kwargs: Arguments for the Ledger.
    """

    def __init__(self, num_items, secs, deaths=None, **kwargs):
        works = Works([f"item-{i}" for i in range(num_items)])
        plan = Plan.fresh(works, num_epochs=1, shuffle=False, seed=0)
        self.ledger = Ledger(plan, **{"lease_secs": 60.0, **kwargs})
        self.consumers = {name: Consumer(name, "i") for name in secs}
        self.trained = []
        self.held_back = set()
        self._mailbox = []
        self._secs = secs
        self._chief = list(secs)[-1]
        self._deaths = deaths or {}
        self._order = itertools.count()
        self._events = []

    def run(self):
        """Returns the time at which the last item is completed."""
        for name in self._secs:
            self._at(0.0, self._ask, name)
        self._at(0.0, self._tick)
        while not self.ledger.is_done:
            assert self._events, "the job is stuck"
            now, _, function, arguments = heapq.heappop(self._events)
            assert now < 1e4, "the job does not end"
            function(now, *arguments)
        return now

    def _at(self, time, function, *arguments):
        entry = time, next(self._order), function, arguments
        heapq.heappush(self._events, entry)

    def _tick(self, now):
        """What feeder and keepers do."""
        for name, consumer in self.consumers.items():
            if self._lives(name, now):
                self.ledger.heard(consumer, now)
        self.ledger.expire(now)
        self.ledger.plan_backup(now)
        self._at(now + 0.5, self._tick)

    def _ask(self, now, name):
        if not self._lives(name, now):
            return
        ledger, consumer = self.ledger, self.consumers[name]
        ledger.ask(consumer, now)
        held_back = ledger.held_back(now)
        there = {n for n, s in ledger.consumers.items() if not s.has_left}
        assert not there <= held_back
        if name in held_back:
            self.held_back.add(name)
        if name not in held_back and not ledger.end_policy.is_end:
            self._mailbox += ledger.issue(1 - len(self._mailbox), now)
            if self._mailbox:
                item = self._mailbox.pop()
                ledger.lease(consumer, item.ticket, now)
                secs = self._secs[name](now, item.ticket)
                self._at(now + secs, self._complete, name, item.ticket)
                return
        if ledger.end_policy.is_end and (
            name != self._chief
            or not ledger.end_policy.num_held_by_others(name)
        ):
            ledger.leave(consumer, now)
            return
        self._at(now + POLL_SECS, self._ask, name)

    def _complete(self, now, name, ticket):
        if self._lives(name, now):
            self.trained.append((ticket, name))
            self.ledger.acknowledge(self.consumers[name], ticket, now)
            self._ask(now, name)

    def _lives(self, name, now):
        return now < self._deaths.get(name, float("inf"))


def steady(secs):
    return lambda now, ticket: secs


def limit(num_items, secs):
    """Returns the earliest end of all, over whole items."""
    paces = [Pace(str(i), s, 0.0) for i, s in enumerate(secs)]
    ends = sorted(
        p.secs_per_unit * (k + 1) for p in paces for k in range(num_items)
    )
    return ends[num_items - 1]


@pytest.mark.parametrize("secs", [[1, 1, 4], [1, 10], [2, 3, 5, 7], [1, 1, 1]])
@pytest.mark.parametrize("num_items", [30, 31, 37, 64])
def test_a_job_ends_as_early_as_it_can(secs, num_items):
    names = {f"w{i}": steady(s) for i, s in enumerate(secs)}

    end = Job(num_items, names).run()

    # The paces have to be learnt; afterwards it is the best, but for polls.
    assert end <= limit(num_items, secs) * 1.01 + 2 * POLL_SECS


def test_it_is_much_better_than_first_come_where_that_is_bad():
    secs = {"a": steady(1), "b": steady(1), "c": steady(1), "d": steady(8)}

    plain = Job(76, secs, balance_tail=False).run()
    balanced = Job(76, secs).run()

    assert plain == 32.0
    assert balanced <= 25.0


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(0.5, 8.0), min_size=2, max_size=4),
    st.integers(4, 40),
)
def test_a_steady_job_is_never_later_than_first_come(secs, num_items):
    names = {f"w{i}": steady(s) for i, s in enumerate(secs)}

    plain = Job(num_items, names, balance_tail=False).run()
    balanced = Job(num_items, names).run()

    assert balanced <= plain + _SLACK * max(secs) + 2 * POLL_SECS


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(0.5, 8.0), min_size=2, max_size=4),
    st.integers(4, 40),
    st.randoms(use_true_random=False),
)
def test_a_job_of_unequal_items_is_hardly_later(secs, num_items, random):
    """Items differ by 20 %: the estimates scatter, so may the end."""
    factors = [random.uniform(0.8, 1.2) for _ in range(num_items)]
    names = {
        f"w{i}": lambda now, ticket, s=s: s * factors[ticket]
        for i, s in enumerate(secs)
    }

    plain = Job(num_items, names, balance_tail=False).run()
    balanced = Job(num_items, names).run()

    # By one item of somebody who was the better choice.
    assert balanced <= plain + 0.5 * max(secs) + 2 * POLL_SECS


def test_equals_are_never_held_back():
    job = Job(20, {f"w{i}": steady(1.0) for i in range(4)})

    job.run()

    assert not job.held_back


def test_a_consumer_that_turns_slow_half_way_is_found_out():
    def turning(now, ticket):
        return 1.0 if now < 20 else 10.0

    secs = {"a": steady(1.0), "b": steady(1.0), "turning": turning}

    plain = Job(100, secs, balance_tail=False).run()
    balanced = Job(100, secs).run()

    assert balanced <= plain
    # 60 by all three, 40 by the two others and a little help.
    assert balanced <= 20 + 20 + 2


def test_a_consumer_that_turns_fast_is_let_in_again():
    def turning(now, ticket):
        return 10.0 if now < 15 else 1.0

    secs = {"a": steady(2.0), "turning": turning}

    plain = Job(60, secs, balance_tail=False).run()

    assert Job(60, secs).run() <= plain + 2 * POLL_SECS


def test_who_was_held_back_takes_over_from_one_that_dies():
    secs = {"fast": steady(1.0), "slow": steady(10.0)}

    job = Job(20, secs, {"fast": 17.5}, lease_secs=5.0)
    end = job.run()

    assert job.held_back == {"slow"}
    assert {ticket for ticket, _ in job.trained} == set(range(20))
    assert end < 17.5 + 5 + 0.5 + 10 * 4


def test_who_was_held_back_is_let_in_when_the_fast_one_stalls():
    def stalling(now, ticket):
        return 1.0 if now < 14 else 60.0

    secs = {"fast": stalling, "slow": steady(5.0)}

    job = Job(20, secs)
    job.run()

    # It is heard of, so its lease stays; what it has not taken goes on.
    late = [name for ticket, name in job.trained if ticket >= 17]
    assert Counter(late)["slow"] >= 2


def test_the_barring_may_be_switched_off():
    job = Job(30, {"a": steady(1), "b": steady(9)}, balance_tail=False)

    job.run()

    assert not job.held_back


# Backup tasks.


def stuck_at(stuck, secs, otherwise=1.0):
    return lambda now, ticket: secs if ticket == stuck else otherwise


def test_a_backup_ends_the_job_when_an_item_hangs():
    secs = {"a": steady(1.0), "b": stuck_at(19, 100.0)}
    # Ticket 19 is b's: they take turns.
    without = Job(20, secs).run()
    job = Job(20, secs, backup_tasks=True)

    end = job.run()

    assert without > 100
    assert end < 15
    assert job.trained.count((19, "a")) == 1
    assert job.ledger.repeated == 1


def test_without_backup_tasks_nothing_is_given_out_twice():
    job = Job(20, {"a": steady(1.0), "b": stuck_at(19, 100.0)})

    job.run()

    assert job.ledger.repeated == 0
    assert len(job.trained) == 20


@pytest.fixture
def late():
    """A ledger in which b holds the last item far too long, and a is idle."""
    works = Works(["x", "y", "z"])
    plan = Plan.fresh(works, num_epochs=1, shuffle=False, seed=0)
    ledger = Ledger(plan, lease_secs=10.0, backup_tasks=True)
    ledger.issue(3, 0.0)
    ledger.lease(A, 0, 0.0)
    ledger.lease(B, 1, 0.0)
    ledger.acknowledge(A, 0, 1.0)
    ledger.lease(A, 2, 1.0)
    ledger.acknowledge(A, 2, 2.0)
    ledger.ask(A, 2.0)
    ledger.heard(B, 4.0)
    assert not ledger.end_policy.is_end
    ledger.plan_backup(4.0)
    return ledger


A = Consumer("a", "1")
B = Consumer("b", "1")
C = Consumer("c", "1")


def test_a_late_item_is_given_out_a_second_time(late):
    assert [item.ticket for item in late.issue(8, 4.0)] == [1]
    assert late.lease(A, 1, 4.0)
    assert late.in_flight == 1
    assert not late.end_policy.is_end
    late.plan_backup(5.0)
    assert late.issue(8, 5.0) == []


@pytest.mark.parametrize(("first", "second"), [(A, B), (B, A)])
def test_whoever_finishes_first_counts(late, first, second):
    late.issue(8, 4.0)
    late.lease(A, 1, 4.0)

    assert late.acknowledge(first, 1, 5.0)
    assert late.is_done
    assert late.end_policy.is_end
    assert late.completed == 3
    assert not late.acknowledge(second, 1, 6.0)
    assert late.completed == 3
    assert late.consumers["a"].held == {}
    assert late.consumers["b"].held == {}


def test_when_the_holder_dies_the_backup_has_the_item(late):
    late.issue(8, 4.0)
    late.lease(A, 1, 4.0)
    late.heard(A, 14.5)
    late.expire(14.5)

    assert late.leases[1].consumer == A
    assert not late.has_to_issue()
    assert not late.end_policy.is_end
    assert late.acknowledge(A, 1, 15.0)
    assert late.end_policy.is_end


def test_when_the_backup_dies_the_holder_keeps_the_item(late):
    late.issue(8, 4.0)
    late.lease(A, 1, 4.0)
    late.heard(B, 14.5)
    late.expire(14.5)

    assert late.leases[1].consumer == B
    assert not late.has_to_issue()
    assert late.acknowledge(B, 1, 15.0)
    assert late.end_policy.is_end


def test_when_both_die_the_item_goes_back(late):
    late.issue(8, 4.0)
    late.lease(A, 1, 4.0)
    late.expire(30.0)

    assert late.remaining == 1
    assert not late.is_exhausted
    assert [item.ticket for item in late.issue(8, 30.0)] == [1]


def test_a_backup_whose_holder_dies_before_it_is_taken(late):
    late.issue(8, 4.0)
    late.heard(A, 14.5)
    late.expire(14.5)

    assert late.remaining == 1
    assert late.lease(A, 1, 14.5)
    assert late.leases[1].consumer == A
    assert late.acknowledge(A, 1, 15.0)
    assert late.is_done
    assert late.end_policy.is_end


def test_a_backup_whose_holder_is_through_before_it_is_taken(late):
    late.issue(8, 4.0)

    assert late.acknowledge(B, 1, 4.5)
    assert late.end_policy.is_end
    # The mailbox still has it: a repeat, which changes nothing.
    assert not late.lease(A, 1, 5.0)
    assert late.is_done


def test_after_a_dead_backup_there_may_be_another(late):
    late.issue(8, 4.0)
    late.lease(A, 1, 4.0)
    late.heard(B, 14.5)
    late.expire(14.5)
    late.ask(C, 14.5)
    late.plan_backup(14.5)

    assert [item.ticket for item in late.issue(8, 14.5)] == [1]
    assert late.lease(C, 1, 14.5)
    assert late.acknowledge(C, 1, 15.0)
    assert late.end_policy.is_end


def test_nobody_idle_no_backup():
    works = Works(["x", "y", "z"])
    plan = Plan.fresh(works, num_epochs=1, shuffle=False, seed=0)
    ledger = Ledger(plan, backup_tasks=True)
    ledger.issue(3, 0.0)
    for ticket in range(3):
        ledger.lease(A if ticket else B, ticket, 0.0)
    ledger.acknowledge(A, 1, 1.0)

    ledger.plan_backup(50.0)

    assert not ledger.has_to_issue()


def test_who_waits_for_the_end_with_items_in_its_buffer_gets_it():
    """Or it would wait for items, and they for it to be flushed."""
    works = Works(["x", "y"])
    plan = Plan.fresh(works, num_epochs=1, shuffle=False, seed=0)
    ledger = Ledger(plan, backup_tasks=True)
    ledger.issue(2, 0.0)
    ledger.lease(A, 0, 0.0)
    ledger.lease(B, 1, 0.0)
    assert not ledger.end_policy.is_end

    ledger.ask(A, 1.0)

    assert ledger.end_policy.is_end


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(0.5, 4.0), min_size=2, max_size=4),
    st.integers(2, 20),
    st.floats(0.5, 20.0),
    st.booleans(),
)
def test_a_death_never_stops_a_job(secs, num_items, dies_at, backup_tasks):
    names = {f"w{i}": steady(s) for i, s in enumerate(secs)}
    job = Job(
        num_items,
        names,
        {"w0": dies_at},
        lease_secs=3.0,
        backup_tasks=backup_tasks,
    )
    plain = Job(num_items, names, balance_tail=False).run()
    assume(plain > dies_at)

    job.run()

    assert {ticket for ticket, _ in job.trained} == set(range(num_items))


@pytest.mark.parametrize("late_secs", [0.0, 0.03, 0.06, 0.09])
def test_a_cluster_finds_out_at_the_second_slow_item(late_secs):
    """Of whole files; as in `benchmarks/makespan.py`, slow half-way."""
    turn, num_files, file_secs = 1.6, 64, 0.1
    works = Works([f"f{i}" for i in range(num_files)])

    def secs_of(number, text, begin):
        if number < 3:
            return 2 * file_secs
        late = late_secs if begin < turn / 8 else 0.0
        return late + 2 * file_secs * (4 if begin > turn else 1)

    def makespan(**kwargs):
        plan = Plan.fresh(works, num_epochs=1, shuffle=False, seed=0)
        return SimulatedCluster(
            plan,
            secs_of,
            num_workers=4,
            take_secs=0.006,
            **kwargs,
        ).run()

    # It would begin a fourth item of 0.8 s when the others need half of that.
    assert makespan() < makespan(balance_tail=False) - 0.2
