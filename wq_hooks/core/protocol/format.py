"""In which format the tasks of a job write to each other.

    text = format_text()                # the chief's, on the board
    other_format(text)                  # None: it is ours

Without TensorFlow.
"""

from __future__ import annotations

import re

from wq_hooks._version import __version__

# Changes with what the processes write to each other: `messages`, and the
# elements of the mailbox.
FORMAT = 1

_TEXT = re.compile(r"([0-9]{1,9}) ([^\s\x00-\x1f\x7f]{1,40})")


def format_text() -> str:
    """Returns the board's entry for the chief's format."""
    return f"{FORMAT} {__version__}"


def other_format(text: str) -> str | None:
    """Returns in words which other format a chief writes in.

    Args:
      text: The board's entry.

    Returns:
      The format and the version of wq-hooks; None: the format is ours, or the
      entry cannot be read.
    """
    match = _TEXT.fullmatch(text)
    if match is None or int(match[1]) == FORMAT:
        return None
    return f"format {int(match[1])}, that of wq-hooks {match[2]}"
