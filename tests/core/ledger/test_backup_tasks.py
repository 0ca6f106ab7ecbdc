from __future__ import annotations

import pytest

from tests.support.small_ledger import (
    A2,
    A,
    B,
    counts,
    issue,
    make_ledger,
    take,
)
from wq_hooks.core.ledger.consumer_state import Consumer
from wq_hooks.core.ledger.item_account import MISSING_GRACE_SECS as GRACE


class TestBackupTasks:
    """Items that are held far too long are given to a second consumer."""

    def near_the_end(self, **kwargs):
        """A has held c for 9 s, twice the usual time being 2 s; B is idle."""
        ledger = make_ledger("abc", backup_tasks=True, **kwargs)
        for _ in range(2):
            (ticket,) = take(ledger, B, now=0.0)
            ledger.acknowledge(B, ticket, 1.0)
        take(ledger, A, now=1.0)
        ledger.ask(B, 1.0)
        ledger.plan_backup(10.0)
        return ledger

    def backed_up(self, **kwargs):
        ledger = self.near_the_end(**kwargs)
        assert issue(ledger) == "c"
        assert ledger.lease(B, 2, 10.0)
        return ledger

    def test_by_default_there_are_none(self):
        ledger = make_ledger("ab")
        (ticket,) = take(ledger, B, now=0.0)
        ledger.acknowledge(B, ticket, 1.0)
        take(ledger, A, now=1.0)
        ledger.ask(B, 1.0)
        ledger.plan_backup(1000.0)
        assert not ledger.has_to_issue()

    def test_the_item_is_issued_once_more(self):
        ledger = self.near_the_end()
        assert not ledger.is_exhausted
        assert issue(ledger) == "c"
        assert issue(ledger) == ""
        assert counts(ledger) == (0, 1, 2)

    def test_one_that_is_held_as_long_as_usual_is_not(self):
        ledger = make_ledger("abc", backup_tasks=True)
        for _ in range(2):
            (ticket,) = take(ledger, B, now=0.0)
            ledger.acknowledge(B, ticket, 1.0)
        take(ledger, A, now=1.0)
        ledger.ask(B, 1.0)
        for now in (1.0, 2.0, 3.0):
            ledger.plan_backup(now)
            assert not ledger.has_to_issue()

    def test_nobody_is_idle(self):
        ledger = make_ledger("abcd", backup_tasks=True)
        (ticket,) = take(ledger, B, now=0.0)
        ledger.acknowledge(B, ticket, 1.0)
        take(ledger, B, now=1.0)
        take(ledger, A, 2, now=1.0)
        ledger.ask(A, 1.0)
        ledger.plan_backup(50.0)
        assert not ledger.has_to_issue()

    def test_something_remains(self):
        ledger = make_ledger("abc", backup_tasks=True)
        (ticket,) = take(ledger, B, now=0.0)
        ledger.acknowledge(B, ticket, 1.0)
        take(ledger, A, now=1.0)
        ledger.ask(B, 1.0)
        ledger.plan_backup(50.0)
        assert issue(ledger) == "c"

    @pytest.mark.parametrize("faster", [A, B])
    def test_whoever_finishes_first_counts(self, faster):
        ledger = self.backed_up()
        assert counts(ledger) == (0, 1, 2)
        assert ledger.repeated == 1
        assert ledger.acknowledge(faster, 2, 11.0)
        assert ledger.is_done
        assert not ledger.acknowledge(A if faster == B else B, 2, 12.0)
        assert counts(ledger) == (0, 0, 3)
        assert not any(state.held for state in ledger.consumers.values())
        # How long the one that counts has held it.
        assert ledger.durations[-1] == (10.0 if faster == A else 1.0)

    def test_the_second_counts_among_those_taken(self):
        ledger = self.backed_up()
        ledger.acknowledge(B, 2, 12.5)
        state = ledger.consumers["worker:1"]
        assert (state.taken, state.completed) == (3, 3)
        assert state.paces[-1] == 2.5

    def test_the_first_is_lost(self):
        ledger = self.backed_up()
        ledger.heard(A2, 11.0)
        assert ledger.leases[2].consumer == B
        assert counts(ledger) == (0, 1, 2)
        assert not ledger.has_to_issue()
        ledger.heard(Consumer("worker:1", "b2"), 12.0)
        assert counts(ledger) == (1, 0, 2)
        assert issue(ledger) == "c"

    def test_the_second_is_lost(self):
        ledger = self.backed_up()
        ledger.leave(B, 11.0)
        assert ledger.leases[2].consumer == A
        assert counts(ledger) == (0, 1, 2)
        assert not ledger.has_to_issue()
        ledger.heard(A2, 12.0)
        assert issue(ledger) == "c"

    def test_the_holder_itself_takes_it_and_is_lost(self):
        ledger = self.near_the_end()
        assert issue(ledger) == "c"
        assert not ledger.lease(A, 2, 10.0)
        ledger.heard(A2, 11.0)
        assert counts(ledger) == (1, 0, 2)
        assert issue(ledger) == "c"

    def test_the_first_is_lost_before_the_second_takes_it(self):
        ledger = self.near_the_end()
        ledger.heard(A2, 10.0)
        assert counts(ledger) == (1, 0, 2)
        assert issue(ledger) == "c"
        assert ledger.lease(B, 2, 10.0)
        assert ledger.acknowledge(B, 2, 11.0)
        assert ledger.is_done

    def test_the_first_finishes_before_the_second_takes_it(self):
        ledger = self.near_the_end()
        assert ledger.acknowledge(A, 2, 10.0)
        assert ledger.is_done
        assert not ledger.has_to_issue()

    def test_the_second_one_never_reports_that_it_took_it(self):
        ledger = self.near_the_end()
        assert issue(ledger, now=10.0) == "c"
        ledger.find_missing(0, 10.0)
        ledger.find_missing(0, 10.0 + GRACE)
        assert ledger.is_exhausted
        ledger.plan_backup(10.0 + GRACE)
        assert issue(ledger) == "c"

    def test_attempts_add_up(self):
        ledger = self.backed_up(max_attempts=2)
        ledger.heard(A2, 11.0)
        ledger.leave(B, 12.0)
        assert ledger.given_up == [(2, "c")]
        assert ledger.is_done

    def test_consumers_stay_until_nothing_can_be_given_out_again(self):
        ledger = self.near_the_end()
        assert not ledger.end_policy.is_end
        issue(ledger)
        ledger.lease(B, 2, 10.0)
        assert not ledger.end_policy.is_end
        ledger.acknowledge(A, 2, 11.0)
        assert ledger.end_policy.is_end

    def test_consumers_do_not_stay_by_default(self):
        ledger = make_ledger("a")
        take(ledger, A)
        assert ledger.end_policy.is_end

    def test_one_that_asks_while_it_holds_items_may_need_the_end(self):
        # Its last records wait in a shuffle buffer.
        ledger = make_ledger("a", backup_tasks=True)
        take(ledger, A)
        assert not ledger.end_policy.is_end
        ledger.ask(A, 1.0)
        assert ledger.end_policy.is_end
