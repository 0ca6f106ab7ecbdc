"""The page about the house: short, and true to the word."""

from __future__ import annotations

import re

from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "architecture.md").read_text()
PACKAGE = ROOT / "wq_hooks"
MAX_WORDS = 1200
MAX_ROUTES = 6


def rows_of(heading):
    """The rows of the table under a heading, without its head."""
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    return rows[2:]


def test_it_is_short():
    assert len(PAGE.split()) <= MAX_WORDS


def test_every_module_and_folder_that_it_names_is_there():
    names = set(re.findall(r"`([a-z_/]+(?:\.py)?)`", PAGE))
    files = {p.name for p in PACKAGE.rglob("*.py")}
    for name in names:
        if "/" in name:
            assert (PACKAGE / name).exists() or (ROOT / name).exists(), name
        elif name.endswith(".py"):
            assert name in files, name


def test_every_class_that_an_item_passes_is_there():
    code = "\n".join(p.read_text() for p in PACKAGE.rglob("*.py"))
    routes = rows_of("Routes of an item to its reader")
    assert 0 < len(routes) <= MAX_ROUTES
    for route in routes:
        for name in re.findall(r"`(\w+)`", route.rsplit("|", 2)[1]):
            assert f"class {name}" in code, name


def test_ten_changes_have_a_place():
    assert len(rows_of("To change X, go to Y")) >= 10
