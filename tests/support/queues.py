"""What the chief's account says of a queue."""

from __future__ import annotations

from wq_hooks.engines import engine_of


def chief_of(queue):
    """Returns the owner of the queue's ledger, None if no session runs."""
    return engine_of(queue).chief


def state_of(queue):
    """Returns who has what; {} if no session runs."""
    chief = chief_of(queue)
    return {} if chief is None else chief.state()


def feeder_of(queue):
    """Returns what feeds the queue's mailbox, None if no session runs."""
    return engine_of(queue).feeder
