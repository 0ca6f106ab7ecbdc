from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from wq_hooks.core.messages import Claim
from wq_hooks.core.record_tracker import RecordTracker


def claim(ticket):
    return Claim("g", ticket)


def started(*sizes, lanes=None, num_clients=1):
    """A tracker of items 1, 2, ... of such sizes, and their records.

    Returns:
      The tracker, and {slot: its records' numbers}.
    """
    tracker = RecordTracker(num_clients)
    lanes = lanes or [0] * len(sizes)
    ends: Counter[int] = Counter()
    records = {}
    for slot, (size, lane) in enumerate(zip(sizes, lanes), 1):
        tracker.start(slot, claim(slot), f"item-{slot}")
        tracker.open(slot, lane)
        records[slot] = list(range(ends[lane], ends[lane] + size))
        ends[lane] += size
    return tracker, records


def batch(tracker, records=None):
    """Delivers a batch of {slot: numbers}."""
    tracker.begin_batch()
    for slot, numbers in (records or {}).items():
        if numbers:
            tracker.deliver(slot, len(numbers), min(numbers), max(numbers))


def test_a_batch_is_trained_when_the_next_one_is_asked_for():
    tracker, records = started(2, 2)

    batch(tracker, {1: records[1]})
    assert tracker.take_completed() == []
    batch(tracker, {2: records[2]})
    assert tracker.take_completed() == [claim(1)]
    assert tracker.num_trained == 2


def test_with_several_clients_so_many_batches_are_in_training():
    tracker, records = started(1, 1, 1, num_clients=2)

    batch(tracker, {1: records[1]})
    batch(tracker, {2: records[2]})
    assert tracker.take_completed() == []
    batch(tracker, {3: records[3]})
    assert tracker.take_completed() == [claim(1)]


def test_an_item_needs_all_of_its_records():
    tracker, records = started(5, 3)
    first, second = records[1], records[2]

    batch(tracker, {1: first[:2] + first[3:], 2: second})
    batch(tracker, {1: first[2:3]})
    assert tracker.take_completed() == []
    batch(tracker)
    assert tracker.take_completed() == [claim(1)]


def test_the_end_of_an_item_is_known_by_what_follows_it():
    tracker, records = started(4, 3)

    batch(tracker, {1: records[1]})
    batch(tracker)
    assert tracker.take_completed() == []
    # Number 4 may be of the first or of the second item.
    batch(tracker, {2: records[2][1:]})
    assert tracker.take_completed() == []
    batch(tracker, {2: records[2][:1]})
    assert tracker.take_completed() == [claim(1)]


def test_empty_items_are_completed_between_their_neighbours():
    tracker, records = started(0, 2, 0, 0, 2, 0)

    batch(tracker, {2: records[2][1:]})
    assert tracker.take_completed() == []
    batch(tracker, {2: records[2][:1], 5: records[5][:1]})
    assert tracker.take_completed() == [claim(i) for i in (1, 3, 4)]
    batch(tracker, {5: records[5][1:]})
    assert tracker.take_completed() == [claim(2)]
    assert tracker.finish() == []
    assert tracker.take_completed() == [claim(5), claim(6)]


def test_a_lane_knows_nothing_of_the_others():
    tracker, records = started(2, 2, 2, lanes=[7, 8, 7])

    batch(tracker, {1: records[1], 2: records[2]})
    batch(tracker)
    assert tracker.take_completed() == []
    batch(tracker, {3: records[3]})
    assert tracker.take_completed() == [claim(1)]
    tracker.finish()
    assert tracker.take_completed() == [claim(2), claim(3)]


def test_an_item_that_no_lane_has_opened_stays_open():
    tracker, records = started(2)
    tracker.start(2, claim(2), "waits")
    batch(tracker, {1: records[1]})

    assert tracker.finish() == ["waits"]
    assert tracker.take_completed() == [claim(1)]


def test_completed_items_are_told_once():
    tracker, records = started(1, 1)
    batch(tracker, {1: records[1]})
    batch(tracker, {2: records[2]})

    assert tracker.take_completed() == [claim(1)]
    batch(tracker)
    assert tracker.take_completed() == []


def test_what_is_left_out_counts_as_seen_at_once():
    tracker, records = started(3, 2, 1)

    batch(tracker, {1: records[1][:2]})
    tracker.drop(2, 2, *records[2])
    tracker.drop(3, 1, *records[3] * 2)
    assert tracker.take_completed() == []
    tracker.drop(1, 1, *records[1][2:] * 2)
    assert tracker.take_completed() == [claim(2)]
    batch(tracker)
    assert tracker.take_completed() == [claim(1)]
    assert (tracker.num_trained, tracker.num_dropped) == (2, 4)


def test_at_the_end_of_the_data_the_last_batch_is_trained():
    tracker, records = started(5)
    batch(tracker, {1: records[1]})

    assert tracker.finish() == []
    assert tracker.take_completed() == [claim(1)]


def test_a_record_that_never_came_keeps_its_item_open():
    tracker, records = started(4, 4, 4)
    del records[2][1]
    for slot in records:
        batch(tracker, {slot: records[slot]})

    assert tracker.finish() == ["item-2"]
    assert tracker.take_completed() == [claim(1), claim(3)]
    assert tracker.under_way() == ["item-2"]


def test_a_record_lost_between_two_items_keeps_both_open():
    tracker, records = started(4, 4, 4)
    del records[2][-1]
    for slot in records:
        batch(tracker, {slot: records[slot]})

    assert tracker.finish() == ["item-2", "item-3"]
    assert tracker.take_completed() == [claim(1)]


def test_what_is_under_way_is_named():
    tracker, records = started(1, 1)
    tracker.start(3, claim(3), "a")

    assert tracker.under_way() == ["item-1", "item-2", "a"]
    batch(tracker, {1: records[1], 2: records[2]})
    batch(tracker)
    tracker.take_completed()
    assert tracker.under_way() == ["item-2", "a"]


def test_what_an_earlier_session_left_behind_changes_nothing():
    tracker, records = started(2)

    tracker.open(99, 0)
    tracker.drop(99, 5, 0, 4)
    batch(tracker, {1: records[1][:1]})
    tracker.deliver(99, 7, 0, 6)
    batch(tracker, {1: records[1][1:]})

    assert tracker.take_completed() == []
    assert tracker.finish() == []
    assert tracker.take_completed() == [claim(1)]


def test_an_iterator_made_anew_counts_from_zero_in_a_lane_of_its_own():
    tracker, records = started(3, 3)
    batch(tracker, {1: records[1][:2]})
    tracker.start(3, claim(3))
    tracker.start(4, claim(4))
    tracker.open(3, lane=1)
    tracker.open(4, lane=1)

    batch(tracker, {3: [0, 1], 4: [2]})
    batch(tracker)

    assert tracker.take_completed() == [claim(3)]


@given(
    sizes=st.lists(st.integers(0, 40), min_size=1, max_size=8),
    num_lanes=st.integers(1, 3),
    buffer=st.integers(1, 200),
    batch_size=st.integers(1, 30),
    keep=st.sampled_from([1.0, 0.6]),
    lost=st.sampled_from([0.0, 0.02]),
    num_clients=st.integers(1, 3),
    random=st.randoms(use_true_random=False),
)
def test_no_record_is_untrained_when_its_item_is_completed(
    sizes, num_lanes, buffer, batch_size, keep, lost, num_clients, random
):
    """A pipeline in miniature: lanes, a filter, a shuffle buffer, batches."""
    tracker = RecordTracker(num_clients)
    seen, completed, failed = Counter(), set(), set()
    in_training = []
    num_trained = 0

    def look():
        for done in tracker.take_completed():
            assert done not in completed
            completed.add(done)
            assert seen[done.ticket] == sizes[done.ticket]

    def lane_of(lane, slots):
        number = 0
        for slot in slots:
            tracker.open(slot, lane)
            for _ in range(sizes[slot]):
                # A number is used up for a record that is lost, too.
                yield slot, number
                number += 1

    def records():
        for slot in range(len(sizes)):
            tracker.start(slot, claim(slot))
        slots = iter(range(len(sizes)))
        lanes = [lane_of(lane, slots) for lane in range(num_lanes)]
        while lanes:
            lane = random.choice(lanes)
            record = next(lane, None)
            if record is None:
                lanes.remove(lane)
            elif random.random() < lost:
                failed.add(record[0])
            elif random.random() < keep:
                yield record
            else:
                slot, number = record
                seen[slot] += 1
                tracker.drop(slot, 1, number, number)
            look()

    def shuffled():
        held = []
        for record in records():
            held.append(record)
            if len(held) >= buffer:
                yield held.pop(random.randrange(len(held)))
        random.shuffle(held)
        yield from held

    def step(records):
        # The clients train; the oldest batch is through when one more comes.
        in_training.append(Counter(slot for slot, _ in records))
        if len(in_training) > num_clients:
            seen.update(in_training.pop(0))
        numbers = {slot: [] for slot, _ in records}
        for slot, number in records:
            numbers[slot].append(number)
        batch(tracker, numbers)
        look()

    waiting = []
    for record in shuffled():
        waiting.append(record)
        if len(waiting) == batch_size:
            step(waiting)
            num_trained += len(waiting)
            waiting = []
    if waiting:
        step(waiting)
        num_trained += len(waiting)
    for rest in in_training:
        seen.update(rest)
    tracker.finish()
    # The number of a record that was lost last of all is never missed.
    for slot in failed:
        sizes[slot] = seen[slot]
    look()
    if not failed:
        assert completed == {claim(slot) for slot in range(len(sizes))}
    assert tracker.num_trained == num_trained


def test_records_trained_are_told_once():
    tracker, records = started(4)
    batch(tracker, {1: records[1][:3]})
    assert tracker.take_num_trained() == 0
    batch(tracker)
    assert tracker.take_num_trained() == 3
    assert tracker.take_num_trained() == 0
    assert tracker.num_trained == 3


def test_what_was_delivered_counts_when_somebody_says_so():
    tracker, _ = started(2, 2)
    tracker.begin_batch()
    tracker.deliver(1, 2, 0, 1)
    tracker.deliver(2, 1, 2, 2)
    assert tracker.take_completed() == []

    tracker.train_delivered()

    assert tracker.take_completed() == [Claim("g", 1)]


def test_a_pipeline_that_is_left_forgets_its_items():
    tracker, _ = started(2, 2)
    tracker.begin_batch()
    tracker.deliver(1, 2, 0, 1)
    tracker.deliver(2, 1, 2, 2)
    tracker.train_delivered()
    tracker.begin_batch()

    assert tracker.abandon() == [Claim("g", 2)]
    assert tracker.take_completed() == [Claim("g", 1)]

    # What is left of it, and what comes next.
    tracker.drop(2, 1, 3, 3)
    tracker.deliver(2, 1, 4, 4)
    tracker.begin_batch()
    assert tracker.take_completed() == []
    assert tracker.under_way() == []
