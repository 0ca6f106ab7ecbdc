from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wq_hooks.core.consumer.batches_in_training import (
    Batch,
    BatchesInTraining,
    Watch,
)


def deliver(batches, num):
    for _ in range(num):
        batches.deliver(Batch(1, {}))


def num_trained(batches):
    return len(batches.take_trained())


@pytest.mark.parametrize(
    ("watch", "delivered", "passed", "told", "at_end", "through"),
    [
        # Of five that were delivered and three that were fetched.
        (Watch.ASKED, 4, 0, 0, 1, 0),
        (Watch.PASSED, 0, 2, 0, 3, 0),
        (Watch.CUT, 0, 2, 0, 1, 0),
        (Watch.AT_END, 0, 0, 0, 5, 0),
        (Watch.UNSEEN, 0, 0, 1, 0, 4),
    ],
)
def test_what_each_watch_knows(watch, delivered, passed, told, at_end, through):
    batches = BatchesInTraining()
    batches.begin(watch)
    deliver(batches, 5)
    assert num_trained(batches) == delivered
    batches.pass_on(3)
    assert num_trained(batches) == passed
    batches.train(1)
    assert num_trained(batches) == told
    batches.end(0)
    batches.end_seen(0)
    assert num_trained(batches) == at_end
    batches.train_through()
    assert num_trained(batches) == through


def test_what_the_end_of_the_pipeline_does_not_say():
    """It is met by what reads ahead."""
    for watch in (Watch.PASSED, Watch.CUT, Watch.AT_END, Watch.UNSEEN):
        batches = BatchesInTraining()
        batches.begin(watch)
        deliver(batches, 5)
        batches.end(0)
        batches.train_fetched()
        assert num_trained(batches) == 0


def test_steps_without_data_say_nothing_of_later_batches():
    batches = BatchesInTraining()
    batches.begin(Watch.UNSEEN)
    deliver(batches, 2)
    batches.train(9)
    assert num_trained(batches) == 2
    deliver(batches, 2)
    batches.train(1)
    assert num_trained(batches) == 1


def test_a_new_iteration_forgets_the_former():
    batches = BatchesInTraining()
    batches.begin(Watch.UNSEEN)
    deliver(batches, 3)
    batches.begin(Watch.UNSEEN)
    batches.train_through()
    assert num_trained(batches) == 0
    deliver(batches, 3)
    batches.train(1)
    assert num_trained(batches) == 1
    batches.clear()
    deliver(batches, 1)
    batches.end(0)
    batches.train_through()
    assert num_trained(batches) == 1


@given(
    watch=st.sampled_from([Watch.ASKED, Watch.PASSED, Watch.CUT, Watch.UNSEEN]),
    ahead=st.integers(0, 4),
    steps=st.lists(st.booleans(), max_size=30),
    num_batches=st.integers(0, 12),
)
def test_never_more_than_the_steps_have_trained(
    watch, ahead, steps, num_batches
):
    """A loop that says what it has trained, behind what holds some."""
    ahead = 0 if watch is Watch.ASKED else ahead
    batches = BatchesInTraining()
    batches.begin(watch)
    delivered = untold = counted = 0
    for fetched, says_it in enumerate(steps, 1):
        fresh = min(num_batches, fetched + ahead) - delivered
        deliver(batches, fresh)
        delivered += fresh
        if delivered == num_batches and watch is not Watch.ASKED:
            # What reads ahead has met it.
            batches.end(0)
        if fetched > delivered:
            break
        batches.pass_on(fetched)
        # This one is being trained.
        counted += num_trained(batches)
        assert counted <= fetched - 1
        untold += 1
        if says_it:
            batches.train(untold)
            untold = 0
            counted += num_trained(batches)
            assert counted == fetched
