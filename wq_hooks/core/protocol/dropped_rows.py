"""Counts what came from a mailbox, or the board, and could not be read.

dropped = DroppedRows("work_queue", "a report")
try:
    report = parse_report(row)
except UnreadableError as e:
    dropped.note(row, e)
"""

from __future__ import annotations

from wq_hooks.core import log as logging

_MAX_LOGGED = 200


class DroppedRows:
    """Counts rows that were dropped; logs the first of them.

    Args:
      name: Name of the queue.
      what: Name of a row, such as "a report".

    Attributes:
      num: Number of rows so far.
    """

    def __init__(self, name: str, what: str):
        self._name = name
        self._what = what
        self.num = 0

    def note(self, row: bytes, error: Exception) -> None:
        """Notes a row, which begins with what is logged."""
        self.num += 1
        if self.num == 1:
            logging.warning(
                "Work queue %s: dropped %s that cannot be read (%s); it begins "
                "with %r. Further ones are counted as dropped_rows.",
                self._name,
                self._what,
                error,
                row[:_MAX_LOGGED],
            )
