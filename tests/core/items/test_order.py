from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from wq_hooks.core.items import order
from wq_hooks.core.items.order import EpochOrder

SEEDS = st.integers(-(2**70), 2**70)
EPOCHS = st.integers(0, 2**40)
BLOCK = order._BLOCK_SIZE


def shuffled(num_items, seed=0, epoch=0):
    return EpochOrder(num_items, shuffle=True, seed=seed, epoch=epoch)


def as_list(epoch_order):
    return [epoch_order[i] for i in range(len(epoch_order))]


@given(num_items=st.integers(1, 600), seed=SEEDS, epoch=EPOCHS)
@example(num_items=1, seed=0, epoch=0)
@example(num_items=2, seed=0, epoch=0)
@settings(deadline=None)
def test_every_work_comes_once_in_an_epoch(num_items, seed, epoch):
    works = as_list(shuffled(num_items, seed, epoch))
    assert sorted(works) == list(range(num_items))


@pytest.mark.parametrize("num_items", [BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK])
def test_blocks_join_without_a_seam(num_items):
    epoch_order = shuffled(num_items, seed=11, epoch=2)
    whole = epoch_order.range(0, num_items).tolist()
    assert sorted(whole) == list(range(num_items))
    assert as_list(epoch_order) == whole


@given(
    num_items=st.integers(1, 2 * BLOCK + 100),
    places=st.lists(st.integers(0, 10**9), min_size=1, max_size=8),
)
@settings(max_examples=25, deadline=None)
def test_places_may_be_asked_for_in_any_order(num_items, places):
    places = [place % num_items for place in places]
    epoch_order = shuffled(num_items, seed=3)
    expected = [int(epoch_order.range(p, p + 1)[0]) for p in places]
    assert [epoch_order[p] for p in places] == expected


@given(start=st.integers(0, 300), stop=st.integers(0, 300))
@settings(deadline=None)
def test_a_range_is_a_slice_of_the_whole(start, stop):
    epoch_order = shuffled(300, seed=5)
    whole = epoch_order.range(0, 300).tolist()
    assert epoch_order.range(start, stop).tolist() == whole[start:stop]


def test_a_huge_epoch_costs_one_block():
    epoch_order = shuffled(10**15, seed=1)
    works = [epoch_order[i] for i in range(100)]
    works += [epoch_order[10**15 - 1 - i] for i in range(100)]
    assert len(set(works)) == 200
    assert all(0 <= work < 10**15 for work in works)
    # They are spread out, not neighbours.
    assert max(works) > 9 * 10**14
    assert min(works) < 10**14


def test_without_shuffle_the_order_is_the_listed_one():
    epoch_order = EpochOrder(9000, shuffle=False, seed=5, epoch=3)
    assert as_list(epoch_order) == list(range(9000))
    assert epoch_order.range(5, 8).tolist() == [5, 6, 7]


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("index", [-1, 4, 8192])
def test_a_place_outside_the_epoch_is_refused(shuffle, index):
    epoch_order = EpochOrder(4, shuffle=shuffle, seed=0, epoch=0)
    with pytest.raises(IndexError, match=f"< 4; got {index}"):
        epoch_order[index]


@pytest.mark.parametrize("shuffle", [True, False])
def test_an_order_can_be_iterated(shuffle):
    epoch_order = EpochOrder(4, shuffle=shuffle, seed=0, epoch=0)
    assert sorted(epoch_order) == [0, 1, 2, 3]


def test_seed_and_epoch_each_give_another_order():
    keys = [(seed, epoch) for seed in range(-3, 12) for epoch in range(12)]
    orders = {tuple(shuffled(40, *key).range(0, 40).tolist()) for key in keys}
    assert len(orders) == len(keys)


def test_orders_of_neighbouring_seeds_do_not_resemble_each_other():
    n = 400
    same_place = [
        int(
            (shuffled(n, s).range(0, n) == shuffled(n, s + 1).range(0, n)).sum()
        )
        for s in range(50)
    ]
    # Two independent permutations agree in one place on average (Poisson).
    assert 0.5 < np.mean(same_place) < 1.6


@pytest.mark.parametrize("num_items", [2, 3, 4])
def test_all_permutations_are_about_equally_likely(num_items):
    num_orders = 480
    counts = Counter(
        tuple(as_list(shuffled(num_items, seed, seed % 3)))
        for seed in range(num_orders)
    )
    permutations = list(itertools.permutations(range(num_items)))
    expected = num_orders / len(permutations)
    chi_square = (
        sum((counts[p] - expected) ** 2 for p in permutations) / expected
    )
    # The 99.9 % quantiles for 1, 5 and 23 degrees of freedom.
    assert chi_square < {2: 10.83, 3: 20.52, 4: 49.73}[num_items]


def test_every_work_is_equally_likely_at_every_place():
    n, num_orders = 12, 360
    counts = np.zeros([n, n])
    for seed in range(num_orders):
        counts[np.arange(n), shuffled(n, seed).range(0, n)] += 1
    chi_square = ((counts - num_orders / n) ** 2).sum() / (num_orders / n)
    # (n - 1)^2 = 121 degrees of freedom: 121 +- 4 standard deviations.
    assert abs(chi_square - 121) < 4 * np.sqrt(2 * 121)


def test_neighbours_are_not_kept_together():
    n, num_orders = 50, 120
    adjacent = 0
    for seed in range(num_orders):
        works = shuffled(n, seed).range(0, n)
        adjacent += int((np.diff(works) == 1).sum())
    # Each of the n - 1 pairs stays together with a chance of 1 / n.
    assert 0.7 < adjacent / num_orders < 1.3


def swap_or_not(num_items, seed, epoch, index):
    """The same shuffle by Python's integers, after the paper."""
    import hashlib

    def mix(x):
        mask = 2**64 - 1
        x &= mask
        x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & mask
        x = (x ^ (x >> 27)) * 0x94D049BB133111EB & mask
        return x ^ (x >> 31)

    for number in range(90):
        digest = hashlib.blake2b(
            f"{seed}/{epoch}/{number}".encode(), digest_size=16
        ).digest()
        pivot = int.from_bytes(digest[:8], "little") % num_items
        salt = int.from_bytes(digest[8:], "little")
        partner = (pivot - index) % num_items
        if mix(max(index, partner) + salt) >> 63:
            index = partner
    return index


@given(
    num_items=st.integers(1, 2**50), seed=SEEDS, epoch=EPOCHS, data=st.data()
)
@settings(max_examples=50, deadline=None)
def test_arithmetic_is_that_of_the_definition(num_items, seed, epoch, data):
    index = data.draw(st.integers(0, num_items - 1))
    (work,) = shuffled(num_items, seed, epoch).range(index, index + 1).tolist()
    assert work == swap_or_not(num_items, seed, epoch, index)


# The order is part of the checkpoint format. If this test fails, do not change
# the values: a resumed epoch would come in another order than it began in.
GOLDEN = {
    (1, 0, 0): [0],
    (2, 7, 0): [0, 1],
    (6, 7, 0): [1, 2, 4, 0, 3, 5],
    (6, 7, 1): [0, 2, 1, 4, 3, 5],
    (10, -1, 3): [3, 0, 8, 4, 2, 6, 1, 9, 5, 7],
    (10, 18446744073709551616, 0): [3, 4, 6, 0, 1, 2, 7, 8, 5, 9],
    (10000000, 2021, 5): [
        8784020,
        7691825,
        7272978,
        4284923,
        2143112,
        3287645,
        9649839,
        464306,
        2360008,
        9134308,
    ],
}


@pytest.mark.parametrize(("key", "works"), GOLDEN.items())
def test_orders_never_change(key, works):
    num_items, seed, epoch = key
    epoch_order = shuffled(num_items, seed, epoch)
    assert [epoch_order[i] for i in range(len(works))] == works
    assert works == [
        swap_or_not(num_items, seed, epoch, i) for i in range(len(works))
    ]


def test_numpys_random_state_neither_matters_nor_changes():
    np.random.seed(1)
    before = np.random.get_state()[1].tolist()
    first = as_list(shuffled(100, seed=4))
    assert np.random.get_state()[1].tolist() == before
    np.random.seed(2)
    assert as_list(shuffled(100, seed=4)) == first


def test_works_are_python_integers_so_that_json_can_write_them():
    assert all(type(work) is int for work in as_list(shuffled(5)))
