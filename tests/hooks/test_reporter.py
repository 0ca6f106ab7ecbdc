from __future__ import annotations

import threading

from wq_hooks.hooks.reporter import Reporter

HANG_SECS = 60


def test_reports_of_itself_after_a_silence():
    reports = threading.Semaphore(0)
    reporter = Reporter(reports.release, every_secs=0.01, is_live=lambda: True)
    reporter.start()
    for _ in range(3):
        assert reports.acquire(timeout=HANG_SECS)
    reporter.stop()


def test_reports_when_it_is_told_to():
    reports = []
    reporter = Reporter(
        lambda: reports.append(1), every_secs=1e6, is_live=lambda: True
    )
    reporter.start()
    reporter.report()
    reporter.stop()
    assert reports == [1]


def test_ends_when_there_is_nothing_to_report():
    asked = threading.Event()

    def is_live():
        asked.set()
        return False

    before = set(threading.enumerate())
    reporter = Reporter(lambda: None, every_secs=0.01, is_live=is_live)
    reporter.start()
    assert asked.wait(HANG_SECS)
    for thread in set(threading.enumerate()) - before:
        if thread.name == "work-queue-reporter":
            thread.join(HANG_SECS)
            assert not thread.is_alive()
