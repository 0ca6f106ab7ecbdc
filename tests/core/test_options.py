from __future__ import annotations

import dataclasses
import inspect
import re

import numpy as np
import pytest

from wq_hooks import WorkQueue
from wq_hooks.core.options import Options


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"num_epochs": None},
        {"num_epochs": 10**9},
        {"seed": 0},
        {"seed": -5},
        {"seed": 2**100},
        {"num_slices": 1},
        {"num_slices": "auto"},
        {"num_clients": 8},
        {"ack": "take"},
        {"is_chief": True},
        {"is_chief": False},
        {"lease_secs": 1},
        {"lease_secs": 0.1},
        {"max_attempts": 1},
        {"name": "a"},
        {"name": "0.Train-queue_2"},
        {"name": ".hidden"},
        {"name": "train/day-1/_a"},
        {"name": None},
    ],
)
def test_what_is_allowed(changes):
    options = Options(**changes)
    for key, value in changes.items():
        assert getattr(options, key) == value


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("num_epochs", 0, "num_epochs >= 1 or None; got num_epochs=0"),
        ("num_epochs", -1, "num_epochs >= 1 or None; got num_epochs=-1"),
        ("num_slices", 0, "num_slices >= 1 or None"),
        ("max_attempts", 0, "max_attempts >= 1 or None"),
        ("num_clients", 0, "num_clients >= 1; got num_clients=0"),
        ("ack", "records", "ack to be one of"),
        ("ack", "", "ack to be one of"),
        ("ack", None, "ack to be one of"),
        ("lease_secs", 0, "0 < lease_secs < inf; got lease_secs=0"),
        ("lease_secs", -1.0, "0 < lease_secs < inf"),
        ("lease_secs", float("nan"), "0 < lease_secs < inf"),
        ("lease_secs", float("inf"), "0 < lease_secs < inf"),
        ("give_up_secs", -1, "0 <= give_up_secs < inf"),
        ("give_up_secs", float("inf"), "0 <= give_up_secs < inf"),
        ("name", "", "name to be letters"),
        ("name", "a b", "name to be letters"),
        ("name", "a//b", "name to be letters"),
        ("name", "/a", "name to be letters"),
        ("name", "a/", "name to be letters"),
        ("name", "-a", "name to be letters"),
        ("name", "_a", "name to be letters"),
        ("name", "a\n", "name to be letters"),
        ("name", "ä", "name to be letters"),
    ],
)
def test_a_value_out_of_range_is_refused(key, value, expected):
    with pytest.raises(ValueError, match=f"Expected {re.escape(expected)}"):
        Options(**{key: value})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("num_epochs", 1.0),
        ("num_epochs", "2"),
        ("num_epochs", True),
        ("num_slices", "8"),
        ("num_clients", None),
        ("num_clients", 1.5),
        ("seed", 1.5),
        ("seed", "7"),
        ("seed", False),
        ("max_attempts", 2.0),
        ("shuffle", 1),
        ("shuffle", None),
        ("start_over", "yes"),
        ("balance_tail", 1),
        ("backup_tasks", None),
        ("save", None),
        ("is_chief", 1),
        ("is_chief", "worker"),
        ("lease_secs", "60"),
        ("lease_secs", None),
        ("lease_secs", True),
        ("name", b"queue"),
        ("name", True),
        ("num_epochs", np.float64(2)),
        ("num_epochs", np.bool_(True)),
        ("shuffle", np.int64(1)),
        ("is_chief", np.int64(1)),
        ("lease_secs", np.bool_(True)),
    ],
)
def test_a_wrong_type_is_refused(key, value):
    message = rf"Expected {key} to be .*got {re.escape(repr(value))}\."
    with pytest.raises(TypeError, match=message):
        Options(**{key: value})


@pytest.mark.parametrize(
    ("key", "value", "plain"),
    [
        *(
            (key, np.int64(3), 3)
            for key in (
                "num_epochs",
                "num_slices",
                "seed",
                "num_clients",
                "max_attempts",
            )
        ),
        ("seed", np.uint8(7), 7),
        *(
            (key, np.bool_(True), True)
            for key in (
                "shuffle",
                "is_chief",
                "balance_tail",
                "backup_tasks",
                "start_over",
                "save",
                "is_open",
            )
        ),
        ("lease_secs", np.float32(0.5), 0.5),
        ("lease_secs", np.int32(5), 5),
    ],
)
def test_what_numpy_calls_an_int_is_one(key, value, plain):
    made = getattr(Options(**{key: value}), key)
    assert made == plain
    # json, and TensorFlow, take it for what it is.
    assert type(made) is type(plain)


def test_numpy_values_have_bounds_too():
    with pytest.raises(ValueError, match="num_epochs >= 1 or None"):
        Options(num_epochs=np.int64(0))


@pytest.mark.parametrize("value", [4, np.int64(4)])
@pytest.mark.parametrize(
    "more", [(), ("name",), (None, None), ("name", None, None)]
)
def test_num_clients_in_the_place_of_the_name(value, more):
    with pytest.raises(TypeError, match=r"write num_clients=4\."):
        WorkQueue(["a"], 1, True, None, None, None, value, *more)
    with pytest.raises(TypeError, match=r"write num_clients=4\."):
        WorkQueue(["a"], name=value)


def test_options_are_values():
    assert Options() == Options()
    with pytest.raises(AttributeError):
        Options().seed = 5


def test_defaults_are_those_of_a_queue():
    parameters = inspect.signature(WorkQueue.__init__).parameters
    for field in dataclasses.fields(Options):
        assert field.default == parameters[field.name].default, field.name
