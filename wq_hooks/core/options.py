"""The arguments of a WorkQueue beside its works, checked in one place."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

ACKS = ("take", "next")
# Of num_slices: slices that become shorter towards the end.
AUTO = "auto"
_NAME = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.\-]*\Z")


@dataclass(frozen=True)
class Options:
    """See `wq_hooks.WorkQueue` for what each of them means; as it has them.

    Raises:
      TypeError: If one is of a wrong type.
      ValueError: If one is out of its range.
    """

    num_epochs: int | None = 1
    shuffle: bool = True
    seed: int | None = None
    num_slices: int | str | None = None
    name: str = "work_queue"
    num_clients: int = 1
    ack: str = "next"
    is_chief: bool | None = None
    prefetch: int = 0
    lease_secs: float = 60.0
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

    def __post_init__(self) -> None:
        _expect_int("num_epochs", self.num_epochs, 1, is_optional=True)
        if isinstance(self.num_slices, str):
            if self.num_slices != AUTO:
                raise TypeError(
                    f"Expected num_slices to be an int, {AUTO!r} or None; got "
                    f"{self.num_slices!r}."
                )
        else:
            _expect_int("num_slices", self.num_slices, 1, is_optional=True)
        _expect_int("max_attempts", self.max_attempts, 1, is_optional=True)
        _expect_int("num_clients", self.num_clients, 1)
        _expect_int("prefetch", self.prefetch, 0)
        _expect_int("seed", self.seed, None, is_optional=True)
        for key in (
            "shuffle",
            "balance_tail",
            "backup_tasks",
            "start_over",
            "save",
            "is_open",
        ):
            value = getattr(self, key)
            if not isinstance(value, bool):
                raise TypeError(f"Expected {key} to be a bool; got {value!r}.")
        if self.is_open and self.num_epochs is None:
            raise ValueError(
                "Expected a number of epochs with is_open=True, since added "
                "works come behind the last epoch; got num_epochs=None."
            )
        if not isinstance(self.is_chief, (bool, type(None))):
            raise TypeError(
                f"Expected is_chief to be a bool or None; "
                f"got {self.is_chief!r}."
            )
        if self.ack not in ACKS:
            raise ValueError(
                f"Expected ack to be one of {ACKS}; got ack={self.ack!r}."
            )
        if isinstance(self.lease_secs, bool) or not isinstance(
            self.lease_secs, (int, float)
        ):
            raise TypeError(
                "Expected lease_secs to be a number of seconds; got "
                f"{self.lease_secs!r}."
            )
        if not 0 < self.lease_secs < math.inf:
            raise ValueError(
                "Expected 0 < lease_secs < inf; got "
                f"lease_secs={self.lease_secs}."
            )
        if not isinstance(self.name, str):
            raise TypeError(f"Expected name to be a str; got {self.name!r}.")
        if not _NAME.match(self.name):
            raise ValueError(
                "Expected name to be letters, digits, '_', '.' and '-'; got "
                f"name={self.name!r}."
            )


def _expect_int(
    key: str,
    value: object,
    least: int | None,
    *,
    is_optional: bool = False,
) -> None:
    if value is None and is_optional:
        return
    or_none = " or None" if is_optional else ""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"Expected {key} to be an int{or_none}; got {value!r}.")
    if least is not None and value < least:
        raise ValueError(
            f"Expected {key} >= {least}{or_none}; got {key}={value}."
        )
