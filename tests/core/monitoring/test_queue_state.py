from __future__ import annotations

import json

from tests.core.monitoring.test_progress import A, B, make_ledger, take, train
from wq_hooks.core.items.plan import Plan
from wq_hooks.core.items.works import Works
from wq_hooks.core.ledger.consumer_state import Consumer
from wq_hooks.core.ledger.ledger import Ledger
from wq_hooks.core.monitoring import queue_state as states
from wq_hooks.core.monitoring.queue_state import (
    MAX_CHARS,
    STATE_VERSION,
    shown,
    state_of,
    takes_since,
)


class TestState:
    def test_is_json_with_one_entry_for_each_task(self):
        ledger = make_ledger("abcdef", num_epochs=2)
        train(ledger, A, 1)
        take(ledger, A, 1, now=2.0)
        take(ledger, Consumer("worker:0/2", "a1"), 1, now=3.0)
        take(ledger, B, 1, now=4.0)
        ledger.leave(B, 5.0)
        state = json.loads(json.dumps(state_of(ledger, now=10.0)))
        assert state["version"] == STATE_VERSION
        assert (state["total"], state["items_per_epoch"]) == (12, 6)
        assert (
            state["remaining"],
            state["in_flight"],
            state["completed"],
            state["low_watermark"],
        ) == (9, 2, 1, 1)
        assert [worker["name"] for worker in state["workers"]] == [
            "worker:0",
            "worker:1",
        ]
        first, second = state["workers"]
        assert (first["taken"], first["completed"]) == (3, 1)
        assert not first["has_left"]
        assert first["last_heard_secs"] == 7.0
        assert first["item_secs"] == 0.0
        assert first["items"] == [
            {"ticket": 1, "text": "p/b", "held_secs": 8.0},
            {"ticket": 2, "text": "p/c", "held_secs": 7.0},
        ]
        assert second["has_left"]
        assert second["items"] == []
        assert second["item_secs"] is None

    def test_names_what_was_given_up(self):
        ledger = make_ledger("ab", max_attempts=1)
        take(ledger, A)
        ledger.leave(A, 0.0)
        assert state_of(ledger, 0.0)["given_up_names"] == ["p/a"]

    def test_without_end(self):
        state = state_of(make_ledger(num_epochs=None), 0.0)
        assert state["total"] is None
        assert state["remaining"] is None

    def test_holding_items_of_two_epochs_does_not_disturb_the_hand_out(self):
        plan = Plan.fresh(
            Works([f"w{i}" for i in range(20)]),
            num_epochs=2,
            shuffle=True,
            seed=1,
        )
        ledger = Ledger(plan)
        take(ledger, A, 25)
        made = plan._epoch_order.cache_info().misses
        state_of(ledger, 0.0)
        assert plan._epoch_order.cache_info().misses == made

    def test_of_another_life_the_counts_go_on(self):
        ledger = make_ledger()
        train(ledger, A, 2)
        ledger.count_records(A, 10)
        train(ledger, Consumer(A.name, "a2"), 1)
        ledger.count_records(Consumer(A.name, "a2"), 5)
        (worker,) = state_of(ledger, 0.0)["workers"]
        assert (worker["num_starts"], worker["incarnation"]) == (2, "a2")
        assert (worker["completed"], worker["records"]) == (3, 15)
        assert ledger.records == 15

    def test_records_that_a_task_tells_count_for_one_of_its_consumers(self):
        ledger = make_ledger()
        for number in (2, 3):
            ledger.ask(Consumer(f"worker:0/{number}", "a1"), 0.0)
        ledger.count_records(A, 7)
        ledger.count_records(Consumer("worker:0/3", "a1"), 5)
        ledger.count_records(B, 1)
        (worker,) = state_of(ledger, 0.0)["workers"]
        assert worker["records"] == 12
        assert ledger.records == 13

    def test_of_many_items_in_hand_the_oldest_are_told(self):
        ledger = make_ledger("abcdefgh")
        take(ledger, A, 7)
        (worker,) = state_of(ledger, 0.0)["workers"]
        assert worker["in_hand"] == 7
        assert [item["text"] for item in worker["items"]] == [
            "p/a",
            "p/b",
            "p/c",
        ]

    def test_of_too_many_workers_those_that_have_something(self, monkeypatch):
        monkeypatch.setattr(states, "MAX_WORKERS", 2)
        ledger = make_ledger("abcdefgh")
        for number in range(3):
            ledger.ask(Consumer(f"worker:{number}", "x"), 0.0)
        take(ledger, Consumer("worker:3", "x"), 1)
        state = state_of(ledger, 0.0)
        assert state["num_workers"] == 4
        assert [w["name"] for w in state["workers"]] == ["worker:3", "worker:0"]


class TestTakes:
    def test_what_became_of_items(self):
        ledger = make_ledger("abcd", max_attempts=3)
        train(ledger, A, 1, now=1.0)
        (lost,) = take(ledger, A, 1, now=2.0)
        ledger.leave(A, 5.0)
        (again,) = take(ledger, B, 1, now=6.0)
        assert again == lost
        ledger.acknowledge(B, again, 8.0)
        ledger.lease(B, again, 9.0)
        takes, num_events = takes_since(ledger, 0, now=10.0)
        assert takes == {
            "version": STATE_VERSION,
            "since": None,
            "num": 4,
            "workers": ["worker:0", "worker:1"],
            "takes": [
                [0, "p/a", 9.0, 9.0, "done"],
                [0, "p/b", 8.0, 5.0, "lost"],
                [1, "p/b", 4.0, 2.0, "again"],
                [1, "", 1.0, 1.0, "repeat"],
            ],
            "open": [],
        }
        assert takes_since(ledger, num_events, 11.0)[0]["takes"] == []
        train(ledger, B, 1, now=12.0)
        takes, _ = takes_since(ledger, num_events, 12.0)
        assert takes["takes"] == [[0, "p/c", 0.0, 0.0, "done"]]

    def test_what_is_held_now(self):
        ledger = make_ledger("abcd")
        take(ledger, A, 1, now=2.0)
        take(ledger, B, 1, now=5.0)
        takes, _ = takes_since(ledger, 0, now=10.0)
        assert takes["open"] == [[0, "p/a", 8.0], [1, "p/b", 5.0]]
        assert takes["workers"] == ["worker:0", "worker:1"]

    def test_of_too_much_that_is_held_the_oldest(self, monkeypatch):
        monkeypatch.setattr(states, "MAX_OPEN", 2)
        ledger = make_ledger("abcd")
        take(ledger, A, 4)
        takes, _ = takes_since(ledger, 0, 0.0)
        assert [held[1] for held in takes["open"]] == ["p/a", "p/b"]

    def test_of_too_many_the_last(self, monkeypatch):
        monkeypatch.setattr(states, "MAX_TAKES", 2)
        ledger = make_ledger("abcd")
        train(ledger, A, 4)
        takes, _ = takes_since(ledger, 0, 0.0)
        assert takes["num"] == 4
        assert [take[1] for take in takes["takes"]] == ["p/c", "p/d"]

    def test_more_events_than_are_kept(self):
        ledger = make_ledger("a", num_epochs=None)
        limit = ledger.events.latest.maxlen
        train(ledger, A, limit + 100)
        takes, num_events = takes_since(ledger, 0, 0.0)
        assert takes["num"] == limit
        assert num_events == ledger.events.total == 2 * 0 + limit + 101


class TestNames:
    def test_a_short_one_is_told_as_it_is(self):
        assert shown("data/\u00e4 <b>") == "data/\u00e4 <b>"
        assert shown("x" * MAX_CHARS) == "x" * MAX_CHARS

    def test_a_long_one_is_cut_in_the_middle(self):
        name = shown("head" + "x" * 10_000 + "tail.csv")
        assert len(name) == MAX_CHARS
        assert name.startswith("headx")
        assert name.endswith("xtail.csv")

    def test_bytes_that_are_not_utf_8(self):
        name = shown(b"a\xffb".decode("utf-8", "surrogateescape"))
        assert name.encode("utf-8").decode() == "a\ufffdb"
