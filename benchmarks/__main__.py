"""Runs benchmarks, prints their tables, writes JSON and plots.

python -m benchmarks
python -m benchmarks makespan --output_dir=/tmp/figures
python -m benchmarks --report=docs/performance.md
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

from benchmarks.machine import Machine
from benchmarks.report import page_of
from benchmarks.results import Result

# In the order in which they are run.
NAMES = (
    "ledger",
    "take",
    "dispatch",
    "overhead",
    "prefetch",
    "slices",
    "makespan",
    "recovery",
    "scale",
    "memory",
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
        machine = Machine(0.1 if args.quick else 1.0)
        begin = time.monotonic()
        result = module.run(quick=args.quick)
        result.where = _where(machine, args.quick)
        result.secs = time.monotonic() - begin
        result.save(Path(args.inside))
        sys.stdout.flush()
        # Sessions that are left open would be waited for.
        os._exit(0)
    output = Path(args.output_dir)
    output.mkdir(parents=True, exist_ok=True)
    failed = []
    for name in args.names or NAMES:
        result = _run(name, output / f"{name}.json", args.quick)
        if result is None:
            failed.append(name)
        else:
            print(result.to_text(), flush=True)
    # Also what earlier runs have left there, so that one can be run again.
    results = [
        Result.load(path)
        for path in (output / f"{name}.json" for name in NAMES)
        if path.exists()
    ]
    page = Path(args.report) if args.report else output / "performance.md"
    plot = page.with_name(f"{page.stem}-growth.png")
    page.write_text(page_of(results, _plot(results, plot), failed))
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
        "--report",
        help="write the page here, its plot beside it, not to --output_dir",
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


def _where(machine: Machine, quick: bool) -> str:
    """Returns machine, versions, and what else ran."""
    versions = ", ".join(
        f"{package} {metadata.version(package)}"
        for package in ("tensorflow", "numpy")
    )
    text = (
        f"Run on {time.strftime('%Y-%m-%d')} with Python "
        f"{platform.python_version()}, {versions} on {os.cpu_count()} cores "
        f"({platform.machine()}){machine.described()}."
    )
    return text + " A quick run: the figures mean nothing." * quick


def _plot(results: list[Result], path: Path) -> str | None:
    """Returns the name of the plot; None: there is none."""
    grown = [result for result in results if result.curves]
    if not grown:
        return None
    try:
        from benchmarks.plots import plot_growth
    except ImportError as e:
        print(f"No plot: {e}. pip install matplotlib", file=sys.stderr)
        return None
    plot_growth(grown, path)
    return path.name


if __name__ == "__main__":
    sys.exit(main())
