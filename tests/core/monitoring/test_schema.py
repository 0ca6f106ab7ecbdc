"""What is shown anywhere is in the schema, in each place that shows it."""

from __future__ import annotations

import json
import re

import pytest

from tests.core.monitoring.test_progress import A, B, make_ledger, take, train
from tests.support.paths import ROOT
from wq_hooks.core.monitoring import schema
from wq_hooks.core.monitoring.board_status import status_text
from wq_hooks.core.monitoring.schema import Kind, secs_in_words, shown_in
from wq_hooks.core.monitoring.view import Viewer

NAMES = {number.name for number in schema.QUEUE}
WORKER_NAMES = {number.name for number in schema.WORKER}
PLUGIN = ROOT / "wq_hooks" / "tensorboard_plugin"
# What a state says of itself: not numbers of the queue.
ABOUT = {"name", "time", "version", "workers", "has_ended", "waiting"}


@pytest.fixture
def view():
    ledger = make_ledger("abcdefgh", max_attempts=5)
    viewer = Viewer("train")
    viewer.look(ledger, 0.0, 0.0)
    train(ledger, A, 2, now=3.0)
    take(ledger, B, 1, now=4.0)
    ledger.count_records(A, 600)
    return viewer.look(ledger, 10.0, 10.0)


def test_each_name_is_there_once():
    assert len(NAMES) == len(schema.QUEUE)
    assert len(WORKER_NAMES) == len(schema.WORKER)


def test_the_state_has_each_number_and_no_other(view):
    state = json.loads(json.dumps(view.state))
    assert set(state) - ABOUT == NAMES - {"items_per_sec", "records_per_sec"}
    for worker in state["workers"]:
        assert set(worker) - {"items"} == WORKER_NAMES
    assert set(json.loads(status_text(view))) - ABOUT <= NAMES
    assert set(vars(view.progress)) <= NAMES


def test_each_curve_is_in_the_schema(view):
    tags = {tag.partition("/")[0] for tag in view.scalars()}
    assert tags == set(shown_in(schema.SUMMARY))


def test_the_tab_shows_what_the_schema_says():
    """The page gets a card by its names; what it draws is among them."""
    shown = set()
    for path in (PLUGIN / "static").glob("*.js"):
        script = path.read_text()
        shown |= set(re.findall(r"\bdata\.(\w+_\w+)", script))
        shown |= set(re.findall(r"\bseries\.(\w+)", script)) - {"time", "step"}
    # What the card adds of its own: the verdict, and what follows from others.
    own = {"num_epochs", "eta_note", "is_live", "num_events"}
    known = {*shown_in(schema.CARD), *shown_in(schema.CHART), *own}
    assert shown - known == set()


def test_the_log_and_the_bar_say_what_the_schema_says(view):
    said = {n.name for n in schema.QUEUE if n.words}
    assert said <= {*shown_in(schema.LOG), *shown_in(schema.BAR)}
    for number in schema.QUEUE:
        used = set(re.findall(r"{(\w+)}", number.words))
        assert used <= {*shown_in(schema.LOG), *shown_in(schema.BAR)}
    assert schema.line_of(view.state) == (
        "2 of 8 items completed, 1 in flight, level 0.62 epochs, "
        "0.286 items/s, 85.7 records/s, 21 s to go, oldest lease 6 s (worker:1)"
    )


def test_the_docs_name_each_curve():
    text = (ROOT / "docs" / "view.md").read_text()
    written = text[text.index("## What is written") :]
    for name in shown_in(schema.SUMMARY):
        assert f"`{name}" in written, name


def test_each_kind_has_a_unit_or_needs_none():
    for number in (*schema.QUEUE, *schema.WORKER):
        has_unit = number.kind not in (Kind.TEXT, Kind.TEXTS, Kind.FLAG)
        assert bool(number.unit) == has_unit, number.name


@pytest.mark.parametrize(
    ("secs", "words"),
    [
        (-1.0, "0 s"),
        (0.0, "0 s"),
        (0.42, "0.42 s"),
        (4.0, "4 s"),
        (9.4, "9.4 s"),
        (9.6, "10 s"),
        (45.2, "45 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (200, "3 min 20 s"),
        (3599.4, "59 min 59 s"),
        (3599.6, "1 h 0 min"),
        (7530, "2 h 5 min"),
        (190_000, "2 d 4 h"),
    ],
)
def test_spans_of_time(secs, words):
    assert secs_in_words(secs) == words
