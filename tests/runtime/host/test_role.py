"""Whether a task keeps the ledger: the user, the session, the task."""

from __future__ import annotations

import pytest

from wq_hooks.core.chief.tasks import Task
from wq_hooks.runtime.host.role import Role
from wq_hooks.runtime.host.session_origin import SessionOrigin

CHIEF = Task("worker", 0, is_chief=True, is_presumed=True)
WORKER = Task("worker", 1, is_chief=False)


@pytest.mark.parametrize(
    ("task", "given", "origin", "expected"),
    [
        (CHIEF, None, None, True),
        (WORKER, None, None, False),
        (WORKER, None, SessionOrigin(None), False),
        (WORKER, None, SessionOrigin(True), True),
        (CHIEF, None, SessionOrigin(False), False),
        (CHIEF, True, SessionOrigin(False), True),
        (WORKER, False, SessionOrigin(True), False),
    ],
)
def test_the_user_then_the_session_then_the_task(task, given, origin, expected):
    role = Role(task, given)
    role.heed(origin)
    assert role.is_chief == expected
    assert role.origin is origin


def test_what_a_hook_is_given_counts_from_then_on():
    role = Role(CHIEF, None)
    role.give(False)
    assert not role.is_chief


def test_a_chief_by_convention_gives_way_for_one_session():
    role = Role(CHIEF, None)
    assert role.is_presumed_chief
    role.give_way()
    assert not role.is_chief
    assert not role.is_presumed_chief
    role.heed(None)
    assert role.is_presumed_chief


def test_a_chief_that_the_user_names_is_not_presumed():
    assert not Role(CHIEF, True).is_presumed_chief
