from __future__ import annotations

import functools
import os
import threading

import pytest

from tests.support.in_process_cluster import Background
from wq_hooks.runtime.host.stacks import Call, call_of, calls_by_thread


def wait_inside(begun, end):
    begun.set()
    end.wait()


def wait_at_depth(depth, begun, end):
    if depth:
        return wait_at_depth(depth - 1, begun, end)
    return wait_inside(begun, end)


@pytest.fixture
def waiting():
    begun, end = threading.Event(), threading.Event()
    thread = Background(wait_at_depth, 3, begun, end)
    begun.wait()
    yield
    end.set()
    thread.result()


def test_the_innermost_call_comes_first(waiting):
    (calls,) = [
        calls for calls in calls_by_thread() if call_of(wait_inside) in calls
    ]
    at = calls.index(call_of(wait_inside))
    assert calls[at + 1 : at + 5] == 4 * [call_of(wait_at_depth)]
    assert calls[at] == Call(os.path.abspath(__file__), "wait_inside")


def test_what_has_returned_is_not_there():
    end = threading.Event()
    end.set()
    wait_inside(threading.Event(), end)
    assert not any(call_of(wait_inside) in calls for calls in calls_by_thread())


def test_a_wrapped_function_is_known_by_what_it_wraps():
    @functools.wraps(wait_inside)
    def wrapper(*args):
        return wait_inside(*args)

    assert wrapper.__code__.co_name == "wrapper"
    assert call_of(wrapper) == call_of(wait_inside)


def test_of_threads_that_run_on():
    """A walk of their frames in Python would meet frames that have ended."""
    is_over = threading.Event()
    have_begun = threading.Barrier(4)

    def count(depth):
        yield depth
        if depth:
            yield from count(depth - 1)

    def run():
        have_begun.wait()
        while not is_over.is_set():
            assert sum(count(20)) == 210

    running = [Background(run) for _ in range(3)]
    have_begun.wait()
    found = 0
    for _ in range(50):
        found += sum(call_of(run) in calls for calls in calls_by_thread())
    is_over.set()
    for thread in running:
        thread.result()
    assert found == 50 * len(running)
