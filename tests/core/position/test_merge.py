from __future__ import annotations

import pytest

from tests.support.resuming import (
    complete,
    lease,
    rest,
    restored,
    resumption_of,
    saved,
    start,
    train,
    words,
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

    def test_a_copy_less_where_one_is_done(self):
        ledger = start("aab")
        _, second = lease(ledger, 2)
        complete(ledger, second)
        assert rest(restored(ledger, "ab")) == words("0b")

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
