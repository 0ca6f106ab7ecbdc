from __future__ import annotations

import pytest

from wq_hooks.core.ledger.consumer_state import Consumer
from wq_hooks.core.ledger.membership import Membership

A = Consumer("worker:0", "a1")
A_SECOND = Consumer("worker:0/2", "a1")
A_AGAIN = Consumer("worker:0", "a2")
B = Consumer("worker:1", "b1")


@pytest.fixture
def members():
    members = Membership(lease_secs=10.0)
    for consumer in (A_SECOND, A, B):
        members.begin_incarnation(consumer, 0.0)
    return members


class TestLives:
    def test_the_next_life_takes_over_the_counts(self, members):
        state = members.states["worker:0"]
        state.taken, state.completed, state.records = 3, 2, 100
        state.held[7] = 0.0
        members.begin_incarnation(A_AGAIN, 5.0)
        fresh = members.states["worker:0"]
        assert fresh.consumer == A_AGAIN
        assert (fresh.taken, fresh.completed, fresh.records) == (3, 2, 100)
        assert (fresh.num_starts, fresh.joined, fresh.held) == (2, 5.0, {})

    def test_only_former_lives_are_retired(self, members):
        assert not members.is_retired(A)
        members.begin_incarnation(A_AGAIN, 5.0)
        assert members.is_retired(A)
        assert not members.is_retired(A_AGAIN)
        assert not members.is_retired(A_SECOND)

    def test_names_of_a_task(self, members):
        assert members.names_of("worker:0") == ["worker:0", "worker:0/2"]
        assert members.names_of("worker:7") == []


class TestRecords:
    @pytest.mark.parametrize("name", ["worker:0", "worker:0/2"])
    def test_they_count_for_who_says_so(self, members, name):
        members.count_records(name, 5)
        found = {n: s.records for n, s in members.states.items() if s.records}
        assert found == {name: 5}

    def test_a_task_without_a_first_consumer(self):
        members = Membership(lease_secs=10.0)
        members.begin_incarnation(A_SECOND, 0.0)
        members.count_records("worker:0", 5)
        assert members.states["worker:0/2"].records == 5

    def test_of_nobody_they_are_ignored(self, members):
        members.count_records("worker:7", 5)
        assert not any(s.records for s in members.states.values())


class TestWhoIsThere:
    def test_others_have_neither_left_nor_fallen_silent(self, members):
        assert members.others("chief:0", 10.0) == ["worker:0", "worker:1"]
        assert members.others("worker:0", 10.0) == ["worker:1"]
        members.states["worker:1"].has_left = True
        assert members.others("chief:0", 10.0) == ["worker:0"]
        assert members.others("chief:0", 10.1) == []

    def test_a_task_is_there_until_all_its_consumers_have_left(self, members):
        members.states["worker:0"].has_left = True
        assert members.is_there("worker:0")
        members.states["worker:0/2"].has_left = True
        assert not members.is_there("worker:0")
        assert not members.is_there("worker:7")

    def test_who_holds_or_asks_is_active(self, members):
        def names(now):
            return [state.consumer.name for state in members.active(now)]

        assert names(0.0) == []
        members.states["worker:0"].held[3] = 0.0
        members.states["worker:1"].asking_since = 0.0
        assert names(10.0) == ["worker:0", "worker:1"]
        assert names(10.1) == []
        members.states["worker:0"].has_left = True
        assert names(10.0) == ["worker:1"]


class TestAreAllAsking:
    def test_each_task_has_to_ask(self, members):
        assert members.are_all_asking(())
        assert not members.are_all_asking({"worker:0"})
        members.states["worker:0/2"].asking_since = 0.0
        assert members.are_all_asking({"worker:0"})
        assert not members.are_all_asking({"worker:0", "worker:1"})

    def test_who_was_not_heard_of_since_the_last_began_may_be_dead(
        self, members
    ):
        members.states["worker:0"].asking_since = 0.0
        members.states["worker:1"].asking_since = 3.0
        members.states["worker:1"].last_heard = 3.0
        assert not members.are_all_asking({"worker:0", "worker:1"})
        # One of its consumers speaks for the task.
        members.states["worker:0/2"].last_heard = 3.0
        assert members.are_all_asking({"worker:0", "worker:1"})


class TestHowManyAreThere:
    def test_workers_come_and_go(self):
        members = Membership(lease_secs=10.0)
        workers = [Consumer(f"worker:{i}", "life") for i in range(12)]
        for worker in workers:
            members.begin_incarnation(worker, 0.0)
        assert members.num_there == 12
        for worker in workers[2:]:
            members.states[worker.name].has_left = True
        members.count(1.0)
        assert members.num_there == 2
        # Another life of one that has left, and of one that has not.
        for index in (0, 5):
            life = Consumer(f"worker:{index}", "next")
            members.begin_incarnation(life, 2.0)
        assert members.num_there == 3

    def test_one_that_is_silent_is_not_there(self, members):
        assert members.num_there == 3
        members.states["worker:1"].last_heard = 9.0
        members.count(15.0)
        assert members.num_there == 1
