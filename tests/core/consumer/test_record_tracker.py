from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from wq_hooks.core.consumer.lanes import MAX_BATCHES, batch_number
from wq_hooks.core.consumer.record_tracker import RecordTracker
from wq_hooks.core.protocol.messages import Claim

ITERATION = 7


def claim(ticket):
    return Claim("g", ticket)


def started(*sizes, lanes=None, num_parallel_steps=1):
    """A tracker of items 1, 2, ... of such sizes, all read to the end."""
    tracker = RecordTracker(num_parallel_steps)
    lanes = lanes or [0] * len(sizes)
    num_read: Counter[int] = Counter()
    for slot, (size, lane) in enumerate(zip(sizes, lanes), 1):
        tracker.items.start(slot, claim(slot), f"item-{slot}")
        read(tracker, slot, lane, num_read[lane])
        num_read[lane] += size
    for lane in set(lanes):
        tracker.items.end_lane(lane, num_read[lane])
    return tracker


def read(tracker, slot, lane, num_read):
    """Opens an item whose reader does not fail."""
    tracker.items.open(slot, lane, num_read)
    tracker.items.begin_reading(slot)


def take_completed(tracker):
    """The claims of the items completed since the last call."""
    return [item.claim for item in tracker.items.take_completed()]


def batch(tracker, records=None):
    """Delivers a batch of {slot: how many records}."""
    tracker.deliver(records or {})


def test_a_batch_is_trained_when_the_next_one_is_asked_for():
    tracker = started(2, 2)

    batch(tracker, {1: 2})
    assert take_completed(tracker) == []
    batch(tracker, {2: 2})
    assert take_completed(tracker) == [claim(1)]
    assert tracker.num_trained == 2


def test_with_several_clients_so_many_batches_are_in_training():
    tracker = started(1, 1, 1, num_parallel_steps=2)

    batch(tracker, {1: 1})
    batch(tracker, {2: 1})
    assert take_completed(tracker) == []
    batch(tracker, {3: 1})
    assert take_completed(tracker) == [claim(1)]


def test_an_item_needs_all_of_its_records():
    tracker = started(5, 3)

    batch(tracker, {1: 4, 2: 3})
    batch(tracker, {1: 1})
    assert take_completed(tracker) == [claim(2)]
    batch(tracker)
    assert take_completed(tracker) == [claim(1)]


def test_the_end_of_an_item_is_known_when_the_next_one_begins():
    tracker = RecordTracker()
    for slot in (1, 2):
        tracker.items.start(slot, claim(slot))
    read(tracker, 1, 0, 0)
    batch(tracker, {1: 4})
    batch(tracker)
    assert take_completed(tracker) == []

    read(tracker, 2, 0, 4)
    assert take_completed(tracker) == [claim(1)]


def test_the_last_item_ends_with_its_lane():
    tracker = RecordTracker()
    tracker.items.start(1, claim(1))
    read(tracker, 1, 0, 0)
    batch(tracker, {1: 4})
    batch(tracker)
    assert take_completed(tracker) == []

    tracker.items.end_lane(0, 4)
    assert take_completed(tracker) == [claim(1)]


def test_empty_items_are_completed_when_they_were_read():
    tracker = RecordTracker()
    for slot in (1, 2, 3):
        tracker.items.start(slot, claim(slot))
    read(tracker, 1, 0, 0)
    assert take_completed(tracker) == []
    read(tracker, 2, 0, 0)
    assert take_completed(tracker) == [claim(1)]
    read(tracker, 3, 0, 2)
    tracker.items.end_lane(0, 2)
    assert take_completed(tracker) == [claim(3)]


def test_a_lane_knows_nothing_of_the_others():
    tracker = RecordTracker()
    for slot, lane in ((1, 7), (2, 8)):
        tracker.items.start(slot, claim(slot))
        read(tracker, slot, lane, 0)
    tracker.items.end_lane(7, 2)
    batch(tracker, {1: 2, 2: 2})
    batch(tracker)
    assert take_completed(tracker) == [claim(1)]

    tracker.items.end_lane(8, 2)
    assert take_completed(tracker) == [claim(2)]


def test_an_item_whose_reader_has_failed_stays_open():
    tracker = started(2)
    tracker.items.start(2, claim(2), "failed")
    tracker.items.open(2, 0, 2)
    tracker.items.end_lane(0, 2)
    batch(tracker, {1: 2})

    assert tracker.finish(ITERATION) == ["failed"]
    assert take_completed(tracker) == [claim(1)]


def test_an_item_that_no_lane_has_opened_stays_open():
    tracker = started(2)
    tracker.items.start(2, claim(2), "waits")
    batch(tracker, {1: 2})

    assert tracker.finish(ITERATION) == ["waits"]
    assert take_completed(tracker) == [claim(1)]


def test_an_item_of_a_lane_that_was_left_stays_open():
    tracker = RecordTracker()
    tracker.items.start(1, claim(1), "left")
    read(tracker, 1, 0, 0)
    batch(tracker, {1: 2})
    tracker.items.start(2, claim(2), "anew")
    read(tracker, 2, 1, 0)
    batch(tracker, {2: 3})
    tracker.items.end_lane(1, 3)

    assert tracker.finish(ITERATION) == ["left"]
    assert take_completed(tracker) == [claim(2)]


def test_completed_items_are_told_once():
    tracker = started(1, 1)
    batch(tracker, {1: 1})
    batch(tracker, {2: 1})

    assert take_completed(tracker) == [claim(1)]
    batch(tracker)
    assert take_completed(tracker) == [claim(2)]
    batch(tracker)
    assert take_completed(tracker) == []


def test_what_is_left_out_counts_as_seen_at_once():
    tracker = started(3, 2, 1)

    batch(tracker, {1: 2})
    tracker.drop({2: 2})
    tracker.drop({3: 1})
    assert take_completed(tracker) == [claim(2), claim(3)]
    tracker.drop({1: 1})
    assert take_completed(tracker) == []
    batch(tracker)
    assert take_completed(tracker) == [claim(1)]
    assert (tracker.num_trained, tracker.num_dropped) == (2, 4)


def test_at_the_end_of_the_data_the_last_batch_is_trained():
    tracker = started(5)
    batch(tracker, {1: 5})

    assert tracker.finish(ITERATION) == []
    assert take_completed(tracker) == [claim(1)]


def test_at_the_end_of_the_data_batches_may_still_be_in_training():
    tracker = started(1, 1, 2, num_parallel_steps=3)
    for slot in (1, 2, 3):
        batch(tracker, {slot: 1})

    assert tracker.finish(ITERATION, num_in_training=2) == ["item-3"]
    assert take_completed(tracker) == [claim(1)]
    tracker.train_delivered()
    assert take_completed(tracker) == [claim(2)]


def test_a_record_that_never_came_keeps_its_item_open():
    tracker = started(4, 4, 4)
    batch(tracker, {1: 4, 2: 3, 3: 4})

    assert tracker.finish(ITERATION) == ["item-2"]
    assert take_completed(tracker) == [claim(1), claim(3)]
    assert tracker.items.under_way() == ["item-2"]


def test_what_is_under_way_is_named():
    tracker = started(1, 1)
    tracker.items.start(3, claim(3), "a")

    assert tracker.items.under_way() == ["item-1", "item-2", "a"]
    batch(tracker, {1: 1})
    batch(tracker)
    take_completed(tracker)
    assert tracker.items.under_way() == ["item-2", "a"]


def test_what_an_earlier_session_left_behind_changes_nothing():
    tracker = started(2)

    tracker.items.open(99, 5, 0)
    tracker.drop({99: 5})
    batch(tracker, {1: 1, 99: 7})
    batch(tracker, {1: 1})

    assert take_completed(tracker) == []
    assert tracker.finish(ITERATION) == []
    assert take_completed(tracker) == [claim(1)]


@given(
    sizes=st.lists(st.integers(0, 40), min_size=1, max_size=8),
    num_lanes=st.integers(1, 3),
    buffer=st.integers(1, 200),
    batch_size=st.integers(1, 30),
    keep=st.sampled_from([1.0, 0.6]),
    lost=st.sampled_from([0.0, 0.02]),
    num_parallel_steps=st.integers(1, 3),
    random=st.randoms(use_true_random=False),
)
def test_no_record_is_untrained_when_its_item_is_completed(
    sizes, num_lanes, buffer, batch_size, keep, lost, num_parallel_steps, random
):
    """A pipeline in miniature: lanes, a filter, a shuffle buffer, batches."""
    tracker = RecordTracker(num_parallel_steps)
    seen, completed, failed = Counter(), set(), set()
    in_training = []
    num_trained = 0

    def look():
        for done in take_completed(tracker):
            assert done not in completed
            completed.add(done)
            assert seen[done.ticket] == sizes[done.ticket]

    def lane_of(lane, slots):
        num_read = 0
        for slot in slots:
            tracker.items.open(slot, lane, num_read)
            if random.random() < lost:
                failed.add(slot)
                continue
            tracker.items.begin_reading(slot)
            for _ in range(sizes[slot]):
                # A record that is lost was counted, too.
                num_read += 1
                yield slot
        tracker.items.end_lane(lane, num_read)

    def records():
        for slot in range(len(sizes)):
            tracker.items.start(slot, claim(slot))
        slots = iter(range(len(sizes)))
        lanes = [lane_of(lane, slots) for lane in range(num_lanes)]
        while lanes:
            lane = random.choice(lanes)
            record = next(lane, None)
            if record is None:
                lanes.remove(lane)
            elif random.random() < lost:
                failed.add(record)
            elif random.random() < keep:
                yield record
            else:
                seen[record] += 1
                tracker.drop({record: 1})
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
        in_training.append(Counter(records))
        if len(in_training) > num_parallel_steps:
            seen.update(in_training.pop(0))
        batch(tracker, Counter(records))
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
    tracker.finish(ITERATION)
    look()
    whole = set(range(len(sizes))) - failed
    assert completed == {claim(slot) for slot in whole}
    assert tracker.num_trained == num_trained


def test_records_trained_are_told_once():
    tracker = started(4)
    batch(tracker, {1: 3})
    assert tracker.take_num_trained() == 0
    batch(tracker)
    assert tracker.take_num_trained() == 3
    assert tracker.take_num_trained() == 0
    assert tracker.num_trained == 3


def test_a_batch_that_is_ready_is_not_delivered():
    tracker = started(2, 2)
    tracker.make_ready(ITERATION, 1, {1: 2})
    tracker.make_ready(ITERATION, 2, {2: 2})

    tracker.train_delivered()
    assert take_completed(tracker) == []

    tracker.fetch(ITERATION, 1)
    assert take_completed(tracker) == []
    tracker.train_delivered()
    assert take_completed(tracker) == [claim(1)]


def test_a_fetched_batch_is_trained_when_the_next_one_is_fetched():
    tracker = started(2, 2)
    tracker.make_ready(ITERATION, 1, {1: 2})
    tracker.make_ready(ITERATION, 2, {2: 2})

    tracker.fetch(ITERATION, 1)
    assert take_completed(tracker) == []
    tracker.fetch(ITERATION, 2)
    assert take_completed(tracker) == [claim(1)]


def test_what_is_told_twice_is_fetched_once():
    tracker = started(2, 2)
    tracker.make_ready(ITERATION, 1, {1: 2})
    for _ in range(3):
        tracker.fetch(ITERATION, 1)

    assert take_completed(tracker) == []


def test_an_error_takes_a_number_and_leaves_no_batch():
    tracker = started(1, 1)
    tracker.make_ready(ITERATION, 1, {1: 1})
    tracker.make_ready(ITERATION, 3, {2: 1})  # the second has failed

    tracker.fetch(ITERATION, 2)
    tracker.train_delivered()

    assert take_completed(tracker) == [claim(1)]


def test_an_iteration_that_ends_has_fetched_all_its_batches_and_no_others():
    tracker = started(1, 1)
    tracker.make_ready(ITERATION, 1, {1: 1})
    tracker.make_ready(ITERATION + 1, 1, {2: 1})

    assert tracker.finish(ITERATION) == []
    assert take_completed(tracker) == [claim(1)]


def test_what_was_ready_when_the_pipeline_was_left_is_forgotten():
    tracker = started(1)
    tracker.make_ready(ITERATION, 1, {1: 1})

    assert tracker.abandon() == [claim(1)]
    tracker.fetch(ITERATION, 1)
    tracker.train_delivered()

    assert take_completed(tracker) == []


def test_what_was_delivered_counts_when_somebody_says_so():
    tracker = started(2, 2)
    batch(tracker, {1: 2, 2: 1})
    assert take_completed(tracker) == []

    tracker.train_delivered()

    assert take_completed(tracker) == [Claim("g", 1)]


def test_a_pipeline_that_is_left_forgets_its_items():
    tracker = started(2, 2)
    batch(tracker, {1: 2, 2: 1})
    tracker.train_delivered()
    batch(tracker)

    assert tracker.abandon() == [Claim("g", 2)]
    assert take_completed(tracker) == [Claim("g", 1)]

    # What is left of it, and what comes next.
    tracker.drop({2: 1})
    batch(tracker, {2: 1})
    batch(tracker)
    assert take_completed(tracker) == []
    assert tracker.items.under_way() == []


class TestLookingAhead:
    """What ends an item before its lane is asked for more."""

    def opened(self, batch_size=0):
        tracker = RecordTracker()
        tracker.items.start(1, claim(1))
        tracker.items.open(1, 0, 0, batch_size=batch_size)
        tracker.items.begin_reading(1, is_kept=True)
        return tracker

    def train(self, tracker, records):
        batch(tracker, records)
        tracker.train_delivered()

    def test_an_item_that_has_ended_is_completed(self):
        tracker = self.opened()
        self.train(tracker, {1: 4})
        assert tracker.items.unknown_ends(lambda _: (4, 0)) == [(1, 4)]
        tracker.items.look_ahead(1, 4, is_size_known=True)
        assert take_completed(tracker) == []
        assert tracker.items.unknown_ends(lambda _: (4, 0)) == []
        assert take_completed(tracker) == [claim(1)]
        assert tracker.items.take_closed() == [1]

    def test_one_that_goes_on_is_looked_at_again_when_that_was_read(self):
        tracker = self.opened()
        self.train(tracker, {1: 4})
        tracker.items.look_ahead(1, 8, is_size_known=False)
        for num_read in (4, 6):
            assert (
                tracker.items.unknown_ends(lambda _, n=num_read: (n, 0)) == []
            )
            self.train(tracker, {1: 2})
        assert tracker.items.unknown_ends(lambda _: (8, 0)) == [(1, 8)]

    def test_while_records_are_on_their_way_nobody_looks(self):
        tracker = self.opened()
        batch(tracker, {1: 4})
        assert tracker.items.unknown_ends(lambda _: (4, 0)) == []
        tracker.train_delivered()
        assert tracker.items.unknown_ends(lambda _: (5, 0)) == []
        assert tracker.items.unknown_ends(lambda _: (0, 0)) == []

    def test_nor_at_one_that_cannot_be_read_again(self):
        tracker = RecordTracker()
        tracker.items.start(1, claim(1))
        read(tracker, 1, 0, 0)
        self.train(tracker, {1: 4})
        assert tracker.items.unknown_ends(lambda _: (4, 0)) == []

    def test_a_lane_that_makes_batches(self):
        tracker = self.opened(batch_size=2)
        self.train(tracker, {batch_number(0, 0): 2})
        # Before the second has come.
        assert tracker.items.unknown_ends(lambda _: (4, 2)) == []
        self.train(tracker, {batch_number(0, 1): 2})
        assert tracker.items.unknown_ends(lambda _: (4, 2)) == [(1, 4)]
        tracker.items.look_ahead(1, 4, is_size_known=True)
        tracker.items.unknown_ends(lambda _: (4, 2))
        assert take_completed(tracker) == [claim(1)]

    def test_after_a_lost_batch_nobody_looks(self):
        tracker = self.opened(batch_size=2)
        self.train(tracker, {batch_number(0, 1): 2})
        assert tracker.items.unknown_ends(lambda _: (4, 2)) == []

    def test_a_reader_that_gives_more_than_before_is_not_believed_again(self):
        tracker = self.opened()
        self.train(tracker, {1: 4})
        tracker.items.look_ahead(1, 4, is_size_known=True)
        tracker.items.unknown_ends(lambda _: (4, 0))
        assert not tracker.items.is_unsteady
        tracker.items.start(2, claim(2))
        tracker.items.open(2, 0, 6)
        tracker.items.begin_reading(2, is_kept=True)
        assert tracker.items.is_unsteady
        self.train(tracker, {2: 1})
        assert tracker.items.unknown_ends(lambda _: (7, 0)) == []


class TestLanesThatMakeBatches:
    """The records of batch k of lane 3 bear the number of that batch."""

    def started(self, *begins, num_records=None):
        """A tracker of items 1, 2, ... in batches of 4.

        Args:
          begins: How many records the lane has read when each is opened.
          num_records: Number of records of all; None: the last is still
            being read.
        """
        tracker = RecordTracker()
        for slot, begin in enumerate(begins, 1):
            tracker.items.start(slot, claim(slot), f"item-{slot}")
            self.open(tracker, slot, begin)
            tracker.items.begin_reading(slot)
        if num_records is not None:
            tracker.items.end_lane(3, num_records, -(-num_records // 4))
        return tracker

    def open(self, tracker, slot, begin):
        tracker.items.open(slot, 3, begin, num_batches=begin // 4, batch_size=4)

    def train(self, tracker, *indexes):
        for index in indexes:
            batch(tracker, {batch_number(3, index): 4})
        tracker.train_delivered()

    def test_an_item_needs_all_batches_that_have_records_of_it(self):
        tracker = self.started(0, 2, 9, num_records=16)

        self.train(tracker, 0)
        assert take_completed(tracker) == [claim(1)]
        self.train(tracker, 1)
        assert take_completed(tracker) == []
        self.train(tracker, 2)
        assert take_completed(tracker) == [claim(2)]
        self.train(tracker, 3)
        assert take_completed(tracker) == [claim(3)]
        assert tracker.num_trained == 16

    def test_what_is_trained_before_the_item_has_ended_counts(self):
        tracker = self.started(0)
        self.train(tracker, 0, 1)
        assert take_completed(tracker) == []

        tracker.items.end_lane(3, 8, 2)
        assert take_completed(tracker) == [claim(1)]

    def test_an_item_may_end_with_a_batch(self):
        tracker = self.started(0, 8, 8)
        # The second is empty.
        assert take_completed(tracker) == [claim(2)]
        self.train(tracker, 0)
        assert take_completed(tracker) == []
        self.train(tracker, 1)
        assert take_completed(tracker) == [claim(1)]

    def test_an_empty_item_has_no_batch(self):
        # The second begins and ends while a batch is being made.
        tracker = self.started(0, 5, 5)
        assert take_completed(tracker) == [claim(2)]

    def test_nor_has_one_at_the_end_that_was_open_when_a_batch_came(self):
        tracker = self.started(0, 3)
        batch(tracker, {batch_number(3, 0): 3})
        tracker.items.end_lane(3, 3, 1)
        assert take_completed(tracker) == [claim(2)]
        assert tracker.finish(ITERATION) == []
        assert take_completed(tracker) == [claim(1)]

    def test_it_is_known_by_its_last_batch_too_when_that_comes_later(self):
        tracker = self.started(0)
        self.train(tracker, 0, 1)
        tracker.items.start(2, claim(2))
        self.open(tracker, 2, 8)
        assert take_completed(tracker) == [claim(1)]

    def test_after_a_lost_batch_it_is_not_known(self):
        # Of the first batch two records were read before the error: the one
        # that is being made at the end has two of the item's.
        tracker = self.started(0)
        tracker.items.start(2, claim(2), "item-2")
        tracker.items.open(2, 3, 2, num_batches=1, batch_size=4)
        tracker.items.begin_reading(2)
        tracker.items.start(3, claim(3), "item-3")
        tracker.items.open(3, 3, 8, num_batches=2, batch_size=4)
        tracker.items.begin_reading(3)
        self.train(tracker, 1)
        assert take_completed(tracker) == []
        self.train(tracker, 2)
        assert take_completed(tracker) == [claim(2)]
        tracker.items.end_lane(3, 12, 3)
        assert take_completed(tracker) == [claim(3)]
        assert tracker.items.under_way() == ["item-1"]

    def test_nor_after_batches_out_of_order(self):
        tracker = self.started(0, 8)
        self.train(tracker, 1, 0)
        assert take_completed(tracker) == []
        self.train(tracker, 2)
        assert take_completed(tracker) == [claim(1)]

    def test_no_batch_follows_the_last(self):
        # The last three begin when all records have gone into two batches.
        tracker = self.started(0, 8, 8, num_records=8)
        self.train(tracker, 1)
        assert take_completed(tracker) == [claim(2), claim(3)]
        self.train(tracker, 0)
        assert take_completed(tracker) == [claim(1)]
        assert tracker.items.under_way() == []

    def test_batches_may_come_in_any_order_and_together(self):
        tracker = self.started(0, 5, num_records=16)
        batch(tracker, {batch_number(3, k): 2 for k in (3, 1)})
        batch(tracker, {batch_number(3, k): 2 for k in (0, 2)})
        assert take_completed(tracker) == []
        tracker.train_delivered()
        assert take_completed(tracker) == [claim(1), claim(2)]
        assert tracker.num_trained == 8

    def test_a_batch_that_is_left_out_counts_as_seen(self):
        tracker = self.started(0, num_records=7)
        self.train(tracker, 0)
        tracker.drop({batch_number(3, 1): 3})
        assert take_completed(tracker) == [claim(1)]
        assert (tracker.num_trained, tracker.num_dropped) == (4, 3)

    def test_a_lost_batch_leaves_its_items_open_and_no_others(self):
        tracker = self.started(0, 5, 14, num_records=20)
        self.train(tracker, 0, 1, 3, 4)
        assert tracker.finish(ITERATION) == ["item-2"]
        assert take_completed(tracker) == [claim(1), claim(3)]

    def test_batches_of_another_lane_are_none_of_its(self):
        tracker = self.started(0, num_records=4)
        batch(tracker, {batch_number(4, 0): 4})
        tracker.train_delivered()
        assert take_completed(tracker) == []
        assert tracker.num_trained == 4

    def test_one_whose_reader_has_failed_stays_open(self):
        tracker = self.started(0)
        tracker.items.start(2, claim(2), "failed")
        self.open(tracker, 2, 5)
        tracker.items.end_lane(3, 6, 2)
        self.train(tracker, 0, 1)
        assert take_completed(tracker) == [claim(1)]
        assert tracker.finish(ITERATION) == ["failed"]

    def test_lanes_are_forgotten(self):
        tracker = RecordTracker()
        for lane in range(5):
            tracker.items.start(lane, claim(lane))
            tracker.items.open(lane, lane, 0, num_batches=0, batch_size=4)
            tracker.items.begin_reading(lane)
            tracker.items.end_lane(lane, 4, 1)
            batch(tracker, {batch_number(lane, 0): 4})
            tracker.train_delivered()
            assert take_completed(tracker) == [claim(lane)]
        assert not tracker.items._lanes

    @given(
        # A lane is named by the microseconds since 1970.
        lane=st.integers(0, 1 << 52),
        index=st.integers(0, MAX_BATCHES - 1),
    )
    def test_numbers_of_batches_are_apart_from_slots_and_fit(self, lane, index):
        number = batch_number(lane, index)
        assert -(1 << 63) <= number < 0
        assert number != batch_number(lane ^ 1, index)
        assert number != batch_number(lane, index ^ 1)

    def test_the_lane_that_began_last_has_made_a_batch(self):
        """Numbers come again after a second; an item may stay open."""
        first, second = 3, 3 + (1 << 20)
        assert batch_number(first, 0) == batch_number(second, 0)
        tracker = RecordTracker()
        for lane in (first, second):
            tracker.items.start(lane, claim(lane))
            tracker.items.open(lane, lane, 0, num_batches=0, batch_size=4)
            tracker.items.begin_reading(lane)
            tracker.items.end_lane(lane, 4, 1)
        batch(tracker, {batch_number(second, 0): 4})
        tracker.train_delivered()
        assert take_completed(tracker) == [claim(second)]


@given(
    sizes=st.lists(st.integers(0, 12), min_size=1, max_size=8),
    batch_size=st.integers(1, 9),
    buffer=st.integers(1, 5),
    lost=st.sampled_from([0.0, 0.1]),
    kept=st.sampled_from([1.0, 0.7]),
    num_parallel_steps=st.integers(1, 3),
    random=st.randoms(use_true_random=False),
)
def test_no_batch_is_untrained_when_an_item_of_its_is_completed(
    sizes, batch_size, buffer, lost, kept, num_parallel_steps, random
):
    """A pipeline in miniature: a lane that makes batches, then a shuffle."""
    tracker = RecordTracker(num_parallel_steps)
    lane = random.randrange(1 << 30)
    seen, completed, failed = Counter(), set(), set()
    in_training = []
    num_records = num_batches = 0
    ended = set()

    def look():
        for done in take_completed(tracker):
            assert done not in completed
            completed.add(done)
            assert seen[done.ticket] == sizes[done.ticket]
        if not lost and buffer == 1:
            # In order, it is known at once.
            through = {s for s in ended if seen[s] == sizes[s]}
            assert completed == {claim(slot) for slot in through}

    def records():
        nonlocal num_records
        for slot in range(len(sizes)):
            tracker.items.start(slot, claim(slot))
            tracker.items.open(
                slot,
                lane,
                num_records,
                num_batches=num_batches,
                batch_size=batch_size,
            )
            if slot:
                ended.add(slot - 1)
            tracker.items.begin_reading(slot)
            look()
            for _ in range(sizes[slot]):
                num_records += 1
                yield slot

    def batches():
        nonlocal num_batches
        source = records()
        rows = []
        for slot in source:
            rows.append(slot)
            # An error ends a batch before it is full.
            is_lost = random.random() < lost / batch_size
            if len(rows) < batch_size and not is_lost:
                continue
            number = batch_number(lane, num_batches)
            num_batches += 1
            if is_lost:
                failed.update(rows)
            else:
                yield from made(number, rows)
            rows = []
        if rows:
            number = batch_number(lane, num_batches)
            num_batches += 1
            yield from made(number, rows)
        tracker.items.end_lane(lane, num_records, num_batches)
        ended.add(len(sizes) - 1)

    def made(number, rows):
        if random.random() < kept:
            yield number, rows
        else:
            seen.update(rows)
            tracker.drop({number: len(rows)})

    def shuffled():
        held = []
        for number_and_rows in batches():
            held.append(number_and_rows)
            if len(held) >= buffer:
                yield held.pop(random.randrange(len(held)))
        random.shuffle(held)
        yield from held

    for number, rows in shuffled():
        in_training.append(rows)
        if len(in_training) > num_parallel_steps:
            seen.update(in_training.pop(0))
        batch(tracker, {number: len(rows)})
        look()
    for rows in in_training:
        seen.update(rows)
    tracker.finish(ITERATION)
    look()
    # A neighbour of a lost batch may be open: whether it has records of its is
    # not known.
    assert completed <= {claim(s) for s in set(range(len(sizes))) - failed}
    if not lost:
        assert completed == {claim(slot) for slot in range(len(sizes))}
