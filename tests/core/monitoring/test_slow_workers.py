from __future__ import annotations

import pytest

from wq_hooks.core.monitoring.checked_state import checked_state
from wq_hooks.core.monitoring.slow_workers import (
    slow_in_words,
    slow_workers,
    word_of,
)

TIMES = "\N{MULTIPLICATION SIGN}"


def worker(number, **values):
    usual = {
        "name": f"worker:{number}",
        "item_secs": 10.0,
        "records_per_item": 100,
        "train_secs": 8.0,
        "wait_secs": 2.0,
        "records_per_sec": 10.0,
        "in_hand": 1,
        "items": [{"text": "a", "held_secs": 1.0}],
    }
    return {**usual, **values}


def state_with(*odd, usual=10.0):
    workers = [worker(number) for number in range(4)]
    workers += [
        worker(4 + number, **values) for number, values in enumerate(odd)
    ]
    return checked_state(
        {
            "item_secs": [usual, usual, usual],
            "lease_secs": 60.0,
            "workers": workers,
        }
    )  # fmt: skip


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (
            {"item_secs": 26.0, "train_secs": 7.54, "wait_secs": 18.46},
            f"takes 26 s for an item, 2.6{TIMES} the usual time, of which 71% "
            "waiting for data (slow disk)",
        ),
        (
            {"item_secs": 40.0, "train_secs": 38.0, "wait_secs": 2.0},
            f"takes 40 s for an item, 4.0{TIMES} the usual time, of which 95% "
            "training (slow machine)",
        ),
        (
            {
                "item_secs": 100.0,
                "records_per_item": 1000,
                "train_secs": 80.0,
                "wait_secs": 20.0,
            },
            f"takes 1 min 40 s for an item, 10.0{TIMES} the usual time: its "
            f"items have 10.0{TIMES} the usual records (big file)",
        ),
        (
            {
                "item_secs": 100.0,
                "records_per_item": 1000,
                "train_secs": None,
                "wait_secs": None,
            },
            f"takes 1 min 40 s for an item, 10.0{TIMES} the usual time: its "
            "items have 1,000 records (big file)",
        ),
        (
            {
                "item_secs": 30.0,
                "records_per_item": None,
                "train_secs": None,
                "wait_secs": None,
            },
            f"takes 30 s for an item, 3.0{TIMES} the usual time",
        ),
    ],
)
def test_why_its_items_take_long(values, words):
    slow = slow_workers(state_with(values))
    assert {name: s.in_words() for name, s in slow.items()} == {
        "worker:4": words
    }


@pytest.mark.parametrize(
    ("values", "cause"),
    [
        ({"records_per_sec": 9.0}, "big file"),
        ({"records_per_sec": 0.5}, ""),
        ({"records_per_sec": None}, ""),
        (
            {"item_secs": 25.0, "train_secs": 5.0, "wait_secs": 20.0},
            "slow disk",
        ),
    ],
)
def test_why_it_still_holds_an_item(values, cause):
    items = [{"text": "part-7", "held_secs": 80.0}]
    slow = slow_workers(state_with({"items": items, **values}))
    (slowness,) = slow.values()
    assert slowness.why.startswith("has held part-7 for 1 min 20 s")
    assert slowness.cause == cause


def test_one_that_takes_twice_its_own_time_has_held_it():
    items = [{"text": "a", "held_secs": 41.0}]
    values = {"item_secs": 30.0, "items": items}
    (slowness,) = slow_workers(state_with(values)).values()
    assert slowness.why.startswith("takes 30 s for an item")


def test_who_is_not_there_is_not_slow():
    gone = ({"has_left": True}, {"is_lost": True}, {"last_heard_secs": 61.0})
    state = state_with(*({"item_secs": 99.0, **values} for values in gone))
    assert slow_workers(state) == {}
    assert [word_of(w, state) for w in state["workers"][4:]] == [
        "left",
        "lost",
        "silent",
    ]


def test_the_word_of_one_that_is_slow():
    state = state_with({"item_secs": 99.0})
    slow = slow_workers(state)
    words = [word_of(w, state, slow) for w in state["workers"]]
    assert words == ["", "", "", "", "slow"]
    assert slow_in_words(slow).startswith("worker:4 takes 1 min 39 s")
    assert slow_in_words({}) == ""
