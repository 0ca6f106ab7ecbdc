"""Ctrl-C while a train step waits for an item.

Python runs its signal handlers between bytecodes, so a main thread that waits
inside a step does not notice ctrl-C. A thread that reads the signal wakeup
descriptor does, and can end what the step waits for.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator

_lock = threading.Lock()
_callbacks: list[Callable[[], None]] = []
_is_watching = False


def watch() -> None:
    """Begins to watch for SIGINT, from the main thread.

    Does nothing in other threads, where somebody else (asyncio) uses the
    descriptor, and where SIGINT is ignored.
    """
    global _is_watching
    with _lock:
        if _is_watching or (
            threading.current_thread() is not threading.main_thread()
            or signal.getsignal(signal.SIGINT)
            in (signal.SIG_IGN, signal.SIG_DFL, None)
        ):
            return
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        previous = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        if previous != -1:
            signal.set_wakeup_fd(previous)
            os.close(reader)
            os.close(writer)
            return
        _is_watching = True
    threading.Thread(
        target=_watch_forever, args=(reader,), name="ctrl-c", daemon=True
    ).start()


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


def _watch_forever(reader: int) -> None:
    while True:
        if signal.SIGINT in os.read(reader, 64):
            with _lock:
                callbacks = list(_callbacks)
            for callback in callbacks:
                # A session that is closed already has nothing that waits.
                with contextlib.suppress(Exception):
                    callback()
