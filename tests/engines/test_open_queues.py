"""Which names of the process are free."""

from __future__ import annotations

import uuid

import pytest

from wq_hooks.engines import open_queues


class FakeQueue:
    def __init__(self, name, *, has_its_name=True):
        self.name = name
        self.has_its_name = has_its_name
        self.has_begun = True
        self.itself = None
        open_queues.add(self)


@pytest.fixture
def name():
    return uuid.uuid4().hex


def is_free(name):
    try:
        with open_queues.names().claimed(name):
            return True
    except ValueError:
        return False


def test_a_name_is_free_when_its_queue_is_done(name):
    queue = FakeQueue(name)
    assert not is_free(name)
    queue.has_its_name = False
    assert is_free(name)


def test_a_name_is_free_when_nothing_holds_its_queue(name):
    queue = FakeQueue(name)
    # A circle, as of a model, its callbacks and the queue.
    queue.itself = queue
    assert not is_free(name)
    del queue
    assert is_free(name)


def test_a_queue_that_is_closed_late_leaves_the_name_to_the_next_one(name):
    first = FakeQueue(name, has_its_name=False)
    second = FakeQueue(name)
    open_queues.discard(first)
    assert not is_free(name)
    open_queues.discard(second)
    assert is_free(name)
