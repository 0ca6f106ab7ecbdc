from __future__ import annotations

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wq_hooks.core.ledger.consumer_state import Consumer
from wq_hooks.core.protocol import messages
from wq_hooks.core.protocol.messages import (
    Claim,
    Report,
    claims_text,
    parse_claims,
    sender_text,
)

WORDS = st.text(string.ascii_letters + string.digits + ":/_.-", min_size=1)
CLAIMS = st.lists(st.builds(Claim, WORDS, st.integers(0, 2**63 - 1))).map(tuple)


def test_texts_are_as_documented():
    sender = Consumer("worker:1", "5f2c")
    claims = [Claim("8d1e", 17), Claim("8d1e", 18)]
    assert sender_text(sender) == "worker:1 5f2c"
    assert claims_text(claims) == "8d1e 17 8d1e 18"
    assert claims_text([]) == ""


@given(
    kind=st.sampled_from(
        [messages.ASK, messages.LEASE, messages.ACK, messages.LEAVE]
    ),
    sender=st.builds(Consumer, WORDS, WORDS),
    claims=CLAIMS,
)
@settings(deadline=None)
def test_a_report_survives_its_row(kind, sender, claims):
    row = [kind, sender_text(sender), claims_text(claims)]
    report = Report.from_row(*(column.encode() for column in row))
    assert report == Report(kind, sender, claims)


def test_a_wake_has_no_sender():
    report = Report.from_row(messages.WAKE.encode(), b"", b"")
    assert report == Report(messages.WAKE, Consumer("", ""), ())


@pytest.mark.parametrize(
    "row",
    [
        (b"ack", b"worker:0 1", b"only"),
        (b"ack", b"worker:0 1", b"gen 1 gen"),
        (b"ack", b"worker:0 1", b"gen x"),
        (b"ack", b"worker:0 1", b"\xff 1"),
        (b"ack", b"\xff", b""),
        (b"\xff", b"worker:0 1", b""),
    ],
)
def test_a_row_of_another_program_is_refused(row):
    with pytest.raises(ValueError):  # noqa: PT011 - several kinds
        Report.from_row(*row)


def test_pairs_are_expected_by_name():
    with pytest.raises(ValueError, match="pairs of generation and ticket"):
        parse_claims(b"gen")


def test_each_consumer_has_a_gate_of_its_own():
    names = [f"worker:{i}/{j}" for i in range(100) for j in range(20)]
    gates = {messages.gate_of(name) for name in names}
    assert len(gates) == len(names)
    # They fit into the board's keys, beside the others.
    assert min(gates) > messages.WORKS
    assert max(gates) < 2**63


def test_a_gate_never_changes():
    # 16 + blake2b of 7 bytes, little endian.
    assert messages.gate_of("worker:1") == 18298672430656745


def test_names_on_the_wire_never_change():
    # Tasks of one job may run different versions for a while.
    assert (
        messages.ASK,
        messages.LEASE,
        messages.ACK,
        messages.ALIVE,
        messages.LEAVE,
        messages.WAKE,
    ) == ("ask", "lease", "ack", "alive", "leave", "wake")
    assert (messages.ITEM, messages.END) == (0, 1)
    keys = [messages.REMAINING, messages.LEVEL, messages.WORKS]
    assert keys == [2, 3, 4]
