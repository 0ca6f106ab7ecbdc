"""Arguments made what they should be: plain ints, bools and seconds.

    as_int("num_epochs", numpy.int64(3), least=1)      # 3

What numpy calls an integer or a bool is one. A bool is no integer. All raise
TypeError for a value of another type, and ValueError for one out of range.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

_MAX_PORT = 65_535


def is_int(value: object) -> bool:
    """Whether a value is an integer, Python's or numpy's, and no bool."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def as_int(
    key: str, value: Any, least: int | None = None, *, or_none: str = ""
) -> int:
    """Returns an argument as an int; `least` is the smallest one allowed."""
    if not is_int(value):
        raise TypeError(f"Expected {key} to be an int{or_none}; got {value!r}.")
    if least is not None and value < least:
        raise ValueError(
            f"Expected {key} >= {least}{or_none}; got {key}={value}."
        )
    return int(value)


def as_optional_int(
    key: str, value: Any, least: int | None = None
) -> int | None:
    """Returns an argument as an int, or None; see `as_int`."""
    return (
        None if value is None else as_int(key, value, least, or_none=" or None")
    )


def as_port(key: str, value: Any, *, or_none: str = "") -> int:
    """Returns an argument as a TCP port; 0 stands for a free one."""
    port = as_int(key, value, or_none=or_none)
    if not 0 <= port <= _MAX_PORT:
        raise ValueError(
            f"Expected {key} in 0 to {_MAX_PORT}{or_none}; got {key}={port}."
        )
    return port


def as_optional_port(key: str, value: Any) -> int | None:
    """Returns an argument as a TCP port, or None."""
    return None if value is None else as_port(key, value, or_none=" or None")


def as_bool(key: str, value: Any, *, or_none: str = "") -> bool:
    """Returns an argument as a bool."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"Expected {key} to be a bool{or_none}; got {value!r}.")
    return bool(value)


def as_optional_bool(key: str, value: Any) -> bool | None:
    """Returns an argument as a bool, or None."""
    return None if value is None else as_bool(key, value, or_none=" or None")


def as_secs(key: str, value: Any, *, or_0: bool = False) -> float:
    """Returns an argument as a finite number of seconds above 0, or 0."""
    if not is_int(value) and not isinstance(value, (float, np.floating)):
        raise TypeError(
            f"Expected {key} to be a number of seconds; got {value!r}."
        )
    if not 0 < value < math.inf and not (or_0 and value == 0):
        least = "<=" if or_0 else "<"
        raise ValueError(f"Expected 0 {least} {key} < inf; got {key}={value}.")
    return value if isinstance(value, (int, float)) else value.item()
