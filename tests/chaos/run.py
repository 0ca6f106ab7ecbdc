"""Runs jobs by a seeded schedule of faults, and accounts for every record.

    python -m tests.chaos.run --seeds 0-99

One line for each run; the exit code is 1 if a record was lost, if more were
repeated than was in flight, or if a job did not end.

The bound of the repeats is that of the contract, "what was in flight", made
exact. A fault may repeat the records of

* worker killed, restarted, stopped: the items that it held;
* chief restarted: the items in flight at the checkpoint that it restores, and
  the items that the other workers, which live on, hold at the time;
* parameter server or all restarted: the items in flight at the checkpoint.

An item is in flight from when it is taken to when its last record is trained,
so what shuffle buffers hold is part of it.

What no schedule asks for may happen on a machine that is short of time: the
chief's session breaks down and is restored, or a worker is not heard of for
longer than its lease. That costs as much as the fault that it looks like; each
run says how often it happened ("unplanned"). The files of a run that is not
good can be kept (`--keep`), to see what it was.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from tests.chaos import schedule as schedules
from tests.chaos.schedule import schedule_of
from tests.support import forked
from tests.support.environment import environment
from wq_hooks.launcher.local_cluster import Cluster

PROGRAM = Path(__file__).parent / "program.py"
# A job without faults takes a tenth of that.
DEADLINE_SECS = 180.0


@dataclass(frozen=True)
class Happened:
    """A fault that did happen, at that time."""

    fault: schedules.Fault
    secs: float
    until: float
    others: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """What became of a run.

    Attributes:
      seed: Seed of its schedule.
      kinds: The faults that happened.
      num_records: Number of records of the data.
      lost: Number of records that were not trained.
      untrained: Number of records that some checkpoint counts as completed and
        has not trained.
      num_checkpoints: Number of checkpoints looked at.
      repeated: How many records were trained more often than asked for.
      bound: How many may have been.
      num_unplanned: How often something happened that no schedule asked for.
      recovery_secs: Seconds from each fault until the work went on.
      secs: Seconds of the whole run.
      error: Why it failed, or "".
    """

    seed: int
    kinds: tuple[str, ...]
    num_records: int = 0
    lost: int = 0
    untrained: int = 0
    num_checkpoints: int = 0
    repeated: int = 0
    bound: int = 0
    num_unplanned: int = 0
    recovery_secs: tuple[float, ...] = ()
    secs: float = 0.0
    error: str = ""

    @property
    def is_good(self):
        return (
            not self.error
            and not self.lost
            and not self.untrained
            and self.repeated <= self.bound
        )

    def __str__(self):
        faults = ", ".join(self.kinds) or "no fault"
        if self.error:
            return f"seed {self.seed} ({faults}) FAILED: {self.error}"
        recovery = ", ".join(f"{secs:.1f}" for secs in self.recovery_secs)
        return (
            f"seed {self.seed} ({faults}) "
            f"records {self.num_records} lost {self.lost} "
            f"repeated {self.repeated} (bound {self.bound}) "
            f"recovery {recovery or '-'} s; {self.num_checkpoints} checkpoints "
            f"skip {self.untrained}; {self.num_unplanned} unplanned; "
            f"{self.secs:.0f} s in all" + ("" if self.is_good else " FAILED")
        )


class Run:
    """One job.

    Args:
      schedule: What happens.
      directory: An empty one.
      step_secs: How long each step takes at least.
    """

    def __init__(self, schedule, directory, step_secs=0.02):
        self.happened = []
        # Of each task, when it made a step or ended.
        self.signs = {}
        self._schedule = schedule
        self._directory = Path(directory)
        self._changed = threading.Condition()
        self._num_steps = 0
        self._killed = set()
        self._crashed = []
        self._is_fault = False
        self.records = self._write_works()
        self._gate = self._directory / "gate"
        arguments = {
            "directory": self._directory,
            "gate": self._gate,
            "num_records": len(schedule),
            "num_epochs": schedule.num_epochs,
            "shuffle": schedule.shuffle,
            "batch": schedule.batch,
            "cycle_length": schedule.cycle_length,
            "save_steps": schedule.save_steps,
            "lease_secs": schedule.lease_secs,
            "seed": schedule.seed,
            "hook": int(schedule.has_hook),
            "step_secs": step_secs,
        }
        self._cluster = Cluster(
            [
                sys.executable,
                os.fspath(PROGRAM),
                *[f"--{key}={value}" for key, value in arguments.items()],
                *self.records,
            ],
            num_ps=1,
            num_workers=len(schedules.WORKERS),
            env=environment(),
            on_line=self._see_line,
            on_end=self._see_end,
        )

    def _write_works(self):
        """Returns {work: numbers of its records}."""
        first = 0
        records = {}
        for index, number in enumerate(self._schedule.num_records):
            path = self._directory / f"part-{index:03d}.txt"
            numbers = list(range(first, first + number))
            path.write_text("".join(f"{i:07d}\n" for i in numbers))
            records[os.fspath(path)] = numbers
            first += number
        return records

    # What the tasks say.

    def _see_line(self, line):
        with self._changed:
            if line.text.startswith("STEP "):
                self._num_steps += 1
                self._see_sign(line.task)
                self._changed.notify_all()

    def _see_end(self, task, returncode):
        with self._changed:
            self._see_sign(task)
            if returncode not in (0, -signal.SIGKILL, -signal.SIGTERM):
                self._crashed.append(f"{task} ended with {returncode}")
            self._changed.notify_all()

    def _see_sign(self, task):
        self.signs.setdefault(task, []).append(time.monotonic())

    def returncode(self, task):
        """Returns how a task has ended; see Cluster."""
        return self._cluster.returncode(task)

    def log(self):
        """Returns the last lines of all tasks."""
        return "\n".join(
            f"  {task}: {text}"
            for task in self._cluster.tasks
            for text in self._cluster.lines(task)[-15:]
            if not text.startswith("STEP")
        )

    # What happens to them.

    def run(self):
        """Runs the job to its end.

        Raises:
          TimeoutError: If it does not end.
          RuntimeError: If a task has ended with an error.
        """
        deadline = time.monotonic() + DEADLINE_SECS
        cluster = self._cluster
        with cluster:
            self._start_all()
            self._gate.touch()
            for fault in self._schedule.faults:
                if self._wait_for_step(fault.at_step, deadline):
                    self._apply(fault)
            for task in cluster.job_tasks:
                cluster.wait(task, max(0.0, deadline - time.monotonic()))
        if self._crashed:
            raise RuntimeError(", ".join(self._crashed))

    def _start_all(self):
        cluster = self._cluster
        workers = [w for w in schedules.WORKERS if w not in self._killed]
        cluster.start("ps:0", "chief:0")
        cluster.start(*workers)
        if not self._gate.exists():
            for task in ("chief:0", *workers):
                cluster.wait_for_line(task, "^START", DEADLINE_SECS)

    def _wait_for_step(self, at_step, deadline):
        """Returns False if the job has ended before."""
        with self._changed:
            self._changed.wait_for(
                lambda: (
                    self._num_steps >= at_step
                    or not self._cluster.is_running("chief:0")
                ),
                max(0.0, deadline - time.monotonic()),
            )
        return self._cluster.is_running("chief:0")

    def _apply(self, fault):
        cluster = self._cluster
        task = {
            schedules.CHIEF_RESTARTED: "chief:0",
            schedules.PS_RESTARTED: "ps:0",
        }.get(fault.kind, fault.task)
        if task and not cluster.is_running(task):
            return
        secs = time.monotonic()
        others = tuple(
            t
            for t in cluster.job_tasks
            if t != task and cluster.is_running(t) and t != "chief:0"
        )
        if fault.kind == schedules.WORKER_STOPPED:
            cluster.kill(task, signal.SIGSTOP)
            with self._changed:
                self._changed.wait_for(lambda: False, fault.pause_secs)
            cluster.kill(task, signal.SIGCONT)
        elif fault.kind == schedules.ALL_RESTARTED:
            cluster.kill_all()
            for each in cluster.tasks:
                cluster.wait(each, DEADLINE_SECS)
            secs = time.monotonic()
            self._start_all()
        else:
            cluster.kill(task)
            cluster.wait(task, DEADLINE_SECS)
            if fault.kind == schedules.WORKER_KILLED:
                self._killed.add(task)
            else:
                cluster.start(task)
        happened = Happened(fault, secs, time.monotonic(), others)
        self.happened.append(happened)


def outcome_of(seed, *, keep=None):
    """Runs the schedule of a seed.

    Args:
      seed: The seed.
      keep: A directory in which to keep what a job that is not good leaves
        behind; None: nowhere.

    Returns:
      The Outcome.
    """
    with tempfile.TemporaryDirectory() as directory:
        outcome = outcome_of_schedule(schedule_of(seed), directory)
        if keep and not outcome.is_good:
            target = Path(keep) / f"seed-{seed}"
            shutil.copytree(directory, target, dirs_exist_ok=True)
        return outcome


def outcome_of_schedule(schedule, directory):
    """Runs a schedule.

    Args:
      schedule: The Schedule.
      directory: An empty one, for data and checkpoints.

    Returns:
      The Outcome.
    """
    begin = time.monotonic()
    run = Run(schedule, directory)
    try:
        run.run()
    except (TimeoutError, RuntimeError) as e:
        kinds = tuple(fault.kind for fault in schedule.faults)
        text = f"{str(e).splitlines()[0]}\n{run.log()}"
        return Outcome(schedule.seed, kinds, error=text)
    fields = account_for(run, schedule, directory)
    return Outcome(**fields, secs=time.monotonic() - begin)


def account_for(run, schedule, directory):
    """Returns the fields of an Outcome."""
    # TensorFlow is imported late, so that a job starts with both cores free.
    from tests.chaos.account import Account

    account = Account(
        directory,
        run.records,
        num_epochs=schedule.num_epochs,
        seed=schedule.seed,
    )
    last = account.last_checkpoint()
    lost, repeated = account.lost_and_repeated(last)
    bound, recovery_secs = 0, []
    for happened in run.happened:
        size, secs = _cost_of(happened, account, run.signs)
        bound += size
        recovery_secs.append(secs)
    unplanned = unplanned_repeats(run.happened, account, schedule.lease_secs)
    bound += sum(unplanned)
    checkpoints = account.checkpoints()
    return {
        "seed": schedule.seed,
        "kinds": tuple(h.fault.kind for h in run.happened),
        "num_records": len(schedule) * schedule.num_epochs,
        "lost": lost,
        "untrained": sum(map(account.untrained, checkpoints)),
        "num_checkpoints": len(checkpoints),
        "repeated": repeated,
        "bound": bound,
        "num_unplanned": len(unplanned),
        "recovery_secs": tuple(recovery_secs),
    }


def _cost_of(happened, account, signs):
    """Returns how many records a fault may repeat, and secs to recovery."""
    fault, secs = happened.fault, happened.secs
    if fault.task:
        is_stopped = fault.kind == schedules.WORKER_STOPPED
        # What a dead worker took is repeated as a whole, whenever the chief
        # has heard of it; one that was stopped takes more later.
        until = happened.until if is_stopped else float("inf")
        held = account.held(fault.task, secs, until)
        size = account.size(map(account.work_of, held))
        return size, account.leased_again(held, secs) - secs
    restored = _restored_after(secs, account)
    size, back = 0, secs
    if restored is not None:
        size += account.size(restored.in_flight)
        back = restored.secs
    concerned = ["chief:0"]
    if fault.kind == schedules.CHIEF_RESTARTED:
        held = account.held_beyond(secs, happened.others)
        size += account.size(map(account.work_of, held))
    else:
        concerned += happened.others
    first = [
        min((s for s in signs[task] if s > back), default=back)
        for task in concerned
    ]
    return size, max(first) - secs


def _restored_after(secs, account):
    return min(
        (r for r in account.restored if r.secs > secs),
        key=lambda r: r.secs,
        default=None,
    )


def unplanned_repeats(happened, account, lease_secs):
    """Returns how many records may be repeated by each thing unasked for."""
    sizes = []
    planned = [
        _restored_after(h.secs, account) for h in happened if not h.fault.task
    ]
    for restored in account.restored:
        if restored not in planned:
            # The workers live on, as when the chief alone is restarted.
            held = account.held_beyond(restored.secs, schedules.WORKERS)
            works = [*restored.in_flight, *map(account.work_of, held)]
            sizes.append(account.size(works))
    stops = [h for h in happened if h.fault.kind == schedules.WORKER_STOPPED]
    for task, since, until in account.silences(lease_secs):
        if not any(
            stop.fault.task == task and stop.secs < until and since < stop.until
            for stop in stops
        ):
            held = account.held(task, since, until)
            sizes.append(account.size(map(account.work_of, held)))
    return sizes


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="0-99", help="such as 7 or 0-99")
    parser.add_argument(
        "--keep", help="a directory for the files of runs that fail"
    )
    args = parser.parse_args()
    first, _, last = args.seeds.partition("-")
    outcomes = []
    with forked.clusters():
        for seed in range(int(first), int(last or first) + 1):
            outcomes.append(outcome_of(seed, keep=args.keep))
            print(outcomes[-1], flush=True)
    num_good = sum(outcome.is_good for outcome in outcomes)
    print(f"{num_good} of {len(outcomes)} runs are good.")
    return 0 if num_good == len(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
