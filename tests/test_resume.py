from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)

from wq_hooks.core import packed_plan
from wq_hooks.core.consumer_state import Consumer
from wq_hooks.core.ledger import Ledger
from wq_hooks.core.plan import Plan
from wq_hooks.core.resume import resume
from wq_hooks.core.snapshot import Snapshot
from wq_hooks.core.works import Works
from wq_hooks.errors import SnapshotError

WORKER = Consumer("worker:0", "1")


def start(works, *, num_epochs=1, shuffle=False, seed=0):
    plan = Plan.fresh(
        Works(list(works)), num_epochs=num_epochs, shuffle=shuffle, seed=seed
    )
    return Ledger(plan)


def lease(ledger, num_items):
    items = ledger.issue(num_items, 0.0)
    for item in items:
        ledger.lease(WORKER, item.ticket, 0.0)
    return items


def complete(ledger, *items):
    for item in items:
        assert ledger.acknowledge(WORKER, item.ticket, 0.0)


def train(ledger, num_items):
    items = lease(ledger, num_items)
    complete(ledger, *items)
    return [(item.epoch, item.text) for item in items]


def saved(ledger):
    """The position, as it comes out of a checkpoint."""
    return Snapshot.from_json(ledger.snapshot("q", None).to_json())


def resumption_of(
    position, works, num_epochs=1, shuffle=False, seed=None, **kwargs
):
    return resume(
        Works(list(works)),
        position,
        num_epochs=num_epochs,
        shuffle=shuffle,
        seed=seed,
        **kwargs,
    )


def ledger_of(resumption):
    return Ledger(resumption.plan, resumption=resumption)


def restored(ledger, works, *args, **kwargs):
    return ledger_of(resumption_of(saved(ledger), works, *args, **kwargs))


def rest(ledger):
    """What is left to do, "<epoch><text>" in order; completes it."""
    before = ledger.completed
    items = train(ledger, 10_000)
    assert ledger.is_done
    assert ledger.completed == before + len(items) == ledger.total
    assert ledger.low_watermark == ledger.total
    return [f"{epoch}{text}" for epoch, text in items]


def words(text):
    return text.split()


class TestSameWorks:
    def test_continues_where_it_was(self):
        ledger = start("abcd", num_epochs=2)
        train(ledger, 3)
        again = restored(ledger, "abcd", 2)
        assert again.completed == 3
        assert rest(again) == words("0d 1a 1b 1c 1d")

    def test_what_was_in_flight_comes_first(self):
        ledger = start("abcde")
        items = lease(ledger, 4)
        complete(ledger, items[1], items[3])
        again = restored(ledger, "abcde")
        assert (again.completed, again.in_flight, again.remaining) == (2, 0, 3)
        assert again.low_watermark == 0
        assert rest(again) == words("0a 0c 0e")

    def test_what_was_issued_and_not_taken_comes_first(self):
        ledger = start("abcd")
        ledger.issue(3, 0.0)
        again = restored(ledger, "abcd")
        assert again.completed == 0
        assert rest(again) == words("0a 0b 0c 0d")

    @pytest.mark.parametrize("num_trained", [0, 1, 7, 8, 9, 15, 16])
    def test_a_shuffled_order_is_the_same_as_without_the_break(
        self, num_trained
    ):
        works = [f"w{i}" for i in range(8)]
        whole = train(start(works, num_epochs=2, shuffle=True, seed=5), 16)
        ledger = start(works, num_epochs=2, shuffle=True, seed=5)
        first = train(ledger, num_trained)
        again = restored(ledger, works, 2, True)
        assert first + train(again, 16) == whole

    def test_a_given_seed_that_is_the_same_changes_nothing(self):
        ledger = start("abcdefgh", num_epochs=2, shuffle=True, seed=5)
        train(ledger, 3)
        with_seed = restored(ledger, "abcdefgh", 2, True, 5)
        without = restored(ledger, "abcdefgh", 2, True, None)
        assert rest(with_seed) == rest(without)

    def test_nothing_had_begun(self):
        again = restored(start("abc"), "abc")
        assert rest(again) == words("0a 0b 0c")

    def test_everything_was_completed(self):
        ledger = start("abc")
        train(ledger, 3)
        again = restored(ledger, "abc")
        assert again.is_done
        assert rest(again) == []

    def test_restoring_twice_is_restoring_once(self):
        ledger = start("abcdefgh", num_epochs=2, shuffle=True, seed=2)
        items = lease(ledger, 3)
        complete(ledger, items[1])
        once = restored(ledger, "abcdefgh", 2, True)
        twice = restored(once, "abcdefgh", 2, True)
        assert saved(once).to_json() == saved(twice).to_json()
        assert rest(once) == rest(twice)

    def test_attempts_go_on_counting(self):
        ledger = start("ab")
        (a,) = lease(ledger, 1)
        again = restored(ledger, "ab")
        (item,) = again.issue(1, 0.0)
        again.lease(WORKER, item.ticket, 0.0)
        assert again.leases[a.ticket].attempt == 2
        assert again.repeated == 1

    def test_given_up_items_stay_so(self):
        ledger = Ledger(
            Plan.fresh(Works(["a", "b"]), num_epochs=1, shuffle=False, seed=0),
            max_attempts=1,
        )
        lease(ledger, 1)
        ledger.leave(WORKER, 0.0)
        assert ledger.given_up == [(0, "a")]
        again = restored(ledger, "ab")
        assert again.given_up == [(0, "a")]
        assert rest(again) == words("0b")

    def test_says_what_was_kept(self):
        resumption = resumption_of(saved(start("aab")), "aab")
        assert (resumption.kept, resumption.added, resumption.dropped) == (
            3,
            0,
            0,
        )
        assert resumption.notes == ()

    def test_a_prefix_may_change(self):
        ledger = start("ab")
        train(ledger, 1)
        resumption = resume(
            Works(["a", "b"], prefix="/moved/"),
            saved(ledger),
            num_epochs=1,
            shuffle=False,
            seed=None,
        )
        assert rest(ledger_of(resumption)) == ["0/moved/b"]


class TestNumEpochs:
    def test_more_epochs_are_added(self):
        ledger = start("ab", num_epochs=1)
        train(ledger, 1)
        assert rest(restored(ledger, "ab", 3)) == words("0b 1a 1b 2a 2b")

    def test_more_epochs_are_added_to_a_finished_queue(self):
        ledger = start("ab", num_epochs=1)
        train(ledger, 2)
        assert rest(restored(ledger, "ab", 2)) == words("1a 1b")

    def test_fewer_epochs_end_earlier(self):
        ledger = start("ab", num_epochs=5)
        train(ledger, 1)
        assert rest(restored(ledger, "ab", 2)) == words("0b 1a 1b")

    def test_an_epoch_that_is_begun_is_finished(self):
        ledger = start("ab", num_epochs=5)
        train(ledger, 5)
        again = restored(ledger, "ab", 1)
        assert rest(again) == words("2b")
        # And may be extended once more.
        assert rest(restored(again, "ab", 4)) == words("3a 3b")

    def test_an_epoch_that_is_completed_is_not_followed_by_another(self):
        ledger = start("ab", num_epochs=5)
        train(ledger, 4)
        assert rest(restored(ledger, "ab", 2)) == []

    def test_without_end_and_back(self):
        ledger = start("ab", num_epochs=1)
        train(ledger, 1)
        endless = restored(ledger, "ab", None)
        assert endless.total is None
        assert train(endless, 4) == [(0, "b"), (1, "a"), (1, "b"), (2, "a")]
        assert rest(restored(endless, "ab", 4)) == words("2b 3a 3b")
        assert rest(restored(endless, "ab", 1)) == words("2b")

    def test_is_said_in_words_once(self):
        ledger = start("ab", num_epochs=5)
        train(ledger, 5)
        resumption = resumption_of(saved(ledger), "ab", 7)
        assert resumption.notes == ("num_epochs is now 7, was 5",)
        again = ledger_of(resumption_of(saved(ledger), "ab", 1))
        assert resumption_of(saved(again), "ab", 1).notes == ()


class TestOrder:
    WORKS = [f"w{i}" for i in range(8)]

    def whole(self, num_epochs, **order):
        ledger = start(self.WORKS, num_epochs=num_epochs, **order)
        return train(ledger, 8 * num_epochs)

    @pytest.mark.parametrize("num_trained", [1, 7, 8])
    def test_another_seed_applies_from_the_next_epoch(self, num_trained):
        old = self.whole(3, shuffle=True, seed=1)
        new = self.whole(3, shuffle=True, seed=2)
        ledger = start(self.WORKS, num_epochs=3, shuffle=True, seed=1)
        train(ledger, num_trained)
        again = restored(ledger, self.WORKS, 3, True, 2)
        assert train(again, 99) == old[num_trained:8] + new[8:]

    def test_another_seed_applies_at_once_if_nothing_has_begun(self):
        ledger = start(self.WORKS, num_epochs=2, shuffle=True, seed=1)
        again = restored(ledger, self.WORKS, 2, True, 2)
        assert train(again, 99) == self.whole(2, shuffle=True, seed=2)

    @pytest.mark.parametrize("num_trained", [3, 8, 12])
    def test_shuffle_can_be_switched(self, num_trained):
        old = self.whole(3, shuffle=True, seed=1)
        new = self.whole(3, shuffle=False)
        ledger = start(self.WORKS, num_epochs=3, shuffle=True, seed=1)
        train(ledger, num_trained)
        again = restored(ledger, self.WORKS, 3, False)
        switch = -(-num_trained // 8) * 8
        assert train(again, 99) == old[num_trained:switch] + new[switch:]

    def test_several_changes_in_one_epoch_leave_the_last(self):
        old = self.whole(3, shuffle=True, seed=1)
        new = self.whole(3, shuffle=True, seed=4)
        ledger = start(self.WORKS, num_epochs=3, shuffle=True, seed=1)
        train(ledger, 3)
        for seed in (2, 3, 4):
            ledger = restored(ledger, self.WORKS, 3, True, seed)
        assert len(saved(ledger).segments) == 2
        assert train(ledger, 99) == old[3:8] + new[8:]

    def test_a_change_in_each_epoch(self):
        orders = [self.whole(3, shuffle=True, seed=s) for s in (1, 2, 3)]
        ledger = start(self.WORKS, num_epochs=3, shuffle=True, seed=1)
        trained = train(ledger, 5)
        ledger = restored(ledger, self.WORKS, 3, True, 2)
        trained += train(ledger, 6)
        ledger = restored(ledger, self.WORKS, 3, True, 3)
        trained += train(ledger, 99)
        assert trained == orders[0][:8] + orders[1][8:16] + orders[2][16:]

    def test_a_change_of_order_and_epochs_together(self):
        ledger = start(self.WORKS, num_epochs=1, shuffle=True, seed=1)
        train(ledger, 8)
        again = restored(ledger, self.WORKS, 2, True, 2)
        assert train(again, 99) == self.whole(2, shuffle=True, seed=2)[8:]

    def test_a_change_in_an_endless_queue(self):
        ledger = start(self.WORKS, num_epochs=None, shuffle=True, seed=1)
        train(ledger, 9)
        again = restored(ledger, self.WORKS, None, False)
        assert again.total is None
        assert train(again, 9)[7:] == [(2, "w0"), (2, "w1")]

    def test_in_the_last_epoch_there_is_nothing_to_apply_it_to(self):
        old = self.whole(1, shuffle=True, seed=1)
        ledger = start(self.WORKS, num_epochs=1, shuffle=True, seed=1)
        train(ledger, 2)
        again = restored(ledger, self.WORKS, 1, True, 2)
        assert train(again, 99) == old[2:]

    def test_is_said_in_words(self):
        ledger = start(self.WORKS, num_epochs=2, shuffle=True, seed=1)
        resumption = resumption_of(saved(ledger), self.WORKS, 2, False)
        assert resumption.notes == (
            "the new order applies from the next epoch",
        )


class TestMerge:
    def test_added_works_join_the_epoch_that_was_interrupted(self):
        ledger = start("abc", num_epochs=2)
        train(ledger, 2)
        again = restored(ledger, "xabcy", 2)
        assert rest(again) == words("0x 0c 0y 1x 1a 1b 1c 1y")

    def test_added_works_join_a_queue_that_was_finished(self):
        ledger = start("abc", num_epochs=2)
        train(ledger, 6)
        assert rest(restored(ledger, "abcd", 2)) == words("1d")

    def test_dropped_works_are_not_handed_out(self):
        ledger = start("abcdef", num_epochs=2)
        items = lease(ledger, 4)
        complete(ledger, *items[:2])
        again = restored(ledger, "bdf", 2)
        assert rest(again) == words("0d 0f 1b 1d 1f")

    def test_another_order_of_the_list(self):
        ledger = start("abcd", num_epochs=2)
        items = lease(ledger, 3)
        complete(ledger, items[1])
        again = restored(ledger, "dcba", 2)
        assert again.completed == 1
        assert rest(again) == words("0a 0c 0d 1d 1c 1b 1a")

    def test_nothing_had_begun(self):
        again = restored(start("abc", num_epochs=2), "cd", 2)
        assert rest(again) == words("0c 0d 1c 1d")

    def test_nothing_had_begun_and_the_order_changes_too(self):
        ledger = start("abc", shuffle=True, seed=1)
        again = restored(ledger, "dcba", 1, False)
        assert rest(again) == words("0d 0c 0b 0a")

    def test_all_works_are_others(self):
        ledger = start("abc", num_epochs=2)
        items = lease(ledger, 2)
        complete(ledger, items[0])
        again = restored(ledger, "xy", 2)
        assert again.completed == 1
        assert rest(again) == words("0x 0y 1x 1y")

    def test_items_of_two_epochs_are_in_flight(self):
        ledger = start("abc", num_epochs=3)
        items = lease(ledger, 5)
        complete(ledger, *items[:2], items[3])
        # 0c and 1b are in flight, 1a is done, 1c was never issued.
        again = restored(ledger, "dcba", 3)
        assert rest(again) == words("0c 1b 1d 1c 2d 2c 2b 2a")

    def test_items_of_two_epochs_are_in_flight_and_their_work_is_dropped(self):
        ledger = start("abc", num_epochs=2)
        items = lease(ledger, 5)
        complete(ledger, items[0], items[2], items[3])
        again = restored(ledger, "ac", 2)
        assert rest(again) == words("1c")

    def test_the_shuffled_order_of_the_rest_is_reproducible(self):
        works = [f"w{i}" for i in range(20)]
        runs = []
        for _ in range(2):
            ledger = start(works, num_epochs=2, shuffle=True, seed=3)
            train(ledger, 7)
            runs.append(rest(restored(ledger, [*works, "new"], 2, True)))
        assert runs[0] == runs[1]
        assert runs[0][:14] != sorted(runs[0][:14])

    def test_a_new_order_applies_from_the_next_epoch(self):
        works = [f"w{i}" for i in range(8)]
        ledger = start(works, num_epochs=2, shuffle=True, seed=3)
        train(ledger, 4)
        same = rest(restored(ledger, [*works, "x"], 2, True))
        other = rest(restored(ledger, [*works, "x"], 2, False))
        assert other[:5] == same[:5]
        assert other[5:] == [f"1{work}" for work in [*works, "x"]]

    @pytest.mark.parametrize(
        ("num_epochs", "expected"),
        [
            (1, "0b 0c"),
            (2, "0b 0c 1a 1b 1c"),
            (3, "0b 0c 1a 1b 1c 2a 2b 2c"),
        ],
    )
    def test_together_with_another_number_of_epochs(self, num_epochs, expected):
        ledger = start("ab", num_epochs=2)
        train(ledger, 1)
        assert rest(restored(ledger, "abc", num_epochs)) == words(expected)

    def test_an_endless_queue(self):
        ledger = start("ab", num_epochs=None)
        train(ledger, 5)
        again = restored(ledger, "abc", None)
        assert again.total is None
        assert train(again, 4) == [(2, "b"), (2, "c"), (3, "a"), (3, "b")]
        assert rest(restored(again, "abcd", 4)) == words("3c 3d")

    def test_attempts_go_with_their_item(self):
        ledger = start("abc")
        items = lease(ledger, 2)
        complete(ledger, items[0])
        again = restored(ledger, "cb")
        (item,) = lease(again, 1)
        assert item.text == "b"
        assert again.leases[item.ticket].attempt == 2

    def test_completed_items_stay_counted(self):
        ledger = start("abcd", num_epochs=2)
        train(ledger, 3)
        again = restored(ledger, "d", 2)
        assert again.completed == 3
        assert again.total == 3 + 1 + 1

    def test_says_what_was_kept_added_and_dropped(self):
        resumption = resumption_of(saved(start("aabcd")), "axxd")
        assert (resumption.kept, resumption.added, resumption.dropped) == (
            2,
            2,
            3,
        )


class TestDuplicates:
    def test_each_copy_is_an_item(self):
        ledger = start("aab")
        train(ledger, 1)
        assert rest(restored(ledger, "aabc")) == words("0a 0b 0c")

    def test_a_copy_in_flight_is_done_once(self):
        ledger = start("aa")
        first, second = lease(ledger, 2)
        complete(ledger, first)
        assert rest(restored(ledger, "aab")) == words("0a 0b")
        ledger = start("aa")
        first, second = lease(ledger, 2)
        complete(ledger, second)
        assert rest(restored(ledger, "aab")) == words("0a 0b")

    def test_a_copy_more(self):
        ledger = start("ab")
        train(ledger, 2)
        assert rest(restored(ledger, "aab")) == words("0a")

    def test_a_copy_less(self):
        ledger = start("aab")
        train(ledger, 1)
        assert rest(restored(ledger, "ab")) == words("0b")

    def test_a_copy_less_of_two_in_flight(self):
        ledger = start("aab")
        lease(ledger, 2)
        assert rest(restored(ledger, "ab")) == words("0a 0b")

    def test_copies_in_flight_in_two_epochs(self):
        ledger = start("aa", num_epochs=3)
        lease(ledger, 4)
        assert rest(restored(ledger, "ab", 3)) == words("0a 1a 1b 2a 2b")


class TestSeveralMerges:
    def test_in_the_same_epoch(self):
        ledger = start("abcdef", num_epochs=2)
        train(ledger, 2)
        ledger = restored(ledger, "abcdefg", 2)
        assert train(ledger, 1) == [(0, "c")]
        ledger = restored(ledger, "hgfedcba", 2)
        assert train(ledger, 1) == [(0, "h")]
        ledger = restored(ledger, "abgh", 2)
        assert rest(ledger) == words("0g 1a 1b 1g 1h")

    def test_without_any_training_in_between(self):
        ledger = start("abcd", num_epochs=2)
        train(ledger, 2)
        for works in ("abcde", "edcba", "bcde"):
            ledger = restored(ledger, works, 2)
        assert ledger.completed == 2
        assert rest(ledger) == words("0c 0d 0e 1b 1c 1d 1e")

    def test_when_all_that_was_begun_is_completed(self):
        ledger = start("ab", num_epochs=2)
        train(ledger, 2)
        ledger = restored(ledger, "ba", 2)
        ledger = restored(ledger, "abc", 2)
        assert rest(ledger) == words("0c 1a 1b 1c")

    def test_when_all_that_is_left_is_in_flight(self):
        ledger = start("abcd")
        items = lease(ledger, 4)
        complete(ledger, *items[:3])
        ledger = restored(ledger, "dcba")
        ledger = restored(ledger, "abcd")
        assert rest(ledger) == words("0d")

    def test_when_what_is_in_flight_is_of_the_epoch_before(self):
        ledger = start("abc", num_epochs=2)
        items = lease(ledger, 4)
        complete(ledger, *items[:2], items[3])
        ledger = restored(ledger, "cba", 2)
        ledger = restored(ledger, "abcd", 2)
        assert rest(ledger) == words("0c 1b 1c 1d")

    def test_when_nothing_of_the_first_was_kept(self):
        ledger = start("ab", num_epochs=2)
        lease(ledger, 2)
        ledger = restored(ledger, "cd", 2)
        assert ledger.completed == 0
        ledger = restored(ledger, "cde", 2)
        assert rest(ledger) == words("0c 0d 0e 1c 1d 1e")

    def test_into_the_next_epoch(self):
        ledger = start("abc", num_epochs=3)
        train(ledger, 2)
        ledger = restored(ledger, "abcd", 3)
        train(ledger, 3)
        ledger = restored(ledger, "abcde", 3)
        assert rest(ledger) == words("1b 1c 1d 1e 2a 2b 2c 2d 2e")

    def test_with_another_seed_each_time(self):
        ledger = start("abcd", num_epochs=3, shuffle=True, seed=1)
        train(ledger, 1)
        for seed, works in ((2, "abcde"), (3, "abcdef"), (4, "abcdef")):
            ledger = restored(ledger, works, 3, True, seed)
        last = train(start("abcdef", num_epochs=3, shuffle=True, seed=4), 99)
        items = rest(ledger)
        assert len(items) == 5 + 6 + 6
        assert items[5:] == [f"{epoch}{text}" for epoch, text in last[6:]]

    def test_restored_twice(self):
        ledger = start("abcd", num_epochs=2)
        items = lease(ledger, 3)
        complete(ledger, items[0])
        merged = restored(ledger, "abcde", 2)
        once = restored(merged, "abcde", 2)
        twice = restored(once, "abcde", 2)
        assert saved(merged).to_json() == saved(twice).to_json()
        assert rest(merged) == rest(once) == rest(twice)


class TestLongLists:
    """Lists that are too long to travel in each snapshot."""

    OLD = ("a", "b", "c")

    @pytest.fixture(autouse=True)
    def no_list_is_short(self, monkeypatch):
        monkeypatch.setattr(packed_plan, "_MAX_PACKED_CHARS", 1)

    def position(self):
        ledger = start(self.OLD)
        train(ledger, 1)
        position = Snapshot.from_json(ledger.snapshot("q", "/d").to_json())
        assert position.packed_works is None
        assert position.works_directory == "/d"
        return position

    def test_the_list_is_not_needed_as_long_as_it_is_the_same(self):
        again = ledger_of(resumption_of(self.position(), self.OLD))
        assert rest(again) == words("0b 0c")

    def test_the_list_is_read_when_the_works_have_changed(self):
        asked = []

        def read_works(position):
            asked.append((position.name, position.fingerprint))
            return list(self.OLD)

        resumption = resumption_of(
            self.position(), "abcd", read_works=read_works
        )
        assert rest(ledger_of(resumption)) == words("0b 0c 0d")
        assert asked == [("q", Works(self.OLD).fingerprint)]

    def test_a_list_that_is_not_found_is_an_error(self):
        with pytest.raises(SnapshotError, match="ask to start over"):
            resumption_of(self.position(), "abcd")

    @pytest.mark.parametrize("names", [["a", "b"], ["a", "c", "b"], ["x"], []])
    def test_a_list_that_does_not_fit_is_an_error(self, names):
        with pytest.raises(SnapshotError, match="damaged"):
            resumption_of(
                self.position(), "abcd", read_works=lambda _: list(names)
            )


def test_a_packed_list_that_is_damaged_is_an_error():
    position = saved(start("abc"))
    damaged = Snapshot(**{**vars(position), "packed_works": "AAAA"})
    with pytest.raises(SnapshotError, match="damaged"):
        resumption_of(damaged, "abcd")
    other = saved(start("xyz")).packed_works
    foreign = Snapshot(**{**vars(position), "packed_works": other})
    with pytest.raises(SnapshotError, match="fingerprint"):
        resumption_of(foreign, "abcd")


def test_the_same_fingerprint_with_another_number_of_works_is_an_error():
    position = saved(start("abc"))
    wrong = Snapshot(**{**vars(position), "num_works": 4})
    with pytest.raises(SnapshotError, match="Expected 4 works; got 3"):
        resumption_of(wrong, "abc")


def test_a_plan_without_whole_epochs_is_an_error():
    position = saved(start("abc"))
    wrong = Snapshot(**{**vars(position), "segments": ()})
    for works in ("abc", "abcd"):
        with pytest.raises(SnapshotError, match="whole epochs"):
            resumption_of(wrong, works)


NEW_WORKS = st.lists(st.sampled_from("abcde"), min_size=1, max_size=6)
NEW_EPOCHS = st.integers(1, 4)


class ResumeMachine(RuleBasedStateMachine):
    """Any chain of training, in-flight items and resumptions.

    The model knows, by name: what is done in the newest epoch that was begun,
    and what was handed out and is not done.
    """

    @initialize(works=NEW_WORKS, num_epochs=NEW_EPOCHS, shuffle=st.booleans())
    def begin(self, works, num_epochs, shuffle):
        self.works = works
        self.shuffle = shuffle
        self.end = num_epochs
        self.epoch = -1
        self.done = Counter()
        self.open = Counter()
        self.leased = []
        self.seen = set()
        self.ledger = start(works, num_epochs=num_epochs, shuffle=shuffle)

    @rule(num_items=st.integers(1, 5))
    def hand_out(self, num_items):
        for item in lease(self.ledger, num_items):
            if item.epoch > self.epoch:
                assert item.epoch == self.epoch + 1
                self.epoch = item.epoch
                self.done.clear()
            self.leased.append(item)
            if item.ticket not in self.seen:
                self.seen.add(item.ticket)
                self.open[item.epoch, item.text] += 1

    @rule(data=st.data())
    def complete_some(self, data):
        if not self.leased:
            return
        item = data.draw(st.sampled_from(self.leased))
        self.leased.remove(item)
        complete(self.ledger, item)
        self.open[item.epoch, item.text] -= 1
        if item.epoch == self.epoch:
            self.done[item.text] += 1

    @rule(
        works=st.none() | NEW_WORKS,
        num_epochs=st.none() | NEW_EPOCHS,
        shuffle=st.booleans(),
        seed=st.none() | st.integers(0, 2),
    )
    def resume(self, works, num_epochs, shuffle, seed):
        works = self.works if works is None else works
        asked = self.end if num_epochs is None else num_epochs
        resumption = resumption_of(
            saved(self.ledger), works, asked, shuffle, seed
        )
        self.end = max(asked, self.epoch + 1)
        listed = Counter(works)
        in_flight = +Counter(
            {
                (epoch, name): min(
                    count,
                    listed[name]
                    - (self.done[name] if epoch == self.epoch else 0),
                )
                for (epoch, name), count in self.open.items()
            }
        )
        to_do = Counter(in_flight)
        if self.epoch >= 0:
            for name, count in (listed - self.done).items():
                to_do[self.epoch, name] = count
        for epoch in range(self.epoch + 1, self.end):
            to_do.update((epoch, name) for name in works)

        copy = ledger_of(resumption)
        items = train(copy, 10_000)
        num_first = sum(in_flight.values())
        assert copy.is_done
        assert Counter(items) == +to_do
        assert Counter(items[:num_first]) == in_flight
        epochs = [epoch for epoch, _ in items[num_first:]]
        assert epochs == sorted(epochs)

        self.works = works
        self.ledger = ledger_of(resumption)
        self.done &= listed
        self.open = in_flight
        self.leased = []
        self.seen = {item.ticket for item in saved(self.ledger).outstanding}

    @invariant()
    def account_adds_up(self):
        ledger = self.ledger
        assert (
            ledger.remaining + ledger.in_flight + ledger.completed
            == ledger.total
        )
        assert ledger.in_flight == len(self.leased)


ResumeMachine.TestCase.settings = settings(
    max_examples=60, stateful_step_count=15, deadline=None
)
TestAnyChain = ResumeMachine.TestCase


def test_a_long_mask_is_kept_beside_the_checkpoint():
    """After a merge of a long list in mid-epoch, in every save of it."""
    names = [f"part-{i}" for i in range(500_000)]
    ledger = Ledger(
        Plan.fresh(Works(names), num_epochs=1, shuffle=True, seed=7)
    )
    consumer = Consumer("worker:0", "life")
    done = set()
    for item in ledger.issue(250_000, 0.0):
        ledger.lease(consumer, item.ticket, 0.0)
        ledger.acknowledge(consumer, item.ticket, 0.0)
        done.add(item.text)
    kept = {k: list(make()) for k, make in ledger.long_lists().items()}
    first = ledger.snapshot("train", None)

    def read(snapshot):
        return kept.get(snapshot.fingerprint)

    def resumed(names, snapshot):
        # As text, as it stands in a checkpoint.
        snapshot = Snapshot.from_json(snapshot.to_json())
        return resume(
            Works(names),
            snapshot,
            num_epochs=1,
            shuffle=True,
            seed=7,
            read_works=read,
        )

    more = [*names, "new"]
    merged = resumed(more, first)
    ledger = Ledger(merged.plan, resumption=merged)
    second = ledger.snapshot("train", None)
    kept.update({k: list(make()) for k, make in ledger.long_lists().items()})

    assert len(second.to_json()) < 10_000
    again = resumed(more, second)
    rest = {
        again.plan.item_at(ticket).text
        for ticket in range(again.next_ticket, again.plan.total)
    }
    assert rest == set(more) - done

    kept.clear()
    with pytest.raises(SnapshotError, match="which works were done"):
        resumed(more, second)
