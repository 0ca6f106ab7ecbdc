"""Makespan: chief and 3 workers of which one is 4 times slower."""

from __future__ import annotations

import random
import statistics
import threading
from collections.abc import Mapping, Sequence
from concurrent import futures

from benchmarks.jobs import Job, Load, limit_secs, run_jobs
from benchmarks.results import Bar, Result, spread

_SLOW = 4.0
_SLOW_TASK = "worker:2"
_TASKS = ("chief:0", "worker:0", "worker:1", _SLOW_TASK)
_HOWS = {
    "queue": "work queue",
    "auto": 'work queue, num_slices="auto"',
    "fifo": "FIFOQueue on the PS",
    "data_service": "tf.data service, dynamic",
    "static": "static split",
}
_OURS = ("queue", "auto")
# What runs side by side: the tasks only sleep. Between two jobs they do not, so
# those of the longest jobs stand beside those whose bars are tightest; and what
# ends within a thousandth of each other takes turns in the same processes.
_SIDE_BY_SIDE = (("static", "data_service"), ("queue", "fifo"), ("auto",))
# What lies far behind has one run, so that all benchmarks together stay below
# ten minutes.
_NUM_RUNS = {"queue": 2, "auto": 2, "fifo": 2}
# In this order of the heavy tail, the first four files are equally long, so
# that it does not matter which task begins first; the slow task asks for no
# file within 0.6 s of when the longest one is due (played through with tasks
# that begin up to 0.06 s apart); and the static split does not give it to the
# slow task either. Otherwise it would be the toss of a coin whom that file
# falls to, and when, for all who hand out whole files.
_ORDER = 80538
_RECORDS = 10
_START_SECS = 60.0

# A load, and how its files are handed out.
_Key = tuple[str, str]


def run(*, quick: bool) -> Result:
    """Measures three loads under each way to hand out files."""
    num_files = 8 if quick else 64
    # A take costs what it costs, in seconds: the shorter a job, the more of its
    # time. So the load whose bar is tightest is the longest one.
    long, short = (0.015, 0.015) if quick else (0.05, 0.02)
    result = Result(
        "makespan",
        "Time to train all files against the limit (work divided by the sum "
        "of speeds), a chief and 3 workers, one of them 4 times slower.",
        (
            "files",
            "handed out by",
            "seconds",
            "of the limit",
            "min to max",
            "runs",
        ),
    )
    equal = [f"file-{i}={_RECORDS}" for i in range(num_files)]
    num_records = num_files * _RECORDS
    # Half-way of what four tasks do that are not slow.
    half_way = num_records * short / len(_TASKS) / 2
    loads = {
        "equal": (equal, long, 0.0),
        "heavy tail": (_heavy_tail(num_files), short, 0.0),
        "slow half-way": (equal, short, half_way),
    }
    num_runs = {how: 1 if quick else _NUM_RUNS.get(how, 1) for how in _HOWS}
    keys = [
        (load, how)
        for load in loads
        for number in range(max(num_runs.values()))
        for how in _HOWS
        if number < num_runs[how]
    ]
    # To start the processes takes longer than a quick run.
    groups = [tuple(_HOWS)] if quick else _SIDE_BY_SIDE
    jobs = _run_all(keys, loads, groups)
    ratios: dict[_Key, float] = {}
    for (load, how), found in jobs.items():
        works, record_secs, slow_after = loads[load]
        of_limit = [_of_limit(job, record_secs, slow_after) for job in found]
        ratios[load, how] = statistics.median(of_limit)
        secs = statistics.median(job.makespan for job in found)
        result.rows.append(
            (
                load,
                _HOWS[how],
                secs,
                ratios[load, how],
                spread(of_limit),
                len(found),
            )
        )
        lost = sum(_num_lost(job, works) for job in found)
        if lost:
            result.notes.append(f"{load}, {_HOWS[how]}: {lost} records lost")
    peers = [how for how in _HOWS if how not in _OURS]
    result.bars = [
        Bar("equal files, of the limit", ratios["equal", "queue"], "<=", 1.05),
        Bar("equal, auto, of the limit", ratios["equal", "auto"], "<=", 1.02),
        Bar(
            "heavy tail, auto, of the limit",
            ratios["heavy tail", "auto"],
            "<=",
            1.10,
        ),
        Bar(
            "equal files, static split / work queue",
            ratios["equal", "static"] / ratios["equal", "queue"],
            ">=",
            3.0,
        ),
        *[
            Bar(
                f"{load}, {_HOWS[how]} / best peer",
                ratios[load, how] / min(ratios[load, peer] for peer in peers),
                "<=",
                1.0,
            )
            for load in loads
            for how in _OURS
        ],
    ]
    result.notes.append(
        "A worker's time counts from its own first step, in the limit too. "
        "Where it turns slow half-way, the limit takes that into account. The "
        "static split, the tf.data service, the FIFOQueue and the work queue "
        "run side by side: all tasks only sleep. Whole files are handed out "
        "as they come; the order of the heavy tail is such that the longest "
        "one falls to a fast worker. Of equal files, whoever hands out whole "
        "ones as they come gives 19 or 20 to each fast worker. What the work "
        "queue then takes longer than the FIFOQueue is the first take of a "
        "session, and the last two or three, for which the chief is asked. "
        "TensorFlow prepares the first one once, in three times the time of a "
        "bare dequeue, which is one operation."
    )
    return result


def _run_all(
    keys: Sequence[_Key],
    loads: Mapping[str, tuple[Sequence[str], float, float]],
    side_by_side: Sequence[Sequence[str]],
) -> dict[_Key, list[Job]]:
    """Runs jobs: groups side by side, those of a group one after the other."""
    jobs: dict[_Key, list[Job]] = {key: [] for key in keys}
    groups = [[key for key in keys if key[1] in hows] for hows in side_by_side]
    with futures.ThreadPoolExecutor(len(groups)) as pool:
        runs = []
        for group in groups:
            is_up = threading.Event()
            run = pool.submit(
                run_jobs,
                [
                    Load(how, tuple(works), record_secs, slow_after)
                    for load, how in group
                    for works, record_secs, slow_after in [loads[load]]
                ],
                slow={_SLOW_TASK: _SLOW},
                is_up=is_up,
            )
            runs.append(run)
            # The processes of the others would take the cores from it.
            is_up.wait(_START_SECS)
        for group, run in zip(groups, runs):
            for key, job in zip(group, run.result()):
                jobs[key].append(job)
    return jobs


def _heavy_tail(num_files: int) -> list[str]:
    """Returns files of Pareto-distributed sizes, as many records in all."""
    generator = random.Random(1)
    sizes = [generator.paretovariate(1.2) for _ in range(num_files)]
    random.Random(_ORDER).shuffle(sizes)
    scale = num_files * _RECORDS / sum(sizes)
    return [
        f"file-{i}={max(1, round(size * scale))}"
        for i, size in enumerate(sizes)
    ]


def _num_lost(job: Job, works: Sequence[str]) -> int:
    expected = sum(int(work.rpartition("=")[2]) for work in works)
    return max(0, expected - job.num_records)


def _of_limit(job: Job, record_secs: float, slow_after: float) -> float:
    num_records = job.num_records
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
