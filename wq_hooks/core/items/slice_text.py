"""Slices as text: `path?start=A&end=B`, half-open, as readers get them.

    slice_text("a.csv", 0, 100)          # "a.csv?start=0&end=100"
    parse_slice("a.csv?start=0&end=100")  # Slice("a.csv", 0, 100)

In the path of a slice "%" and "?" are written "%25" and "%3F", and only these
are read back, so that any path comes back as it was. The trap: a path may look
like a slice. List it as `slice_text(path, 0, None)`, from 0 to the end.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_SLICE = re.compile(r"(.*)\?start=([0-9]+)&end=([0-9]*)\Z", re.DOTALL)


class Slice(NamedTuple):
    """A part of a work.

    Attributes:
      path: Path of the work, as listed.
      start: First byte or record; None: the text was a plain path.
      end: The first one after it; None: up to the end of the work.
    """

    path: str
    start: int | None
    end: int | None


def slice_text(path: str, start: int, end: int | None) -> str:
    """Returns the text of a slice; end=None: up to the end of the work."""
    if start < 0 or (end is not None and end < start):
        raise ValueError(
            f"Expected 0 <= start <= end; got start={start}, end={end} of "
            f"{path!r:.200}."
        )
    quoted = path.replace("%", "%25").replace("?", "%3F")
    return f"{quoted}?start={start}&end={'' if end is None else end}"


def parse_slice(text: str) -> Slice:
    """Returns what `slice_text` wrote, or Slice(path, None, None).

    Raises:
      ValueError: If the end comes before the start.
    """
    match = _SLICE.match(text)
    if match is None:
        return Slice(text, None, None)
    quoted, first, last = match.groups()
    start, end = int(first), int(last) if last else None
    if end is not None and end < start:
        raise ValueError(
            f"Expected start <= end in the text of a slice; got {text!r:.200}."
        )
    path = quoted.replace("%3F", "?").replace("%25", "%")
    return Slice(path, start, end)
