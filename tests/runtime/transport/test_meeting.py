"""A worker meets a chief; see tests/core/test_waits.py for what is said."""

from __future__ import annotations

import itertools
import types

import pytest

from wq_hooks.core.protocol import messages
from wq_hooks.core.protocol.format import format_text
from wq_hooks.errors import WorkQueueError
from wq_hooks.runtime.transport.meeting import meet_chief

QUEUE = types.SimpleNamespace(
    name="train", is_named=True, works_text="3 abc", mailbox=None
)


class Chief:
    """The board of a chief; that of one that lives has a beat that rises."""

    def __init__(self, text, works=QUEUE.works_text, *, lives=True):
        self._entries = {
            messages.WORKS: works,
            messages.ITEM: "generation",
            messages.CHIEF: "chief:0",
            messages.FORMAT: text,
        }
        self._beats = itertools.count() if lives else itertools.repeat(1)

    def look_up(self, *keys):
        self._entries[messages.BEAT] = str(next(self._beats))
        return [self._entries.get(key, "") for key in keys]


def meet(board, num_looks=10):
    """Meets a chief; returns whether one was found, and not given up."""
    pauses = itertools.count(1)
    is_over = []

    def pause(_):
        is_over.append(next(pauses) >= num_looks)
        return is_over[-1]

    meet_chief(QUEUE, "worker:1", board, pause)
    return not any(is_over)


@pytest.mark.parametrize("text", [format_text(), "", "rubbish", "1 9.9.9"])
def test_a_chief_that_writes_as_we_do(text):
    assert meet(Chief(text))
    assert meet(Chief(text, works="4 of others"))


@pytest.mark.parametrize("works", [QUEUE.works_text, "4 of others"])
def test_a_chief_of_another_format(works):
    with pytest.raises(
        WorkQueueError,
        match=r"\(chief:0\) .*'train' .*format 1, .*\(worker:1\); it writes in "
        r"format 2, that of wq-hooks 9.9.9. Install one version",
    ):
        meet(Chief("2 9.9.9", works))


def test_a_chief_of_another_format_that_is_dead():
    assert not meet(Chief("2 9.9.9", lives=False))
