"""Where a ledger begins: as asked, at a checkpoint, or at the beginning."""

from __future__ import annotations

import pytest

from tests.support.resuming import train
from wq_hooks.core.items.added_works import AddedLog
from wq_hooks.core.items.works import Works
from wq_hooks.core.options import Options
from wq_hooks.errors import SnapshotError
from wq_hooks.runtime.saving.ledger_factory import LedgerFactory
from wq_hooks.sources.slicer import Slicer

WORKS = ["a", "b", "c", "d"]


def new_factory(**options):
    works = Works(WORKS)
    log = AddedLog()
    log.close()
    slicer = Slicer(works, None, None, "q", in_order=True)
    return LedgerFactory(
        works, Options(name="q", shuffle=False, **options), slicer, log
    )


def position(num_done):
    """Returns a position after some items."""
    ledger = new_factory().begin("")
    train(ledger, num_done)
    return ledger.snapshot("q").to_json()


def test_without_a_position_it_is_the_beginning():
    assert new_factory().begin("").completed == 0


def test_a_checkpoint_counts_each_time():
    factory = new_factory()
    assert factory.begin("", position(1)).completed == 1
    assert factory.begin("", position(3)).completed == 3


def test_what_the_user_asks_for_counts_the_first_time():
    """A session that is created again goes back to its checkpoint."""
    factory = new_factory()
    factory.continue_from(position(2))
    assert factory.begins_as_asked
    assert factory.begin("", position(1)).completed == 2
    assert not factory.begins_as_asked
    assert factory.begin("", position(3)).completed == 3
    assert factory.begin("").completed == 2


def test_starting_over_is_asked_for_once():
    factory = new_factory(start_over=True)
    assert factory.begin("", position(3)).completed == 0
    assert factory.begin("", position(3)).completed == 3


def test_a_damaged_snapshot_changes_nothing():
    factory = new_factory()
    factory.continue_from(position(2))
    with pytest.raises(SnapshotError):
        factory.continue_from("{}")
    assert factory.begin("").completed == 2


def test_attempts_are_kept_beside_the_checkpoints_unless_told_otherwise():
    factory = new_factory(max_attempts=2)
    assert factory.sidecars.attempts_directory is None
    factory.sidecars.directory = "/model"
    assert factory.sidecars.attempts_directory == "/model"


def test_a_ledger_to_look_at_is_no_beginning():
    factory = new_factory()
    factory.continue_from(position(2))
    assert factory.fresh_ledger().completed == 0
    assert factory.begins_as_asked
