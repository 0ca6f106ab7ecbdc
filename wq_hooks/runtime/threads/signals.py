"""Signals that are heard of while the main thread is inside TensorFlow.

    is_heard = listen(signal.SIGTERM, callback)

Python runs its handlers between bytecodes of the main thread. A thread that
reads the signal wakeup descriptor hears of a signal at once. A process has one
such descriptor: what somebody else had set before gets all bytes as well.

The trap: a process that is forked has the descriptor of its parent, and would
tell that one of its own signals.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import threading
from collections.abc import Callable

from wq_hooks.core import log as logging

_lock = threading.Lock()
_callbacks: list[tuple[int, Callable[[], None]]] = []
# The ends of the descriptor, once it is set.
_ends: list[int] = []
# What is to be forgotten in a child.
_forgets: list[Callable[[], None]] = []
# The signals that a thread which forks has blocked before.
_local = threading.local()


def listen(
    signum: int,
    callback: Callable[[], None],
    *,
    forget: Callable[[], None] = lambda: None,
) -> bool:
    """Calls a function, in a thread of its own, at each signal of a kind.

    Args:
      signum: The signal, for which Python has a handler.
      callback: The function.
      forget: Gives the handler back in a child process, which has not the
        thread.

    Returns:
      Whether it will be called; False: this is not the main thread, which
      alone may ask for that.
    """
    if threading.current_thread() is not threading.main_thread():
        return False
    with _lock:
        _callbacks.append((signum, callback))
        _forgets.append(forget)
        if _ends:
            return True
        reader, writer = os.pipe()
        _ends.extend((reader, writer))
    os.set_blocking(writer, False)
    _watch_forks()
    previous = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threading.Thread(
        target=_read_forever,
        args=(reader, previous),
        name="signals",
        daemon=True,
    ).start()
    return True


def _read_forever(reader: int, previous: int) -> None:
    while True:
        data = os.read(reader, 64)
        if previous != -1:
            # Nobody may read there any more.
            with contextlib.suppress(OSError):
                os.write(previous, data)
        for number in data:
            with _lock:
                callbacks = [c for signum, c in _callbacks if signum == number]
            for callback in callbacks:
                try:
                    callback()
                except Exception as e:
                    logging.error("%s: %r", signal.Signals(number).name, e)


@functools.cache
def _watch_forks() -> None:
    os.register_at_fork(
        before=_block, after_in_parent=_unblock, after_in_child=_forget
    )


def _block() -> None:
    """Blocks what a child may get before it has forgotten the descriptor."""
    _local.blocked = signal.pthread_sigmask(
        signal.SIG_BLOCK, {signum for signum, _ in _callbacks}
    )


def _unblock() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _local.blocked)


def _forget() -> None:
    if _ends:
        signal.set_wakeup_fd(-1)
    for forget in _forgets:
        forget()
    for state in (_ends, _callbacks, _forgets):
        state.clear()
    _unblock()
