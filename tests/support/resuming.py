"""Ledgers that are saved and resumed, for tests."""

from __future__ import annotations

from wq_hooks.core.items.plan import Plan
from wq_hooks.core.items.works import Works
from wq_hooks.core.ledger.consumer_state import Consumer
from wq_hooks.core.ledger.ledger import Ledger
from wq_hooks.core.position.resume import resume
from wq_hooks.core.position.snapshot import Snapshot

WORKER = Consumer("worker:0", "1")


def start(works, *, num_epochs=1, shuffle=False, seed=0):
    plan = Plan.fresh(
        Works(list(works)), num_epochs=num_epochs, shuffle=shuffle, seed=seed
    )
    return Ledger(plan)


def lease(ledger, num_items):
    items = ledger.issue(num_items, 0.0)
    for item in items:
        ledger.lease(WORKER, item.ticket, 0.0)
    return items


def complete(ledger, *items):
    for item in items:
        assert ledger.acknowledge(WORKER, item.ticket, 0.0)


def train(ledger, num_items):
    items = lease(ledger, num_items)
    complete(ledger, *items)
    return [(item.epoch, item.text) for item in items]


def saved(ledger):
    """The position, as it comes out of a checkpoint."""
    return Snapshot.from_json(ledger.snapshot("q").to_json())


def resumption_of(
    position, works, num_epochs=1, shuffle=False, seed=None, **kwargs
):
    return resume(
        Works(list(works)),
        position,
        num_epochs=num_epochs,
        shuffle=shuffle,
        seed=seed,
        **kwargs,
    )


def ledger_of(resumption):
    return Ledger(resumption.plan, resumption=resumption)


def restored(ledger, works, *args, **kwargs):
    return ledger_of(resumption_of(saved(ledger), works, *args, **kwargs))


def rest(ledger):
    """What is left to do, "<epoch><text>" in order; completes it."""
    before = ledger.completed
    items = train(ledger, 10_000)
    assert ledger.is_done
    assert ledger.completed == before + len(items) == ledger.total
    assert ledger.low_watermark == ledger.total
    return [f"{epoch}{text}" for epoch, text in items]


def words(text):
    return text.split()
