"""Readers that are given the end of data before the queue has ended."""

from __future__ import annotations

import threading

import pytest
import tensorflow as tf

from tests.support.console import HANG_SECS
from tests.support.queues import chief_of, state_of
from tests.support.sessions import wait_until
from wq_hooks import WorkQueue
from wq_hooks.engines import engine_of

NUM_LINES = 5


@pytest.fixture
def files(tmp_path):
    paths = []
    for i in range(4):
        path = tmp_path / f"{i}.txt"
        path.write_text("".join(f"{i}:{k}\n" for k in range(NUM_LINES)))
        paths.append(str(path))
    return paths


@pytest.fixture
def open_queue(files):
    with WorkQueue(files, shuffle=False, is_open=True) as queue:
        yield queue


def readers_of(queue):
    return engine_of(queue).service.readers


def read_all(dataset):
    """Returns what a thread reads, and the thread."""
    found = []

    def read():
        for batch in dataset:
            found.append([x.decode() for x in batch.numpy()])

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return found, thread


def test_who_waits_gets_what_the_pipeline_holds(open_queue, files):
    records = open_queue.records(tf.data.TextLineDataset)
    found, thread = read_all(records.shuffle(100).batch(3).to_dataset())
    # The shuffle buffer has all, and asks for more.
    wait_until(lambda: state_of(open_queue)["in_flight"] == len(files))

    readers_of(open_queue).end_early()

    thread.join(HANG_SECS)
    assert not thread.is_alive()
    assert sum(map(len, found)) == len(files) * NUM_LINES
    open_queue.mark_trained()
    readers_of(open_queue).hand_back()
    state = state_of(open_queue)
    assert (state["completed"], state["in_flight"]) == (len(files), 0)
    assert not readers_of(open_queue).has_ended


def test_a_remainder_was_not_left_out_for_good(open_queue, files):
    records = open_queue.records(tf.data.TextLineDataset)
    found, thread = read_all(records.batch(3, drop_remainder=True).to_dataset())
    wait_until(lambda: len(found) == len(files) * NUM_LINES // 3)

    readers_of(open_queue).end_early()

    thread.join(HANG_SECS)
    open_queue.mark_trained()
    readers_of(open_queue).hand_back()
    state = state_of(open_queue)
    # Two records of the last file make no batch.
    assert state["completed"] == len(files) - 1
    assert state["in_flight"] == 0
    open_queue.close_works()
    assert open_queue.size() == 1


def test_what_is_left_comes_first_and_is_no_failure(files):
    with WorkQueue(files, shuffle=False) as queue:
        dataset = queue.records(tf.data.TextLineDataset).batch(2).to_dataset()
        batches = iter(dataset)
        next(batches)

        readers_of(queue).end_early()
        readers_of(queue).hand_back()

        assert chief_of(queue).ledger.events.latest[-1].kind != "lost"
        snapshot = queue.snapshot()
    with WorkQueue(files, shuffle=False) as queue:
        queue.restore(snapshot)
        assert queue.take().numpy().decode() == files[0]


def test_take_gets_the_end_of_data(open_queue, files):
    for path in files:
        assert open_queue.take().numpy().decode() == path

    timer = threading.Timer(0.2, readers_of(open_queue).end_early)
    timer.start()
    with pytest.raises(tf.errors.OutOfRangeError):
        open_queue.take()
    timer.join()

    # The next one was asked for: this one is completed.
    readers_of(open_queue).hand_back()
    assert state_of(open_queue)["completed"] == len(files)


def test_items_of_a_plain_dataset(open_queue, files):
    dataset = open_queue.input_dataset().batch(3)
    found, thread = read_all(dataset)
    # The last one is read, and makes no batch.
    wait_until(lambda: state_of(open_queue)["completed"] == len(files))

    readers_of(open_queue).end_early()

    thread.join(HANG_SECS)
    assert [path for batch in found for path in batch] == files
