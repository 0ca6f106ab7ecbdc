from __future__ import annotations

import pytest

from wq_hooks.core.items.works import Works
from wq_hooks.sources.slicer import Slicer


class Rows:
    def __init__(self, name):
        self.name = name

    def count_records(self):
        return 10


class Bytes(Rows):
    pass


KINDS = {"rows": Rows, "bytes": Bytes}


def find(text):
    kind = KINDS.get(text.partition(":")[0])
    return kind and kind(text)


@pytest.mark.parametrize(
    ("works", "is_one_unit"),
    [
        (["rows:a", "rows:b"], True),
        (["rows:a", "file"], True),
        (["rows:a", "bytes:b"], False),
        (["file"], True),
    ],
)
@pytest.mark.parametrize("num_slices", [5, "auto"])
def test_lengths_count_the_same_in_sources_of_one_kind(
    works, is_one_unit, num_slices
):
    slicer = Slicer(Works(works), num_slices, find, "q", 2)
    assert slicer.is_one_unit == is_one_unit
    assert (slicer.slice_works() is None) == (works == ["file"])


def test_without_slices_no_source_is_asked():
    def ask(text):
        raise AssertionError(text)

    slicer = Slicer(Works(["rows:a", "bytes:b"]), None, ask, "q")
    assert slicer.is_one_unit
    assert slicer.slice_works() is None


@pytest.mark.parametrize(
    ("works", "is_said"),
    [(["file", "other"], True), (["file", "rows:a"], False)],
)
def test_num_slices_without_anything_to_cut_is_said(caplog, works, is_said):
    Slicer(Works(works), 5, find, "train")
    text = "num_slices=5 has no effect, since none of 2 works can be cut"
    assert (text in caplog.text) == is_said


def test_a_source_is_a_function():
    with pytest.raises(TypeError, match="function of a work's text"):
        Slicer(Works(["file"]), 5, "text", "train")
