"""How fast items go, and how long reports gather."""

import pytest

from wq_hooks.core.chief import flow_control as flow_module
from wq_hooks.core.chief.flow_control import FlowControl

DEPTH = flow_module._MIN_DEPTH
AHEAD_SECS = flow_module._AHEAD_SECS
MIN_SECS = flow_module._MIN_GATHER_SECS
MAX_SECS = flow_module._MAX_GATHER_SECS


def filled(*, now=0.0):
    """Returns a flow whose mailbox was filled for the first time."""
    flow = FlowControl()
    flow.note_issued(DEPTH, num_left=0, now=now)
    return flow


def gathers(flow, waited):
    """Returns how long reports gather after each of these waits."""
    found = []
    now = 0.0
    for secs in waited:
        now += secs
        flow.note_waited(secs, now)
        found.append(flow.gather_secs(DEPTH, 1, is_near_end=False))
    return found


def usual_gather(flow, num_left, *, taken, secs, num_consumers=1):
    """Returns how long reports gather where they come one after the other.

    Args:
      flow: What is asked.
      num_left: Number of items in the mailbox.
      taken: How many were taken before the last report.
      secs: In so many seconds.
      num_consumers: Number of those who may take.
    """
    gathers(flow, [0.0] * 6)
    flow.note_taken(99, now=50.0)
    flow.note_taken(taken, now=50.0 + secs)
    return flow.gather_secs(num_left, num_consumers, is_near_end=False)


@pytest.mark.parametrize(
    ("num_consumers", "depth"), [(1, DEPTH), (16, 32), (1000, 2000)]
)
def test_a_mailbox_is_filled_when_half_has_gone(num_consumers, depth):
    flow = FlowControl()
    assert flow.room(0, num_consumers) == depth
    assert flow.room(depth // 2 + 1, num_consumers) == 0
    assert flow.room(depth // 2, num_consumers) == depth - depth // 2


def test_where_items_go_fast_more_lie_ready():
    flow = filled()
    flow.note_issued(20, num_left=12, now=0.1)
    assert flow.room(0, 1) == DEPTH + 200 * AHEAD_SECS
    flow.note_issued(20, num_left=12, now=0.1001)
    assert flow.room(0, 1) == DEPTH + flow_module._MAX_AHEAD


def test_nothing_issued_tells_nothing():
    flow = filled()
    flow.note_issued(20, num_left=12, now=0.1)
    flow.note_issued(0, num_left=30, now=0.15)
    flow.note_issued(20, num_left=12, now=0.1)
    assert flow.room(0, 1) == DEPTH + 200 * AHEAD_SECS


def test_reports_gather_long_where_items_go_slowly():
    assert usual_gather(filled(), DEPTH, taken=0, secs=0.25) == MAX_SECS
    assert usual_gather(filled(), DEPTH, taken=1, secs=0.25) == MAX_SECS


@pytest.mark.parametrize(
    ("num_left", "num_consumers", "secs"),
    [
        (DEPTH, 1, 0.16),
        (DEPTH - 8, 1, 0.12),
        # It is filled as soon as half has gone.
        (DEPTH // 2, 1, 0.16),
        (0, 1, 0.16),
        (1500, 1000, MAX_SECS),
    ],
)
def test_reports_gather_while_half_of_the_mailbox_goes(
    num_left, num_consumers, secs
):
    found = usual_gather(
        filled(), num_left, taken=10, secs=0.1, num_consumers=num_consumers
    )
    assert found == pytest.approx(secs)


def test_and_not_longer_than_when_it_was_filled():
    flow = filled()
    flow.note_issued(16, num_left=16, now=0.04)
    # 32 + 80 lie ready by then, and 400 in a second may go.
    found = usual_gather(flow, DEPTH, taken=1, secs=0.1)
    assert found == pytest.approx((DEPTH + 400 * AHEAD_SECS) / 2 / 400)


def test_reports_gather_at_least_for_a_while():
    assert usual_gather(filled(), DEPTH, taken=900, secs=0.1) == MIN_SECS
    # Items that were given back, not taken.
    assert usual_gather(filled(), DEPTH, taken=-3, secs=0.1) == MAX_SECS


def test_reports_at_the_same_time_do_not_tell_how_fast_items_go():
    flow = filled()
    found = usual_gather(flow, DEPTH, taken=10, secs=0.1)
    flow.note_taken(7, now=50.1)
    assert flow.gather_secs(DEPTH, 1, is_near_end=False) == found


def test_reports_gather_for_a_short_time_behind_a_silence():
    """Those who come then may empty the mailbox before it is filled."""
    flow = filled()
    assert flow.gather_secs(DEPTH, 1, is_near_end=False) == MIN_SECS
    found = gathers(flow, [0.05, 0.05, 0.05, 0.05, 30.0, 0.0, 0.0])
    assert found == [0.04, 0.08, 0.16, MAX_SECS, MIN_SECS, 0.04, 0.08]


def test_a_silence_does_not_tell_how_fast_items_go():
    flow = filled()
    flow.note_waited(32.0, now=32.0)
    flow.note_issued(16, num_left=16, now=32.125)
    assert flow.room(0, 1) == DEPTH + int(128 * AHEAD_SECS)


def test_nor_does_what_was_issued_in_the_midst_of_a_silence():
    flow = filled(now=30.0)
    flow.note_waited(32.0, now=32.0)
    flow.note_issued(16, num_left=16, now=32.125)
    assert flow.room(0, 1) == DEPTH + int(128 * AHEAD_SECS)


def test_nor_does_an_empty_mailbox():
    flow = filled()
    flow.note_issued(DEPTH, num_left=0, now=2.0)
    assert flow.room(0, 1) == 2 * DEPTH
    flow.note_issued(2 * DEPTH, num_left=0, now=4.0)
    assert flow.room(0, 1) == 3 * DEPTH


def test_works_that_are_added_one_by_one_do_not_go_fast():
    flow = FlowControl()
    flow.note_issued(2, num_left=0, now=0.0, is_short=True)
    flow.note_issued(8, num_left=2, now=0.001, is_short=True)
    assert flow.room(0, 1) == DEPTH


def test_nor_do_works_that_come_when_all_are_done():
    flow = FlowControl()
    for hour in range(5):
        flow.note_issued(8, num_left=0, now=3600.0 * hour, is_short=True)
        assert flow.room(0, 1) == DEPTH


@pytest.mark.parametrize(
    ("num_consumers", "secs"), [(1, 0.0005), (4, 0.002), (1000, MIN_SECS)]
)
def test_near_the_end_the_more_may_ask_the_longer(num_consumers, secs):
    flow = filled()
    assert flow.gather_secs(DEPTH, num_consumers, is_near_end=True) == secs
