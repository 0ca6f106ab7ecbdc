"""Recovery: kill -9 of one of three workers at a random moment."""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence
from concurrent import futures

from benchmarks.jobs import Job, Load, run_jobs
from benchmarks.results import Bar, Result, spread

_LEASE_SECS = 5.0
_LABELS = {
    "queue": "work queue",
    "data_service": "tf.data service, dynamic",
    "fifo": "FIFOQueue on the PS",
}


def run(*, quick: bool) -> Result:
    """Kills, and counts what is lost, repeated and how long it takes."""
    num_runs = 1 if quick else 2
    num_files = 12 if quick else 60
    record_secs = 0.02
    works = tuple(f"file-{i}=10" for i in range(num_files))
    generator = random.Random(1)
    result = Result(
        "recovery",
        "kill -9 of one of a chief and 3 workers, leases of "
        f"{_LEASE_SECS:.0f} s.",
        (
            "handed out by",
            "files lost",
            "files repeated",
            "s until trained again",
            "jobs that ended",
        ),
    )

    def run_job(how: str) -> Job:
        """Runs a job of which one worker is killed at a random moment."""
        part = generator.uniform(0.2, 0.7)
        (job,) = run_jobs(
            [Load(how, works, record_secs, lease_secs=_LEASE_SECS)],
            kill_after=part * num_files * 10 * record_secs / 4,
        )
        return job

    # So that all benchmarks together stay below ten minutes. Two at a time:
    # what is measured is seconds that everybody sleeps or waits for a lease.
    with futures.ThreadPoolExecutor(2) as pool:
        runs = {
            how: [
                pool.submit(run_job, how)
                for _ in range(num_runs if how == "queue" else 1)
            ]
            for how in _LABELS
        }
    lost: dict[str, int] = {}
    for how, label in _LABELS.items():
        jobs = [run.result() for run in runs[how]]
        lost[how] = sum(len(_lost(job, works)) for job in jobs)
        again = [secs for job in jobs for secs in _secs_to_train_again(job)]
        result.rows.append(
            (
                label,
                lost[how],
                sum(
                    len(job.steps) - len({s.item for s in job.steps})
                    for job in jobs
                ),
                f"{statistics.median(again):.1f} ({spread(again)})"
                if again
                else "-",
                f"{sum(job.has_ended for job in jobs)} of {len(jobs)}",
            )
        )
    result.bars.append(Bar("files lost, work queue", lost["queue"], "<=", 0))
    result.notes.append(
        f"Jobs of {num_files} files each. A file is trained again "
        "when its lease has expired, or when the same worker comes back, "
        "which it does not do here."
    )
    return result


def _lost(job: Job, works: Sequence[str]) -> set[str]:
    return set(works) - {step.item for step in job.steps}


def _secs_to_train_again(job: Job) -> list[float]:
    """Returns how long after the kill the files that were held came back.

    The files of the dead worker are those that the others began out of order:
    the queue hands out in order, so a file that is begun after later ones, and
    after the kill, was handed back.
    """
    found = []
    greatest = -1
    for step in sorted(job.steps, key=lambda step: step.begin):
        number = int(step.item.partition("=")[0].rpartition("-")[2])
        if number < greatest - 8 and step.begin > job.killed_at:
            found.append(step.end - job.killed_at)
        greatest = max(greatest, number)
    return found
