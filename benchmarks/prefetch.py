"""Prefetch: how long a train step waits for its batch."""

from __future__ import annotations

import json
import os
import statistics
import sys
from pathlib import Path
from typing import Any

from benchmarks.results import Bar, Result, spread, standard_error
from wq_hooks.launcher.local_cluster import Cluster

_ROOT = Path(__file__).parents[1]
_PROGRAM = Path(__file__).parent / "programs" / "prefetch.py"
_LIMIT_SECS = 180.0
_LABELS = {
    "plain": "plain",
    "queue": "queue",
    "records": "queue, records()",
}
_ROWS_PER_MEGABYTE = 4_000


def run(*, quick: bool) -> Result:
    """Measures files of 1 MB and of 100 KB."""
    # Of each size: megabytes, and how often it is the turn of each pipeline.
    sizes = {"1 MB": (1.0, 66), "100 KB": (0.1, 8)}
    result = Result(
        "prefetch",
        "How long a step of Wide & Deep (512 rows) waits for its batch, from "
        "lines, batch, decode_csv, prefetch(2). The queue is on a parameter "
        "server.",
        (
            "files",
            "files from",
            "ms waited per step",
            "of the step, %",
            "min to max",
            "more than plain, %",
            "standard error",
        ),
    )
    for size, (megabytes, num_chunks) in sizes.items():
        rows = int(_ROWS_PER_MEGABYTE * megabytes * (0.1 if quick else 1))
        stalls = _stalls(rows, 8, 1 if quick else num_chunks)
        plain = [100 * waited / secs for waited, secs in stalls["plain"]]
        for name, label in _LABELS.items():
            shares = [100 * waited / secs for waited, secs in stalls[name]]
            differences = [share - base for share, base in zip(shares, plain)]
            more = statistics.median(differences)
            waits = [1e3 * waited for waited, _ in stalls[name]]
            result.rows.append(
                (
                    size,
                    label,
                    statistics.median(waits),
                    statistics.median(shares),
                    spread(shares),
                    more,
                    standard_error(differences),
                )
            )
            if name != "plain" and size == "1 MB":
                result.bars.append(
                    Bar(f"{size}, {label}, % of the step", more, "<=", 1)
                )
    result.notes.append(
        "A step waits at least as long as it takes to be told that the batch "
        "is there, which is all that the plain list waits; hence the "
        "difference to it. The records stay in order here, which costs "
        "records() less than behind a shuffle; for that see overhead."
    )
    return result


def _stalls(rows_per_file: int, num_files: int, num_chunks: int) -> Any:
    command = [
        sys.executable,
        os.fspath(_PROGRAM),
        f"--rows_per_file={rows_per_file}",
        f"--num_files={num_files}",
        f"--num_chunks={num_chunks}",
    ]
    env = {"PYTHONPATH": os.fspath(_ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    with Cluster(command, num_ps=1, num_workers=0, env=env) as cluster:
        cluster.start("ps:0", "chief:0")
        match = cluster.wait_for_line("chief:0", r"^STALLS (.*)", _LIMIT_SECS)
        return json.loads(match.group(1))
