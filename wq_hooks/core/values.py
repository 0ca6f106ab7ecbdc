"""Arguments made what they should be: plain ints, bools and seconds.

    as_int("num_epochs", numpy.int64(3), least=1)      # 3

What numpy calls an integer or a bool is one. A bool is no integer.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def is_int(value: object) -> bool:
    """Whether a value is an integer, Python's or numpy's, and no bool."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def as_int(key: str, value: Any, least: int | None = None) -> int:
    """Returns an argument as an int.

    Args:
      key: Its name, for errors.
      value: What was given.
      least: The smallest value that is allowed; None: any.

    Raises:
      TypeError: If it is no integer.
      ValueError: If it is too small.
    """
    return _as_int(key, value, least, "")


def as_optional_int(
    key: str, value: Any, least: int | None = None
) -> int | None:
    """Returns an argument as an int, or None; see `as_int`."""
    return None if value is None else _as_int(key, value, least, " or None")


def as_bool(key: str, value: Any) -> bool:
    """Returns an argument as a bool.

    Raises:
      TypeError: If it is none.
    """
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"Expected {key} to be a bool; got {value!r}.")
    return bool(value)


def as_optional_bool(key: str, value: Any) -> bool | None:
    """Returns an argument as a bool, or None; see `as_bool`."""
    if value is None or isinstance(value, (bool, np.bool_)):
        return None if value is None else bool(value)
    raise TypeError(f"Expected {key} to be a bool or None; got {value!r}.")


def as_secs(key: str, value: Any) -> float:
    """Returns an argument as a finite number of seconds above 0.

    Raises:
      TypeError: If it is no number.
      ValueError: If it is out of range.
    """
    if not is_int(value) and not isinstance(value, (float, np.floating)):
        raise TypeError(
            f"Expected {key} to be a number of seconds; got {value!r}."
        )
    if not 0 < value < math.inf:
        raise ValueError(f"Expected 0 < {key} < inf; got {key}={value}.")
    return value if isinstance(value, (int, float)) else value.item()


def _as_int(key: str, value: Any, least: int | None, or_none: str) -> int:
    if not is_int(value):
        raise TypeError(f"Expected {key} to be an int{or_none}; got {value!r}.")
    if least is not None and value < least:
        raise ValueError(
            f"Expected {key} >= {least}{or_none}; got {key}={value}."
        )
    return int(value)
