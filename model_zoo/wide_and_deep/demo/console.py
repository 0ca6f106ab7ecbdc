"""One line that is rewritten on a terminal, and tables of aligned columns.

with ProgressLine(sys.stdout) as line:
    line.update("12 of 48 items")
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from typing import Callable, TextIO

_ERASE_TO_END = "\033[K"


class ProgressLine:
    """A line that tells how far something is.

    On a terminal it is rewritten; elsewhere, as in a log, it is written now
    and then. Leaving the context ends the line.

    Args:
      stream: Where it is written.
      every_n_secs: How often where it is not rewritten; the first time after
        so many seconds.
      clock: Monotonic time in seconds.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        every_n_secs: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream
        self._every_n_secs = every_n_secs
        self._clock = clock
        self._is_terminal = (
            stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        )
        self._written_at = clock()
        self._is_open = False

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._end()

    def update(self, text: str) -> None:
        """Writes what has become of it."""
        if self._is_terminal:
            # A line that wraps cannot be rewritten.
            width = shutil.get_terminal_size().columns - 1
            self._stream.write(f"\r{text[:width]}{_ERASE_TO_END}")
            self._stream.flush()
            self._is_open = True
        elif self._clock() - self._written_at >= self._every_n_secs:
            self._write_line(text)

    def finish(self, text: str) -> None:
        """Writes what came of it, to stay."""
        if self._is_open:
            self._stream.write(f"\r{_ERASE_TO_END}")
            self._is_open = False
        self._write_line(text)

    def _end(self) -> None:
        if self._is_open:
            self._stream.write("\n")
            self._stream.flush()
            self._is_open = False

    def _write_line(self, text: str) -> None:
        self._written_at = self._clock()
        self._stream.write(f"{text}\n")
        self._stream.flush()


def bar(part: float, width: int = 20) -> str:
    """Draws how much of something there is, 0.0 to 1.0."""
    filled = round(width * min(max(part, 0.0), 1.0))
    return f"[{'#' * filled}{'.' * (width - filled)}]"


def format_table(
    rows: Sequence[Sequence[str]], gaps: Sequence[int] | None = None
) -> str:
    """Aligns cells: the first column to the left, the others to the right.

    Args:
      rows: Cells; rows may be of different lengths.
      gaps: Blanks in front of each column; None: two.
    """
    num_columns = max(map(len, rows))
    gaps = gaps or [2] * num_columns
    widths = [
        max(len(row[i]) for row in rows if i < len(row))
        for i in range(num_columns)
    ]
    lines = []
    for row in rows:
        cells = [
            " " * gaps[i]
            + (cell.ljust(widths[i]) if i == 0 else cell.rjust(widths[i]))
            for i, cell in enumerate(row)
        ]
        lines.append("".join(cells).rstrip())
    return "\n".join(lines)
