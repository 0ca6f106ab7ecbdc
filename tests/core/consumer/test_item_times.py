from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wq_hooks.core.consumer.item_times import ItemTimes


def test_an_item_alone():
    times = ItemTimes()
    times.begin(100.0)
    times.count({7: 12})
    times.settle(110.0, waited_secs=4.0)
    times.count({7: 12})
    times.settle(115.0, waited_secs=5.0)
    assert times.take(7) == (10.0, 5.0)
    assert times.take(7) is None


def test_what_a_shuffle_has_mixed_is_shared_out():
    times = ItemTimes()
    times.begin(0.0)
    times.count({1: 30, 2: 10})
    times.settle(8.0, waited_secs=4.0)
    assert times.take(1) == (3.0, 3.0)
    assert times.take(2) == (1.0, 1.0)


def test_a_wait_belongs_to_what_comes_of_it():
    times = ItemTimes()
    times.begin(0.0)
    times.settle(10.0, waited_secs=10.0)
    times.count({1: 1})
    times.settle(12.0, waited_secs=10.0)
    assert times.take(1) == (2.0, 10.0)


@pytest.mark.parametrize("waited", [-5.0, 0.0, 1e9])
def test_no_more_was_waited_for_than_there_was_time(waited):
    times = ItemTimes()
    times.begin(0.0)
    times.count({1: 1})
    times.settle(10.0, waited_secs=waited)
    train, wait = times.take(1)
    assert train + wait == 10.0
    assert min(train, wait) >= 0.0


def test_before_the_first_item_there_is_no_time():
    times = ItemTimes()
    times.count({1: 1})
    times.settle(50.0, waited_secs=1.0)
    assert times.take(1) is None
    times.begin(50.0)
    times.settle(51.0, waited_secs=1.0)
    assert times.take(1) == (0.0, 1.0)


def test_what_was_given_back_is_forgotten():
    times = ItemTimes()
    times.begin(0.0)
    times.count({1: 1})
    times.clear()
    times.begin(100.0)
    times.count({2: 1})
    times.settle(101.0, waited_secs=0.0)
    assert times.take(1) is None
    assert times.take(2) == (1.0, 0.0)


@given(
    st.lists(
        st.tuples(
            st.dictionaries(st.integers(0, 3), st.integers(1, 9), max_size=3),
            st.floats(0.0, 9.0),
            st.floats(0.0, 9.0),
        ),
        max_size=20,
    )
)
@settings(deadline=None)
def test_the_times_of_all_items_add_up(steps):
    times, now, waited, last = ItemTimes(), 0.0, 0.0, 0.0
    times.begin(now)
    for parts, secs, wait in steps:
        now, waited = now + secs, waited + wait
        times.count(parts)
        times.settle(now, waited)
        if parts:
            last = now
    taken = [times.take(slot) or (0.0, 0.0) for slot in range(4)]
    assert sum(map(sum, taken)) == pytest.approx(last)
