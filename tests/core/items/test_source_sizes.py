from __future__ import annotations

import threading

import pytest

from wq_hooks.core.items.source_sizes import measure
from wq_hooks.core.items.works import Works
from wq_hooks.errors import SourceError


class Source:
    def __init__(self, count):
        self._count = count

    def count_records(self):
        return self._count()


def test_sizes_come_in_the_order_of_the_works():
    sources = [Source(lambda: 3), None, Source(lambda: None), Source(lambda: 0)]
    works = Works(["a", "b", "c", "d"])
    assert measure(works, sources.__getitem__) == [3, None, None, 0]


def test_works_are_counted_side_by_side():
    # Each waits for the others: one by one this would not end.
    barrier = threading.Barrier(8)
    source = Source(lambda: barrier.wait(60) * 0 + 1)
    works = Works([f"w{i}" for i in range(8)])
    assert measure(works, lambda index: source) == [1] * 8


def test_a_work_that_cannot_be_counted_is_named():
    def fail():
        raise OSError("no such table")

    with pytest.raises(SourceError, match="'p/table_7': no such table"):
        measure(
            Works(["a", "table_7"], prefix="p/"),
            lambda index: Source(fail) if index else None,
        )


def test_progress_is_logged(caplog):
    ticks = iter(range(0, 1000, 4))
    caplog.set_level("INFO")
    measure(
        Works(["a"] * 4),
        lambda index: Source(lambda: 1),
        name="q",
        clock=lambda: next(ticks),
    )
    assert "of 4 works are measured" in caplog.text
