"""What the chief writes on the board, and when.

    board = BoardWriter("train", ledger, generation)
    entries = board.entries(end_token, now)
    changes = board.changes(entries)
    if board.is_due(changes, now):
        ...                             # write them where the board stands
        board.note_written(changes, now)

Everybody reads the board, and it stands on a parameter server: it is written
when something on it has changed, and what does not matter at once waits a
little. Without TensorFlow.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from wq_hooks.core import waits
from wq_hooks.core.ledger.ledger import Ledger
from wq_hooks.core.monitoring.board_status import pause_secs, status_text
from wq_hooks.core.monitoring.view import Viewer
from wq_hooks.core.protocol import messages
from wq_hooks.core.protocol.format import format_text

_WRITE_EVERY_SECS = 0.2
# What may be told a little later.
_LEISURELY = (
    messages.REMAINING,
    messages.LEVEL,
    messages.STATUS,
    messages.BEAT,
)


class BoardWriter:
    """Knows what stands on the board, and what should.

    Args:
      name: Name of the queue.
      ledger: Ledger to publish; nobody else may use it meanwhile.
      generation: Generation of the chief.
      chief: Name of the chief; see `messages.chief_text`.
    """

    def __init__(
        self, name: str, ledger: Ledger, generation: str, chief: str = ""
    ):
        self._chief = chief
        self._num_beats = 0
        self._ledger = ledger
        self._generation = generation
        self._written: dict[int, str] = {}
        self._closed_gates: set[int] = set()
        self._viewer = Viewer(name)
        self._status = ""
        self._next_status = 0.0
        self._next_beat = 0.0
        self._next_write = 0.0

    @property
    def is_written(self) -> bool:
        """Whether anything was written yet."""
        return bool(self._written)

    def entries(self, end_token: str, now: float) -> dict[int, str]:
        """Returns what the board should say.

        Args:
          end_token: "" before the end of data.
          now: Seconds of the ledger's clock.
        """
        ledger = self._ledger
        remaining = ledger.remaining
        works = ledger.plan.works
        gates = dict.fromkeys(self._closed_gates, "")
        for name in ledger.held_back(now):
            gates[messages.gate_of(name)] = self._generation
        self._closed_gates = {gate for gate, token in gates.items() if token}
        if now >= self._next_beat:
            self._next_beat = now + messages.BEAT_SECS
            self._num_beats += 1
        if now >= self._next_status:
            self._next_status = now + pause_secs(len(ledger.consumers))
            self._status = self._status_at(now)
        return {
            **gates,
            messages.ITEM: self._generation,
            messages.END: end_token,
            messages.REMAINING: str(-1 if remaining is None else remaining),
            messages.LEVEL: repr(ledger.level),
            messages.WORKS: messages.works_text(works),
            messages.STATUS: self._status,
            messages.FORMAT: format_text(),
            messages.CHIEF: self._chief,
            messages.BEAT: str(self._num_beats),
            messages.LEFT: "",
        }

    def last_entries(
        self, end_token: str, now: float, *, has_ended: bool, left: str
    ) -> dict[int, str]:
        """Returns what the board says when the chief has gone.

        Args:
          end_token: "" before the end of data.
          now: Seconds of the ledger's clock.
          has_ended: Whether the queue has, and not the chief's session alone.
          left: How a chief has left that may come back; "": it has ended.
        """
        return {
            # Nobody would open them any more.
            **dict.fromkeys(self._closed_gates, ""),
            messages.CHIEF: "",
            messages.END: end_token,
            messages.LEFT: left,
            messages.STATUS: self._status_at(now, has_ended=has_ended),
        }

    def forget(self) -> None:
        """Notes that somebody else has written to the board."""
        self._written.clear()

    def changes(self, entries: Mapping[int, str]) -> dict[int, str]:
        """Returns those entries that the board does not say yet."""
        return {
            key: value
            for key, value in entries.items()
            if self._written.get(key) != value
        }

    def is_due(self, changes: Iterable[int], now: float) -> bool:
        """Returns whether changes should be written now."""
        return now >= self._next_write or any(
            key not in _LEISURELY for key in changes
        )

    def note_written(self, changes: Mapping[int, str], now: float) -> None:
        """Notes that the board says so."""
        self._next_write = now + _WRITE_EVERY_SECS
        self._written.update(changes)

    def _status_at(self, now: float, *, has_ended: bool = False) -> str:
        view = self._viewer.look(self._ledger, now, time.time())
        waiting = self._ledger.membership.waiting(now - waits.FIRST_SECS)
        return status_text(view, has_ended=has_ended, waiting=waiting)
