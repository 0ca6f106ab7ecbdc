from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wq_hooks.core.items.slicing import Slicing

SIZES = st.lists(
    st.none() | st.integers(0, 5) | st.integers(0, 10**6),
    min_size=1,
    max_size=30,
)


@given(SIZES, st.integers(1, 200))
@settings(max_examples=300, deadline=None)
def test_nothing_is_empty_lost_or_twice(sizes, num_slices):
    slicing = Slicing.share(sizes, num_slices)
    seen = [[] for _ in sizes]
    for item in range(slicing.num_items):
        work, start, end = slicing.locate(item)
        seen[work].append((start, end))
        assert item in slicing.items_of(work)
    for size, cuts in zip(sizes, seen):
        if size is None:
            assert cuts == [(None, None)]
        else:
            edges = [0, *(end for _, end in cuts)]
            assert [*zip(edges, edges[1:])] == cuts
            assert all(start < end for start, end in cuts)
            assert edges[-1] == size
    num_whole = sum(size is None for size in sizes)
    num_filled = sum(bool(size) for size in sizes)
    total = sum(size or 0 for size in sizes)
    assert slicing.num_items - num_whole == max(
        num_filled, min(num_slices, total)
    )


@given(SIZES, st.integers(1, 200))
def test_it_travels_as_text(sizes, num_slices):
    slicing = Slicing.share(sizes, num_slices)
    again = Slicing.from_list(slicing.to_list())
    assert again == slicing
    assert hash(again) == hash(slicing)


def test_shares_are_by_size():
    slicing = Slicing.share([3, 1000, 0], num_slices=10)
    assert [len(slicing.items_of(work)) for work in range(3)] == [1, 9, 0]
    assert (
        slicing.text(0, ["small", "big"].__getitem__) == "small?start=0&end=3"
    )
    assert (
        slicing.text(1, ["small", "big"].__getitem__) == "big?start=0&end=111"
    )


def test_a_slice_has_a_length_and_a_whole_work_has_none():
    slicing = Slicing.share([3, None, 1000], num_slices=10)
    lengths = [slicing.locate(i).length for i in range(slicing.num_items)]
    assert lengths[:2] == [3, None]
    assert sum(lengths[2:]) == 1000


def test_ten_million_slices_take_no_memory():
    slicing = Slicing.share([10**9] * 1000, num_slices=10**7)
    assert slicing.num_items == 10**7
    assert slicing.locate(10**7 - 1) == (999, 10**9 - 10**5, 10**9)
    assert sum(map(len, slicing.to_list())) < 20_000


@pytest.mark.parametrize(
    ("sizes", "counts"), [([3], [4]), ([None], [2]), ([1], [-1]), ([1], [1, 1])]
)
def test_a_slicing_that_cannot_be_is_refused(sizes, counts):
    with pytest.raises(ValueError, match=r"slices of each work"):
        Slicing(sizes, counts)
