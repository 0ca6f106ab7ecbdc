"""A process without TensorFlow that watches for its preemption.

Its argument says what it does; the functions below are named by it. Each says
`ready` when SIGTERM may come.
"""

from __future__ import annotations

import asyncio
import atexit
import multiprocessing
import os
import signal
import sys
import threading
import time
from pathlib import Path

from wq_hooks import Preemption
from wq_hooks.runtime.threads import interrupt, preemption

LONG_SECS = 60.0


def say(text):
    # A handler may say something in the middle of another line.
    os.write(1, f"{text}\n".encode())


is_told = threading.Event()


def note():
    say("told")
    is_told.set()


def begin(on_preempted=note, **settings):
    is_idle = settings.pop("is_idle", lambda: False)
    atexit.register(say, "atexit")
    return preemption.watch(
        Preemption(**settings), on_preempted, is_idle=is_idle, name="test"
    )


def loop_until_preempted(watch):
    say("ready")
    try:
        while not watch.is_preempted:
            time.sleep(0.01)
        assert 0 < watch.secs_left() <= 25
        assert is_told.wait(LONG_SECS)
        watch.leave()
    finally:
        say("finally")
    say("not reached")


def leaves_in_order():
    loop_until_preempted(begin())


def has_an_exit_code():
    loop_until_preempted(begin(exit_code=75))


def chains_a_handler():
    signal.signal(signal.SIGTERM, lambda *_: say("handler"))
    loop_until_preempted(begin())


def is_told_by_a_notice():
    say("ready")
    path = Path(sys.argv[2])
    loop_until_preempted(begin(notice=path.exists))


def is_told_by_a_notice_while_idle():
    path = Path(sys.argv[2])
    begin(notice=path.exists, is_idle=lambda: True)
    try:
        say("ready")
        time.sleep(LONG_SECS)
    finally:
        say("finally")


def does_not_leave():
    """Until the grace period is over."""
    begin(grace_secs=2.0)
    sys.stdout.write("buffered\n")
    say("ready")
    while True:
        time.sleep(0.01)


def stops_for_a_second():
    begin()
    say("ready")
    while True:
        time.sleep(0.01)


def is_idle():
    begin(is_idle=lambda: True)
    try:
        say("ready")
        time.sleep(LONG_SECS)
    finally:
        say("finally")


def is_idle_outside_of_python():
    """As inside of TensorFlow: no handler runs."""
    begin(is_idle=lambda: True)
    # Other threads run on; the main thread comes to no bytecode.
    lock = threading.Lock()
    lock.acquire()
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    threading.Thread(target=_unblocked, daemon=True).start()
    lock.acquire()


def _unblocked():
    # Until the main thread is where no handler runs: asleep at many looks.
    num_asleep = 0
    while num_asleep < 20:
        stat = Path(f"/proc/self/task/{os.getpid()}/stat").read_text()
        is_asleep = stat.rpartition(")")[2].split()[0] == "S"
        num_asleep = num_asleep + 1 if is_asleep else 0
        time.sleep(0.01)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    say("ready")
    time.sleep(LONG_SECS)


def gives_back():
    watch, other = begin(), begin()
    assert signal.getsignal(signal.SIGTERM) != signal.SIG_DFL
    watch.close()
    watch.close()
    assert signal.getsignal(signal.SIGTERM) != signal.SIG_DFL
    other.leave()
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    say("ready")
    time.sleep(LONG_SECS)


def gives_back_in_another_thread():
    watch = begin()
    thread = threading.Thread(target=watch.close)
    thread.start()
    thread.join()
    say("ready")
    time.sleep(LONG_SECS)


def leaves_it_alone():
    preemption.watch(None)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    say("ready")
    time.sleep(LONG_SECS)


def leaves_an_ignored_one_alone():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    watch = begin()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.5)
    assert not watch.is_preempted
    say("ready")
    sys.exit(3)


def leaves_the_handler_of_a_later_one_alone():
    watch = begin()
    signal.signal(signal.SIGTERM, lambda *_: say("later"))
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.5)
    assert not watch.is_preempted
    say("ready")
    sys.exit(3)


def keeps_a_descriptor_that_was_there():
    async def main():
        asyncio.get_running_loop().add_signal_handler(
            signal.SIGUSR1, lambda: say("asyncio")
        )
        watch = begin()
        os.kill(os.getpid(), signal.SIGUSR1)
        await asyncio.sleep(0.5)
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, loop_in_thread, watch)
        watch.leave()

    asyncio.run(main())


def loop_in_thread(watch):
    say("ready")
    while not watch.is_preempted:
        time.sleep(0.01)
    assert is_told.wait(LONG_SECS)


def has_children():
    """A child that is terminated ends, and its parent goes on."""
    interrupt.watch()
    watch = begin()
    child = multiprocessing.get_context("fork").Process(
        target=time.sleep, args=(LONG_SECS,)
    )
    child.start()
    child.terminate()
    child.join(20)
    assert child.exitcode == -signal.SIGTERM, child.exitcode
    time.sleep(0.5)
    assert not watch.is_preempted
    loop_until_preempted(watch)


if __name__ == "__main__":
    globals()[sys.argv[1]]()
