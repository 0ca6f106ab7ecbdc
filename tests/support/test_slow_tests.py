from __future__ import annotations

import re

import pytest

from tests.support import slow_tests
from tests.support.paths import ROOT


def test_a_sample_of_each_line_is_kept():
    ids = [f"a.py::test_x[{i}]" for i in range(6)] + ["a.py::test_y", "b.py::c"]

    rows = [("a.py::test_x", 2), ("a.py", 0), ("c.py", 1)]

    assert slow_tests.marked(ids, rows[:1]) == [ids[i] for i in (1, 2, 4, 5)]
    assert slow_tests.marked(ids, rows[1:]) == ids[:7]
    assert slow_tests.marked(ids, rows) == [ids[i] for i in (1, 2, 4, 5, 6)]
    assert slow_tests.marked(ids[:1], rows[:1]) == []


@pytest.mark.parametrize("row", slow_tests.read(), ids=lambda row: row[0])
def test_what_is_listed_exists(row):
    path, *names = row[0].split("::")
    text = (ROOT / path).read_text()
    for name in names:
        assert re.search(rf"^ *(def|class) {name}|^{name} = ", text, re.M), name
