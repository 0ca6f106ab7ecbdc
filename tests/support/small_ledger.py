"""A ledger of a few works, and what tests do with it."""

from __future__ import annotations

from wq_hooks.core.items.plan import Plan
from wq_hooks.core.items.works import Works
from wq_hooks.core.ledger.consumer_state import Consumer
from wq_hooks.core.ledger.ledger import Ledger

A = Consumer("worker:0", "a1")
A2 = Consumer("worker:0", "a2")
B = Consumer("worker:1", "b1")


def make_ledger(works="abcd", *, num_epochs=1, shuffle=False, **kwargs):
    """Returns a ledger of works that have one letter each."""
    plan = Plan.fresh(
        Works(list(works)), num_epochs=num_epochs, shuffle=shuffle, seed=0
    )
    return Ledger(plan, **kwargs)


def issue(ledger, limit=99, now=0.0):
    """Issues items; returns their texts as one."""
    return "".join(item.text for item in ledger.issue(limit, now))


def take(ledger, consumer, num_items=1, now=0.0):
    """Issues items and leases them at once; returns their tickets."""
    tickets = [item.ticket for item in ledger.issue(num_items, now)]
    for ticket in tickets:
        assert ledger.lease(consumer, ticket, now)
    return tickets


def counts(ledger):
    """Returns how many items are remaining, in flight and completed."""
    return ledger.remaining, ledger.in_flight, ledger.completed


def kinds(ledger):
    """Returns the kinds of the events that have not been asked for."""
    return [event.kind for event in ledger.events.take_news()]
