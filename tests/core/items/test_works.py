from __future__ import annotations

import base64
import pathlib
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wq_hooks.core.items.works import (
    Works,
    encoded,
    fingerprint_of,
    pack_names,
    unpack_names,
)


def is_name(text):
    return bool(text.strip()) and "\0" not in text


NAMES = st.text(max_size=12).filter(is_name)
BYTE_NAMES = st.binary(max_size=8).map(
    lambda b: b"x" + b.replace(b"\0", b"") + b"x"
)


def test_names_are_stripped_and_kept_in_order():
    works = Works([" b.csv\n", b"\ta.csv ", "b.csv"])
    assert list(works) == ["b.csv", "a.csv", "b.csv"]
    assert len(works) == 3
    assert works[1] == "a.csv"
    assert works[-1] == "b.csv"
    assert works[:2] == ["b.csv", "a.csv"]


@pytest.mark.parametrize(
    "works",
    [
        ("a", "b"),
        np.array(["a", "b"]),
        np.array([b"a", b"b"]),
        np.array(["a", "b"], dtype=object),
        [pathlib.Path("a"), pathlib.PurePosixPath("b")],
    ],
)
def test_any_sequence_will_do(works):
    assert list(Works(works)) == ["a", "b"]


def test_prefix_is_joined_as_it_is():
    works = Works([" a "], prefix="hdfs://data/ ")
    assert works.text(0) == "hdfs://data/ a"
    assert list(works) == ["a"]
    assert Works(["a"], prefix=b"p").text(0) == "pa"
    assert Works(["a"]).text(0) == "a"
    assert Works(["a"], prefix="").text(0) == "a"


@pytest.mark.parametrize(
    ("works", "message"),
    [
        ("a.csv", r"sequence of str or bytes.* got 'a\.csv'"),
        (b"a.csv", r"sequence of str or bytes.* got b'a\.csv'"),
        (None, "sequence of str or bytes.* got None"),
        (7, "sequence of str or bytes.* got 7"),
        (iter(["a"]), "sequence of str or bytes"),
        ({"a", "b"}, "sequence of str or bytes"),
        ({"a": 1}, "sequence of str or bytes"),
        (["a", 7], r"works\[1\]=7 of type int"),
        (["a", None], r"works\[1\]=None of type NoneType"),
        ([["a"]], r"works\[0\]=\['a'\] of type list"),
    ],
)
def test_a_wrong_type_is_refused(works, message):
    with pytest.raises(TypeError, match=message):
        Works(works)


@pytest.mark.parametrize(
    ("works", "message"),
    [
        ([], "at least one work"),
        ((), "at least one work"),
        (["a", ""], r"works\[1\]='' is blank"),
        (["a", " \n"], r"works\[1\]=.* is blank"),
        ([b"  "], r"works\[0\]=b'  ' is blank"),
        (["a\0b"], "no NUL"),
        (["a\ud800"], "UTF-8 can hold"),
    ],
)
def test_a_wrong_value_is_refused(works, message):
    with pytest.raises(ValueError, match=message):
        Works(works)


def test_a_wrong_prefix_is_refused():
    with pytest.raises(TypeError, match=r"Expected prefix .* got 7"):
        Works(["a"], prefix=7)
    with pytest.raises(ValueError, match="UTF-8 can hold"):
        Works(["a"], prefix="\ud800")


def test_messages_stay_short():
    with pytest.raises(TypeError) as raised:
        Works(["a", list(range(10**5))])
    assert len(str(raised.value)) < 500


@given(BYTE_NAMES)
@settings(deadline=None)
def test_names_that_are_not_utf_8_come_back_as_the_same_bytes(name):
    assert encoded(Works([b" " + name + b"\n"])[0]) == name


def test_the_same_bytes_are_the_same_work():
    # A str whose halves were decoded one by one, as os.fsdecode may do.
    halves = b"\xc3".decode("utf-8", "surrogateescape")
    halves += b"\xa9".decode("utf-8", "surrogateescape")
    assert (
        list(Works([halves]))
        == list(Works(["é"]))
        == list(Works([b"\xc3\xa9"]))
    )


def test_fingerprint_depends_on_names_and_their_order_alone():
    fingerprint = Works(["a", "b"]).fingerprint
    assert Works([b" a", "b "], prefix="p").fingerprint == fingerprint
    assert Works(["b", "a"]).fingerprint != fingerprint
    assert Works(["a", "b", "b"]).fingerprint != fingerprint
    assert Works(["ab"]).fingerprint != fingerprint
    assert len(fingerprint) == 32
    assert set(fingerprint) <= set("0123456789abcdef")


def test_fingerprint_never_changes():
    # blake2b, 16 bytes, of b"a\0b\0": part of the checkpoint format.
    assert Works(["a", "b"]).fingerprint == "08b1e8b75c8635d39c23d0ebbd825af4"


@given(
    st.lists(NAMES, min_size=1, max_size=4),
    st.lists(NAMES, min_size=1, max_size=4),
)
@settings(deadline=None)
def test_different_lists_have_different_fingerprints(ours, theirs):
    ours, theirs = list(Works(ours)), list(Works(theirs))
    assert (fingerprint_of(ours) == fingerprint_of(theirs)) == (ours == theirs)


def test_long_lists_have_a_fingerprint_of_the_whole():
    names = [f"part-{i}" for i in range(10_000)]
    changed = [*names[:-1], "part-x"]
    assert fingerprint_of(names) != fingerprint_of(changed)
    assert fingerprint_of(names) != fingerprint_of(names[:-1])
    assert fingerprint_of(names) == Works(names).fingerprint


@given(st.lists(NAMES | BYTE_NAMES, min_size=1, max_size=8))
@settings(deadline=None)
def test_packed_names_come_back(names):
    works = Works(names)
    packed = pack_names(list(works))
    assert packed.isascii()
    assert unpack_names(packed) == list(works)
    assert fingerprint_of(unpack_names(packed)) == works.fingerprint


@pytest.mark.parametrize(
    "packed",
    [
        "",
        "no base64!",
        "é",
        "AAAA",
        pack_names(["a", "b"])[:-4],
        base64.b64encode(zlib.compress(b"a")[:-1]).decode(),
    ],
)
def test_damaged_packed_names_are_refused(packed):
    with pytest.raises(ValueError):  # noqa: PT011 - two kinds of damage
        unpack_names(packed)


def test_repr_is_short():
    works = Works(["x" * 1000] * 1000)
    assert repr(works).startswith("Works(1000 works, first 'xxx")
    assert len(repr(works)) < 150
