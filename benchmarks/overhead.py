"""Overhead: records per second from the queue, against a plain file list."""

from __future__ import annotations

import collections
import glob
import json
import os
import statistics
import tempfile

from benchmarks.measuring import figures_of
from benchmarks.results import Bar, Result, spread, standard_error
from model_zoo.wide_and_deep.generate import generate

_ROWS_PER_MEGABYTE = 4_000
_BARS = {
    "input alone": {"queue, ack=next": 0.98, "queue, records()": 0.95},
    "train": {"queue, ack=next": 0.98, "queue, records()": 0.98},
}

# Of each pipeline: records per second, and CPU seconds of a record.
_Rates = dict[str, list[tuple[float, float]]]


def run(*, quick: bool) -> Result:
    """Measures the input pipeline alone, then with the train step."""
    num_files, num_names = (2, 2) if quick else (12, 10)
    # Rounds in each of several processes. Where in memory a pipeline has come
    # to lie makes it faster or slower by a twentieth, as long as its process
    # lives. So none is always the first to be built.
    num_processes = 1 if quick else 3
    num_rounds = {"input alone": 2, "train": 2}
    if not quick:
        num_rounds = {"input alone": 6, "train": 16}
    # The speed of a shared machine wanders, by a tenth from one second to the
    # next: many short turns are nearer to each other than a few long ones.
    secs = 0.1 if quick else 0.3
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
            "standard error",
            "CPU, of plain",
        ),
    )
    rates: dict[str, _Rates] = collections.defaultdict(
        lambda: collections.defaultdict(list)
    )
    with tempfile.TemporaryDirectory() as directory:
        generate(
            directory,
            num_files=num_files,
            rows_per_file=2_000 if quick else _ROWS_PER_MEGABYTE,
            eval_rows=10,
        )
        files = os.path.join(directory, "train", "*")
        # As many as a job has, without writing them.
        for path in glob.glob(files):
            for number in range(1, num_names):
                os.link(path, f"{path}-{number}")
        for number in range(num_processes):
            found = figures_of(
                "overhead",
                files=files,
                num_rounds=json.dumps(num_rounds),
                secs=secs,
                # A session prepares each of its steps when it is run for the
                # first time, which is nothing in a job of hours.
                warm_up_secs=0.1 if quick else 1.0,
                seed=number,
            )
            for what, by_name in found.items():
                for name, some in by_name.items():
                    rates[what][name] += some
    for what, by_name in rates.items():
        _add(result, what, by_name)
    result.notes.append(
        f"A list of {num_files * num_names} files, {num_files} of them under "
        f"{num_names} names. All pipelines live in one session and feed the "
        "same train step in turn, for a third of a second; each turn is held "
        "to the turn of the plain list in the same round. Chief, worker and "
        "queue share the two cores with the train step, where a cluster has a "
        "machine for each. The standard error is that of the median, of plain. "
        "Plain is the list as people write it, with AUTOTUNE. The "
        "queue's pipelines have tf.data's tuning off, and call in parallel as "
        "often as there are cores; so does a second plain list."
    )
    return result


def _add(result: Result, what: str, rates: _Rates) -> None:
    plain = rates["plain"]
    for name, found in rates.items():
        ratios, cpu_ratios = (
            [rate[k] / of[k] for rate, of in zip(found, plain)]
            for k in range(2)
        )
        per_sec = [rate[0] for rate in found]
        of_plain = statistics.median(ratios)
        result.rows.append(
            (
                what,
                name,
                statistics.median(per_sec),
                spread(per_sec),
                of_plain,
                standard_error(ratios),
                statistics.median(cpu_ratios),
            )
        )
        if name in _BARS[what]:
            text = f"{what}, {name}, of plain"
            result.bars.append(Bar(text, of_plain, ">=", _BARS[what][name]))
