from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from wq_hooks.core.chief.chief import Chief
from wq_hooks.core.items import added_works as feed_module
from wq_hooks.core.items.added_works import AddedLog, AddedWorks
from wq_hooks.core.items.plan import Plan
from wq_hooks.core.items.works import Works
from wq_hooks.core.ledger.consumer_state import Consumer
from wq_hooks.core.ledger.ledger import Ledger
from wq_hooks.core.position.resume_added_works import resume_with_added
from wq_hooks.core.position.snapshot import Snapshot
from wq_hooks.errors import SnapshotError

WORKER = Consumer("worker:0", "1")
OTHER = Consumer("worker:1", "1")


def start(works, log, num_epochs=1, shuffle=False):
    plan = Plan.fresh(
        Works(works), num_epochs=num_epochs, shuffle=shuffle, seed=0
    )
    plan.added = AddedWorks(plan.total, log)
    return Ledger(plan)


def resumed(snapshot, works, log, num_epochs=1, shuffle=False, prefix=None):
    resumption = resume_with_added(
        Works(works, prefix),
        snapshot,
        log=log,
        num_epochs=num_epochs,
        shuffle=shuffle,
        seed=None,
    )
    return Ledger(resumption.plan, resumption=resumption)


def saved(ledger):
    return Snapshot.from_json(ledger.snapshot("q").to_json())


def lease(ledger, limit):
    items = ledger.issue(limit, 0.0)
    for item in items:
        ledger.lease(WORKER, item.ticket, 0.0)
    return items


def train(ledger, limit):
    items = lease(ledger, limit)
    for item in items:
        ledger.acknowledge(WORKER, item.ticket, 0.0)
    return [item.text for item in items]


class TestOpen:
    def test_it_waits_for_what_is_added_and_ends_when_closed(self):
        log = AddedLog()
        ledger = start(["a", "b"], log, num_epochs=2)
        assert train(ledger, 9) == ["a", "b", "a", "b"]
        assert not ledger.is_exhausted
        assert not ledger.end_policy.is_end
        assert ledger.total is None
        assert ledger.remaining is None
        assert ledger.level == 0
        assert not ledger.has_to_issue()
        log.add(["c", "d"])
        ledger.pull_works()
        assert ledger.level == 1
        assert train(ledger, 1) == ["c"]
        log.close()
        ledger.pull_works()
        assert (ledger.total, ledger.remaining) == (6, 1)
        assert not ledger.end_policy.is_end
        assert train(ledger, 9) == ["d"]
        assert ledger.end_policy.is_end
        assert ledger.is_done

    def test_a_closed_log_takes_no_more(self):
        log = AddedLog()
        log.close()
        assert not log.add(["a"])
        assert log.read(0) == ([], [], True)

    def test_nobody_is_held_back_while_it_is_open(self):
        log = AddedLog()
        ledger = start(["a", "b", "c"], log)
        # One is a hundred times as slow as the other.
        slow, quick, _ = ledger.issue(3, 0.0)
        ledger.lease(OTHER, slow.ticket, 0.0)
        ledger.acknowledge(OTHER, slow.ticket, 100.0)
        ledger.lease(WORKER, quick.ticket, 100.0)
        ledger.acknowledge(WORKER, quick.ticket, 101.0)
        ledger.ask(OTHER, 101.0)
        ledger.ask(WORKER, 101.0)
        assert not ledger.held_back(101.0)
        log.close()
        ledger.pull_works()
        assert ledger.held_back(101.0) == {OTHER.name}

    def test_names_that_are_done_are_forgotten(self, monkeypatch):
        monkeypatch.setattr(feed_module, "_MIN_DONE", 10)
        log = AddedLog()
        ledger = start(["a"], log)
        for number in range(100):
            log.add([str(number)])
            ledger.pull_works()
            train(ledger, 2)
        assert ledger.plan.added.num_added == 100
        assert len(ledger.plan.added._names) <= 12
        assert saved(ledger).added.names == ()

    def test_a_consumer_in_the_process_waits_until_it_is_closed(self):
        log = AddedLog()
        chief = Chief("q", start(["a"], log))
        assert chief.hand_out(WORKER, []).text == "a"
        assert chief.hand_out(WORKER, []) is None
        assert chief.wait_for_works(0.01)
        log.add(["b"])
        log.close()
        chief.pull_works()
        # Added and closed between a question and this one.
        assert chief.wait_for_works(0.01)
        assert chief.hand_out(WORKER, []).text == "b"
        assert not chief.wait_for_works(0.01)


class TestPriority:
    def test_what_waits_comes_by_priority_and_then_by_order(self):
        log = AddedLog()
        ledger = start(["a", "b"], log)
        log.add(["c", "d"])
        log.add(["late"], priority=-1)
        log.add(["e"], priority=1)
        ledger.pull_works()
        # Behind the listed works, whatever the priority.
        assert train(ledger, 3) == ["a", "b", "e"]
        lease(ledger, 1)
        log.add(["f", "g"], priority=2)
        log.add(["h"])
        ledger.pull_works()
        log.close()
        ledger.pull_works()
        # What is under way keeps its place.
        assert train(ledger, 9) == ["f", "g", "d", "h", "late"]
        (open_item,) = saved(ledger).outstanding
        assert open_item.text == "c"

    def test_they_survive_a_restart(self):
        log = AddedLog()
        ledger = start(["a"], log)
        log.add(["b", "c", "d"])
        log.add(["e", "f"], priority=5)
        ledger.pull_works()
        assert train(ledger, 2) == ["a", "e"]
        lease(ledger, 2)
        position = saved(ledger)
        # "f" and "b" were under way.
        assert position.added.priorities == (5, 0, 0, 0)
        log.add(["g"], priority=1)
        again = resumed(position, ["a"], log)
        assert train(again, 9) == ["f", "b", "g", "c", "d"]
        other = AddedLog()
        other.add(["h"], priority=9)
        assert train(resumed(position, ["a"], other), 4) == [*"fbhc"]
        # The listed works have changed, and come first.
        more = resumed(position, ["a", "new"], other)
        assert train(more, 9) == ["new", *"fbhcd"]

    def test_a_position_of_no_priorities_is_as_before(self):
        log = AddedLog()
        ledger = start(["a"], log)
        log.add(["b"])
        ledger.pull_works()
        assert saved(ledger).added.priorities == ()

    def test_a_damaged_position_is_refused(self):
        log = AddedLog()
        ledger = start(["a"], log)
        log.add(["b", "c"], priority=1)
        ledger.pull_works()
        position = saved(ledger)
        damaged = replace(
            position, added=replace(position.added, priorities=(1,))
        )
        with pytest.raises(SnapshotError, match="some are missing"):
            resumed(damaged, ["a"], log)


class TestResume:
    def test_another_process_goes_on_with_what_is_not_done(self):
        log = AddedLog()
        ledger = start(["a"], log)
        log.add(["b", "c", "d"])
        ledger.pull_works()
        assert train(ledger, 2) == ["a", "b"]
        lease(ledger, 1)
        later = AddedLog()
        again = resumed(saved(ledger), ["a"], later, prefix="/p/")
        assert again.plan.added.num_added == 3
        assert again.completed == 2
        later.add(["e"])
        later.close()
        again.pull_works()
        assert again.total == 5
        assert train(again, 9) == ["/p/c", "/p/d", "/p/e"]
        assert again.is_done

    def test_how_often_an_item_was_tried_is_known(self):
        log = AddedLog()
        ledger = start(["a"], log)
        log.add(["b"])
        ledger.pull_works()
        lease(ledger, 2)
        (_, item) = saved(resumed(saved(ledger), ["a"], log)).outstanding
        assert (item.text, item.attempts) == ("b", 1)

    def test_a_queue_that_is_not_open_any_more_ends_behind_them(self):
        log = AddedLog()
        ledger = start(["a"], log)
        log.add(["b"])
        ledger.pull_works()
        closed = AddedLog()
        closed.close()
        again = resumed(saved(ledger), ["a"], closed)
        assert train(again, 9) == ["a", "b"]
        assert again.is_done

    def test_endless_epochs_are_refused_as_they_would_never_come(self):
        position = saved(start(["a"], AddedLog()))
        with pytest.raises(SnapshotError, match="Expected a number of epochs"):
            resumed(position, ["a"], AddedLog(), num_epochs=None)

    def test_other_listed_works_and_epochs_come_before_them(self):
        log = AddedLog()
        ledger = start(["a", "b"], log)
        log.add(["x", "y", "z"])
        ledger.pull_works()
        assert train(ledger, 3) == ["a", "b", "x"]
        lease(ledger, 1)
        log.close()
        again = resumed(saved(ledger), ["b", "c"], log, num_epochs=2)
        assert train(again, 9) == ["c", "b", "c", "y", "z"]
        assert again.is_done


class FedQueue(RuleBasedStateMachine):
    """Adds, deals, completes, dies, and comes back, in any order."""

    @initialize(
        num_works=st.integers(1, 3),
        num_epochs=st.integers(1, 2),
        shuffle=st.booleans(),
    )
    def begin(self, num_works, num_epochs, shuffle):
        self.works = [f"w{i}" for i in range(num_works)]
        self.options = (num_epochs, shuffle)
        self.log = AddedLog()
        self.ledger = start(self.works, self.log, num_epochs, shuffle)
        self.expected = Counter(self.works * num_epochs)
        self.done = Counter()
        self.num_named = 0
        self.save()

    @precondition(lambda self: not self.log.is_closed)
    @rule(
        count=st.integers(1, 4),
        is_pulled=st.booleans(),
        priority=st.integers(-1, 1),
    )
    def add(self, count, is_pulled, priority):
        names = [f"n{self.num_named + i}" for i in range(count)]
        self.num_named += count
        assert self.log.add(names, priority)
        self.expected.update(names)
        if is_pulled:
            self.ledger.pull_works()

    @rule(count=st.integers(1, 4))
    def issue(self, count):
        self.ledger.issue(count, 0.0)

    @rule(data=st.data())
    def hold(self, data):
        waiting = sorted(self.ledger.items.issued)
        if waiting:
            self.ledger.lease(WORKER, data.draw(st.sampled_from(waiting)), 0.0)

    @rule(data=st.data())
    def complete(self, data):
        held = sorted(self.ledger.leases)
        if held:
            ticket = data.draw(st.sampled_from(held))
            self.done[self.ledger.open_item(ticket).text] += 1
            self.ledger.acknowledge(WORKER, ticket, 0.0)

    @rule()
    def save(self):
        self.ledger.pull_works()
        self.position = saved(self.ledger)
        self.done_then = self.done.copy()
        self.expected_then = self.expected.copy()

    @rule(data=st.data())
    def restore_in_this_process(self, data):
        """What was added since the save is in the log."""
        self.ledger = resumed(
            self.position, self.works, self.log, *self.options
        )
        self.done = self.done_then.copy()

    @rule()
    def restore_in_another_process(self):
        """What was added since the save has to be added again."""
        self.log = AddedLog()
        self.ledger = resumed(
            self.position, self.works, self.log, *self.options
        )
        self.done = self.done_then.copy()
        missing = list((self.expected - self.expected_then).elements())
        assert self.ledger.plan.added.num_added == self.num_named - len(missing)
        self.log.add(missing)
        self.ledger.pull_works()

    @rule()
    def close(self):
        self.log.close()
        self.ledger.pull_works()

    @invariant()
    def it_adds_up(self):
        if hasattr(self, "ledger"):
            assert self.ledger.completed == sum(self.done.values())
            assert not self.done - self.expected

    def teardown(self):
        if not hasattr(self, "ledger"):
            return
        self.log.close()
        self.ledger.pull_works()
        for ticket in list(self.ledger.items.issued):
            self.ledger.lease(WORKER, ticket, 0.0)
        lease(self.ledger, 10_000)
        for ticket in list(self.ledger.leases):
            self.done[self.ledger.open_item(ticket).text] += 1
            self.ledger.acknowledge(WORKER, ticket, 0.0)
        assert self.done == self.expected
        assert self.ledger.is_done
        assert self.ledger.total == self.ledger.completed


TestFedQueue = FedQueue.TestCase
TestFedQueue.settings = settings(
    max_examples=150, stateful_step_count=30, deadline=None
)
