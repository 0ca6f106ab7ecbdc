"""The package asks the wall clock for what is shown, and for nothing else."""

from __future__ import annotations

import re

from tests.support.paths import ROOT

# Each shows or writes a time, and decides nothing.
SHOWN = {
    "cli/status.py",
    "core/chief/board_writer.py",
    "core/chief/chief.py",
    "core/monitoring/view.py",
    "runtime/saving/ledger_factory.py",
    "tensorboard_plugin/demo.py",
    "tensorboard_plugin/plugin.py",
    "tensorboard_plugin/verdict.py",
}
_ASKS = re.compile(
    r"\btime\.(time|time_ns|localtime|gmtime|ctime)\b|\bdatetime\.\w*now\b"
    r"|\btf\.timestamp\b|SecondOrStepTimer\(|\buuid1\b|from time import"
)


def test_the_wall_clock_is_shown_and_decides_nothing():
    package = ROOT / "wq_hooks"
    asking = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if _ASKS.search(path.read_text())
    }
    assert asking - SHOWN == set()
    # The list is no longer than it has to be.
    assert asking == SHOWN
