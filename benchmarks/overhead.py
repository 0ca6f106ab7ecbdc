"""Overhead: records per second from the queue, against a plain file list."""

from __future__ import annotations

import collections
import os
import statistics
import tempfile

from benchmarks.measuring import figures_of
from benchmarks.results import Bar, Result, spread
from model_zoo.wide_and_deep.generate import generate

_ROWS_PER_MEGABYTE = 4_000
_BARS = {"queue, ack=next": 0.98, "queue, records()": 0.90}

# Of each pipeline: records per second, and CPU seconds of a record.
_Rates = dict[str, list[tuple[float, float]]]


def run(*, quick: bool) -> Result:
    """Measures the input pipeline alone, then with the train step."""
    num_files = 2 if quick else 12
    # Processes, rounds of each, and how long each pipeline runs in each round.
    # Where in memory one has come to lie makes it faster or slower by a
    # twentieth, for as long as its process lives: hence several.
    plans = {
        "input alone": (1, 2, 0.1) if quick else (1, 10, 0.4),
        "train": (1, 2, 0.1) if quick else (3, 8, 0.6),
    }
    result = Result(
        "overhead",
        "Records per second through the Wide & Deep input pipeline (lines, "
        "shuffle(20000), batch(512), decode_csv), from files of 1 MB, in a "
        "MonitoredTrainingSession.",
        (
            "what",
            "files from",
            "records/s",
            "min to max",
            "of plain",
            "CPU, of plain",
        ),
    )
    with tempfile.TemporaryDirectory() as directory:
        generate(
            directory,
            num_files=num_files,
            rows_per_file=2_000 if quick else _ROWS_PER_MEGABYTE,
            eval_rows=10,
        )
        for what, (num_processes, num_rounds, secs) in plans.items():
            rates: _Rates = collections.defaultdict(list)
            for _ in range(num_processes):
                found = figures_of(
                    "overhead",
                    files=os.path.join(directory, "train", "*"),
                    what=what,
                    num_rounds=num_rounds,
                    secs=secs,
                    # A session prepares each of its steps when it is run for
                    # the first time, which is nothing in a job of hours.
                    warm_up_secs=0.1 if quick else 1.5,
                )
                for name, some in found.items():
                    rates[name] += some
            _add(result, what, rates)
    result.notes.append(
        "All pipelines live in one session and feed the same train step in "
        "turn, for half a second; each turn is held to the turn of the plain "
        "list in the same round. Chief, worker and queue share the two cores "
        "with the train step, where a cluster has a machine for each."
    )
    return result


def _add(result: Result, what: str, rates: _Rates) -> None:
    plain = rates["plain"]
    for name, found in rates.items():
        of_plain, cpu_of_plain = (
            statistics.median(rate[k] / of[k] for rate, of in zip(found, plain))
            for k in range(2)
        )
        per_sec = [rate[0] for rate in found]
        result.rows.append(
            (
                what,
                name,
                statistics.median(per_sec),
                spread(per_sec),
                of_plain,
                cpu_of_plain,
            )
        )
        if name in _BARS:
            text = f"{what}, {name}, of plain"
            result.bars.append(Bar(text, of_plain, ">=", _BARS[name]))
