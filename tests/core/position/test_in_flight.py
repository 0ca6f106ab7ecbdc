"""What a resume says of what it trains again."""

from __future__ import annotations

import dataclasses
import logging

import pytest
import tensorflow as tf

from wq_hooks import WorkQueue
from wq_hooks.core.position.in_flight import InFlight
from wq_hooks.core.position.snapshot import OpenItem, Snapshot

SNAPSHOT = Snapshot("queue", (), 9, (), (), 9, "f")


def in_flight(*items, counts_records=True):
    """Items are (text, holder)."""
    outstanding = tuple(
        OpenItem(ticket, text, holder, 1)
        for ticket, (text, holder) in enumerate(items)
    )
    snapshot = dataclasses.replace(SNAPSHOT, outstanding=outstanding)
    return InFlight.of(snapshot, counts_records=counts_records)


def test_records_are_told_where_they_are_known():
    held = ("a?start=0&end=1500", "w"), ("a?start=1500&end=2400", "w")
    assert in_flight(*held) == InFlight(2, 2400, 2)
    words = in_flight(*held).in_words()
    assert words == "2 were in flight (2,400 records, to be trained again)"
    # What nobody held was not begun.
    assert in_flight(*held, ("a?start=0&end=9", None)).num_records == 2400
    assert in_flight(*held, counts_records=False).num_records is None
    for unknown in ("whole", "a?start=5&end=", "a?start=5&end=1"):
        assert in_flight(*held, (unknown, "w")).num_records is None
    assert in_flight().in_words() == "0 were in flight"


@pytest.mark.parametrize(
    ("holders", "num_completed", "is_much"),
    [
        ("www", 2, True),
        ("www", 3, False),
        ("abcd", 0, False),
        ("ww", 0, False),
    ],
)
def test_much_is_more_than_was_completed(holders, num_completed, is_much):
    items = [(f"f{i}", holder) for i, holder in enumerate(holders)]
    assert in_flight(*items).is_much(num_completed) == is_much


class Rows:
    def __init__(self, name, *, columns=None):
        self.name = name

    def count_records(self):
        return 400

    def read(self, start, end):
        yield from ((number,) for number in range(start, end))


def snapshot_of(queue, dataset, num_batches):
    with queue:
        batches = iter(dataset.to_dataset())
        for _ in range(num_batches):
            next(batches)
        queue.mark_trained()
        return queue.snapshot()


def resumed(works, snapshot, caplog, **args):
    caplog.clear()
    with (
        caplog.at_level(logging.INFO),
        WorkQueue(works, seed=1, **args) as queue,
    ):
        queue.restore(snapshot)
        queue.size()
    return caplog.text


def test_a_resume_tells_the_records_of_a_table(caplog):
    args = {"num_slices": 8, "source": Rows}
    queue = WorkQueue(["rows"], seed=1, **args)
    records = queue.records(lambda _: tf.data.Dataset.range(50))
    text = snapshot_of(queue, records.batch(10), 7)
    said = resumed(["rows"], text, caplog, **args)
    assert "1 were in flight (50 records, to be trained again)" in said


@pytest.mark.parametrize(("buffer_size", "warns"), [(10, False), (400, True)])
def test_a_large_buffer_is_warned_of(buffer_size, warns, tmp_path, caplog):
    paths = []
    for number in range(8):
        paths.append(tmp_path / f"{number}.txt")
        paths[-1].write_text("line\n" * 40)
    queue = WorkQueue(paths, seed=1)
    records = queue.records(tf.data.TextLineDataset).shuffle(buffer_size, 1)
    text = snapshot_of(queue, records.batch(10), 16)
    said = resumed(paths, text, caplog)
    assert ("more items were in flight" in said) == warns
    assert "resumed:" in said
