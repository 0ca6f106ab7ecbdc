from __future__ import annotations

import io
import sys

import pytest

from tests.core.monitoring.test_progress import A, make_ledger, take, train
from wq_hooks.core.monitoring.progress import ProgressMeter
from wq_hooks.hooks import progress_bar


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


def use_terminal(monkeypatch):
    # In the test itself: pytest sets the stream before each phase.
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    return terminal


def test_shows_how_far_the_queue_is(monkeypatch):
    terminal = use_terminal(monkeypatch)
    pytest.importorskip("tqdm")
    ledger, meter = make_ledger("abcd"), ProgressMeter()
    bar = progress_bar.new_bar("train")
    bar.update(meter.measure(ledger, 0.0))
    train(ledger, A, 2, now=5.0)
    take(ledger, A, 1, now=5.0)
    bar.update(meter.measure(ledger, 10.0))
    bar.close()
    bar.close()
    shown = terminal.getvalue()
    assert "train:  50%|" in shown
    assert "2/4, 1 in flight, 0.4 items/s" in shown
    assert shown.endswith("\n")


def test_without_end(monkeypatch):
    terminal = use_terminal(monkeypatch)
    pytest.importorskip("tqdm")
    ledger = make_ledger(num_epochs=None)
    train(ledger, A, 7)
    bar = progress_bar.new_bar("train")
    bar.update(ProgressMeter().measure(ledger, 0.0))
    bar.close()
    assert "train: 7 items, 0 in flight" in terminal.getvalue()


def test_no_terminal_no_bar(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert progress_bar.new_bar("train") is None


def test_no_tqdm_no_bar(monkeypatch):
    use_terminal(monkeypatch)
    monkeypatch.setitem(sys.modules, "tqdm", None)
    assert progress_bar.new_bar("train") is None
