"""SIGTERM, or a notice, ends this process in order.

    watch = preemption.watch(Preemption(), on_preempted=hand_back)
    while not watch.is_preempted:
        ...
    watch.leave()                  # SystemExit(143) if it was preempted

One object for the process, since it has one handler of SIGTERM. It calls those
that watch, and sees to it that the process is gone in time. The trap: the
handler runs in the main thread, between two bytecodes. It takes no lock, and
raises nothing but where there is nothing to save.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from wq_hooks.core import log as logging
from wq_hooks.core.preemption import Preemption, Signals, Timetable
from wq_hooks.runtime.threads import signals

_NOTICE_EVERY_SECS = 1.0
# How long an idle main thread may take to run the handler of a signal.
_IDLE_SECS = 1.0
_FLUSH_SECS = 0.5
# How long those that are told may take to give back what they hold, where
# nobody has anything to save.
_HAND_OVER_SECS = 3.0
_HANDLER = "handler"
_DESCRIPTOR = "descriptor"


class Watch:
    """One who has something to hand back, or to save, when the process goes.

    Args:
      settings: What to do at SIGTERM; None: nothing, ever.
      on_preempted: See `watch`.
      is_idle: See `watch`.
      name: What the log calls it.
    """

    def __init__(
        self,
        settings: Preemption | None,
        on_preempted: Callable[[], None],
        is_idle: Callable[[], bool],
        name: str,
    ):
        self.settings = settings
        self.on_preempted = on_preempted
        self.is_idle = is_idle
        self.name = name
        self.closed = threading.Event()

    @property
    def is_preempted(self) -> bool:
        """Whether the process was told to go."""
        return self.settings is not None and is_preempted()

    @property
    def timetable(self) -> Timetable | None:
        """When the process does what; None: it was not told to go."""
        return None if self.settings is None else _process.timetable

    def secs_left(self) -> float:
        """Returns after how many seconds the process ends, whatever it does.

        Infinite, before it was told to go.
        """
        timetable = self.timetable
        if timetable is None:
            return math.inf
        return max(0.0, timetable.end - time.monotonic())

    def tell(self) -> None:
        """Calls `on_preempted` again, for one who could not hear it yet."""
        _process.tell(self)

    def close(self) -> None:
        """Watches no more; the last one gives the handler back."""
        if not self.closed.is_set():
            self.closed.set()
            _process.remove(self)

    def leave(self) -> None:
        """Closes it, and ends the process if that was told to go.

        To be called where all is saved and handed back, in the main thread:
        in other threads it only closes.

        Raises:
          SystemExit: With the exit code, unless another one is under way.
        """
        has_to_go = self.is_preempted
        self.close()
        if has_to_go:
            exit_now()


class _Process:
    """What this process knows of its preemption."""

    def __init__(self) -> None:
        self.timetable: Timetable | None = None
        self.exit_code = 0
        self._watches: list[Watch] = []
        self._tellers: list[threading.Thread] = []
        self._signals = Signals()
        # May be put into from a signal handler, unlike a Queue.
        self._news: queue.SimpleQueue[tuple[str, float]] = queue.SimpleQueue()
        self._has_thread = self._is_listening = False
        # Of the requests, the first counts.
        self._requests = itertools.count()
        self._is_told = threading.Event()
        self._previous: Any = None
        self._is_installed = False
        # Of a signal that this process sends to itself.
        self._is_own_signal = False
        self._has_handled = False

    def add(self, watch: Watch) -> None:
        self._watches.append(watch)
        if not self._has_thread:
            self._has_thread = True
            self._start(self._run, "preemption")
        self._install()
        if watch.settings is not None and watch.settings.notice is not None:
            self._start(
                lambda: self._ask_forever(watch, watch.settings), "notice"
            )

    def remove(self, watch: Watch) -> None:
        with contextlib.suppress(ValueError):
            self._watches.remove(watch)
        if not self._watches and self.timetable is None:
            self.give_back()

    def request(self, reason: str) -> None:
        """Tells the process to go; only the first time counts."""
        watches = list(self._watches)
        settings = [w.settings for w in watches if w.settings is not None]
        if not settings or next(self._requests):
            return
        self.exit_code = settings[0].exit_code
        self.timetable = Timetable(
            time.monotonic(), min(s.grace_secs for s in settings)
        )
        logging.warning(
            "%s: this process saves and hands back what it has, and ends "
            "within %g s with exit code %d (%s).",
            reason,
            self.timetable.grace_secs,
            self.exit_code,
            ", ".join(watch.name for watch in watches),
        )
        self._is_told.set()
        for watch in watches:
            self.tell(watch)
        self._start(self._end_in_time, "grace")
        if self.is_idle():
            self._start(self._end_idle, "idle")

    def tell(self, watch: Watch) -> None:
        """Tells one who watches, in a thread of its own."""
        self._tellers.append(self._start(lambda: _tell(watch), "preempted"))

    def is_idle(self) -> bool:
        """Whether nobody has anything to save before the process ends."""
        watches = list(self._watches)
        has_to_go = self.timetable is not None
        return (has_to_go or bool(watches)) and all(
            w.is_idle() for w in watches
        )

    # The signal.

    def _install(self) -> None:
        """Takes SIGTERM, where that disturbs nobody."""
        current = signal.getsignal(signal.SIGTERM)
        if self._is_installed and current == self._handle:
            return
        is_main = threading.current_thread() is threading.main_thread()
        if not is_main or (current != signal.SIG_DFL and not callable(current)):
            logging.info(
                "SIGTERM is left alone: %s.",
                "the session, or the queue, is not made in the main thread"
                if not is_main
                else "it is ignored, or has a handler that is not Python's",
            )
            return
        if not self._is_listening:
            self._is_listening = signals.listen(
                signal.SIGTERM,
                lambda: self._news.put((_DESCRIPTOR, time.monotonic())),
                forget=_forget,
            )
        self._previous = current
        self._is_installed = True
        signal.signal(signal.SIGTERM, self._handle)

    def give_back(self) -> None:
        """Gives the handler back, where nobody has taken its place."""
        if (
            self._is_installed
            and threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGTERM) == self._handle
        ):
            self._is_installed = False
            signal.signal(signal.SIGTERM, self._previous)

    def _handle(self, signum: int, frame: Any) -> None:
        """Runs in the main thread."""
        self._has_handled = True
        if not self._is_own_signal:
            if not self._watches and self.timetable is None:
                self._pass_on(signum)
                return
            self._news.put((_HANDLER, time.monotonic()))
            if callable(self._previous):
                self._previous(signum, frame)
        if self.is_idle():
            # What the thread logs cannot be logged here.
            self._is_told.wait(_IDLE_SECS)
            self._wait_for_told()
            exit_now()

    def _wait_for_told(self) -> None:
        """Waits until those who were told have given back what they hold."""
        deadline = time.monotonic() + _HAND_OVER_SECS
        for teller in list(self._tellers):
            teller.join(max(0.0, deadline - time.monotonic()))

    def _pass_on(self, signum: int) -> None:
        """Does what would have been done: the last watch could not tell."""
        self._is_installed = False
        signal.signal(signum, self._previous)
        signal.raise_signal(signum)

    # Threads.

    def _run(self) -> None:
        while True:
            source, now = self._news.get()
            if source == _DESCRIPTOR and (
                self._is_own_signal
                or signal.getsignal(signal.SIGTERM) != self._handle
            ):
                # Somebody else has taken it meanwhile.
                continue
            if not self._watches and self.timetable is None:
                continue
            self.request("SIGTERM")
            if self._signals.is_second(source, now):
                self._end("a second SIGTERM")

    def _ask_forever(self, watch: Watch, settings: Preemption | None) -> None:
        notice = None if settings is None else settings.notice
        while notice is not None and not watch.closed.wait(_NOTICE_EVERY_SECS):
            try:
                is_told = bool(notice())
            except Exception as e:
                logging.warning_once("The notice of a preemption failed: %r", e)
                continue
            if is_told:
                self.request("Notice of a preemption")
                return

    def _end_in_time(self) -> None:
        if self.timetable is not None:
            time.sleep(max(0.0, self.timetable.end - time.monotonic()))
            self._end("the grace period is over")

    def _end_idle(self) -> None:
        """Ends a process that has nothing to do but to wait."""
        self._wait_for_told()
        if self._is_installed and not self._has_handled:
            # A notice, or the main thread is inside TensorFlow.
            self._is_own_signal = True
            main = threading.main_thread().ident
            if main is not None:
                signal.pthread_kill(main, signal.SIGTERM)
        time.sleep(_IDLE_SECS)
        if not self._has_handled and self.is_idle():
            self._end("there is nothing to save")

    def _end(self, why: str) -> None:
        logging.warning(
            "This process ends at once, with exit code %d: %s.",
            self.exit_code,
            why,
        )
        flusher = self._start(_flush, "flush")
        flusher.join(_FLUSH_SECS)
        os._exit(self.exit_code)

    def _start(self, target: Callable[[], None], name: str) -> threading.Thread:
        thread = threading.Thread(target=target, name=name, daemon=True)
        thread.start()
        return thread


_process = _Process()


def watch(
    settings: Preemption | None,
    on_preempted: Callable[[], None] = lambda: None,
    *,
    is_idle: Callable[[], bool] = lambda: False,
    name: str = "wq_hooks",
) -> Watch:
    """Watches, from now on, whether the process is told to go.

    SIGTERM is taken in the main thread, where it has Python's default; a
    handler of Python that is there is called as well. What is ignored, or
    handled outside of Python, stays so.

    Args:
      settings: What to do at SIGTERM; None: leave it alone.
      on_preempted: Is called once, in a thread of its own, when the process is
        told to go. It may wait.
      is_idle: Returns whether there is nothing to save, and nothing to give
        back but by `on_preempted`. Where all who watch say so, the main thread
        is left when they were told. Called from a signal handler, so it takes
        no lock.
      name: What the log calls it.

    Returns:
      The watch, to be closed.

    Raises:
      SystemExit: If the process was told to go before, in its main thread.
    """
    new = Watch(settings, on_preempted, is_idle, name)
    if settings is not None:
        if is_preempted():
            exit_now()
            _process.tell(new)
        _process.add(new)
    return new


def is_preempted() -> bool:
    """Whether the process was told to go."""
    return _process.timetable is not None


def is_idle() -> bool:
    """Whether nobody has anything to save before the process ends."""
    return _process.is_idle()


def request(reason: str) -> None:
    """Does what SIGTERM does, if anybody watches.

    Args:
      reason: What the log says of it.
    """
    _process.request(reason)


def exit_now() -> None:
    """Raises SystemExit in the main thread, if no other one is under way."""
    is_leaving = isinstance(sys.exc_info()[1], (SystemExit, KeyboardInterrupt))
    if threading.current_thread() is threading.main_thread() and not is_leaving:
        raise SystemExit(_process.exit_code)


def _forget() -> None:
    """In a child process: it has none of what its parent has to save."""
    global _process
    _process.give_back()
    _process = _Process()


def _tell(watch: Watch) -> None:
    try:
        watch.on_preempted()
    except Exception as e:
        logging.error("%s could not leave in order: %r", watch.name, e)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
