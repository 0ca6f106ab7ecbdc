"""How the commands print: names that cannot harm a terminal, and tables."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def printable(text: str) -> str:
    """Returns a name without what would steer a terminal."""
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    if 0xD800 <= ord(character) < 0xE000:
        # Stands for a byte that is not UTF-8.
        return "\N{REPLACEMENT CHARACTER}"
    return character.encode("unicode_escape").decode()


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a table; its first row is the head. All but it is escaped."""
    shown = [list(head), *([printable(c) for c in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*shown)]
    return "\n".join(
        "  ".join(c.ljust(w) for c, w in zip(row, widths)).rstrip()
        for row in shown
    )


def write(text: str) -> None:
    """Prints a line, in the characters that the terminal has."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding) + "\n")


def complain(command: str, error: Exception | str) -> None:
    """Prints an error as argparse does."""
    sys.stderr.write(f"wq-hooks {command}: error: {printable(str(error))}\n")
