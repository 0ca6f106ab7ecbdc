from __future__ import annotations

import json

import pytest

from tests.core.monitoring.test_progress import A, B, make_ledger, take, train
from wq_hooks.core.ledger.consumer_state import Consumer
from wq_hooks.core.monitoring.checked_state import checked_state
from wq_hooks.core.monitoring.metrics import samples_of
from wq_hooks.core.monitoring.view import Viewer


def test_the_scalars():
    ledger = make_ledger("abcdefgh")
    viewer = Viewer("train")
    viewer.look(ledger, 0.0, 1000.0)
    train(ledger, A, 2, now=5.0)
    take(ledger, B, 1, now=8.0)
    ledger.count_records(A, 100)
    view = viewer.look(ledger, 10.0, 1010.0)
    assert view.scalars() == {
        "remaining": 5,
        "in_flight": 1,
        "completed": 2,
        "low_watermark": 2,
        "epoch": 0.25,
        "items_per_sec": 0.2,
        "records_per_sec": 10.0,
        "oldest_in_flight_secs": 2.0,
        "repeated": 0,
        "given_up": 0,
        "item_secs/p10": 0,
        "item_secs/p50": 0,
        "item_secs/p90": 0,
    }


def test_the_rate_is_that_since_the_last_look():
    ledger = make_ledger("a", num_epochs=None)
    viewer = Viewer("train")
    rates = []
    for now, num_items in ((0.0, 10), (10.0, 20), (20.0, 0), (30.0, 0)):
        rates.append(viewer.look(ledger, now, now).items_per_sec)
        train(ledger, A, num_items, now)
    assert rates == [0.0, 1.0, 2.0, 0.0]


def test_who_is_slow_is_in_the_log_line():
    ledger = make_ledger("abcdefgh")
    for now in (0.0, 10.0, 20.0):
        (ticket,) = take(ledger, A, now=now)
        ledger.acknowledge(A, ticket, now + 10.0)
    take(ledger, B, now=10.0)
    look = Viewer("train").look
    assert "slow" not in look(ledger, 30.0, 0.0).in_words()
    assert (
        look(ledger, 31.0, 0.0)
        .in_words()
        .endswith(
            ", slow: worker:1 has held p/d for 21 s, "
            "2.1\N{MULTIPLICATION SIGN} the usual time"
        )
    )


def test_there_is_no_level_without_end():
    ledger = make_ledger(num_epochs=None)
    scalars = Viewer("train").look(ledger, 0.0, 0.0).scalars()
    assert "remaining" not in scalars


def test_the_state_says_when_and_of_which_queue():
    ledger = make_ledger()
    take(ledger, A)
    view = Viewer("train").look(ledger, 3.0, 1234.567)
    state = json.loads(json.dumps(view.state))
    assert (state["name"], state["time"]) == ("train", 1234.57)
    assert state["oldest_holder"] == "worker:0"
    assert state["eta_secs"] is None
    takes = json.loads(json.dumps(view.takes))
    assert (takes["name"], takes["time"]) == ("train", 1234.57)


def test_takes_are_told_once():
    ledger = make_ledger()
    viewer = Viewer("train")
    train(ledger, A, 2)
    assert viewer.look(ledger, 0.0, 0.0).takes["num"] == 2
    train(ledger, A, 1)
    assert viewer.look(ledger, 1.0, 1.0).takes["num"] == 1


def test_the_records_of_each_worker():
    ledger = make_ledger()
    viewer = Viewer("train")
    take(ledger, A)
    (worker,) = viewer.look(ledger, 0.0, 0.0).state["workers"]
    assert worker["records_per_sec"] is None
    ledger.count_records(A, 50)
    take(ledger, B)
    first, second = viewer.look(ledger, 10.0, 10.0).state["workers"]
    assert first["records_per_sec"] == 5.0
    assert second["records_per_sec"] is None


def test_another_ledger_begins_anew():
    viewer = Viewer("train")
    ledger = make_ledger()
    train(ledger, A, 4)
    viewer.look(ledger, 0.0, 0.0)
    ledger = make_ledger()
    train(ledger, A, 1)
    view = viewer.look(ledger, 10.0, 10.0)
    assert view.takes["num"] == 1
    assert view.items_per_sec == 0.0


def test_a_thousand_workers_make_less_than_a_megabyte():
    ledger = make_ledger([f"part-{i:05d}-of-100000" * 3 for i in range(5000)])
    for number in range(1000):
        worker = Consumer(f"worker:{number}", "0123456789ab")
        train(ledger, worker, 2, now=1.0)
        take(ledger, worker, 2, now=2.0)
    view = Viewer("train").look(ledger, 3.0, 3.0)
    assert view.state["num_workers"] == 1000
    assert len(json.dumps(view.state)) < 600_000
    assert len(json.dumps(view.takes)) < 100_000


@pytest.mark.parametrize("num_measures", [1, 2])
def test_two_looks_at_the_same_time(num_measures):
    viewer = Viewer("train")
    ledger = make_ledger()
    for _ in range(num_measures):
        view = viewer.look(ledger, 1.0, 1.0)
        train(ledger, A)
    assert view.items_per_sec == 0.0


def test_where_nobody_counts_records_nothing_is_said_of_them():
    ledger = make_ledger()
    train(ledger, A, 2, now=1.0)
    view = Viewer("train").look(ledger, 2.0, 2.0)
    assert view.state["records"] is None
    assert view.state["recent_records_per_sec"] is None
    assert "records_per_sec" not in view.scalars()
    samples = samples_of(checked_state(view.state))
    assert samples["records_trained"] == []
    assert samples["records_per_second"] == []
    assert samples["worker_records_trained"] == []
    assert samples["items_completed"] == [(("train",), 2.0)]
