from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wq_hooks.core.messages import Claim
from wq_hooks.core.record_tracker import RecordTracker


def claim(ticket):
    return Claim("g", ticket)


def started(*num_chunks_of_items, num_clients=1):
    """A tracker of items 1, 2, ...; each was read in chunks of such sizes."""
    tracker = RecordTracker(num_clients)
    for slot, chunks in enumerate(num_chunks_of_items, 1):
        tracker.start(slot, claim(slot), f"item-{slot}")
        for number in chunks:
            tracker.read(slot, number)
        assert tracker.end_of_item(slot, len(chunks)) is None
    return tracker


def batch(tracker, **records):
    """A batch with so many records of each item: `i1=3`."""
    tracker.begin_batch()
    for name, number in records.items():
        tracker.deliver(int(name[1:]), number)


def test_a_batch_is_trained_when_the_next_one_is_asked_for():
    tracker = started([2], [2])

    batch(tracker, i1=2)
    assert tracker.take_completed() == []
    batch(tracker, i2=2)
    assert tracker.take_completed() == [claim(1)]
    assert tracker.num_trained == 2


def test_with_several_clients_so_many_batches_are_in_training():
    tracker = started([1], [1], [1], num_clients=2)

    batch(tracker, i1=1)
    batch(tracker, i2=1)
    assert tracker.take_completed() == []
    batch(tracker, i3=1)
    assert tracker.take_completed() == [claim(1)]


def test_an_item_needs_all_of_its_chunks():
    tracker = started([1024, 1024, 7])

    batch(tracker, i1=2048)
    batch(tracker, i1=6)
    batch(tracker)
    assert tracker.take_completed() == []
    batch(tracker, i1=1)
    assert tracker.take_completed() == []
    batch(tracker)
    assert tracker.take_completed() == [claim(1)]


def test_an_item_is_not_completed_before_it_is_read_to_its_end():
    tracker = RecordTracker()
    tracker.start(1, claim(1))
    tracker.read(1, 4)

    batch(tracker, i1=4)
    batch(tracker)
    assert tracker.take_completed() == []
    tracker.end_of_item(1, 1)
    assert tracker.take_completed() == [claim(1)]


def test_an_empty_item_is_completed_when_its_end_is_met():
    assert started([]).take_completed() == [claim(1)]


def test_a_batch_may_hold_records_of_several_items():
    tracker = started([2], [3])

    batch(tracker, i1=1, i2=3)
    batch(tracker, i1=1)
    assert tracker.take_completed() == [claim(2)]
    batch(tracker)
    assert tracker.take_completed() == [claim(1)]


def test_completed_items_are_told_once():
    tracker = started([1])
    batch(tracker, i1=1)
    batch(tracker)

    assert tracker.take_completed() == [claim(1)]
    batch(tracker)
    assert tracker.take_completed() == []


def test_what_a_filter_drops_counts_as_seen_at_once():
    tracker = started([3], [1])

    batch(tracker, i1=2)
    tracker.drop(2, 1)
    assert tracker.take_completed() == [claim(2)]
    tracker.drop(1, 1)
    assert tracker.take_completed() == []
    batch(tracker)
    assert tracker.take_completed() == [claim(1)]
    assert tracker.num_trained == 2


def test_at_the_end_of_the_data_the_last_batch_is_trained():
    tracker = started([5])
    batch(tracker, i1=5)

    assert tracker.finish() == 0
    assert tracker.take_completed() == [claim(1)]
    assert tracker.num_dropped == 0


def test_at_the_end_what_drop_remainder_left_counts_as_seen():
    tracker = started([5], [5])
    batch(tracker, i1=4)
    batch(tracker, i1=1, i2=3)

    assert tracker.finish() == 2
    assert set(tracker.take_completed()) == {claim(1), claim(2)}
    assert tracker.num_dropped == 2


def test_at_the_end_an_item_that_is_being_read_stays_open():
    tracker = started([2])
    tracker.start(2, claim(2))
    tracker.read(2, 1024)
    batch(tracker, i1=2, i2=1000)

    tracker.finish()

    assert tracker.take_completed() == [claim(1)]


def test_an_item_whose_reader_has_lost_a_chunk_stays_open():
    tracker = RecordTracker()
    tracker.start(1, claim(1), "truncated.tfrecord")
    tracker.read(1, 1024)

    # It went through two, and the second one was an error.
    assert tracker.end_of_item(1, 2) == "truncated.tfrecord"
    batch(tracker, i1=1024)
    tracker.finish()

    assert tracker.take_completed() == []
    assert tracker.unread() == ["truncated.tfrecord"]


def test_unread_names_what_is_being_read():
    tracker = started([1])
    tracker.start(2, claim(2), "a")
    tracker.start(3, claim(3), "b")

    assert tracker.unread() == ["a", "b"]
    tracker.end_of_item(2, 0)
    assert tracker.unread() == ["b"]


def test_what_an_earlier_session_left_behind_changes_nothing():
    tracker = started([2])

    tracker.read(99, 5)
    assert tracker.end_of_item(99, 1) is None
    tracker.drop(99, 5)
    batch(tracker, i1=1)
    tracker.deliver(99, 7)
    batch(tracker, i1=1)

    assert tracker.take_completed() == []
    assert tracker.finish() == 0
    assert tracker.take_completed() == [claim(1)]


@given(
    sizes=st.lists(st.integers(0, 40), min_size=1, max_size=8),
    chunk=st.integers(1, 16),
    buffer=st.integers(1, 200),
    batch_size=st.integers(1, 30),
    keep=st.sampled_from([1.0, 0.6]),
    num_clients=st.integers(1, 3),
    random=st.randoms(use_true_random=False),
)
def test_no_record_is_untrained_when_its_item_is_completed(
    sizes, chunk, buffer, batch_size, keep, num_clients, random: Random
):
    """A pipeline in miniature: chunks, a filter, a shuffle buffer, batches."""
    tracker = RecordTracker(num_clients)
    trained, dropped, completed = Counter(), Counter(), set()
    in_training = []

    def look():
        for done in tracker.take_completed():
            assert done not in completed
            completed.add(done)
            seen = trained[done.ticket] + dropped[done.ticket]
            assert seen == sizes[done.ticket]

    def records():
        for slot, size in enumerate(sizes):
            tracker.start(slot, claim(slot))
            num_chunks = 0
            for first in range(0, size, chunk):
                number = min(chunk, size - first)
                tracker.read(slot, number)
                num_chunks += 1
                for _ in range(number):
                    if random.random() < keep:
                        yield slot
                    else:
                        dropped[slot] += 1
                        tracker.drop(slot, 1)
                    look()
            tracker.end_of_item(slot, num_chunks)
            look()

    def shuffled():
        held = []
        for record in records():
            held.append(record)
            if len(held) >= buffer:
                yield held.pop(random.randrange(len(held)))
        random.shuffle(held)
        yield from held

    def step(batch):
        # The clients train; the oldest batch is through when one more comes.
        in_training.append(Counter(batch))
        if len(in_training) > num_clients:
            trained.update(in_training.pop(0))
        tracker.begin_batch()
        for slot, number in Counter(batch).items():
            tracker.deliver(slot, number)
        look()

    waiting = []
    for record in shuffled():
        waiting.append(record)
        if len(waiting) == batch_size:
            step(waiting)
            waiting = []
    if waiting:
        step(waiting)
    for rest in in_training:
        trained.update(rest)
    assert tracker.finish() == 0
    look()
    assert completed == {claim(slot) for slot in range(len(sizes))}
    assert tracker.num_trained == sum(trained.values())


@pytest.mark.parametrize("batch_size", [3, 7, 100])
def test_what_is_dropped_at_the_end_is_what_is_missing(batch_size):
    tracker = started([10], [10])
    records = [1] * 10 + [2] * 10
    num_batches = len(records) // batch_size
    for i in range(num_batches):
        tracker.begin_batch()
        for slot in records[i * batch_size : (i + 1) * batch_size]:
            tracker.deliver(slot, 1)

    assert tracker.finish() == 20 - num_batches * batch_size
    assert set(tracker.take_completed()) == {claim(1), claim(2)}
