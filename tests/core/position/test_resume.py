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

from tests.support.resuming import (
    WORKER,
    complete,
    lease,
    ledger_of,
    rest,
    restored,
    resumption_of,
    saved,
    start,
    train,
    words,
)
from wq_hooks.core.items.plan import Plan
from wq_hooks.core.items.works import Works
from wq_hooks.core.ledger.ledger import Ledger
from wq_hooks.core.position.resume import resume
from wq_hooks.core.position.snapshot import Snapshot
from wq_hooks.errors import SnapshotError


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
