"""Runs benchmarks, prints their tables, writes JSON and plots.

python -m benchmarks
python -m benchmarks makespan --output_dir=/tmp/figures
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

from benchmarks.results import Result

# In the order in which they are run.
NAMES = (
    "ledger",
    "take",
    "dispatch",
    "overhead",
    "prefetch",
    "makespan",
    "recovery",
    "scale",
)
_ROOT = Path(__file__).parents[1]
# Of one benchmark; a hang guard.
_LIMIT_SECS = 600


def main(argv: list[str] | None = None) -> int:
    """Runs what was asked for; returns 1 if something could not be run."""
    args = _parser().parse_args(argv)
    if args.inside:
        (name,) = args.names
        module = importlib.import_module(f"benchmarks.{name}")
        module.run(quick=args.quick).save(Path(args.inside))
        return 0
    output = Path(args.output_dir)
    output.mkdir(parents=True, exist_ok=True)
    results, failed = [], []
    for name in args.names or NAMES:
        result = _run(name, output / f"{name}.json", args.quick)
        if result is None:
            failed.append(name)
        else:
            print(result.to_text(), flush=True)
            results.append(result)
    (output / "performance.md").write_text(_page(results, args.quick))
    _plot(results, output / "growth.png")
    for name in failed:
        print(f"{name}: could not be run; see above.", file=sys.stderr)
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=(
            "Runs the work queue and what people would use instead, side by "
            "side, and prints ratios."
        ),
    )
    parser.add_argument(
        "names",
        nargs="*",
        metavar="name",
        help=f"which ones, of {', '.join(NAMES)}; all without",
    )
    parser.add_argument(
        "--output_dir",
        default="benchmark_results",
        help="for JSON, plots and a page (default: %(default)s)",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="tiny runs, whose figures mean nothing: does it run at all?",
    )
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    return parser


def _run(name: str, path: Path, quick: bool) -> Result | None:
    """Runs a benchmark in a process of its own, so that none disturbs it."""
    if name not in NAMES:
        print(
            f"Expected one of {', '.join(NAMES)}; got {name}.", file=sys.stderr
        )
        return None
    print(f"# {name} ...", file=sys.stderr, flush=True)
    command = [sys.executable, "-m", "benchmarks", name, f"--inside={path}"]
    begin = time.monotonic()
    try:
        subprocess.run(
            command + ["--quick"] * quick,
            cwd=_ROOT,
            env={
                "TF_CPP_MIN_LOG_LEVEL": "3",
                "CUDA_VISIBLE_DEVICES": "",
                **os.environ,
            },
            check=True,
            timeout=_LIMIT_SECS,
        )
    except subprocess.SubprocessError as e:
        print(e, file=sys.stderr)
        return None
    print(f"# {time.monotonic() - begin:.0f} s", file=sys.stderr)
    return Result.load(path)


def _page(results: list[Result], quick: bool) -> str:
    versions = ", ".join(
        f"{package} {metadata.version(package)}"
        for package in ("tensorflow", "numpy")
    )
    lines = [
        "# Performance",
        "",
        "Made by `python -m benchmarks`. Everything within a table was run "
        "side by side; ratios are medians.",
        "",
        f"Python {platform.python_version()}, {versions}, {os.cpu_count()} "
        f"cores ({platform.machine()}).",
        "",
    ]
    if quick:
        lines += ["A quick run: the figures mean nothing.", ""]
    return "\n".join(lines) + "\n".join(r.to_text() for r in results)


def _plot(results: list[Result], path: Path) -> None:
    grown = [result for result in results if result.curves]
    if not grown:
        return
    try:
        from benchmarks.plots import plot_growth
    except ImportError as e:
        print(f"No plot: {e}. pip install matplotlib", file=sys.stderr)
        return
    plot_growth(grown, path)


if __name__ == "__main__":
    sys.exit(main())
