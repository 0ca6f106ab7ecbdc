"""Take: what one item costs its consumer, as the works grow."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.results import Bar, Curve, Result
from wq_hooks.launcher.local_cluster import Cluster

_ROOT = Path(__file__).parents[1]
_PROGRAM = Path(__file__).parent / "programs" / "take.py"
_LIMIT_SECS = 240.0
_LABELS = {
    "bound": "empty step (one gRPC round trip)",
    "queue": "work queue, take()",
    "fifo": "bare FIFOQueue.dequeue",
    "monolith": "string variable, critical section",
}
# Filling a bare queue with more takes longer than all the rest.
_MOST_FOR_PEERS = 10**5


def run(*, quick: bool) -> Result:
    """Measures one and eight consumers on a parameter server."""
    sizes = (10**3, 10**4) if quick else (10**3, 10**4, 10**5, 10**6, 10**7)
    num_takes = 50 if quick else 300
    result = Result(
        "take",
        "One take from a parameter server in another process, over loopback "
        "gRPC.",
        (
            "works",
            "consumers",
            "what",
            "p50 ms",
            "p99 ms",
            "takes/s",
            "p50 of bare",
            "p50 of bound",
        ),
        curve_axes=("works", "milliseconds per take (p50)"),
    )
    medians: dict[str, dict[int, float]] = {}
    ratios = []
    of_bound = []
    for num_works in sizes:
        variants = [
            name
            for name in _LABELS
            if num_works <= _MOST_FOR_PEERS or name in ("bound", "queue")
        ]
        p50 = _add_rows(result, num_works, 1, variants, num_takes)
        for name, value in p50.items():
            medians.setdefault(name, {})[num_works] = value
        of_bound.append(p50["queue"] / p50["bound"])
        if "fifo" in p50:
            ratios.append(p50["queue"] / p50["fifo"])
    _add_rows(result, sizes[0], 8, list(_LABELS), num_takes)
    result.curves = [
        Curve(_LABELS[name], tuple(p50), tuple(p50.values()))
        for name, p50 in medians.items()
    ]
    result.bars = [
        Bar("p50 of bare, one consumer", float(np.median(ratios)), "<=", 1.2),
        Bar(
            "p50 of bound at the most works / at the fewest",
            of_bound[-1] / of_bound[0],
            "<=",
            1.1,
        ),
    ]
    result.notes += [
        "The empty step is what nothing that asks another process can pass; "
        "the sizes are run one after the other, so that how flat the cost is "
        "shows in the ratio to it. The bare dequeue keeps no lease and no "
        "account.",
        "A take() asks the parameter server within the reader's own step, and "
        "sends it nothing. The item comes to the worker, where a reader wants "
        "it; the bare dequeue is fetched from where it stands. The consumer "
        "measured is the chief's, which feeds the mailbox meanwhile.",
    ]
    return result


def _add_rows(
    result: Result,
    num_works: int,
    num_consumers: int,
    variants: Sequence[str],
    num_takes: int,
) -> dict[str, float]:
    times = _times(num_works, num_consumers, variants, num_takes)
    p50 = {
        name: float(np.median(times["seconds"][name])) * 1e3
        for name in variants
    }
    for name in variants:
        seconds = times["seconds"][name]
        result.rows.append(
            (
                num_works,
                num_consumers,
                _LABELS[name],
                p50[name],
                float(np.percentile(seconds, 99)) * 1e3,
                len(seconds) / times["walls"][name],
                p50[name] / p50["fifo"] if "fifo" in p50 else "-",
                p50[name] / p50["bound"],
            )
        )
    return p50


def _times(
    num_works: int,
    num_consumers: int,
    variants: Sequence[str],
    num_takes: int,
) -> Any:
    command = [
        sys.executable,
        os.fspath(_PROGRAM),
        f"--num_works={num_works}",
        f"--num_takes={num_takes}",
        f"--num_consumers={num_consumers}",
        "--variants",
        *variants,
    ]
    env = {"PYTHONPATH": os.fspath(_ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    with Cluster(command, num_ps=1, num_workers=0, env=env) as cluster:
        cluster.start("ps:0", "chief:0")
        match = cluster.wait_for_line("chief:0", r"^TIMES (.*)", _LIMIT_SECS)
        return json.loads(match.group(1))
