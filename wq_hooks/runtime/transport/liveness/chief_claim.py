"""A chief asks the board whether there is one already.

    expect_no_chief(queue, mailbox, time.sleep)     # or TwoChiefsError

To be called before anything is restored or written: what a chief that comes
second by mistake writes would harm the job of the first.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable

from wq_hooks.core.chief.rivals import Newcomer
from wq_hooks.core.protocol import messages
from wq_hooks.runtime.host.session_queue import SessionQueue
from wq_hooks.runtime.transport.meeting import Board

_POLL_SECS = 0.1

# Generations of the sessions that each queue of this process has had.
_generations: weakref.WeakKeyDictionary[SessionQueue, set[str]] = (
    weakref.WeakKeyDictionary()
)


def note_own_generation(queue: SessionQueue, generation: str) -> None:
    """Notes a generation of this process; its next session may follow it."""
    _generations.setdefault(queue, set()).add(generation)


def expect_no_chief(
    queue: SessionQueue, board: Board, pause: Callable[[float], object]
) -> None:
    """Waits, as a chief, until it is known that no other one lives.

    Args:
      queue: The queue.
      board: The board, where a chief that lives says so.
      pause: Waits for that many seconds; returns True to give up.

    Raises:
      TwoChiefsError: If one does.
    """
    who = messages.chief_text(
        queue.task.name, is_presumed=queue.role.is_presumed_chief
    )
    newcomer = Newcomer(queue.name, who, _generations.get(queue, ()))
    while True:
        chief, generation, beat = board.look_up(
            messages.CHIEF, messages.ITEM, messages.BEAT
        )
        now = time.monotonic()
        if newcomer.may_begin(chief, generation, beat, now):
            return
        if pause(_POLL_SECS):
            return
