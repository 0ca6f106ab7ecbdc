"""Arguments of the commands that are checked as they are read."""

from __future__ import annotations

import argparse
from collections.abc import Callable


def number(
    kind: type[int] | type[float], least: float = 0
) -> Callable[[str], float]:
    """Returns what argparse takes as the type of a number.

    Args:
      kind: Kind of the number.
      least: The least that is accepted.
    """

    def parse(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = least - 1
        if not value >= least:
            raise argparse.ArgumentTypeError(
                f"Expected {kind.__name__} >= {least}; got {text!r}."
            )
        return value

    return parse
