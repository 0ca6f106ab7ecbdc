"""An item that ends the job at each start is given up after some starts."""

from __future__ import annotations

import contextlib
import re
from collections import Counter

import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.job import names
from tests.support.queues import state_of
from tests.support.resuming import WORKER, start
from tests.support.sessions import train, wait_until
from wq_hooks import WorkQueue, WorkQueueHook
from wq_hooks.core.items.plan import Plan
from wq_hooks.core.items.works import Works
from wq_hooks.core.ledger.attempts import (
    Attempts,
    AttemptsKeeper,
    attempts_text,
    read_attempts,
)
from wq_hooks.core.ledger.consumer_state import Consumer
from wq_hooks.core.ledger.ledger import Ledger
from wq_hooks.core.position.snapshot import Snapshot
from wq_hooks.engines import graph as graph_engine
from wq_hooks.errors import SnapshotError
from wq_hooks.runtime.ports import producer_port

tf1 = tf.compat.v1
NAMES = names(5)
MAX_ATTEMPTS = 2


class DamagedError(Exception):
    pass


def ledger_of(known=None, max_attempts=MAX_ATTEMPTS, num_epochs=1):
    plan = Plan.fresh(
        Works(list("abc")), num_epochs=num_epochs, shuffle=False, seed=0
    )
    if isinstance(known, dict):
        known = Attempts(known)
    return Ledger(plan, max_attempts=max_attempts, known_attempts=known)


def failed(ledger, task=None):
    return ledger.failed_attempts(task).failed


def take(ledger, consumer=WORKER):
    (item,) = ledger.issue(1, 0.0)
    ledger.lease(consumer, item.ticket, 0.0)
    return item


# What is kept.


def test_what_is_held_would_have_failed():
    ledger = ledger_of()
    assert failed(ledger, "worker:0") == {}
    take(ledger, Consumer("worker:0/0", "1"))
    take(ledger, Consumer("worker:1/0", "1"))
    assert failed(ledger, "worker:0") == {(0, "a"): 1}
    assert failed(ledger, None) == {(0, "a"): 1, (0, "b"): 1}
    ledger.acknowledge(Consumer("worker:0/0", "1"), 0, 0.0)
    assert failed(ledger, "worker:0") == {}
    # One that is lost has failed, wherever it was.
    ledger.leave(Consumer("worker:1/0", "1"), 0.0)
    assert failed(ledger, "worker:0") == {(0, "b"): 1}


def test_what_was_handed_back_has_failed_only_if_all_is_in_one_process():
    ledger = ledger_of()
    take(ledger)
    ledger.hand_back(WORKER, 0, 0.0)
    assert failed(ledger, "worker:0") == {}
    assert failed(ledger, None) == {(0, "a"): 1}
    take(ledger)
    assert failed(ledger, None) == {(0, "a"): 1}
    ledger.hand_back(WORKER, 0, 0.0)
    ledger.forgive(None)
    assert failed(ledger, None) == {}


def test_a_good_end_is_no_failure():
    ledger = ledger_of({(0, "a"): 1})
    take(ledger)
    ledger.forgive(None)
    assert failed(ledger, None) == {(0, "a"): 1}
    ledger.leave(WORKER, 0.0)
    assert failed(ledger, None) == {(0, "a"): 1}
    assert ledger.given_up == []


def test_what_has_failed_too_often_is_not_handed_out():
    known = Attempts({(0, "a"): 2, (1, "b"): 1}, ((0, "c"),))
    ledger = ledger_of(known, num_epochs=2)
    assert [item.text for item in ledger.issue(9, 0.0)] == list("babc")
    assert ledger.given_up == [(0, "a"), (2, "c")]
    # It stays so at the next start, should the position be an older one.
    kept = ledger.failed_attempts(None)
    assert kept == Attempts({(1, "b"): 1}, ((0, "c"), (0, "a")))


@pytest.mark.parametrize("reads_records", [False, True])
def test_of_what_has_failed_together_one_is_given_up_at_a_time(reads_records):
    ledger = ledger_of(max_attempts=1)
    ledger.note_readers(lambda _: reads_records)
    take(ledger), take(ledger)
    kept = ledger.failed_attempts(None)
    cause = "b" if reads_records else "a"
    assert next(iter(kept.failed)) == (0, cause)
    for later in (ledger, ledger_of(kept, max_attempts=1)):
        later.leave(WORKER, 0.0)
        later.issue(9, 0.0)
        assert [text for _, text in later.given_up] == [cause]
        assert failed(later) == {}


def test_what_is_not_handed_out_yet_is_not_forgotten():
    ledger = ledger_of({(0, "c"): 1})
    take(ledger)
    assert failed(ledger, None) == {(0, "a"): 1, (0, "c"): 1}


@given(st.data(), st.integers(1, 3), st.sampled_from("abc"))
@settings(max_examples=50, deadline=None)
def test_starts_that_end_at_an_item_come_to_an_end(data, max_attempts, bad):
    """Whatever was saved; each life ends when it meets the item."""
    kept, position = None, None
    trained = Counter()
    for life in range(max_attempts + 1):
        known = None if kept is None else read_attempts(kept)
        snapshot = position and Snapshot.from_json(position)
        ledger = resumed(snapshot, known, max_attempts)
        written = []
        keeper = AttemptsKeeper("q", noted_in(written), "w")
        while (items := ledger.issue(1, 0.0)) and items:
            consumer = Consumer("w/0", str(life))
            ledger.lease(consumer, items[0].ticket, 0.0)
            keeper.keep(ledger)
            if items[0].text == bad:
                break
            trained[items[0].text] += 1
            ledger.acknowledge(consumer, items[0].ticket, 0.0)
            if data.draw(st.booleans()):
                position = ledger.snapshot("q").to_json()
        kept = written[-1] if written else kept
    assert ledger.is_done
    assert [text for _, text in ledger.given_up] == [bad]
    assert set(trained) == set("abc") - {bad}


def noted_in(written):
    def write(text):
        written.append(text)
        return True

    return write


def resumed(snapshot, known, max_attempts):
    from wq_hooks.core.position.resume import resume

    if snapshot is None:
        return ledger_of(known, max_attempts)
    resumption = resume(
        Works(list("abc")), snapshot, num_epochs=1, shuffle=False, seed=0
    )
    return Ledger(
        resumption.plan,
        max_attempts=max_attempts,
        resumption=resumption,
        known_attempts=known,
    )


def test_the_limit_is_looked_at_when_a_position_hands_an_item_out_again():
    """Also without a file: as far as the position knows."""
    ledger = start("ab")
    position = None
    for _ in range(MAX_ATTEMPTS):
        if position is not None:
            ledger = resumed_of("ab", position)
        take(ledger)
        position = ledger.snapshot("q").to_json()
    ledger = resumed_of("ab", position)
    assert [item.text for item in ledger.issue(9, 0.0)] == ["b"]
    assert ledger.given_up == [(0, "a")]


def resumed_of(works, position):
    from wq_hooks.core.position.resume import resume

    resumption = resume(
        Works(list(works)),
        Snapshot.from_json(position),
        num_epochs=1,
        shuffle=False,
        seed=0,
    )
    return Ledger(
        resumption.plan, max_attempts=MAX_ATTEMPTS, resumption=resumption
    )


def test_attempts_come_back_from_their_text():
    attempts = Attempts({(3, "a\udcff"): 1, (0, 'q"'): 2}, ((1, "b"),))
    assert read_attempts(attempts_text("q", attempts)) == attempts


NONE = attempts_text("q", Attempts())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{}",
        "[" * 100_000,
        NONE.replace('"version": 1', '"version": 2'),
        NONE.replace("[]", "[[1]]", 1),
        NONE.replace('"failed": []', '"failed": 5'),
    ],
)
def test_what_is_no_attempts_is_refused(text):
    with pytest.raises(SnapshotError):
        read_attempts(text)


# Sessions of this process that fail.


def fails_at(bad):
    def step_hook(queue, item):
        if item == bad:
            raise DamagedError(item)

    return step_hook


def restart_until_through(run):
    """Returns how many starts have failed, and what the last one returned."""
    for num_failed in range(10):
        try:
            return num_failed, run()
        except (DamagedError, tf.errors.OpError):
            continue
    pytest.fail("it fails for ever")


@pytest.mark.parametrize("has_hook", [False, True])
@pytest.mark.parametrize("bad", [0, 2, 4])
@pytest.mark.parametrize("source", ["take", "dataset", "producer"])
def test_a_session_that_fails_at_an_item_gives_it_up(
    tmp_path, caplog, source, bad, has_hook
):
    trained = []

    def step_hook(queue, item):
        fails_at(NAMES[bad])(queue, item)
        trained.append(item)

    num_failed, _ = restart_until_through(
        lambda: train(
            NAMES,
            source=source,
            directory=tmp_path,
            hooks=[WorkQueueHook()] if has_hook else [],
            queue_args={"max_attempts": MAX_ATTEMPTS},
            step_hook=step_hook,
            # Only the position at the beginning is saved.
            save_checkpoint_steps=100,
        )
    )
    assert num_failed == MAX_ATTEMPTS
    assert set(trained) == {*NAMES} - {NAMES[bad]}
    assert f"gave up {NAMES[bad]}" in caplog.text


def test_the_item_that_was_drawn_last_has_failed(tmp_path, monkeypatch, caplog):
    """A Reader draws unseen: for a moment the one before is held, too."""
    monkeypatch.setattr(producer_port, "_MIN_POLL_SECS", 1.0)
    monkeypatch.setattr(graph_engine, "_DRAWN_SECS", 1.0)

    def step_hook(queue, item):
        fails_at(NAMES[1])(queue, item)
        # The next one lies ready.
        wait_until(
            lambda: state_of(queue)["in_flight"] == 2 or item != NAMES[0]
        )

    num_failed, _ = restart_until_through(
        lambda: train(
            NAMES[:3],
            source="producer",
            directory=tmp_path,
            queue_args={"max_attempts": MAX_ATTEMPTS},
            step_hook=step_hook,
            save_checkpoint_steps=100,
        )
    )
    assert num_failed == MAX_ATTEMPTS
    assert set(re.findall(r"gave up (\S+),", caplog.text)) == {NAMES[1]}


def test_nothing_is_kept_where_nothing_is_given_up(tmp_path):
    train(NAMES, directory=tmp_path)
    assert not list(tmp_path.glob("*attempts*"))


def test_stops_that_were_asked_for_do_not_count(tmp_path):
    trained = []
    for last_step in (1, 2, 3, 5, None):
        trained += train(
            NAMES,
            source="dataset",
            directory=tmp_path,
            last_step=last_step,
            hooks=[WorkQueueHook()],
            queue_args={"max_attempts": 1},
        )
    # What was in flight at a stop comes again, and is not given up.
    assert {item for item, _ in trained} == {*NAMES}


def write_attempts(directory, text):
    (directory / "work_queue.attempts.json").write_bytes(text)


def begun(directory):
    """Trains one item of a job that counts attempts."""
    args = {"max_attempts": 1}
    return train(NAMES, directory=directory, queue_args=args, last_step=1)


def test_start_over_forgets(tmp_path):
    begun(tmp_path)
    kept = attempts_text("work_queue", Attempts({(0, NAMES[1]): 9}))
    write_attempts(tmp_path, kept.encode())
    args = {"max_attempts": 1, "start_over": True}
    steps = train(NAMES, directory=tmp_path, queue_args=args)
    assert [item for item, _ in steps] == NAMES


def test_a_damaged_file_is_said_and_forgotten(tmp_path, caplog):
    begun(tmp_path)
    write_attempts(tmp_path, b"\xff{")
    train(NAMES, directory=tmp_path, queue_args={"max_attempts": 2})
    assert "attempts.json cannot be read" in caplog.text


# Eager mode.


@pytest.mark.parametrize("bad", [0, 2, 4])
@pytest.mark.parametrize("source", ["take", "dataset", "records"])
def test_an_eager_process_that_fails_at_an_item_gives_it_up(
    tmp_path, caplog, source, bad
):
    trained = []

    def run():
        queue = WorkQueue(
            NAMES,
            shuffle=False,
            max_attempts=MAX_ATTEMPTS,
            attempts_dir=tmp_path,
        )
        with queue:
            for item in eager_items(queue, source):
                if item == NAMES[bad]:
                    raise DamagedError
                trained.append(item)

    num_failed, _ = restart_until_through(run)
    assert num_failed == MAX_ATTEMPTS
    assert set(trained) == {*NAMES} - {NAMES[bad]}
    assert f"gave up {NAMES[bad]}" in caplog.text


def eager_items(queue, source):
    if source == "take":
        with contextlib.suppress(tf.errors.OutOfRangeError):
            while True:
                yield queue.take().numpy().decode()
        return
    dataset = queue.input_dataset()
    if source == "records":
        records = queue.records(tf.data.Dataset.from_tensors)
        dataset = records.to_dataset()
    for item in dataset:
        yield item.numpy().decode()
