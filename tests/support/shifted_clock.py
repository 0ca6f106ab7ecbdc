"""A wall clock of its own for each process; see tests/programs/clocked.py.

    environment = shifted_clock.environment(tmp_path)

A library that is loaded before all others (`shifted_clock.c`) adds to what the
C library says, as libfaketime does; a compiler makes it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_SOURCE = Path(__file__).with_suffix(".c")


def environment(directory):
    """Returns what is added to the environment of a process that sets it.

    Skips the test where there is no compiler.

    Args:
      directory: Where the library is kept.
    """
    compiler = shutil.which("cc") or shutil.which("gcc")
    if not sys.platform.startswith("linux") or compiler is None:
        pytest.skip("needs Linux and a C compiler, to shift the clock")
    library = Path(directory) / "shifted_clock.so"
    flags = ["-shared", "-fPIC", "-O1", "-ldl"]
    subprocess.run([compiler, _SOURCE, "-o", library, *flags], check=True)
    return {"LD_PRELOAD": os.fspath(library)}
