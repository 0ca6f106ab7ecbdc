"""Who gets the end of data, and when the job is over."""

from __future__ import annotations

import pytest

from tests.support.small_ledger import A, B, issue, make_ledger, take
from wq_hooks.core.ledger.consumer_state import Consumer
from wq_hooks.core.ledger.end_policy import ChiefStop


@pytest.mark.parametrize("has_ended_well", [True, False])
@pytest.mark.parametrize("is_exhausted", [True, False])
@pytest.mark.parametrize("is_last_step", [True, False])
def test_the_job_ends_at_the_end_of_data_or_at_its_last_step(
    has_ended_well, is_exhausted, is_last_step
):
    ledger = make_ledger("a")
    if is_exhausted:
        take(ledger, A)
    assert ledger.end_policy.ends_job(
        has_ended_well=has_ended_well, is_last_step=is_last_step
    ) == (has_ended_well and (is_exhausted or is_last_step))


class TestChiefStop:
    @pytest.mark.parametrize(
        ("own", "expected"),
        [
            ({}, False),
            ({"last_step": 20}, True),
            ({"last_step": 15}, True),
            ({"last_step": 21}, False),
            ({"num_steps": 10}, True),
            ({"num_steps": 11}, False),
            ({"num_steps": 11, "last_step": 20}, True),
            ({"last_step": 20, "step": None}, False),
        ],
    )
    def test_who_would_stop_as_well(self, own, expected):
        stop = ChiefStop("chief:0", step=18, num_steps=10)
        args = {"last_step": None, "num_steps": None, "step": 20, **own}
        assert stop.is_over(**args) == expected

    def test_without_steps(self):
        args = {"last_step": None, "num_steps": None, "step": None}
        assert not ChiefStop("chief:0").is_over(**args)


class TestServed:
    def test_the_end_waits_until_all_who_hold_items_ask(self):
        ledger = make_ledger("ab")
        ledger.serve("server", in_step=False)
        take(ledger, A)
        take(ledger, B)
        ledger.ask(A, 1.0)
        assert ledger.is_exhausted
        assert not ledger.end_policy.is_end
        ledger.ask(B, 2.0)
        # A may have died while it waited.
        assert not ledger.end_policy.is_end
        ledger.heard_of_task(A, 3.0)
        assert ledger.end_policy.is_end

    def test_a_task_does_not_wait_for_itself(self):
        ledger = make_ledger("ab")
        ledger.serve("server", in_step=False)
        take(ledger, A, 2)
        ledger.ask(Consumer("worker:0/2", "a1"), 1.0)
        assert ledger.end_policy.is_end

    def test_what_one_that_dies_hands_back_is_handed_out(self):
        ledger = make_ledger("a", lease_secs=10.0)
        ledger.serve("server", in_step=False)
        take(ledger, A)
        ledger.ask(A, 1.0)
        ledger.ask(B, 2.0)
        assert not ledger.end_policy.is_end
        ledger.expire(12.0)
        assert issue(ledger) == "a"

    @pytest.mark.parametrize("in_step", [False, True])
    def test_nobody_waits_in_step_or_for_a_server_that_reads(self, in_step):
        ledger = make_ledger("ab")
        ledger.serve("server", in_step=in_step)
        take(ledger, A)
        take(ledger, B if in_step else Consumer("server", "s1"))
        assert ledger.end_policy.is_end

    def test_a_server_that_has_left_reads_no_more(self):
        ledger = make_ledger("a")
        ledger.serve("server", in_step=False)
        server = Consumer("server", "s1")
        ledger.ask(server, 0.0)
        take(ledger, A)
        assert ledger.end_policy.is_end
        ledger.leave(server, 1.0)
        assert not ledger.end_policy.is_end

    def test_others(self):
        ledger = make_ledger("abc", lease_secs=10.0)
        for name in ("server", "a", "a/2", "b", "c"):
            ledger.ask(Consumer(name, "1"), 0.0)
        ledger.leave(Consumer("b", "1"), 1.0)
        ledger.ask(Consumer("c", "1"), 9.0)
        assert ledger.membership.others("server", 10.0) == ["a", "c"]
        assert ledger.membership.others("server", 11.0) == ["c"]

    @pytest.mark.parametrize("in_step", [False, True])
    def test_the_serving_process_waits_for_what_others_hold(self, in_step):
        ledger = make_ledger("ab")
        ledger.serve("server", in_step=in_step)
        take(ledger, Consumer("server", "s1"))
        take(ledger, A)
        policy = ledger.end_policy
        # In step with the others it may not wait for them.
        assert policy.is_end_for_chief("server") == in_step
        ledger.acknowledge(A, 1, 1.0)
        assert policy.is_end_for_chief("server")

    def test_the_serving_process_closes_last(self):
        ledger = make_ledger("ab", lease_secs=10.0)
        take(ledger, A)
        policy = ledger.end_policy
        assert not policy.may_close("server", 1.0, is_over=True)
        ledger.leave(A, 2.0)
        assert policy.may_close("server", 2.0, is_over=True)
        assert not policy.may_close("server", 2.0, is_over=False)
        take(ledger, B, 2, now=2.0)
        for ticket in (0, 1):
            ledger.acknowledge(B, ticket, 3.0)
        assert not policy.may_close("server", 3.0, is_over=False)
        assert policy.may_close("server", 14.0, is_over=False)
