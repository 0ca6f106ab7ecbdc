"""Makespan: chief and 3 workers of which one is 4 times slower."""

from __future__ import annotations

import random
import statistics
from collections.abc import Mapping, Sequence

from benchmarks.jobs import Job, limit_secs, run_job
from benchmarks.results import Bar, Result, spread

_SLOW = 4.0
_SLOW_TASK = "worker:2"
_TASKS = ("chief:0", "worker:0", "worker:1", _SLOW_TASK)
_HOWS = {
    "queue": "work queue",
    "fifo": "FIFOQueue on the PS",
    "data_service": "tf.data service, dynamic",
    "static": "static split",
}


def run(*, quick: bool) -> Result:
    """Measures three loads under each way to hand out files."""
    num_runs = 1 if quick else 2
    num_files = 8 if quick else 64
    records = 10
    record_secs = 0.02 if quick else 0.04
    result = Result(
        "makespan",
        "Time to train all files against the limit (work divided by the sum "
        "of speeds), a chief and 3 workers, one of them 4 times slower.",
        ("files", "handed out by", "seconds", "of the limit", "min to max"),
    )
    equal = [f"file-{i}={records}" for i in range(num_files)]
    loads = {
        "equal": (equal, 0.0),
        "heavy tail": (_heavy_tail(num_files, records), 0.0),
        "slow half-way": (equal, num_files * records * record_secs / 8),
    }
    ratios: dict[tuple[str, str], float] = {}
    for load, (works, slow_after) in loads.items():
        jobs: dict[str, list[Job]] = {}
        for _ in range(num_runs):
            for how in _HOWS:
                jobs.setdefault(how, []).append(
                    run_job(
                        how,
                        works,
                        record_secs=record_secs,
                        slow={_SLOW_TASK: _SLOW},
                        turns_slow_after=slow_after,
                    )
                )
        for how, found in jobs.items():
            of_limit = [
                _of_limit(job, works, record_secs, slow_after) for job in found
            ]
            ratios[load, how] = statistics.median(of_limit)
            secs = statistics.median(job.makespan for job in found)
            result.rows.append(
                (load, _HOWS[how], secs, ratios[load, how], spread(of_limit))
            )
            lost = sum(_num_lost(job, works) for job in found)
            if lost:
                result.notes.append(f"{load}, {_HOWS[how]}: {lost} files lost")
    peers = [how for how in _HOWS if how != "queue"]
    result.bars = [
        Bar("equal files, of the limit", ratios["equal", "queue"], "<=", 1.05),
        Bar(
            "equal files, static split / work queue",
            ratios["equal", "static"] / ratios["equal", "queue"],
            ">=",
            3.0,
        ),
        *[
            Bar(
                f"{load}, work queue / best peer",
                ratios[load, "queue"] / min(ratios[load, how] for how in peers),
                "<=",
                1.0,
            )
            for load in loads
        ],
    ]
    result.notes.append(
        "A worker's time counts from its own first step, in the limit too. "
        "Where it turns slow half-way, the limit takes that into account."
    )
    return result


def _heavy_tail(num_files: int, records: int) -> list[str]:
    """Returns files of Pareto-distributed sizes, as many records in all."""
    generator = random.Random(1)
    sizes = [generator.paretovariate(1.2) for _ in range(num_files)]
    scale = num_files * records / sum(sizes)
    return [
        f"file-{i}={max(1, round(size * scale))}"
        for i, size in enumerate(sizes)
    ]


def _num_lost(job: Job, works: Sequence[str]) -> int:
    return len(set(works) - {step.item for step in job.steps})


def _of_limit(
    job: Job, works: Sequence[str], record_secs: float, slow_after: float
) -> float:
    num_records = sum(int(work.rpartition("=")[2]) for work in works)
    speeds = dict.fromkeys(_TASKS, 1 / record_secs)
    begins = {task: job.begins.get(task, 1e18) for task in _TASKS}
    start = min(begins.values())
    if not slow_after:
        speeds[_SLOW_TASK] /= _SLOW
        return job.makespan / limit_secs(begins, speeds, num_records)
    # A fast task until then, and a slow one from then on.
    turn = begins[_SLOW_TASK] + slow_after
    before = _trained(begins, speeds, turn)
    if before >= num_records:
        return job.makespan / limit_secs(begins, speeds, num_records)
    speeds[_SLOW_TASK] /= _SLOW
    rest = (num_records - before) / sum(speeds.values())
    return job.makespan / (turn + rest - start)


def _trained(
    begins: Mapping[str, float], speeds: Mapping[str, float], until: float
) -> float:
    return sum(
        speed * max(0.0, until - begins[task]) for task, speed in speeds.items()
    )
