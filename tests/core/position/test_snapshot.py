from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from wq_hooks.core.items.plan import Epochs, Listed, Masked
from wq_hooks.core.items.works import Works, pack_names
from wq_hooks.core.position import snapshot as snapshot_module
from wq_hooks.core.position.snapshot import OpenItem, Snapshot
from wq_hooks.errors import SnapshotError, WorkQueueError


def make_snapshot(**changes):
    works = Works(["a", "b", "ü\udcff"])
    fields = {
        "name": "work_queue",
        "segments": (
            Listed(4, ((1, 2),)),
            Masked(5, 2, True, 7, np.array([True, False, True])),
            Epochs(7, 3, 2, True, 7),
        ),
        "next_ticket": 6,
        "outstanding": (
            OpenItem(4, "ü\udcff", "worker:1", 2),
            OpenItem(5, "a", None, 0),
        ),
        "given_up": ((1, 'po"ison'),),
        "num_works": 3,
        "fingerprint": works.fingerprint,
        "packed_works": pack_names(list(works)),
        "sidecar_directory": None,
    }
    return Snapshot(**{**fields, **changes})


TEXT = make_snapshot().to_json()


def with_changed_document(**changes):
    return json.dumps({**json.loads(TEXT), **changes})


def with_changed_body(**changes):
    """A snapshot whose checksum fits, as another program might write it."""
    body = {**json.loads(TEXT)["body"], **changes}
    body = {key: value for key, value in body.items() if value is not ...}
    return with_changed_document(
        body=body, checksum=snapshot_module._checksum(body)
    )


def test_json_is_one_line_of_ascii_and_comes_back():
    assert TEXT.isascii()
    assert "\n" not in TEXT
    restored = Snapshot.from_json(TEXT)
    assert restored.to_json() == TEXT
    assert restored.outstanding == make_snapshot().outstanding
    assert restored.given_up == ((1, 'po"ison'),)
    assert restored.segments[0] == Listed(4, ((1, 2),))
    assert restored.segments[2] == Epochs(7, 3, 2, True, 7)
    assert Snapshot.from_json(TEXT.encode()).to_json() == TEXT


def test_counts():
    snapshot = make_snapshot()
    assert snapshot.low_watermark == 4
    assert snapshot.completed == 4
    nothing_open = make_snapshot(outstanding=())
    assert nothing_open.low_watermark == 6
    assert nothing_open.completed == 6


def test_format_never_changes():
    # What version 1 has written must be read for as long as VERSION is 1.
    text = (
        '{"format": "wq_hooks.core.snapshot", "version": 1, '
        '"checksum": "62661489791100dc", "body": {"name": "q", "segments": '
        '[{"kind": "masked", "first_ticket": 1, "epoch": 0, "shuffle": true, '
        '"seed": 7, "mask": "eJxLAAAAYQBh", "num_works": 3}, '
        '{"kind": "epochs", "first_ticket": 3, "first_epoch": 1, '
        '"num_epochs": null, "shuffle": true, "seed": 7}], '
        '"next_ticket": 2, "outstanding": [[1, "b", "worker:0", 1]], '
        '"given_up": [[0, "a"]], "num_works": 3, "fingerprint": "f", '
        '"packed_works": null, "sidecar_directory": "d", '
        '"slicings": [null], "num_slices": null, "added": null}}'
    )
    snapshot = Snapshot.from_json(text)
    assert snapshot.segments[0].mask.tolist() == [False, True, True]
    assert snapshot.segments[1] == Epochs(3, 1, None, True, 7)
    assert snapshot.next_ticket == 2
    assert snapshot.outstanding == (OpenItem(1, "b", "worker:0", 1),)
    assert snapshot.given_up == ((0, "a"),)
    assert (snapshot.num_works, snapshot.fingerprint) == (3, "f")
    assert (snapshot.packed_works, snapshot.sidecar_directory) == (None, "d")


@pytest.mark.parametrize("version", [2, 99, 0, True, "1", None, [1]])
def test_another_version_is_refused_by_name(version):
    with pytest.raises(SnapshotError, match="Expected a snapshot of version 1"):
        Snapshot.from_json(with_changed_document(version=version))


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "null",
        "1",
        "[]",
        "{}",
        '"wq_hooks.core.snapshot"',
        "no json",
        "\0",
        "é",
        b"\xff\xfe",
        b"",
        '{"format": "other", "version": 1}',
        '{"format": "wq_hooks.core.snapshot", "version": 1}',
        "[" * 100_000,
        '{"format":' * 100_000,
        "1" * 5000,
        "NaN",
        None,
        7,
        with_changed_document(body=None),
        with_changed_document(body=[]),
        with_changed_document(checksum=None),
        with_changed_document(checksum=""),
    ],
)
def test_what_is_no_snapshot_is_refused(text):
    with pytest.raises(SnapshotError) as raised:
        Snapshot.from_json(text)
    assert len(str(raised.value)) < 500
    assert isinstance(raised.value, (ValueError, WorkQueueError))


@pytest.mark.parametrize(
    "changes",
    [
        {"name": ...},
        {"segments": ...},
        {"segments": None},
        {"segments": [None]},
        {"segments": [{"kind": "other"}]},
        {"next_ticket": ...},
        {"next_ticket": "x"},
        {"next_ticket": None},
        {"next_ticket": float("inf")},
        {"segments": [{"kind": "listed", "first_ticket": float("inf")}]},
        {"outstanding": [[1]]},
        {"outstanding": [["x", "a", None, 0]]},
        {"outstanding": 5},
        {"given_up": [[1]]},
        {"num_works": None},
        {"fingerprint": ...},
        {"packed_works": ...},
        {"sidecar_directory": ...},
    ],
)
def test_a_missing_or_wrong_part_is_refused(changes):
    with pytest.raises(SnapshotError):
        Snapshot.from_json(with_changed_body(**changes))


@given(st.integers(0, len(TEXT) - 1))
@settings(deadline=None)
def test_a_truncated_snapshot_is_refused(length):
    with pytest.raises(SnapshotError):
        Snapshot.from_json(TEXT[:length])


def restored_or_refused(text):
    try:
        return Snapshot.from_json(text).to_json()
    except SnapshotError:
        return None


@given(st.integers(0, len(TEXT) - 1), st.integers(0, 7))
@settings(max_examples=150, deadline=None)
def test_a_flipped_bit_is_never_taken_for_another_position(place, bit):
    damaged = bytearray(TEXT.encode())
    damaged[place] ^= 1 << bit
    # It may have met what json does not care for, such as a blank.
    assert restored_or_refused(bytes(damaged)) in (None, TEXT)


@given(
    st.integers(0, len(TEXT)), st.integers(0, len(TEXT)), st.text(max_size=5)
)
@settings(max_examples=100, deadline=None)
@example(start=0, stop=len(TEXT), text="")
def test_a_replaced_part_is_never_taken_for_another_position(start, stop, text):
    damaged = TEXT[:start] + text + TEXT[stop:]
    assert restored_or_refused(damaged) in (None, TEXT)


@given(st.text() | st.binary())
@settings(deadline=None)
def test_any_other_text_is_refused(text):
    assert restored_or_refused(text) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.sampled_from(sorted(json.loads(TEXT)["body"])), JSON)
@settings(max_examples=150, deadline=None)
def test_a_foreign_body_with_a_fitting_checksum_is_read_or_refused(key, value):
    restored_or_refused(with_changed_body(**{key: value}))


def test_when_the_job_began_is_kept():
    text = make_snapshot(started=1.7e9).to_json()
    assert Snapshot.from_json(text).started == 1.7e9
    assert Snapshot.from_json(with_changed_body(started=...)).started is None


@pytest.mark.parametrize("started", ["now", True, [1.0]])
def test_a_beginning_that_is_no_time(started):
    with pytest.raises(SnapshotError, match="damaged"):
        Snapshot.from_json(with_changed_body(started=started))
