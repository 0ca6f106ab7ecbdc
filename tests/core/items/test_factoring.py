from __future__ import annotations

import heapq
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.simulated_cluster import SimulatedCluster
from wq_hooks.core.items.factoring import factor, typical_num
from wq_hooks.core.items.plan import Plan
from wq_hooks.core.items.slice_text import parse_slice
from wq_hooks.core.items.slicing import Slicing
from wq_hooks.core.items.works import Works
from wq_hooks.core.ledger.consumer_state import Consumer
from wq_hooks.core.ledger.ledger import Ledger

SIZES = st.lists(
    st.none() | st.integers(0, 5) | st.integers(0, 10**7),
    min_size=1,
    max_size=20,
)


def lengths_of(slicing):
    cuts = [slicing.locate(item) for item in range(slicing.num_items)]
    return [c.end - c.start for c in cuts if c.start is not None]


@given(SIZES, st.integers(1, 40), st.integers(1, 1000), st.booleans())
@settings(max_examples=200, deadline=None)
def test_nothing_is_empty_lost_or_twice(sizes, num_workers, least, in_order):
    slicing = factor(sizes, num_workers, least=least, in_order=in_order)
    for work, size in enumerate(sizes):
        cuts = [slicing.locate(item) for item in slicing.items_of(work)]
        if size is None:
            assert cuts == [(work, None, None)]
            continue
        edges = [0, *(cut.end for cut in cuts)]
        assert [(work, *pair) for pair in zip(edges, edges[1:])] == cuts
        assert edges[-1] == size
        assert all(c.end - c.start >= min(least, size) for c in cuts)
    assert Slicing.from_list(slicing.to_list()) == slicing


def test_slices_are_long_at_first_and_short_at_the_end():
    slicing = factor([10**6], num_workers=4)
    lengths = lengths_of(slicing)
    # The last takes the crumb behind it along.
    assert lengths[:-1] == sorted(lengths[:-1], reverse=True)
    # An eighth of all for the first four, an eighth of the rest for the next.
    assert lengths[:5] == [31_250] * 4 + [27_344]
    assert lengths[-1] < 10**6 / 4 / 128
    assert 0.8 * typical_num(4) < len(lengths) <= 1.1 * typical_num(4)


def test_in_order_the_last_works_are_cut_shortest():
    sizes = [1000, 64_000, 1000, 64_000, 1000]
    slicing = factor(sizes, num_workers=4, in_order=True)
    lengths = [
        [cut.end - cut.start for cut in map(slicing.locate, items)]
        for items in map(slicing.items_of, range(len(sizes)))
    ]
    assert min(lengths[1]) >= max(lengths[3])
    assert lengths[0] == [1000]
    assert max(lengths[4]) < 500


@pytest.mark.parametrize("shuffle", [False, True])
def test_long_slices_come_first_unless_the_order_is_asked_for(shuffle):
    sizes = [300, 10**6, None, 200_000]
    works = Works(["small", "big", "whole", "middle"])
    slicing = factor(sizes, 4)

    def order(epoch):
        plan = Plan.fresh(
            works, num_epochs=2, shuffle=shuffle, seed=3, slicing=slicing
        )
        n = plan.items_per_epoch
        return [plan.item_at(epoch * n + i).text for i in range(n)]

    first = order(0)
    assert len(set(first)) == len(first)
    if not shuffle:
        assert first == order(1)
        assert first[0].startswith("small")
        return
    # What is not known may be the longest.
    assert first[0] == "whole"
    slices = [parse_slice(text) for text in first[1:]]
    lengths = [s.end - s.start for s in slices]
    assert lengths == sorted(lengths, reverse=True)
    # Among slices of one length, another order in each epoch.
    assert order(1) != first
    assert set(order(1)) == set(first)


def makespan(slicing, sizes, speeds, *, shuffle=True, take_secs=0.0):
    """Runs a ledger by a simulated clock; returns when all is completed.

    Args:
      slicing: None: works stay whole.
      sizes: Sizes of the works, in records.
      speeds: Returns records per second of a worker at a time; for each.
      shuffle: Whether the plan shuffles.
      take_secs: How long a take lasts.
    """
    works = Works([f"t{i}" for i in range(len(sizes))])
    plan = Plan.fresh(
        works, num_epochs=1, shuffle=shuffle, seed=5, slicing=slicing
    )
    ledger = Ledger(plan)
    workers = [Consumer(f"worker:{i}", "1") for i in range(len(speeds))]
    events = [(0.0, i, None) for i in range(len(workers))]
    now = 0.0
    while events:
        now, number, ticket = heapq.heappop(events)
        worker = workers[number]
        if ticket is not None:
            ledger.acknowledge(worker, ticket, now)
        ledger.ask(worker, now)
        if ledger.is_done:
            return now
        if worker.name in ledger.held_back(now) or not ledger.has_to_issue():
            if not ledger.is_exhausted:
                heapq.heappush(events, (now + 0.2, number, None))
            continue
        (item,) = ledger.issue(1, now)
        begin = now + take_secs
        ledger.lease(worker, item.ticket, begin)
        path, start, end = parse_slice(item.text)
        num = sizes[int(path[1:])] if start is None else end - start
        secs = secs_for(num, speeds[number], begin)
        heapq.heappush(events, (begin + secs, number, item.ticket))
    raise AssertionError("the ledger has not ended")


def secs_for(num, speed, begin):
    """Returns the seconds for records, at a speed that may change once."""
    if not isinstance(speed, tuple):
        return num / speed
    before, turn, after = speed
    num_before = min(num, max(0.0, turn - begin) * before)
    return num_before / before + (num - num_before) / after


def heavy_tail(num, total):
    """Returns Pareto-distributed sizes, as the benchmark has them."""
    generator = random.Random(1)
    sizes = [generator.paretovariate(1.2) for _ in range(num)]
    return [max(1, round(size * total / sum(sizes))) for size in sizes]


# In the time of a job of 5 s, 2 ms for each take make 1.5 % by themselves.
LOADS = {
    "one big": [4_096_000],
    "equal": [64_000] * 64,
    "big one first": [2_000_000] + [10_000] * 200,
    "big one last": [10_000] * 200 + [2_000_000],
    "heavy tail": heavy_tail(64, 4_096_000),
    "heavy tail, 10 records a file": heavy_tail(64, 640),
    "rising": sorted(heavy_tail(64, 4_096_000)),
}


@pytest.mark.parametrize("load", LOADS)
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("slow", [1.0, 4.0])
def test_the_tail_is_short_however_the_works_are(load, shuffle, slow):
    sizes = LOADS[load]
    speeds = [1000.0, 1000.0, 1000.0, 1000.0 / slow]
    limit = sum(sizes) / sum(speeds)
    slicing = factor(sizes, 4, in_order=not shuffle)
    # A record is a fiftieth of the time where there are so few.
    allowed = 1.02 if sum(sizes) > 640 else 1.04
    found = makespan(slicing, sizes, speeds, shuffle=shuffle)
    assert found <= allowed * limit


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_worker_that_turns_slow_half_way_does_not_make_a_tail(shuffle):
    sizes = [64_000] * 64
    total = sum(sizes)
    turn = total / 4000 / 2
    speeds = [1000.0, 1000.0, 1000.0, (1000.0, turn, 250.0)]
    limit = turn + (total - 4000 * turn) / 3250
    slicing = factor(sizes, 4, in_order=not shuffle)
    assert makespan(slicing, sizes, speeds, shuffle=shuffle) <= 1.02 * limit
    assert makespan(None, sizes, speeds, shuffle=shuffle) > 1.05 * limit


def weighted_makespan(total, speeds, *, take_secs=0.0, least=1):
    """Weighted factoring by an oracle that knows all speeds, always.

    (Hummel, Schmidt, Uma and Wein, SPAA 1996.) Half of what remains is shared
    out by speed, one slice for each worker, cut when it is taken.
    """
    remaining, now = total, 0.0
    events = [(0.0, i) for i in range(len(speeds))]
    ends = [0.0] * len(speeds)
    while events and remaining:
        now, number = heapq.heappop(events)
        rates = [
            s if not isinstance(s, tuple) else s[0 if now < s[1] else 2]
            for s in speeds
        ]
        share = rates[number] / sum(rates)
        num = min(remaining, max(least, round(remaining * share / 2)))
        remaining -= num
        begin = now + take_secs
        ends[number] = begin + secs_for(num, speeds[number], begin)
        heapq.heappush(events, (ends[number], number))
    return max(ends)


# Chief and 3 workers, one of them slow, as in `benchmarks/makespan.py`, whose
# jobs last 5 s: (files, speeds in records per second).
TURN = 2.0
SCENARIOS = {
    "equal": ([1000] * 64, [4000.0, 4000.0, 4000.0, 1000.0]),
    "heavy tail": (heavy_tail(64, 64_000), [4000.0, 4000.0, 4000.0, 1000.0]),
    "slow half-way": (
        [1000] * 64,
        [4000.0, 4000.0, 4000.0, (4000.0, TURN, 1000.0)],
    ),
}


def ratios(scenario, take_secs):
    """Returns makespan / limit of (queue as it is, an oracle of rates)."""
    sizes, speeds = SCENARIOS[scenario]
    total = sum(sizes)
    limit = total / 13_000
    if isinstance(speeds[3], tuple):
        limit = TURN + (total - 16_000 * TURN) / 13_000
    slicing = factor(sizes, 4, in_order=True)
    found = makespan(slicing, sizes, speeds, shuffle=False, take_secs=take_secs)
    least = total // (4 * 256)
    best = weighted_makespan(total, speeds, take_secs=take_secs, least=least)
    return found / limit, best / limit


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_known_rates_would_gain_little(scenario):
    found, best = ratios(scenario, take_secs=0.0)
    assert found <= 1.01
    assert found - best <= 0.01
    found, best = ratios(scenario, take_secs=0.002)
    assert found - best <= 0.02


def cluster_ratio(scenario, *, num_times=1, shuffle=False, **kwargs):
    """Returns makespan / limit of a cluster whose takes take their time.

    Args:
      scenario: One of SCENARIOS.
      num_times: How many times fewer, and longer, the records are.
      shuffle: Whether the plan shuffles.
      **kwargs: Arguments for the Ledger.
    """
    sizes, speeds = SCENARIOS[scenario]
    total = sum(sizes)
    limit = total / 13_000
    if isinstance(speeds[3], tuple):
        limit = TURN + (total - 16_000 * TURN) / 13_000
    works = Works([f"t{i}" for i in range(len(sizes))])
    sizes = [max(1, size // num_times) for size in sizes]
    slicing = factor(sizes, 4, in_order=not shuffle)
    plan = Plan.fresh(
        works, num_epochs=1, shuffle=shuffle, seed=5, slicing=slicing
    )

    def secs_of(number, text, begin):
        _, start, end = parse_slice(text)
        return secs_for((end - start) * num_times, speeds[number], begin)

    cluster = SimulatedCluster(
        plan,
        secs_of,
        num_workers=4,
        take_secs=0.001,
        **kwargs,
    )
    return cluster.run() / limit


# The 45 takes of a fast worker make 1.1 % of a job of 5 s. When items of any
# length counted the same, it was 1.04 to 1.06: fast workers seemed to be slow.
@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("shuffle", [False, True])
def test_a_cluster_ends_early_though_reports_are_late(scenario, shuffle):
    found = cluster_ratio(scenario, shuffle=shuffle)
    assert found <= 1.02
    plain = cluster_ratio(scenario, shuffle=shuffle, balance_tail=False)
    # A worker that was held back is let in again after a pause.
    assert found <= plain + 0.004


def test_a_cluster_ends_early_where_files_have_few_records():
    """As in `benchmarks/makespan.py`: ten records a file."""
    assert cluster_ratio("equal", num_times=100) <= 1.02


def test_a_worker_of_another_speed_takes_another_number():
    sizes = [1_000_000]
    even = makespan(
        Slicing.share(sizes, 8), sizes, [1000.0, 1000.0, 1000.0, 250.0]
    )
    assert even > 1.05 * 1_000_000 / 3250
