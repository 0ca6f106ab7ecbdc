from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wq_hooks.core.items.order import EpochOrder
from wq_hooks.core.items.plan import (
    MAX_NUMBER,
    Epochs,
    Item,
    Listed,
    Masked,
    Plan,
    live_segments,
    segment_from_json,
    segment_to_json,
)
from wq_hooks.core.items.works import Works
from wq_hooks.errors import SnapshotError

ABCD = Works(list("abcd"))


def mask_of(bits):
    return np.array([bit == "1" for bit in bits])


def texts(plan, start=0, stop=None):
    stop = plan.total if stop is None else stop
    return "".join(plan.item_at(t).text for t in range(start, stop))


def mixed_plan():
    """A plan as a merge leaves it: tickets 5 to 16, epochs 1 to 3."""
    return Plan(
        ABCD,
        [
            Listed(5, ((1, 3), (2, 0))),
            Masked(7, 2, False, 0, mask_of("0101")),
            Epochs(9, 3, 2, False, 0),
        ],
    )


def test_fresh_plan_repeats_the_listed_order():
    plan = Plan.fresh(ABCD, num_epochs=3, shuffle=False, seed=0)
    assert texts(plan) == "abcd" * 3
    assert plan.total == 12
    assert plan.items_per_epoch == 4
    assert plan.item_at(6) == Item(ticket=6, epoch=1, index=2, text="c")


@given(
    num_works=st.integers(1, 40),
    num_epochs=st.integers(1, 5),
    seed=st.integers(0, 100),
)
@settings(deadline=None)
def test_shuffled_plan_follows_the_order_of_each_epoch(
    num_works, num_epochs, seed
):
    works = Works([f"w{i}" for i in range(num_works)])
    plan = Plan.fresh(works, num_epochs=num_epochs, shuffle=True, seed=seed)
    for epoch in range(num_epochs):
        order = EpochOrder(num_works, shuffle=True, seed=seed, epoch=epoch)
        for place in range(num_works):
            item = plan.item_at(epoch * num_works + place)
            assert (item.epoch, item.index) == (epoch, order[place])
            assert item.text == f"w{order[place]}"


def test_tickets_may_be_asked_for_in_any_order():
    plan = Plan.fresh(ABCD, num_epochs=3, shuffle=True, seed=1)
    forward = [plan.item_at(t) for t in range(12)]
    assert [plan.item_at(t) for t in reversed(range(12))] == forward[::-1]
    mixed = [0, 11, 1, 10, 5, 5]
    assert [plan.item_at(t) for t in mixed] == [forward[t] for t in mixed]


def test_the_text_has_the_prefix():
    plan = Plan.fresh(
        Works(["a"], prefix="p/"), num_epochs=1, shuffle=False, seed=0
    )
    assert plan.item_at(0).text == "p/a"


def test_endless_plan_has_every_ticket():
    plan = Plan.fresh(ABCD, num_epochs=None, shuffle=False, seed=0)
    assert plan.total is None
    assert plan.item_at(10**12 + 1) == Item(10**12 + 1, 25 * 10**10, 1, "b")


@pytest.mark.parametrize("ticket", [-1, 12, 10**9])
def test_a_ticket_outside_the_plan_is_refused(ticket):
    plan = Plan.fresh(ABCD, num_epochs=3, shuffle=False, seed=0)
    with pytest.raises(IndexError, match=f"got {ticket}"):
        plan.item_at(ticket)


def test_segments_follow_each_other():
    plan = mixed_plan()
    assert texts(plan, 5) == "da" + "bd" + "abcdabcd"
    assert [plan.item_at(t).epoch for t in range(5, 17)] == (
        [1, 2] + [2, 2] + [3] * 4 + [4] * 4
    )
    assert plan.total == 17
    with pytest.raises(IndexError):
        plan.item_at(4)


def test_masked_segment_keeps_the_order_of_the_epoch():
    mask = mask_of("1101")
    plan = Plan(ABCD, [Masked(0, 6, True, 3, mask), Epochs(3, 7, 0, True, 3)])
    order = EpochOrder(4, shuffle=True, seed=3, epoch=6)
    expected = [i for i in order if i != 2]
    assert [plan.item_at(t).index for t in range(3)] == expected


def test_an_empty_masked_segment_holds_no_ticket():
    plan = Plan(
        ABCD,
        [Masked(4, 0, True, 3, mask_of("0000")), Epochs(4, 1, 1, False, 3)],
    )
    assert texts(plan, 4) == "abcd"
    assert plan.item_at(4).epoch == 1
    assert plan.total == 8


def test_epochs_that_were_taken_back_hold_no_ticket():
    plan = Plan(ABCD, [Epochs(0, 0, 1, False, 0), Epochs(4, 1, 0, False, 0)])
    assert plan.total == 4
    with pytest.raises(IndexError):
        plan.item_at(4)


def test_epoch_end():
    plan = mixed_plan()
    ends = {t: plan.epoch_end(t) for t in (5, 6, 7, 8, 9, 12, 13, 16)}
    assert ends == {5: 7, 6: 7, 7: 9, 8: 9, 9: 13, 12: 13, 13: 17, 16: 17}
    assert plan.epoch_end(17) == 17
    endless = Plan.fresh(ABCD, num_epochs=None, shuffle=False, seed=0)
    assert endless.epoch_end(0) == 4
    assert endless.epoch_end(4) == 8


def test_begun_names_the_works_whose_ticket_was_issued():
    plan = mixed_plan()
    assert plan.begun(2, 7).tolist() == []
    assert plan.begun(2, 8).tolist() == [1]
    assert plan.begun(2, 17).tolist() == [1, 3]
    assert plan.begun(3, 9).tolist() == []
    assert plan.begun(3, 11).tolist() == [0, 1]
    assert plan.begun(3, 17).tolist() == [0, 1, 2, 3]
    assert plan.begun(4, 14).tolist() == [0]
    assert plan.begun(5, 17).tolist() == []
    assert plan.begun(0, 17).tolist() == []


def test_live_segments_hold_what_is_from_just_below_the_watermark_on():
    plan = mixed_plan()
    listed, masked, epochs = plan.segments
    for low in (5, 6, 7):
        assert live_segments(plan, low) == [listed, masked, epochs]
    # The newest item handed out may be the last of the segment before.
    for low in (8, 9):
        assert live_segments(plan, low) == [masked, epochs]
    for low in (10, 17):
        assert live_segments(plan, low) == [epochs]


@pytest.mark.parametrize("watermark", range(5, 18))
def test_live_segments_say_the_same_items(watermark):
    plan = mixed_plan()
    rest = Plan(ABCD, live_segments(plan, watermark))
    assert rest.total == plan.total
    for ticket in range(max(watermark - 1, 5), 17):
        assert rest.item_at(ticket) == plan.item_at(ticket)


NUMBERS = st.integers(0, MAX_NUMBER)
SEGMENTS = st.one_of(
    st.builds(
        Epochs,
        st.integers(0, 2**60),
        st.integers(0, 2**40),
        st.none() | st.integers(0, 2**40),
        st.booleans(),
        st.integers(-(2**70), 2**70),
    ),
    st.builds(
        Listed,
        st.integers(0, 2**60),
        st.lists(st.tuples(NUMBERS, NUMBERS)).map(tuple),
    ),
    st.builds(
        Masked,
        st.integers(0, 2**60),
        st.integers(0, 2**40),
        st.booleans(),
        st.integers(-(2**70), 2**70),
        st.lists(st.booleans(), min_size=1, max_size=40).map(np.array),
    ),
)


def fields_of(segment):
    fields = dict(vars(segment))
    if isinstance(segment, Masked):
        fields["mask"] = fields["mask"].tolist()
    return type(segment), fields


@given(SEGMENTS)
@settings(deadline=None)
def test_segments_survive_json(segment):
    text = json.dumps(segment_to_json(segment))
    assert fields_of(segment_from_json(json.loads(text))) == fields_of(segment)


def test_a_mask_of_equal_bits_is_small_in_json():
    mask = np.zeros(10**6, dtype=np.bool_)
    segment = Masked(0, 0, True, 0, mask)
    assert len(json.dumps(segment_to_json(segment))) < 500


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"kind": "other"},
        {"kind": "epochs", "first_ticket": 0},
        {"kind": "epochs", **vars(Epochs(0, 0, 1, True, 0)), "more": 1},
        {"kind": "listed", "first_ticket": 0},
        {"kind": "listed", "first_ticket": 0, "entries": [[1]]},
        {"kind": "listed", "first_ticket": 0, "entries": [["a", "b"]]},
        {"kind": "listed", "first_ticket": 0, "entries": 5},
        {"kind": "masked", "num_works": 3, "mask": "????"},
        {"kind": "masked", "num_works": 3, "mask": "AAAA"},
        {"kind": "masked", "num_works": 3},
        [],
        None,
        "epochs",
    ],
)
def test_a_damaged_segment_is_refused(value):
    with pytest.raises(SnapshotError, match="Expected a"):
        segment_from_json(value)


def test_a_mask_that_is_too_short_is_refused():
    value = segment_to_json(Masked(0, 0, True, 0, np.ones(8, dtype=np.bool_)))
    with pytest.raises(SnapshotError):
        segment_from_json({**value, "num_works": 9})
