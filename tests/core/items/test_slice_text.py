from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wq_hooks.core.items.slice_text import parse_slice, slice_text

NASTY = st.lists(
    st.sampled_from(
        [
            "a",
            "/",
            "?",
            "&",
            "%",
            "=",
            "\n",
            "é",
            "%3F",
            "%25",
            "?start=1&end=2",
        ]
    )
).map("".join)
PATHS = st.text() | NASTY


@given(PATHS, st.integers(0, 2**63), st.integers(0, 2**63))
@example("a?start=1&end=2", 0, 5)
@example("100%25?", 3, 0)
def test_any_path_comes_back(path, start, length):
    text = slice_text(path, start, start + length)
    assert parse_slice(text) == (path, start, start + length)
    assert parse_slice(slice_text(path, start, None)) == (path, start, None)


def test_the_text_is_the_one_that_users_know():
    assert slice_text("odps://p/t", 5, 9) == "odps://p/t?start=5&end=9"


@pytest.mark.parametrize(
    "text",
    ["a?start=1", "a?start=1&end=2 ", "a?start=-1&end=2", "?end=1&start=0"],
)
def test_what_is_no_slice_is_a_path(text):
    assert parse_slice(text) == (text, None, None)


@pytest.mark.parametrize(("start", "end"), [(-1, 3), (4, 3)])
def test_a_slice_goes_forward(start, end):
    with pytest.raises(ValueError, match="0 <= start <= end"):
        slice_text("a", start, end)


def test_a_text_that_goes_backward_is_refused():
    with pytest.raises(ValueError, match="start <= end"):
        parse_slice("a?start=4&end=3")
