from __future__ import annotations

import pytest

from tests.support.small_ledger import A2, A, B, make_ledger, take
from wq_hooks.core.ledger.consumer_state import Consumer
from wq_hooks.core.monitoring import queue_state
from wq_hooks.core.monitoring.event_list import EventList
from wq_hooks.core.monitoring.slow_workers import Slowness
from wq_hooks.core.position.origin import Origin

START = 1000.0


def begun(works="abcdef", **kwargs):
    ledger = make_ledger(works, **kwargs)
    ledger.items.origin = Origin(START, START)
    return ledger


def told(events, ledger, now, slow=()):
    """Returns what is told at a time: (seconds ago, what, who, text)."""
    state = {
        **queue_state.state_of(ledger, now),
        **queue_state.times_of(ledger, now, START + now),
        "time": START + now,
    }
    rows = events.fresh(ledger, state, dict(slow), now)
    return [(ago, what, who, text) for ago, what, who, _, text in rows]


def test_a_job_without_trouble_begins_and_is_done():
    ledger, events = begun("ab"), EventList()
    assert told(events, ledger, 5.0) == [
        (5.0, "began", "", "The job began; items: 2.")
    ]
    tickets = [take(ledger, consumer, now=10.0)[0] for consumer in (A, B)]
    for consumer, ticket in zip((A, B), tickets):
        ledger.acknowledge(consumer, ticket, 400.0)
        ledger.leave(consumer, 401.0)
    assert told(events, ledger, 402.0) == [
        (2.0, "done", "", "All 2 items were completed in 6 min 40 s.")
    ]
    assert told(events, ledger, 403.0) == []


def test_who_was_lost_and_came_back():
    ledger, events = begun(lease_secs=10.0), EventList()
    take(ledger, A, 2, now=1.0)
    take(ledger, Consumer("worker:0/2", "a1"), 1, now=1.0)
    told(events, ledger, 2.0)
    ledger.expire(20.0)
    ledger.heard(A2, 25.0)
    assert told(events, ledger, 30.0) == [
        (10.0, "lost", "worker:0", "worker:0 was lost; 3 items go to the "
         "others."),
        (5.0, "back", "worker:0", "worker:0 is back."),
    ]  # fmt: skip


def test_who_joins_and_leaves_while_the_job_runs():
    ledger, events = begun(), EventList()
    (ticket,) = take(ledger, A, now=1.0)
    ledger.acknowledge(A, ticket, 2.0)
    told(events, ledger, 2.0)
    take(ledger, B, now=3.0)
    ledger.leave(B, 4.0)
    ledger.leave(A, 4.0)
    assert [row[1:] for row in told(events, ledger, 4.0)] == [
        ("joined", "worker:1", "worker:1 has joined."),
        ("left", "worker:1", "worker:1 has left; 1 item goes to the others."),
        ("left", "worker:0", "worker:0 has left."),
    ]


def test_what_was_given_up():
    ledger, events = begun(max_attempts=1), EventList()
    take(ledger, A, now=1.0)
    told(events, ledger, 1.0)
    ledger.heard(A2, 2.0)
    assert [row[1] for row in told(events, ledger, 2.0)] == [
        "lost",
        "given up",
        "back",
    ]


def test_a_resume_says_from_where_and_what_has_changed():
    ledger = make_ledger("abcdef")
    ledger.items.origin = Origin(
        START,
        START + 60.0,
        is_resumed=True,
        num_in_flight=2,
        changes=("num_epochs is now 3, was 2",),
    )
    ledger.items.completed_before = 3
    assert [row[1:] for row in told(EventList(), ledger, 61.0)] == [
        (
            "resumed",
            "",
            "Resumed: 3 of 6 items were completed, 2 in flight are trained "
            "again.",
        ),
        (
            "changed",
            "",
            "The arguments have changed: num_epochs is now 3, was 2.",
        ),
    ]


def test_one_that_is_slow_now_and_then_is_told_of_once():
    ledger, events = begun(), EventList()
    slow = {"worker:1": Slowness("takes 9 s", "slow disk")}
    said = [
        len(told(events, ledger, now, who))
        for now, who in (
            (0.0, {}),
            (10.0, slow),
            (20.0, slow),
            (30.0, {}),
            (40.0, slow),
            (700.0, slow),
        )
    ]
    # The first is that the job began.
    assert said == [1, 1, 0, 0, 0, 1]


def test_a_session_that_is_created_again_tells_of_its_own():
    events = EventList()
    assert len(told(events, begun(), 1.0)) == 1
    assert len(told(events, begun(), 2.0)) == 1


@pytest.mark.parametrize("num_lost", [3, 2000])
def test_the_list_is_bounded(num_lost):
    ledger, events = begun(num_epochs=None), EventList()
    told(events, ledger, 0.0)
    for number in range(num_lost):
        take(ledger, Consumer("worker:0", f"a{number}"), now=float(number))
    rows = told(events, ledger, float(num_lost))
    # Lost and back, but for the first life.
    assert len(rows) == min(2 * (num_lost - 1), 500)
    assert rows[-1][1] == "back"


class TestTimes:
    def test_nothing_is_known_of_an_old_log(self):
        times = queue_state.times_of(make_ledger(), 5.0, 105.0)
        assert set(times.values()) == {None}

    def test_a_job_that_runs(self):
        assert queue_state.times_of(begun(), 5.0, 1005.0) == {
            "started": 1000.0,
            "since": 1000.0,
            "ended": None,
            "elapsed_secs": 5.0,
        }

    def test_one_that_was_done_before_its_resume(self):
        ledger = begun("a")
        (ticket,) = take(ledger, A)
        ledger.acknowledge(A, ticket, 1.0)
        ledger.events.last_completed = None
        times = queue_state.times_of(ledger, 5.0, 1005.0)
        assert (times["ended"], times["elapsed_secs"]) == (None, None)
