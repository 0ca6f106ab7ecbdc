"""A position whose numbers cannot be is refused, and never loops."""

from __future__ import annotations

import contextlib
import copy
import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.resuming import WORKER
from wq_hooks.core.items.added_works import AddedLog, AddedWorks
from wq_hooks.core.items.plan import Plan
from wq_hooks.core.items.slicing import Slicing
from wq_hooks.core.items.works import Works
from wq_hooks.core.ledger.ledger import Ledger
from wq_hooks.core.position import snapshot as snapshot_module
from wq_hooks.core.position.resume_added_works import resume_with_added
from wq_hooks.core.position.snapshot import Snapshot
from wq_hooks.errors import SnapshotError

SECS = 5
MAX_ITEMS = 300


def run(ledger, num_taken, num_done):
    """Takes some items and completes some of them, not in order."""
    items = ledger.issue(num_taken, 0.0)
    for item in items:
        ledger.lease(WORKER, item.ticket, 0.0)
    for item in items[1 : num_done + 1]:
        ledger.acknowledge(WORKER, item.ticket, 0.0)
    return ledger


def fresh(works="abcd", num_epochs=2, slicing=None, num_slices=None):
    log = AddedLog()
    log.close()
    plan = Plan.fresh(
        Works(list(works)),
        num_epochs=num_epochs,
        shuffle=True,
        seed=3,
        slicing=slicing,
        num_slices=num_slices,
    )
    return Ledger(plan)


def position(ledger):
    return ledger.snapshot("q").to_json()


def resumed(text, works="abcd", num_epochs=2, slicing=None, num_slices=None):
    log = AddedLog()
    log.close()
    resumption = resume_with_added(
        Works(list(works)),
        Snapshot.from_json(text),
        log=log,
        num_epochs=num_epochs,
        shuffle=True,
        seed=None,
        num_slices=num_slices,
        slice_works=lambda: slicing,
    )
    return Ledger(resumption.plan, resumption=resumption)


def added():
    log = AddedLog()
    log.add(["x", "y", "z"], 1)
    ledger = fresh()
    ledger.plan.added = AddedWorks(8, log)
    ledger.pull_works()
    return ledger


CUT = {"slicing": Slicing.share([5, 7, 3, None], 6), "num_slices": 6}
OTHER = {"slicing": Slicing.share([5, 7, 3, None, 4], 9), "num_slices": 9}


def positions():
    """Yields real positions, and the arguments to go on with."""
    yield position(fresh()), {}
    yield position(run(fresh(), 6, 3)), {}
    yield position(run(fresh(num_epochs=None), 9, 3)), {"num_epochs": None}
    yield position(run(fresh(**CUT), 9, 5)), CUT
    merged = resumed(position(run(fresh(), 6, 3)), "bcde")
    yield position(run(merged, 3, 1)), {"works": "bcde"}
    merged = resumed(position(run(fresh(**CUT), 9, 5)), "bcdea", **OTHER)
    yield position(run(merged, 6, 3)), {"works": "bcdea", **OTHER}
    yield position(run(added(), 10, 8)), {}
    yield position(run(fresh(), 6, 3)), {"works": "bcde", "num_epochs": 4}


REAL = list(positions())


def numbers_in(value, path=()):
    """Yields the path to each number of a body."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from numbers_in(inner, (*path, key))
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from numbers_in(inner, (*path, place))
    elif isinstance(value, int):
        yield path


def forged(text, *changes):
    body = copy.deepcopy(json.loads(text)["body"])
    for path, value in changes:
        inner = body
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value
    document = {**json.loads(text), "body": body}
    document["checksum"] = snapshot_module._checksum(body)
    return json.dumps(document)


def check_run(ledger):
    """Each item comes once, and the counts add up."""
    total, before = ledger.total, ledger.completed
    assert before >= 0
    tickets, num = set(), 0
    while num < MAX_ITEMS:
        items = ledger.issue(3, 0.0)
        if not items:
            break
        for item in items:
            assert item.ticket not in tickets
            tickets.add(item.ticket)
            ledger.lease(WORKER, item.ticket, 0.0)
            ledger.acknowledge(WORKER, item.ticket, 0.0)
            num += 1
    Snapshot.from_json(position(ledger))
    if total is not None and total - before < MAX_ITEMS:
        assert ledger.is_done
        assert num == total - before
        assert ledger.low_watermark == total == ledger.completed


@pytest.mark.parametrize("number", range(len(REAL)))
def test_real_positions_go_on(number):
    text, arguments = REAL[number]
    check_run(resumed(text, **arguments))


OTHERS = st.sampled_from(
    [-1, 0, 1, 2, 3, 5, 8, 9, 100, 10**6, 10**15, 2**60, 2**63, 2**64, 10**30]
) | st.sampled_from(
    [-(2**63), None, "5", 1.5, float("nan"), float("inf"), True, [], {}, ""]
)


@given(st.data())
@settings(max_examples=400, deadline=None)
def test_a_forged_number_is_refused_or_a_position(data):
    text, arguments = data.draw(st.sampled_from(REAL))
    paths = list(numbers_in(json.loads(text)["body"]))
    change = st.tuples(st.sampled_from(paths), OTHERS)
    changes = data.draw(st.lists(change, min_size=1, max_size=2))
    begin = time.thread_time()
    # Refused, or else a position that goes on.
    with contextlib.suppress(SnapshotError):
        check_run(resumed(forged(text, *changes), **arguments))
    assert time.thread_time() - begin < SECS


WHOLE = position(run(fresh(), 6, 3))


@pytest.mark.parametrize(
    "changes",
    [
        [(("next_ticket",), -1)],
        [(("next_ticket",), 9)],
        [(("next_ticket",), 0)],
        [(("next_ticket",), 10**15)],
        [(("next_ticket",), 6.0)],
        [(("outstanding", 0, 0), -1)],
        [(("outstanding", 0, 0), 7)],
        [(("outstanding", 1, 0), 0)],
        [(("outstanding", 0, 3), -1)],
        [(("num_works",), 0)],
        [(("segments", 0, "first_ticket"), 3)],
        [(("segments", 0, "num_epochs"), 1)],
        [(("segments", 0, "num_epochs"), -1)],
        [(("segments", 0, "first_epoch"), -1)],
        [(("segments", 0, "slicing"), 1)],
        [(("segments", 0, "seed"), "x")],
        [(("segments", 0, "shuffle"), 1)],
        [(("segments",), [])],
        [(("given_up",), [[-1, "a"]])],
    ],
    ids=repr,
)
def test_impossible_numbers_are_refused(changes):
    with pytest.raises(SnapshotError):
        resumed(forged(WHOLE, *changes))


def test_a_merged_position_hands_nothing_out_twice():
    text, arguments = REAL[4]
    body = json.loads(text)["body"]
    kinds = [segment["kind"] for segment in body["segments"]]
    assert kinds == ["listed", "masked", "epochs"]
    check_run(resumed(text, **arguments))
    (_, index), *_ = body["segments"][0]["entries"]
    for other in range(4):
        if other != index:
            change = (("segments", 0, "entries", 0, 1), other)
            try:
                ledger = resumed(forged(text, change), **arguments)
            except SnapshotError:
                continue
            rest = [(i.epoch, i.index) for i in ledger.issue(50, 0.0)]
            assert len(set(rest)) == len(rest)


@pytest.mark.parametrize("number", [-1, 7, 12, 10**15])
def test_added_works_that_begin_elsewhere_are_refused(number):
    text = position(run(added(), 10, 8))
    with pytest.raises(SnapshotError):
        resumed(forged(text, (("added", "first_ticket"), number)))


def test_an_endless_position_far_ahead_of_an_open_item_does_not_loop():
    text = position(run(fresh(num_epochs=None), 9, 3))
    begin = time.thread_time()
    ledger = resumed(forged(text, (("next_ticket",), 10**15)), num_epochs=None)
    check_run(ledger)
    assert time.thread_time() - begin < SECS


def test_a_resume_behind_empty_works_goes_on():
    empty = {"slicing": Slicing.share([0, 0, 0, 0], 3), "num_slices": 3}
    text = position(run(fresh(**empty), 3, 3))
    new = {"slicing": Slicing.share([0] * 5, 3), "num_slices": 3}
    for works, arguments in [("abcd", empty), ("bcdef", new), ("abcd", CUT)]:
        ledger = resumed(text, works, **arguments)
        # Once more, behind what was merged.
        again = resumed(position(ledger), works[1:] + "g", **arguments)
        check_run(again)
        check_run(ledger)
