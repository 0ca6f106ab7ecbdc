"""Dispatch: a thousand consumers at one parameter server and one chief."""

from __future__ import annotations

import itertools
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.results import Bar, Result, spread
from wq_hooks.launcher.local_cluster import Cluster

_ROOT = Path(__file__).parents[1]
_PROGRAM = Path(__file__).parent / "programs" / "dispatch.py"
_LIMIT_SECS = 180.0
_START_SECS = 2.0
_LABELS = {"queue": "work queue", "fifo": "bare FIFOQueue"}
_NUM_BARE = 300_000
# So many consumers of a process take at a time.
_NUM_THREADS = 64
# The longest of a thousand waits is as often the machine's as the queue's.
_NUM_RUNS = {"queue": 3, "fifo": 2}


class _Run(NamedTuple):
    """What happened in a phase.

    Attributes:
      secs: Seconds of the takes of each consumer.
      chief_cores: How many it has used.
      num_refused: How many takes were made twice, since TensorFlow has taken
        the first for a repetition.
    """

    secs: list[list[float]]
    chief_cores: float
    num_refused: int


def run(*, quick: bool) -> Result:
    """Measures a leisurely load, then one as great as it will be."""
    num_processes, each = (2, 10) if quick else (2, 500)
    num_consumers = num_processes * each
    every = 1.0 if quick else 10.0
    loads = {
        f"a take per {every:.0f} s": (every, every),
        "as fast as they can": (0.0, 0.3 * every),
    }
    result = Result(
        "dispatch",
        f"{num_consumers:,} simulated consumers in {num_processes} processes "
        "at one parameter server, each a task of its own for the chief.",
        (
            "load",
            "what",
            "takes/s",
            "p50 ms",
            "p99 ms",
            "longest ms",
            "longest of p50",
            "min to max",
            "takes of a consumer",
            "chief's cores",
            "runs",
        ),
    )
    cases = list(itertools.product(loads, _LABELS))
    in_turn = [
        (load, what)
        for number in range(1 if quick else max(_NUM_RUNS.values()))
        for load, what in cases
        if number < _NUM_RUNS[what]
    ]
    phases = [(what, *loads[load]) for load, what in in_turn]
    found = _measure(phases, num_processes, each)
    longest, cores = {}, {}
    for load, what in cases:
        runs = [
            run for run, case in zip(found, in_turn) if case == (load, what)
        ]
        waits = [np.concatenate(run.secs) * 1e3 for run in runs]
        p50s = [float(np.median(ms)) for ms in waits]
        maxima = [float(ms.max()) for ms in waits]
        of_p50 = [most / p50 for most, p50 in zip(maxima, p50s)]
        longest[load, what] = statistics.median(of_p50)
        cores[load, what] = statistics.median(run.chief_cores for run in runs)
        numbers = [len(secs) for run in runs for secs in run.secs]
        result.rows.append(
            (
                load,
                _LABELS[what],
                statistics.median(map(len, waits)) / loads[load][1],
                statistics.median(p50s),
                statistics.median(float(np.percentile(ms, 99)) for ms in waits),
                statistics.median(maxima),
                longest[load, what],
                spread(of_p50),
                f"{min(numbers)} to {max(numbers)}, "
                f"median {statistics.median(numbers):.0f}",
                cores[load, what],
                len(runs),
            )
        )
    slow, fast = loads
    result.bars = [
        Bar(f"{load}, longest wait of median", longest[load, "queue"], "<=", 3)
        for load in loads
    ]
    result.bars.append(
        Bar(f"{slow}, chief's cores", cores[slow, "queue"], "<=", 0.2)
    )
    result.notes.append(
        "Medians of several runs of each, in turn. A wait begins when a "
        "consumer wants to take. "
        f"In {fast!r} all {num_consumers:,} want to at the same time, so that "
        "a take lasts as long as those of all others together. Those of a "
        f"process take in this order, {_NUM_THREADS} at a time. They share "
        "this machine with server and chief. What they make each other wait "
        "is in the longest wait of the bare queue too. "
        "The longest wait of p50, of that of the bare queue, is "
        + " and ".join(
            f"{longest[load, 'queue'] / longest[load, 'fifo']:.2f} ({load})"
            for load in loads
        )
        + ". In all, "
        f"{sum(run.num_refused for run in found)} takes were made twice, since "
        "TensorFlow's server has taken the first for a repetition."
    )
    return result


def _measure(
    phases: list[tuple[str, float, float]], num_processes: int, each: int
) -> list[_Run]:
    """Returns what happened in each phase."""
    with tempfile.TemporaryDirectory() as directory:
        gate = Path(directory, "gate")
        command = [
            sys.executable,
            os.fspath(_PROGRAM),
            f"--gate={gate}",
            f"--phases={json.dumps(phases)}",
            f"--num_consumers={each}",
            f"--num_threads={_NUM_THREADS}",
            f"--num_bare={_NUM_BARE}",
        ]
        env = {"PYTHONPATH": os.fspath(_ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
        workers = [f"worker:{i}" for i in range(num_processes)]
        with Cluster(
            command, num_ps=1, num_workers=num_processes, env=env
        ) as cluster:
            cluster.start("ps:0", "chief:0")
            cluster.wait_for_line("chief:0", "^START", _LIMIT_SECS)
            cluster.start(*workers)
            for task in workers:
                cluster.wait_for_line(task, "^START", _LIMIT_SECS)
            # Whole or not at all: the others read it as soon as it is there,
            # and start their threads.
            written = gate.with_suffix(".new")
            written.write_text(str(time.time() + _START_SECS))
            written.replace(gate)
            for task in [*workers, "chief:0"]:
                cluster.wait_for_line(task, "^DONE", _LIMIT_SECS)
            cores = _printed(cluster, "chief:0", "CPU")
            by_worker = [_printed(cluster, w, "PHASE") for w in workers]
    found = []
    for number in range(len(phases)):
        rows = [phases[number] for phases in by_worker]
        found.append(
            _Run(
                [secs for row in rows for secs in row["secs"]],
                float(cores[number]["cores"]),
                sum(row["refused"] for row in rows),
            )
        )
    return found


def _printed(cluster: Cluster, task: str, word: str) -> list[Any]:
    lines = cluster.lines(task, "stdout")
    return [
        json.loads(line.partition(" ")[2])
        for line in lines
        if line.startswith(f"{word} ")
    ]
