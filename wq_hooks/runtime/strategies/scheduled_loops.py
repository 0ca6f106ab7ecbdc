"""Loops that schedule functions with a ClusterCoordinator.

    for text in merged(coordinator, [items_loop(...), items_loop(...)]): ...

A loop schedules one function at a time and waits for it. There are enough of
them that no worker is ever without a function to run: one that holds records
while another waits for them would stop the job.

The trap: a function that fails ends all loops, as in the coordinator itself.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import tensorflow as tf

from wq_hooks.core.consumer.consumer import ConsumerLoop


def items_loop(
    schedule: Callable[..., Any],
    function: Callable[[Any], Any],
    consumer: ConsumerLoop,
) -> Iterator[str]:
    """Yields each item of a consumer when its function has returned.

    The item, of which `function` is a tf.function, is completed by then.
    """
    try:
        while True:
            fetched = consumer.next_item()
            if fetched is None:
                return
            schedule(function, fetched[1]).fetch()
            consumer.complete_all()
            yield tf.compat.as_str(fetched[1])
    finally:
        consumer.hand_back()


def steps_loop(
    schedule: Callable[..., Any],
    function: Callable[[Any], Any],
    iterator: Any,
) -> Iterator[Any]:
    """Yields what a tf.function of an iterator returns, again and again."""
    while True:
        yield schedule(function, iterator).fetch()


def schedule_of(coordinator: Any) -> Callable[..., Any]:
    """Returns `schedule(function, argument)`, for several threads."""
    lock = threading.Lock()

    def schedule(function: Callable[[Any], Any], argument: Any) -> Any:
        if isinstance(argument, bytes):
            argument = tf.constant(argument)
        with lock:
            return coordinator.schedule(function, args=(argument,))

    return schedule


def merged(coordinator: Any, loops: Sequence[Iterator[Any]]) -> Iterator[Any]:
    """Yields what the loops yield, each of which runs in a thread.

    Raises:
      Exception: Error of the first function that failed.
    """
    results: queue.SimpleQueue[tuple[bool, Any]] = queue.SimpleQueue()
    is_over = threading.Event()

    def run(loop: Any) -> None:
        error = None
        try:
            with contextlib.closing(loop):
                for result in loop:
                    results.put((True, result))
                    if is_over.is_set():
                        break
        except Exception as e:
            error = e
        results.put((False, error))

    for loop in loops:
        threading.Thread(target=run, args=(loop,), daemon=True).start()
    num_running = len(loops)
    errors: list[Exception] = []
    try:
        while num_running:
            is_running, result = results.get()
            if is_running:
                yield result
                continue
            num_running -= 1
            if result is not None:
                errors.append(result)
                is_over.set()
                try:
                    # Ends what others wait for, and raises what was first.
                    coordinator.join()
                except Exception as e:
                    errors.insert(0, e)
    finally:
        is_over.set()
    # A function that has failed cancels the others.
    causes = [e for e in errors if not isinstance(e, tf.errors.CancelledError)]
    if errors:
        raise (causes or errors)[0]
