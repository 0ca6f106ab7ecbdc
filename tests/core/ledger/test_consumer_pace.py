from __future__ import annotations

import pytest

from wq_hooks.core.items.added_works import AddedLog, AddedWorks
from wq_hooks.core.items.plan import Plan
from wq_hooks.core.items.slicing import Slicing
from wq_hooks.core.items.works import Works
from wq_hooks.core.ledger.consumer_state import Consumer
from wq_hooks.core.ledger.ledger import Ledger

FAST = Consumer("worker:0", "a")
SLOW = Consumer("worker:1", "b")


def make_ledger(lengths, *, unit=1, whole=0, **kwargs):
    """Returns a ledger of one work in slices, and of whole works behind it.

    Args:
      lengths: Lengths of the slices.
      unit: What each of them is multiplied by.
      whole: How many works there are behind.
      **kwargs: Arguments for the ledger.
    """
    edges = [0]
    for length in lengths:
        edges.append(edges[-1] + length * unit)
    slicing = Slicing(
        [edges[-1], *[None] * whole],
        [len(lengths), *[1] * whole],
        {0: edges},
    )
    works = Works([f"t{i}" for i in range(1 + whole)])
    plan = Plan.fresh(
        works, num_epochs=1, shuffle=False, seed=0, slicing=slicing
    )
    return Ledger(plan, **kwargs)


def take(ledger, consumer, now):
    (item,) = ledger.issue(1, now)
    assert ledger.lease(consumer, item.ticket, now)
    return item.ticket


def run(ledger, consumer, begin, end):
    """Lets a consumer take and complete one item."""
    ledger.acknowledge(consumer, take(ledger, consumer, begin), end)


def after_long_ones(lengths=(40, 40, 10, 1, 1, 1, 1), **kwargs):
    """Fast, at 1 s a unit, has completed 80, slow, at 4 s, 10. Both ask."""
    ledger = make_ledger(lengths, **kwargs)
    run(ledger, FAST, 0.0, 40.0)
    run(ledger, FAST, 40.0, 80.0)
    run(ledger, SLOW, 40.0, 80.0)
    ledger.ask(FAST, 80.0)
    ledger.ask(SLOW, 80.0)
    return ledger


def test_who_has_done_long_slices_is_not_taken_for_slow():
    # The fast one would have completed the four that remain at 84 s.
    assert after_long_ones().held_back(80.0) == frozenset()
    ledger = after_long_ones((40, 40, 10, 1, 1, 1))
    assert ledger.held_back(80.0) == {SLOW.name}


def test_bytes_are_no_slower_than_records():
    for unit in (1, 10**9):
        ledger = after_long_ones((40, 40, 10, 1, 1, 1), unit=unit)
        assert ledger.held_back(80.0) == {SLOW.name}


def test_a_whole_work_ahead_lets_items_count():
    lengths = (40, 40, 10, 1, 1)
    assert after_long_ones(lengths).held_back(80.0) == {SLOW.name}
    assert not after_long_ones(lengths, whole=1).held_back(80.0)


def test_lengths_of_several_kinds_do_not_count():
    lengths = (40, 40, 10, 1, 1)
    assert not after_long_ones(lengths, is_one_unit=False).held_back(80.0)


@pytest.mark.parametrize("is_held", [False, True])
def test_a_whole_work_that_was_taken_lets_items_count(is_held):
    works = Works(["whole", "t1", "t2"])
    slicing = Slicing([None, 100, 1], [1, 1, 1])
    plan = Plan.fresh(
        works, num_epochs=1, shuffle=False, seed=0, slicing=slicing
    )
    ledger = Ledger(plan)
    whole = take(ledger, SLOW, 0.0)
    run(ledger, FAST, 0.0, 10.0)
    ledger.ask(FAST, 10.0)
    if not is_held:
        ledger.acknowledge(SLOW, whole, 10.0)
        ledger.ask(SLOW, 10.0)
    # By its length the last item is one of 0.1 s, and by items one of 10 s.
    assert not ledger.held_back(10.0)


def test_added_works_have_no_length():
    log = AddedLog()
    ledger = after_long_ones((40, 40, 10, 1, 1))
    ledger.plan.added = AddedWorks(ledger.plan.total, log)
    log.add(["added"])
    log.close()
    ledger.pull_works()
    assert ledger.remaining == 3
    assert not ledger.held_back(80.0)


def test_who_holds_a_long_slice_is_free_later():
    lengths = (10, 10, 30, 2, 2)
    ledger = make_ledger(lengths)
    for begin in (0.0, 10.0):
        run(ledger, FAST, begin, begin + 10.0)
    take(ledger, FAST, 20.0)
    run(ledger, SLOW, 20.0, 28.0)
    ledger.ask(SLOW, 28.0)
    # Fast is at its 30 until 50 s; the slow one ends two of 8 s before that.
    assert SLOW.name not in ledger.held_back(28.0)
    ledger.heard(SLOW, 47.0)
    ledger.heard(FAST, 47.0)
    assert ledger.held_back(47.0) == {SLOW.name}


def test_what_was_handed_back_is_ahead():
    ledger = make_ledger((40, 40, 10, 60, 1))
    run(ledger, FAST, 0.0, 40.0)
    run(ledger, FAST, 40.0, 80.0)
    run(ledger, SLOW, 40.0, 80.0)
    ticket = take(ledger, FAST, 80.0)
    ledger.ask(SLOW, 80.0)
    # One item is left, of 1 unit: it ends at 84 s, and not at 141 s.
    assert SLOW.name not in ledger.held_back(80.0)
    ledger.hand_back(FAST, ticket, 80.0)
    ledger.ask(FAST, 80.0)
    # That of 60 units is next: at 320 s, and not at 141 s.
    assert ledger.held_back(80.0) == {SLOW.name}


def test_who_has_completed_nothing_is_taken_for_usual():
    ledger = make_ledger((8, 4, 4, 1))
    run(ledger, FAST, 0.0, 8.0)
    ledger.issue(1, 8.0)
    ledger.ask(FAST, 8.0)
    ledger.ask(SLOW, 8.0)
    assert ledger.held_back(8.0) == frozenset()


def test_nobody_asks_how_long_items_are_before_the_end_is_near(monkeypatch):
    asked = []
    length_of = Plan.length_of
    monkeypatch.setattr(
        Plan,
        "length_of",
        lambda plan, item: asked.append(item.ticket) or length_of(plan, item),
    )
    works = Works(["t"])
    slicing = Slicing.share([10**9], 10**7)
    plan = Plan.fresh(
        works, num_epochs=1, shuffle=True, seed=0, slicing=slicing
    )
    ledger = Ledger(plan)
    run(ledger, FAST, 0.0, 1.0)
    ledger.ask(FAST, 1.0)
    assert not ledger.held_back(1.0)
    assert not asked

    ledger = make_ledger([2] * 40)
    while ledger.remaining > 10:
        now = 80.0 - 2 * ledger.remaining
        run(ledger, FAST, now, now + 2.0)
        ledger.ask(FAST, now + 2.0)
        ledger.held_back(now + 2.0)
    # Each only once, whether it was done or ahead then.
    assert len(asked) == len(set(asked))
    assert min(asked) >= 40 - 16 - 5


def who_slows_down(slow_secs, *, held_secs=0.0, num_left=5):
    """Fast: 1 s an item, always. Slow: as well at first, then as given.

    Args:
      slow_secs: What slow's last items took, one after the other.
      held_secs: How long it has held one more; 0: it asks.
      num_left: Number of items ahead.

    Returns:
      The consumers that are held back.
    """
    num_done = 20 + 5 + len(slow_secs) + (held_secs > 0)
    works = Works([f"w{i}" for i in range(num_done + num_left)])
    plan = Plan.fresh(works, num_epochs=1, shuffle=False, seed=0)
    ledger = Ledger(plan)
    for begin in range(20):
        run(ledger, FAST, float(begin), begin + 1.0)
    now = 20.0 - sum(slow_secs) - held_secs
    for begin in range(5):
        run(ledger, SLOW, now - 5 + begin, now - 4 + begin)
    for secs in slow_secs:
        run(ledger, SLOW, now, now + secs)
        now += secs
    if held_secs:
        take(ledger, SLOW, now)
    else:
        ledger.ask(SLOW, 20.0)
    ledger.ask(FAST, 20.0)
    ledger.heard(SLOW, 20.0)
    return ledger.held_back(20.0)


def test_one_item_that_took_long_is_chance_two_are_not():
    assert not who_slows_down([8.0])
    assert who_slows_down([8.0, 1.0]) == frozenset()
    assert who_slows_down([8.0, 8.0]) == {SLOW.name}


def test_whoever_is_late_with_a_second_item_is_as_slow_as_with_the_first():
    # What it holds may be done at once, and the next would take 1 s or 2 s.
    assert not who_slows_down([1.0], held_secs=2.0)
    # It will be done in 6 s, and the next in 14 s; fast needs 5 s for all.
    assert who_slows_down([8.0], held_secs=2.0) == {SLOW.name}


def test_who_became_fast_again_is_let_in():
    assert not who_slows_down([8.0, 8.0, 1.0, 1.0, 1.0])
