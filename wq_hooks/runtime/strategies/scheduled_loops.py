"""Loops that schedule functions with a ClusterCoordinator, in slots.

    for text in merged(coordinator, [items_slot(...), items_slot(...)]): ...

A slot schedules one function at a time and waits for it. There are enough of
them that no worker is ever without a function to run: one that holds records
while another waits for them would stop the job.

The trap: a function that fails ends all slots, as in the coordinator itself.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import tensorflow as tf

from wq_hooks.core.consumer.consumer import ConsumerLoop


def items_slot(
    schedule: Callable[..., Any],
    function: Callable[[Any], Any],
    loop: ConsumerLoop,
) -> Iterator[str]:
    """Yields each item of a consumer when its function has returned.

    The item, of which `function` is a tf.function, is completed by then.
    """
    try:
        while True:
            fetched = loop.next_item()
            if fetched is None:
                return
            schedule(function, fetched[1]).fetch()
            loop.complete_all()
            yield tf.compat.as_str(fetched[1])
    finally:
        loop.hand_back()


def steps_slot(
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


def merged(coordinator: Any, slots: Sequence[Iterator[Any]]) -> Iterator[Any]:
    """Yields what the slots yield, each of which runs in a thread.

    Raises:
      Exception: What the first function that failed has raised.
    """
    results: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
    is_over = threading.Event()

    def run(slot: Any) -> None:
        try:
            for result in slot:
                results.put(("result", result))
                if is_over.is_set():
                    break
        except Exception as e:
            results.put(("error", e))
        finally:
            slot.close()
            results.put(("end", None))

    threads = [
        threading.Thread(target=run, args=(slot,), daemon=True)
        for slot in slots
    ]
    for thread in threads:
        thread.start()
    num_running = len(threads)
    errors: list[Exception] = []
    try:
        while num_running:
            kind, result = results.get()
            if kind == "end":
                num_running -= 1
            elif kind == "result":
                yield result
            else:
                errors.append(result)
                is_over.set()
                try:
                    # Ends what others wait for, and raises what was first.
                    coordinator.join()
                except Exception as e:
                    errors.insert(0, e)
    finally:
        is_over.set()
    if errors:
        # One that has failed cancels the others.
        causes = [
            e for e in errors if not isinstance(e, tf.errors.CancelledError)
        ]
        raise (causes or errors)[0]
