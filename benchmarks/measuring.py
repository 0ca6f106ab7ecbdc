"""Runs a program of `programs/` in a process of its own, and reads its figures.

figures = figures_of("scale", how="queue", num_items=1000)
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[1]
_LIMIT_SECS = 300.0
_FIGURES = "FIGURES "


def print_figures(figures: Any) -> None:
    """Prints what a program has measured, as JSON, for `figures_of`."""
    print(f"{_FIGURES}{json.dumps(figures)}", flush=True)


def figures_of(
    program: str, *, env: Mapping[str, str] | None = None, **flags: Any
) -> Any:
    """Returns what a program prints by `print_figures`.

    Args:
      program: Name of the module in `programs/`.
      env: What it finds in its environment beside that of this process.
      **flags: Flags of its command line.

    Raises:
      subprocess.SubprocessError: If it fails, or takes longer than 300 s.
    """
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            f"benchmarks.programs.{program}",
            *(f"--{name}={value}" for name, value in flags.items()),
        ],
        cwd=_ROOT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **(env or {})},
        stdout=subprocess.PIPE,
        check=True,
        timeout=_LIMIT_SECS,
        text=True,
    )
    (line,) = (
        line for line in done.stdout.splitlines() if line.startswith(_FIGURES)
    )
    return json.loads(line[len(_FIGURES) :])
