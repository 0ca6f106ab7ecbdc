from __future__ import annotations

import pytest

from wq_hooks import __version__
from wq_hooks.core.protocol import format as protocol_format
from wq_hooks.core.protocol.format import format_text, other_format


def test_our_own_format():
    assert format_text().endswith(f" {__version__}")
    assert other_format(format_text()) is None


def test_another_format(monkeypatch):
    text = format_text()
    monkeypatch.setattr(protocol_format, "FORMAT", 7)
    assert other_format(text) == f"format 1, that of wq-hooks {__version__}"


@pytest.mark.parametrize("text", ["", "2", "x 1.0", "2 a b", "2 \x00", "-1 2"])
def test_rubbish_is_no_format(text):
    assert other_format(text) is None
