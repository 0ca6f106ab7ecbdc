from __future__ import annotations

import re

import pytest

from tests.support.simulated_cluster import SimulatedCluster
from wq_hooks.core.items.plan import Plan
from wq_hooks.core.items.works import Works
from wq_hooks.core.monitoring.advice import advice_of
from wq_hooks.core.monitoring.checked_state import checked_state


def state_with(*secs, remaining, elapsed=100.0, in_hand=1, **values):
    workers = [
        {
            "name": f"worker:{i}",
            "item_secs": s,
            "in_hand": in_hand,
            "records_per_item": 500,
            "items": [],
        }
        for i, s in enumerate(secs)
    ]
    state = {
        "remaining": remaining,
        "elapsed_secs": elapsed,
        "items_per_epoch": 40,
        "lease_secs": 60.0,
        "completed": 30,
        "in_flight": len(secs) * in_hand,
        "workers": workers,
        **values,
    }
    return checked_state(state)


def end_of(secs, num_items):
    """Returns when a simulated cluster with the tail rule has all done."""
    works = [f"part-{i}" for i in range(num_items)]
    plan = Plan.fresh(Works(works), num_epochs=1, shuffle=False, seed=0)
    cluster = SimulatedCluster(
        plan, lambda worker, *_: secs[worker], num_workers=len(secs)
    )
    return cluster.run()


class TestTail:
    def test_the_end_waits_for_one_item(self):
        secs = (10.0, 10.0, 10.0, 60.0)
        (advice,) = advice_of(state_with(*secs, remaining=2))
        assert advice.what == "tail"
        assert advice.setting == "num_slices=80"
        assert "one takes worker:3 1 min 0 s" in advice.text
        assert "2 times shorter" in advice.text

    def test_what_is_told_comes_true(self):
        secs = (10.0, 10.0, 10.0, 60.0)
        (advice,) = advice_of(state_with(*secs, remaining=2))
        told = re.search(r"would end (\d+) s sooner", advice.text)[1]
        # Each has one under way, and two remain.
        as_they_are = end_of(secs, 6)
        # The rule knows no pace yet of one that has completed nothing, which
        # may keep one of the shorter items.
        shorter = end_of([s / 2 for s in secs], 12)
        assert 0 <= float(told) - (as_they_are - shorter) <= 10.0

    def test_far_from_the_end_of_a_long_job_there_is_none(self):
        state = state_with(10.0, 10.0, 10.0, 60.0, remaining=5000)
        assert advice_of(state) == []

    def test_of_workers_that_are_alike_there_is_none(self):
        assert advice_of(state_with(*[10.0] * 4, remaining=40)) == []

    @pytest.mark.parametrize(
        "values",
        [
            {"remaining": None},
            {"remaining": 0},
            {"remaining": 2, "elapsed_secs": None},
            {"remaining": 2, "workers": []},
        ],
    )
    def test_where_nothing_can_be_said_there_is_none(self, values):
        values = {"remaining": 2, **values}
        assert advice_of(state_with(10.0, 60.0, **values)) == []

    def test_one_that_has_completed_nothing_is_waited_for(self):
        assert advice_of(state_with(10.0, None, remaining=2)) == []


class TestShort:
    @pytest.mark.parametrize(
        ("secs", "share"), [(0.02, "9%"), (0.09, "2%"), (0.2, None)]
    )
    def test_takes_that_cost_more_than_a_fiftieth(self, secs, share):
        found = advice_of(state_with(secs, secs, remaining=10_000))
        assert [advice.what for advice in found] == ["short"] * bool(share)
        if found:
            assert f"costs {share} of the time" in found[0].text
            assert found[0].setting == "prefetch(1)"


class TestBuffer:
    def test_more_are_open_than_completed(self):
        state = state_with(10.0, 10.0, remaining=5000, in_hand=12, completed=20)
        (advice,) = advice_of(state)
        assert advice.setting == "shuffle(500)"
        assert "24 items are open and 20 completed" in advice.text

    @pytest.mark.parametrize(
        "values",
        [
            {"completed": 30},
            {"completed": 0},
            {"in_hand": 2, "completed": 3},
        ],
    )
    def test_else_there_is_none(self, values):
        values = {"in_hand": 12, "remaining": 5000, **values}
        assert advice_of(state_with(10.0, 10.0, **values)) == []
