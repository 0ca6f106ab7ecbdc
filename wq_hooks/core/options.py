"""The arguments of a WorkQueue beside its works, checked in one place."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from wq_hooks.core.values import (
    as_bool,
    as_int,
    as_optional_bool,
    as_optional_int,
    as_secs,
    is_int,
)

ACKS = ("take", "next")
# The value of num_slices for slices that become shorter towards the end.
AUTO = "auto"
# Place of the name among WorkQueue's positional arguments, the works first.
NAME_PLACE = 7
# A task that is dead is to be noticed soon.
_MAX_BEAT_SECS = 0.5
_Init = TypeVar("_Init", bound=Callable[..., None])
# What TensorFlow takes for a name scope. Parts between slashes are not empty.
_NAME = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.\-]*(/[A-Za-z0-9_.\-]+)*\Z")


@dataclass(frozen=True)
class Options:
    """The options; see `wq_hooks.WorkQueue` for what each of them means.

    Raises:
      TypeError: If one is of a wrong type.
      ValueError: If one is out of its range.
    """

    num_epochs: int | None = 1
    shuffle: bool = True
    seed: int | None = None
    num_slices: int | str | None = None
    name: str | None = None
    num_clients: int = 1
    ack: str = "next"
    is_chief: bool | None = None
    lease_secs: float = 60.0
    give_up_secs: float = 1800.0
    max_attempts: int | None = None
    balance_tail: bool = True
    backup_tasks: bool = False
    start_over: bool = False
    save: bool = True
    is_open: bool = False

    @property
    def counts_attempts(self) -> bool:
        """Whether an item may be given up."""
        return self.max_attempts is not None and self.ack != "take"

    @property
    def acks_on_take(self) -> bool:
        """Whether an item is completed when it is handed out."""
        return self.ack == "take"

    @property
    def beat_secs(self) -> float:
        """How often a task says that it is alive."""
        return min(self.lease_secs / 4, _MAX_BEAT_SECS)

    def __post_init__(self) -> None:
        if not isinstance(self.num_slices, str):
            self._make(as_optional_int, "num_slices", 1)
        elif self.num_slices != AUTO:
            raise TypeError(
                f"Expected num_slices to be an int, {AUTO!r} or None; got "
                f"{self.num_slices!r}."
            )
        self._make(as_optional_int, "num_epochs", 1)
        self._make(as_optional_int, "max_attempts", 1)
        self._make(as_int, "num_clients", 1)
        self._make(as_optional_int, "seed")
        for key in (
            "shuffle",
            "balance_tail",
            "backup_tasks",
            "start_over",
            "save",
            "is_open",
        ):
            self._make(as_bool, key)
        self._make(as_optional_bool, "is_chief")
        self._make(as_secs, "lease_secs")
        give_up_secs = as_secs("give_up_secs", self.give_up_secs, or_0=True)
        object.__setattr__(self, "give_up_secs", give_up_secs)
        if self.is_open and self.num_epochs is None:
            raise ValueError(
                "Expected a number of epochs with is_open=True, since added "
                "works come after the last epoch; got num_epochs=None."
            )
        if self.ack not in ACKS:
            raise ValueError(
                f"Expected ack to be one of {ACKS}; got ack={self.ack!r}."
            )
        _expect_name(self.name)

    def _make(self, kind: Any, key: str, *args: int) -> None:
        # A frozen dataclass has no other way.
        object.__setattr__(self, key, kind(key, getattr(self, key), *args))


def refuses_num_clients(init: _Init) -> _Init:
    """Returns a constructor that refuses an int where the name stands.

    DeepRec's code has `num_clients` there, and its documentation has the name.
    Without this, Python's own error counts arguments where more of them follow.
    """

    @functools.wraps(init)
    def checked(self: Any, *args: Any, **kwargs: Any) -> None:
        if len(args) >= NAME_PLACE:
            _expect_no_num_clients(args[NAME_PLACE - 1])
        init(self, *args, **kwargs)

    return cast(_Init, checked)


def _expect_no_num_clients(value: object) -> None:
    if is_int(value):
        raise TypeError(
            "Expected name to be a str or None, which is argument number "
            f"{NAME_PLACE}; got {value!r}. DeepRec's code has num_clients "
            f"there: write num_clients={value}."
        )


def _expect_name(name: object) -> None:
    _expect_no_num_clients(name)
    if name is None:
        return
    if not isinstance(name, str):
        raise TypeError(f"Expected name to be a str or None; got {name!r}.")
    if not _NAME.match(name):
        raise ValueError(
            "Expected name to be letters, digits, '_', '.' and '-', in parts "
            f"between single slashes; got name={name!r}."
        )
