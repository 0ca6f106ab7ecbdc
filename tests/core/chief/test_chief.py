"""The ledger under its lock; what a Feeder does with it: `test_feeder`."""

from __future__ import annotations

import threading

from tests.support.small_ledger import A, B, make_ledger
from wq_hooks.core.chief.chief import Chief
from wq_hooks.core.protocol import messages
from wq_hooks.core.protocol.messages import Claim, Report

HANG_SECS = 30.0


def texts(chief, consumer, number):
    return "".join(chief.hand_out(consumer, []).text for _ in range(number))


def test_items_are_handed_out_in_order_and_then_the_end():
    chief = Chief("q", make_ledger("abc"))
    assert texts(chief, A, 2) + texts(chief, B, 1) == "abc"
    assert chief.hand_out(A, []) is None
    assert chief.state()["in_flight"] == 3


def test_a_question_says_what_is_completed():
    chief = Chief("q", make_ledger("abc"))
    claim = Claim(chief.generation, chief.hand_out(A, []).ticket)
    chief.hand_out(A, [claim])
    assert chief.ledger.completed == 1


def test_what_is_noted_counts_if_it_is_of_this_chief():
    former, chief = (Chief("q", make_ledger("abc")) for _ in range(2))
    for generation in (former.generation, chief.generation):
        assert chief.ledger.completed == 0
        chief.hand_out(A, [])
        claim = Claim(generation, 0)
        chief.note(Report(messages.ACK, A, (claim,), records=5))
    assert chief.ledger.completed == 1
    assert chief.ledger.records == 10


def test_a_stop_ends_the_wait_for_the_others():
    chief = Chief("q", make_ledger("a"))
    chief.hand_out(A, [])
    results = []
    waiting = threading.Thread(
        target=lambda: results.append(
            chief.wait_for_end("chief:0", lambda: False)
        ),
        daemon=True,
    )
    waiting.start()
    chief.stop()
    waiting.join(HANG_SECS)
    assert results == [True]
