"""Ctrl-C while a train step waits for an item.

Python runs its signal handlers between bytecodes, so a main thread that waits
inside a step does not notice ctrl-C. A thread that hears of the signal does,
and can end what the step waits for.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

from wq_hooks.runtime.threads import signals

_lock = threading.Lock()
_callbacks: list[Callable[[], None]] = []
_is_watching = False


def watch() -> None:
    """Begins to watch for SIGINT, from the main thread.

    Does nothing in other threads, and where SIGINT is ignored.
    """
    global _is_watching
    if _is_watching or signal.getsignal(signal.SIGINT) in (
        signal.SIG_IGN,
        signal.SIG_DFL,
        None,
    ):
        return
    _is_watching = signals.listen(signal.SIGINT, _interrupt)


@contextlib.contextmanager
def on_interrupt(callback: Callable[[], None]) -> Iterator[None]:
    """Calls `callback` in a thread of its own at ctrl-C inside the block."""
    with _lock:
        _callbacks.append(callback)
    try:
        yield
    finally:
        with _lock:
            _callbacks.remove(callback)


def _interrupt() -> None:
    with _lock:
        callbacks = list(_callbacks)
    for callback in callbacks:
        # A session that is closed already has nothing that waits.
        with contextlib.suppress(Exception):
            callback()
