from __future__ import annotations

import contextlib
import string
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import rubbish
from wq_hooks.core.ledger.consumer_state import Consumer, Measure
from wq_hooks.core.ledger.end_policy import ChiefStop
from wq_hooks.core.protocol import messages
from wq_hooks.core.protocol.messages import (
    Claim,
    Element,
    Report,
    claims_text,
    parse_element,
    parse_report,
    sender_text,
)

WORDS = st.text(string.ascii_letters + string.digits + ":/_.-", min_size=1)
TICKETS = st.integers(0, 10**18 - 1)
CLAIMS = st.lists(st.builds(Claim, WORDS, TICKETS)).map(tuple)


def test_texts_are_as_documented():
    sender = Consumer("worker:1", "5f2c")
    claims = [Claim("8d1e", 17), Claim("8d1e", 18)]
    assert sender_text(sender) == "worker:1 5f2c"
    assert claims_text(claims) == "8d1e 17 8d1e 18"
    assert claims_text([]) == ""


@given(
    kind=st.sampled_from(
        [messages.ASK, messages.ACK, messages.RETURN, messages.LEAVE]
    ),
    sender=st.builds(Consumer, WORDS, WORDS),
    claims=CLAIMS,
    records=st.integers(0, 10**12),
    mark=TICKETS,
)
@settings(deadline=None)
def test_a_report_survives_its_row(kind, sender, claims, records, mark):
    report = Report(kind, sender, claims, records=records, mark=mark)
    assert parse_report(report.to_text().encode()) == report


@given(
    st.lists(
        st.one_of(
            st.builds(Measure, TICKETS),
            st.builds(
                lambda *n: Measure(n[0], n[1] / 1000, n[2] / 1000),
                st.integers(0, 10**9),
                st.integers(0, 10**9),
                st.integers(0, 10**9),
            ),
        )
    )
)
@settings(deadline=None)
def test_measures_survive_a_row_to_the_millisecond(measures):
    claims = tuple(Claim("8d1e", number) for number in range(len(measures)))
    sender = Consumer("worker:1", "5f2c")
    report = Report("ack", sender, claims, measures=tuple(measures))
    parsed = parse_report(report.to_text().encode()).measures
    assert [m.records for m in parsed] == [m.records for m in measures]
    for ours, theirs in zip(measures, parsed):
        if ours.train_secs is None:
            assert (theirs.train_secs, theirs.wait_secs) == (None, None)
        else:
            assert theirs.train_secs == pytest.approx(
                ours.train_secs, abs=0.0011
            )


def test_a_wake_has_no_sender():
    report = Report(messages.WAKE, Consumer("", ""), mark=3)
    assert parse_report(report.to_text().encode()) == report
    assert parse_report(messages.WAKE_UP.to_text().encode()).mark == 0


def test_a_lease_is_of_one_item():
    sender = Consumer("worker:1", "5f2c")
    text = messages.lease_text(sender) + "8d1e 17"
    assert parse_report(text.encode()) == Report(
        messages.LEASE, sender, (Claim("8d1e", 17),)
    )
    with pytest.raises(messages.UnreadableError, match="2 leases"):
        parse_report(f"{text} 8d1e 18".encode())


def test_a_row_is_as_documented():
    claims = (Claim("8d1e", 17), Claim("8d1e", 18))
    report = Report("ack", Consumer("worker:1", "5f2c"), claims, records=40)
    text = "ack\nworker:1 5f2c\n40\n\n%s\n8d1e 17 8d1e 18"
    assert report.to_text() == text % ""
    measures = (Measure(20, 0.9, 0.1), Measure(20, 0.8, 0.15))
    report = replace(report, measures=measures)
    text %= "20/900/100 20/800/150"
    assert report.to_text() == text


@pytest.mark.parametrize("row", rubbish.reports("8d1e"))
def test_a_row_of_another_program_is_refused(row):
    with pytest.raises(messages.UnreadableError):
        parse_report(row)


@given(st.binary())
@settings(deadline=None)
def test_no_other_error_comes_of_a_row(row):
    with contextlib.suppress(messages.UnreadableError):
        parse_report(row)


def test_elements():
    assert parse_element(b"0", b"8d1e", b"17", b"a", b"8d1e") == Element(
        messages.ITEM, "8d1e", 17, b"a"
    )
    assert not parse_element(b"0", b"8d1e", b"17", b"a", b"77aa").is_fresh
    assert parse_element(b"1", b"t", b"-1", b"", b"t") == Element(messages.END)
    assert not parse_element(b"1", b"t", b"-1", b"", b"").is_fresh


@pytest.mark.parametrize("element", rubbish.elements("8d1e"))
def test_an_element_of_another_program_is_not_fresh(element):
    with contextlib.suppress(messages.UnreadableError):
        assert not parse_element(*element, b"8d1e").is_fresh


@pytest.mark.parametrize(
    "text", [text.decode(errors="replace") for text in rubbish.TEXTS]
)
def test_an_entry_of_the_board_that_cannot_be_read_says_nothing(text):
    assert messages.parse_status(text) == {}
    assert messages.parse_stop(text) is None
    assert messages.parse_remaining(text) == -1


@pytest.mark.parametrize(
    "stop", [ChiefStop("chief:0"), ChiefStop("worker:0", 5, 10)]
)
def test_how_a_chief_has_left(stop):
    assert messages.parse_stop(messages.stop_text(stop)) == stop


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
        messages.HAND_OVER,
        messages.WAKE,
    ) == ("ask", "lease", "ack", "alive", "leave", "hand-over", "wake")
    assert (messages.ITEM, messages.END) == (0, 1)
    keys = [messages.REMAINING, messages.LEVEL, messages.WORKS]
    assert keys == [2, 3, 4]
