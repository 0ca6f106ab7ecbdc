from __future__ import annotations

import heapq

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wq_hooks.core.consumer_state import Consumer
from wq_hooks.core.factoring import factor, typical_num
from wq_hooks.core.ledger import Ledger
from wq_hooks.core.plan import Plan
from wq_hooks.core.slice_text import parse_slice
from wq_hooks.core.slicing import Slicing
from wq_hooks.core.works import Works

SIZES = st.lists(
    st.none() | st.integers(0, 5) | st.integers(0, 10**7),
    min_size=1,
    max_size=20,
)


def lengths_of(slicing):
    cuts = [slicing.locate(item) for item in range(slicing.num_items)]
    return [c.end - c.start for c in cuts if c.start is not None]


@given(SIZES, st.integers(1, 40), st.integers(1, 1000))
@settings(max_examples=200, deadline=None)
def test_nothing_is_empty_lost_or_twice(sizes, num_workers, least):
    slicing = factor(sizes, num_workers, least=least)
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


def makespan(slicing, sizes, secs_per_record):
    """Runs a ledger by a simulated clock; returns when all is completed."""
    works = Works([f"t{i}" for i in range(len(sizes))])
    plan = Plan.fresh(
        works, num_epochs=1, shuffle=True, seed=5, slicing=slicing
    )
    ledger = Ledger(plan)
    workers = [
        Consumer(f"worker:{i}", "1") for i in range(len(secs_per_record))
    ]
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
        if worker.name in ledger.barred(now) or not ledger.has_to_issue():
            if not ledger.is_exhausted:
                heapq.heappush(events, (now + 0.2, number, None))
            continue
        (item,) = ledger.issue(1, now)
        ledger.lease(worker, item.ticket, now)
        _, start, end = parse_slice(item.text)
        secs = (end - start) * secs_per_record[number]
        heapq.heappush(events, (now + secs, number, item.ticket))
    raise AssertionError("the ledger has not ended")


@pytest.mark.parametrize(
    "sizes", [[64_000] * 64, [2_000_000] + [10_000] * 200, [4_096_000]]
)
@pytest.mark.parametrize("slow", [1.0, 4.0])
def test_the_tail_is_short_however_the_works_are(sizes, slow):
    secs = [0.001, 0.001, 0.001, 0.001 * slow]
    limit = sum(sizes) / sum(1 / s for s in secs)
    found = makespan(factor(sizes, 4), sizes, secs)
    assert found <= 1.02 * limit


def test_a_worker_of_another_speed_takes_another_number():
    sizes = [1_000_000]
    even = makespan(
        Slicing.share(sizes, 8), sizes, [0.001, 0.001, 0.001, 0.004]
    )
    assert even > 1.05 * 1_000_000 / 3250
