"""What the chief's account says of a queue."""

from __future__ import annotations

from wq_hooks.engines import engine_of


def dispatcher_of(queue):
    """Returns the owner of the queue's ledger, None if no session runs."""
    return engine_of(queue).dispatcher


def state_of(queue):
    """Returns who has what; {} if no session runs."""
    dispatcher = dispatcher_of(queue)
    return {} if dispatcher is None else dispatcher.state()
