"""Ledgers over works that are cut, resumed with other arguments."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from wq_hooks.core.items.factoring import factor
from wq_hooks.core.items.plan import Plan
from wq_hooks.core.items.slice_text import parse_slice
from wq_hooks.core.items.slicing import Slicing
from wq_hooks.core.items.works import Works
from wq_hooks.core.ledger.consumer_state import Consumer
from wq_hooks.core.ledger.ledger import Ledger
from wq_hooks.core.position.resume import resume
from wq_hooks.core.position.snapshot import Snapshot
from wq_hooks.errors import SnapshotError

WORKER = Consumer("worker:0", "1")


class Job:
    """A run that reads every record of the slices that it is given."""

    def __init__(self, sizes, num_slices, *, num_epochs=1, position=None):
        self.sizes = sizes
        self.num_measured = 0
        works = Works(list(sizes))
        args = {"num_epochs": num_epochs, "shuffle": True, "seed": 7}
        resumption = None
        if position is None:
            plan = Plan.fresh(
                works,
                **args,
                slicing=self.slice_works(num_slices),
                num_slices=num_slices,
            )
        else:
            resumption = resume(
                works,
                Snapshot.from_json(position),
                **args,
                num_slices=num_slices,
                slice_works=lambda: self.slice_works(num_slices),
            )
            plan = resumption.plan
        self.resumption = resumption
        self.ledger = Ledger(plan, resumption=resumption)
        self.held = []

    def slice_works(self, num_slices):
        self.num_measured += 1
        if num_slices is None:
            return None
        sizes = list(self.sizes.values())
        if num_slices == "auto":
            return factor(sizes, 3)
        return Slicing.share(sizes, num_slices)

    def run(self, num_items, rng=None):
        """Takes items and completes most of them; returns their records."""
        records = Counter()
        for _ in range(num_items):
            items = self.ledger.issue(1, 0.0)
            if not items:
                break
            self.ledger.lease(WORKER, items[0].ticket, 0.0)
            self.held.append(items[0])
            if rng is None or rng.random() < 0.8:
                place = rng.randrange(len(self.held)) if rng else 0
                item = self.held.pop(place)
                self.ledger.acknowledge(WORKER, item.ticket, 0.0)
                records.update(self.records_of(item))
        return records

    def records_of(self, item):
        path, start, end = parse_slice(item.text)
        if start is None:
            start, end = 0, self.sizes[path]
        return [(path, number) for number in range(start, end)]

    def position(self):
        return self.ledger.snapshot("queue").to_json()


SIZES = st.dictionaries(
    st.sampled_from("abcdef"), st.integers(0, 40), min_size=1
)


@given(
    SIZES,
    SIZES,
    st.none() | st.just("auto") | st.integers(1, 30),
    st.none() | st.just("auto") | st.integers(1, 30),
    st.integers(0, 60),
    st.integers(0, 2**32),
)
@example({"a": 0, "b": 1}, {"a": 0}, "auto", None, 1, 0)
@settings(max_examples=300, deadline=None)
def test_whatever_changes_each_record_comes(old, new, before, after, num, seed):
    rng = random.Random(seed)
    # A work that stays has the size that it had.
    new = {name: old.get(name, size) for name, size in new.items()}
    first = Job(old, before, num_epochs=2)
    records = first.run(num, rng)
    second = Job(new, after, num_epochs=2, position=first.position())
    records += second.run(20, rng)
    # And once more, the works as they are, with what is still in flight.
    third = Job(new, before, num_epochs=2, position=second.position())
    records += third.run(10**6)
    assert third.ledger.is_done
    is_begun = first.ledger.next_ticket > 0
    for name, size in new.items():
        for number in range(size):
            count = records[name, number]
            if name in old or not is_begun:
                # Each epoch reads it once; no acknowledged slice comes again.
                assert count == 2, (name, number, count)
            else:
                # It joined the epoch that was begun, the first or the second.
                assert 1 <= count <= 2


def test_another_num_slices_applies_from_the_next_epoch():
    first = Job({"t": 12}, 3, num_epochs=2)
    first.run(1)
    second = Job({"t": 12}, 6, num_epochs=2, position=first.position())
    (note,) = second.resumption.notes
    assert "next epoch" in note
    lengths = []
    while items := second.ledger.issue(1, 0.0):
        _, start, end = parse_slice(items[0].text)
        lengths.append(end - start)
    assert lengths == [4] * 2 + [2] * 6


def test_the_same_arguments_need_no_counting():
    first = Job({"t": 12, "u": 5}, 3)
    first.run(1)
    second = Job({"t": 12, "u": 5}, 3, position=first.position())
    assert second.num_measured == 0
    assert second.resumption.notes == ()
    assert sum(second.run(99).values()) < 17


def test_empty_tables_are_the_end_at_once():
    for num_epochs in (1, None):
        job = Job({"t": 0}, 5, num_epochs=num_epochs)
        assert job.ledger.is_done
        assert job.ledger.issue(1, 0.0) == []
        assert job.ledger.level == 0


def test_a_position_of_many_slices_is_small():
    sizes = {f"table_{i}": 10**9 + i for i in range(1000)}
    job = Job(sizes, 10**7)
    job.run(20, random.Random(1))
    assert len(job.position()) < 64 * 1024


def test_a_long_list_of_sizes_is_kept_beside_the_checkpoint():
    works = Works([f"table_{i}" for i in range(9000)])
    slicing = Slicing.share([5] * 9000, 20_000)
    args = {"num_epochs": 1, "shuffle": True, "seed": 1}
    plan = Plan.fresh(works, **args, slicing=slicing, num_slices=20_000)
    ledger = Ledger(plan)
    kept = {key: lines() for key, lines in ledger.long_lists().items()}
    text = ledger.snapshot("queue").to_json()
    snapshot = Snapshot.from_json(text)
    assert slicing.to_list() in kept.values()

    def again(read_works):
        return resume(
            works, snapshot, **args, num_slices=20_000, read_works=read_works
        )

    assert again(lambda s: kept.get(s.fingerprint)).plan.slicings == (slicing,)
    with pytest.raises(SnapshotError, match="sizes of the works"):
        again(lambda s: None)
