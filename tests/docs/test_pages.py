"""The pages: complete, short, and what the code says."""

from __future__ import annotations

import re
import sys

import pytest

import wq_hooks
from tests.support.paths import ROOT

sys.path.insert(0, str(ROOT / "tools"))
import check_pages
import reference_pages

README = ROOT / "README.md"
MAX_LINES = 170
MAX_COLUMNS = 100


def test_the_readme_is_short():
    lines = README.read_text().splitlines()
    assert len(lines) <= MAX_LINES
    assert max(map(len, lines)) <= MAX_COLUMNS


def test_what_the_readme_links_to_is_there():
    for target in re.findall(r"\]\(([^)#]+)", README.read_text()):
        assert (ROOT / target).exists(), target


def test_pages_that_are_read_off_the_code_are_new():
    assert reference_pages.old_pages() == [], "run `make docs`"


def test_the_reference_has_each_public_name():
    named = set(
        re.findall(r"^::: .*\.(\w+)$", (ROOT / "docs/api.md").read_text(), re.M)
    )
    assert {name for name in wq_hooks.__all__ if name[0] != "_"} <= named


@pytest.mark.parametrize(
    ("page", "is_long"),
    [
        ("word " * 35 + "end", True),
        ("word " * 34 + "end", False),
        ("word " * 34 + "end. `Code` " + "word " * 33, False),
        ("* " + "word " * 30 + "\n* " + "word " * 30, False),
        ("| " + "word " * 30 + "| " + "word " * 30 + "|", False),
        ("```\n" + "word " * 100 + "\n```\n", False),
        ("A sentence. " * 751, True),
        ("A sentence. " * 750, False),
    ],
)
def test_what_is_too_long_is_found(page, is_long):
    assert bool([*check_pages.complaints_about("page.md", page)]) == is_long
