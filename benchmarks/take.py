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
    # One process differs from the next by a tenth, with the same works. So the
    # least and the most, which are compared, are measured in several each.
    ends = (sizes[0], sizes[-1])
    in_turn = [*sizes, *ends] if quick else [*sizes, *ends, *ends]
    times = [
        _times(num_works, 1, _variants(num_works), num_takes)
        for num_works in in_turn
    ]
    for num_works in sizes:
        found = [t for t, size in zip(times, in_turn) if size == num_works]
        p50 = _add_rows(result, num_works, 1, found)
        for name, value in p50.items():
            medians.setdefault(name, {})[num_works] = value
        of_bound.append(p50["queue"] / p50["bound"])
        if "fifo" in p50:
            ratios.append(p50["queue"] / p50["fifo"])
    times_of_eight = _times(sizes[0], 8, list(_LABELS), num_takes)
    _add_rows(result, sizes[0], 8, [times_of_eight])
    result.curves = [
        Curve(_LABELS[name], tuple(p50), tuple(p50.values()))
        for name, p50 in medians.items()
    ]
    result.bars = [
        Bar("p50 of bare, one consumer", float(np.median(ratios)), "<=", 2.0),
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
        "A take() asks a step of its worker that lies ready, takes the item "
        "from the parameter server and answers. The bare dequeue is fetched "
        "from where it stands. The consumer measured is the chief's, which "
        "feeds the mailbox meanwhile.",
    ]
    return result


def _variants(num_works: int) -> list[str]:
    return [
        name
        for name in _LABELS
        if num_works <= _MOST_FOR_PEERS or name in ("bound", "queue")
    ]


def _add_rows(
    result: Result,
    num_works: int,
    num_consumers: int,
    times: Sequence[dict[str, Any]],
) -> dict[str, float]:
    """Adds what processes have measured; returns the median of each variant."""
    seconds = {
        name: np.concatenate([t["seconds"][name] for t in times])
        for name in times[0]["seconds"]
    }
    p50 = {name: float(np.median(s)) * 1e3 for name, s in seconds.items()}
    for name in seconds:
        wall = sum(t["walls"][name] for t in times)
        result.rows.append(
            (
                num_works,
                num_consumers,
                _LABELS[name],
                p50[name],
                float(np.percentile(seconds[name], 99)) * 1e3,
                len(seconds[name]) / wall,
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
) -> dict[str, Any]:
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
        times: dict[str, Any] = json.loads(match.group(1))
        return times
