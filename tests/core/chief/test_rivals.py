from __future__ import annotations

import pytest

from wq_hooks.core.chief.rivals import (
    SILENT_SECS,
    Newcomer,
    meet_other_chief,
)
from wq_hooks.core.protocol import messages
from wq_hooks.errors import TwoChiefsError

PRESUMED = messages.chief_text("worker:0", is_presumed=True)


def begins_after(newcomer, entries, *, until=100.0):
    """The time at which it may begin, where the board says that at each."""
    now = 0.0
    while now < until:
        if newcomer.may_begin(*entries(now), now):
            return now
        now += 0.1
    return None


@pytest.mark.parametrize(
    "entries",
    [
        ("", "", ""),
        ("", "g1", "7"),  # It has left in good order.
        ("chief:0", messages.NOBODY, "7"),
        ("chief:0", "", "7"),
    ],
)
def test_where_nobody_feeds_it_begins_at_once(entries):
    assert begins_after(Newcomer("q", "chief:0"), lambda _: entries) == 0.0


def test_a_chief_that_was_killed_is_followed_when_its_beat_stands_still():
    begin = begins_after(
        Newcomer("q", "chief:0"), lambda _: ("chief:0", "g1", "7")
    )
    assert SILENT_SECS <= begin <= 3.0


@pytest.mark.parametrize("who", ["chief:0", "worker:1", PRESUMED])
def test_a_chief_that_lives_stays(who):
    with pytest.raises(TwoChiefsError, match=r"'q'.*\(chief:0\) feeds it"):
        begins_after(
            Newcomer("q", who), lambda now: ("chief:0", "g1", str(int(now)))
        )


def test_another_newcomer_was_first():
    with pytest.raises(TwoChiefsError):
        begins_after(
            Newcomer("q", "chief:0"),
            lambda now: ("chief:0", "g1" if now < 1 else "g2", "0"),
        )


def test_its_own_earlier_session_is_no_other_chief():
    newcomer = Newcomer("q", "chief:0", {"g1"})
    assert (
        begins_after(newcomer, lambda now: ("chief:0", "g1", str(now))) == 0.0
    )


def test_a_chief_by_convention_gives_way():
    newcomer = Newcomer("q", "chief:0")
    assert begins_after(newcomer, lambda now: (PRESUMED, "g1", str(now))) == 0.0
    meet_other_chief("q", "chief:0", PRESUMED)
    with pytest.raises(TwoChiefsError):
        meet_other_chief("q", PRESUMED, "chief:0")
    with pytest.raises(TwoChiefsError):
        meet_other_chief("q", PRESUMED, PRESUMED)
