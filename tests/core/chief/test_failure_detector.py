from __future__ import annotations

import hypothesis
import hypothesis.strategies as st
import pytest

from tests.support.small_ledger import make_ledger, take
from wq_hooks.core.chief.failure_detector import Answer, FailureDetector
from wq_hooks.core.ledger.consumer_state import Consumer

BEAT_SECS = 0.5
LEASE_SECS = 60.0
TASK = "worker:1"
WORKER = Consumer(TASK, "w1")
OTHER = Consumer("worker:2", "o1")
ACCEPTED, REFUSED, SILENT = Answer


class World:
    """A ledger, a detector, and ports that answer as they are told."""

    def __init__(self, *, has_item=True):
        self.ledger = make_ledger(lease_secs=LEASE_SECS)
        self.members = self.ledger.membership
        self.detector = FailureDetector({TASK: "host:1"}, beat_secs=BEAT_SECS)
        self.answer = ACCEPTED
        self.now = 0.0
        self.num_probes = 0
        self.died_at = None
        self.beat()
        if has_item:
            take(self.ledger, WORKER, now=self.now)

    def beat(self, worker=WORKER):
        self.ledger.heard_of_task(worker, self.now)

    def look(self):
        """The chief looks once, and is answered at once."""
        for probe in self.detector.due(self.members, self.now):
            self.num_probes += 1
            if probe.endpoint is None:
                found = "endpoint" if self.answer is ACCEPTED else None
                self.detector.note_endpoint(probe, found, self.now)
            elif self.detector.note_answer(
                probe, self.answer, self.members, self.now
            ):
                self.died_at = self.now
                self.members.note_dead(probe.task, self.now)
                self.ledger.expire(self.now)

    def run(self, secs, *, beats=True):
        """Time goes by; the chief looks, and the worker beats if it lives."""
        end = self.now + secs
        next_beat = self.now
        while self.now < end:
            if beats and self.now >= next_beat:
                next_beat += BEAT_SECS
                self.beat()
            self.look()
            self.now += 0.1

    @property
    def is_lost(self):
        return not self.ledger.leases


@pytest.fixture
def world():
    world = World()
    world.run(2.0)
    return world


def test_a_task_that_refuses_loses_its_items_within_three_seconds(world):
    begin = world.now
    world.answer = REFUSED
    world.run(10.0, beats=False)
    assert world.is_lost
    assert world.died_at - begin <= 3.0
    assert world.members.others("chief:0", world.now) == []


@pytest.mark.parametrize("answer", [ACCEPTED, SILENT])
def test_a_task_that_does_not_refuse_keeps_its_lease(world, answer):
    world.answer = answer
    world.run(LEASE_SECS - 1.0, beats=False)
    assert not world.is_lost
    # It was asked, and not every second for as long as that.
    assert 2 <= world.num_probes <= 12
    world.run(2.0, beats=False)
    world.ledger.expire(world.now)
    assert world.is_lost


def test_one_refusal_is_not_enough(world):
    world.run(1.2, beats=False)
    world.answer = REFUSED
    world.run(0.9, beats=False)
    world.answer = ACCEPTED
    world.run(3.0, beats=False)
    world.answer = REFUSED
    world.run(0.9, beats=False)
    assert not world.is_lost


def test_a_heartbeat_between_two_refusals_makes_them_start_again(world):
    world.answer = REFUSED
    for _ in range(20):
        world.run(1.5, beats=False)
        world.beat()
    assert world.num_probes > 15
    assert not world.is_lost


def test_a_port_that_refuses_a_living_task_says_nothing():
    """As behind a proxy, or with a name that means another host here."""
    world = World()
    world.answer = REFUSED
    world.run(5.0)
    world.run(LEASE_SECS - 1.0, beats=False)
    assert not world.is_lost


def test_a_port_that_opens_late_is_found():
    world = World()
    world.answer = SILENT
    world.run(5.0)
    world.answer = ACCEPTED
    world.run(11.0)
    world.answer = REFUSED
    world.run(4.0, beats=False)
    assert world.is_lost


def test_a_task_that_comes_back_is_judged_anew(world):
    world.answer = REFUSED
    world.run(1.2, beats=False)
    back = Consumer(TASK, "w2")
    world.beat(back)
    take(world.ledger, back, now=world.now)
    world.run(20.0, beats=False)
    # Its own port was never seen to accept.
    assert not world.is_lost


def test_an_answer_about_an_earlier_start_does_not_count(world):
    world.answer = REFUSED
    world.run(1.2, beats=False)
    world.now += 2.0
    (probe,) = world.detector.due(world.members, world.now)
    world.beat(Consumer(TASK, "w2"))
    assert not world.detector.note_answer(
        probe, REFUSED, world.members, world.now
    )


def test_a_task_that_dies_with_its_first_item_is_noticed():
    """Its port was asked when it beat for the first time."""
    world = World(has_item=False)
    world.run(1.0)
    assert world.num_probes == 1
    take(world.ledger, WORKER, now=world.now)
    world.answer = REFUSED
    world.run(4.0, beats=False)
    assert world.is_lost


def test_a_task_without_an_address_keeps_its_lease(world):
    world.beat(OTHER)
    take(world.ledger, OTHER, now=world.now)
    world.answer = REFUSED
    world.run(10.0, beats=False)
    assert list(world.ledger.holders()) == [OTHER.name]


def test_a_task_that_has_left_is_not_asked(world):
    world.ledger.leave(WORKER, world.now)
    world.answer = REFUSED
    world.run(10.0, beats=False)
    assert world.num_probes == 1


def test_who_is_heard_of_after_all_lives(world):
    world.answer = REFUSED
    world.run(5.0, beats=False)
    assert world.is_lost
    world.answer = ACCEPTED
    world.beat()
    assert world.members.others("chief:0", world.now) == [TASK]
    take(world.ledger, WORKER, now=world.now)
    world.run(30.0)
    assert not world.is_lost


@hypothesis.given(
    st.lists(
        st.tuples(
            st.sampled_from([ACCEPTED, SILENT]),
            st.floats(0.1, 20.0),
            st.booleans(),
        ),
        max_size=12,
    )
)
def test_who_never_refuses_is_never_dead(periods):
    world = World()
    for answer, secs, beats in periods:
        world.answer = answer
        world.run(secs, beats=beats)
    assert world.died_at is None
