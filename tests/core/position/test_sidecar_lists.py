from __future__ import annotations

import gzip

import pytest

from tests.support.resuming import (
    ledger_of,
    rest,
    resumption_of,
    saved,
    start,
    train,
    words,
)
from wq_hooks.core.items.plan import Plan
from wq_hooks.core.items.works import Works
from wq_hooks.core.ledger.consumer_state import Consumer
from wq_hooks.core.ledger.ledger import Ledger
from wq_hooks.core.position import plan_encoding
from wq_hooks.core.position.resume import resume
from wq_hooks.core.position.sidecar_lists import file_of, list_in
from wq_hooks.core.position.snapshot import Snapshot
from wq_hooks.errors import SnapshotError


class TestLongLists:
    """Lists that are too long to travel in each snapshot."""

    OLD = ("a", "b", "c")

    @pytest.fixture(autouse=True)
    def no_list_is_short(self, monkeypatch):
        monkeypatch.setattr(plan_encoding, "_MAX_PACKED_CHARS", 1)

    def position(self):
        ledger = start(self.OLD)
        train(ledger, 1)
        ledger.items.note_sidecars("/d")
        position = Snapshot.from_json(ledger.snapshot("q").to_json())
        assert position.packed_works is None
        assert position.sidecar_directory == "/d"
        return position

    def test_the_list_is_not_needed_as_long_as_it_is_the_same(self):
        again = ledger_of(resumption_of(self.position(), self.OLD))
        assert rest(again) == words("0b 0c")

    def test_the_list_is_read_when_the_works_have_changed(self):
        asked = []

        def read_works(position):
            asked.append((position.name, position.fingerprint))
            return list(self.OLD)

        resumption = resumption_of(
            self.position(), "abcd", read_works=read_works
        )
        assert rest(ledger_of(resumption)) == words("0b 0c 0d")
        assert asked == [("q", Works(self.OLD).fingerprint)]

    def test_a_list_that_is_not_found_is_an_error(self):
        with pytest.raises(SnapshotError, match="ask to start over"):
            resumption_of(self.position(), "abcd")

    @pytest.mark.parametrize("names", [["a", "b"], ["a", "c", "b"], ["x"], []])
    def test_a_list_that_does_not_fit_is_an_error(self, names):
        with pytest.raises(SnapshotError, match="damaged"):
            resumption_of(
                self.position(), "abcd", read_works=lambda _: list(names)
            )


def test_a_packed_list_that_is_damaged_is_an_error():
    position = saved(start("abc"))
    damaged = Snapshot(**{**vars(position), "packed_works": "AAAA"})
    with pytest.raises(SnapshotError, match="damaged"):
        resumption_of(damaged, "abcd")
    other = saved(start("xyz")).packed_works
    foreign = Snapshot(**{**vars(position), "packed_works": other})
    with pytest.raises(SnapshotError, match="fingerprint"):
        resumption_of(foreign, "abcd")


def test_a_long_mask_is_kept_beside_the_checkpoint():
    """After a merge of a long list in mid-epoch, in every save of it."""
    names = [f"part-{i}" for i in range(500_000)]
    ledger = Ledger(
        Plan.fresh(Works(names), num_epochs=1, shuffle=True, seed=7)
    )
    consumer = Consumer("worker:0", "life")
    done = set()
    for item in ledger.issue(250_000, 0.0):
        ledger.lease(consumer, item.ticket, 0.0)
        ledger.acknowledge(consumer, item.ticket, 0.0)
        done.add(item.text)
    kept = {k: list(make()) for k, make in ledger.long_lists().items()}
    first = ledger.snapshot("train")

    def read(snapshot):
        return kept.get(snapshot.fingerprint)

    def resumed(names, snapshot):
        # As text, as it stands in a checkpoint.
        snapshot = Snapshot.from_json(snapshot.to_json())
        return resume(
            Works(names),
            snapshot,
            num_epochs=1,
            shuffle=True,
            seed=7,
            read_works=read,
        )

    more = [*names, "new"]
    merged = resumed(more, first)
    ledger = Ledger(merged.plan, resumption=merged)
    second = ledger.snapshot("train")
    kept.update({k: list(make()) for k, make in ledger.long_lists().items()})

    assert len(second.to_json()) < 10_000
    again = resumed(more, second)
    rest = {
        again.plan.item_at(ticket).text
        for ticket in range(again.next_ticket, again.plan.total)
    }
    assert rest == set(more) - done

    kept.clear()
    with pytest.raises(SnapshotError, match="which works were done"):
        resumed(more, second)


class TestFile:
    """The file of a list."""

    NASTY = ["", "a\nb", "snow\u2603", "raw\udcff", '"', "\\", "\0", "x" * 9999]

    @pytest.mark.parametrize("number", [0, 1, 999, 1000, 1001, 2500])
    def test_gives_back_the_list(self, number):
        names = [self.NASTY[i % len(self.NASTY)] for i in range(number)]
        assert list_in(b"".join(file_of(names)), "f") == names

    def test_takes_little(self):
        names = [f"hdfs://warehouse/part-{i:08d}" for i in range(10_000)]
        assert len(b"".join(file_of(names))) < 50_000

    @pytest.mark.parametrize(
        "damage",
        [
            lambda data: data[:-1],
            lambda data: data[: len(data) // 2],
            lambda data: data[:200] + b"x" + data[201:],
            lambda data: b"no gzip",
            lambda data: gzip.compress(b"{}["),
            lambda data: gzip.compress(b"1"),
        ],
    )
    def test_that_is_damaged_is_an_error(self, damage):
        names = [f"{i * 7919 % 10007}" for i in range(2500)]
        data = damage(b"".join(file_of(names)))
        with pytest.raises(SnapshotError, match=r"'f\.works' is damaged"):
            list_in(data, "f.works")
