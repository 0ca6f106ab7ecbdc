"""A job of tests/chaos/program.py, and what happens to it.

    job = Job(schedule_of(7), directory)
    job.run()
    job.happened, job.leaving

It does not import TensorFlow, so that a job starts with all cores free.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from tests.chaos import disk, network
from tests.chaos import schedule as schedules
from tests.support.environment import environment
from wq_hooks.launcher.local_cluster import Cluster

PROGRAM = Path(__file__).parent / "program.py"
# What a job leaves in its directory.
MODEL = "model"
JOURNAL = "journal"
# A job without faults takes a tenth of that.
DEADLINE_SECS = 180.0
# What a process ends with that was told to go.
PREEMPTED = 143


@dataclass(frozen=True)
class Happened:
    """A fault that did happen.

    Attributes:
      fault: The fault.
      secs: When, by the monotonic clock; of a process that was told to go:
        when it had gone.
      until: When the task was started or connected again.
      others: The workers that lived on.
    """

    fault: schedules.Fault
    secs: float
    until: float
    others: tuple[str, ...]


@dataclass(frozen=True)
class Left:
    """A process that has ended by itself, or because it was told to.

    Attributes:
      task: Its name.
      secs: How long that took, from the end of its last step, or from SIGTERM.
      returncode: See Cluster.
      was_told: Whether it got SIGTERM.
      has_server: Whether its parameter server was there until then.
    """

    task: str
    secs: float
    returncode: int
    was_told: bool
    has_server: bool = True


class Job:
    """One job.

    Args:
      schedule: What happens.
      directory: An empty one.
      step_secs: How long each step takes at least.

    Attributes:
      happened: Each Happened.
      left: Each Left.
      signs: Of each task, when it made a step or ended.
      skipped: Why faults did not happen that this machine does not let us make.
      records: {work: numbers of its records}.
    """

    def __init__(self, schedule, directory, step_secs=0.02):
        self.happened = []
        self.left = []
        self.signs = {}
        self.skipped = []
        self._schedule = schedule
        self._directory = Path(directory)
        self._changed = threading.Condition()
        self._num_steps = 0
        self._killed = set()
        self._crashed = []
        # Of each task whose last step has ended, or that was told to go.
        self._leaving_since = {}
        self._told = set()
        # Of the tasks with a session.
        self._in_session = set()
        self._is_disk_full = False
        self._network = None
        self._disk = None
        self.records = self._write_works()
        self._gate = self._directory / "gate"
        arguments = {
            "directory": self._directory / MODEL,
            "journal": self._directory / JOURNAL,
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
            elif line.text == "START":
                self._in_session.add(line.task)
            elif line.text == "LEAVING":
                self._leaving_since.setdefault(line.task, time.monotonic())
                if line.task not in self._told:
                    # Behind its session SIGTERM is the program's own affair.
                    self._in_session.discard(line.task)

    def _see_end(self, task, returncode):
        with self._changed:
            self._see_sign(task)
            since = self._leaving_since.pop(task, None)
            was_told = task in self._told
            self._told.discard(task)
            if since is not None and returncode != -signal.SIGKILL:
                secs = time.monotonic() - since
                has_server = task == "ps:0" or self._cluster.is_running("ps:0")
                self.left.append(
                    Left(task, secs, returncode, was_told, has_server)
                )
            expected = {0, -signal.SIGKILL, -signal.SIGTERM}
            if was_told and self._schedule.has_hook and task != "ps:0":
                expected.add(PREEMPTED)
                if task in self._in_session:
                    expected.discard(-signal.SIGTERM)
            if self._is_disk_full and task == "chief:0":
                expected.add(1)
            self._in_session.discard(task)
            if returncode not in expected:
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
        (self._directory / MODEL).mkdir()
        with contextlib.ExitStack() as stack:
            self._disk, self._network = (
                self._entered(stack, kind, thing)
                for kind, thing in (
                    (schedules.DISK_FULL, disk.Disk(self._directory / MODEL)),
                    (schedules.LINK_CUT, network.Network(cluster.tasks)),
                )
            )
            stack.enter_context(cluster)
            self._start_all()
            self._gate.touch()
            for fault in self._schedule.faults:
                if self._wait_for_step(fault.at_step, deadline):
                    self._apply(fault)
            for task in cluster.job_tasks:
                cluster.wait(task, max(0.0, deadline - time.monotonic()))
        if self._crashed:
            raise RuntimeError(", ".join(self._crashed))

    def _entered(self, stack, kind, thing):
        """Returns what a kind of fault needs, None if it is not to be had."""
        if not self._schedule.has(kind):
            return None
        try:
            return stack.enter_context(thing)
        except OSError as e:
            self.skipped.append(f"no {kind} here: {e}")
            return None

    def _start(self, *tasks):
        for task in tasks:
            self._cluster.start(task, env=self._environment(task))

    def _environment(self, task):
        if self._network is None:
            return {}
        added = self._cluster.environment(task)
        config = json.loads(added["TF_CONFIG"])
        for job, addresses in config["cluster"].items():
            for index, address in enumerate(addresses):
                port = address.rpartition(":")[2]
                addresses[index] = self._network.address(f"{job}:{index}", port)
        return {
            "TF_CONFIG": json.dumps(config),
            **self._network.environment(task),
        }

    def _start_all(self):
        cluster = self._cluster
        workers = [w for w in schedules.WORKERS if w not in self._killed]
        self._start("ps:0", "chief:0", *workers)
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
            schedules.CHIEF_PREEMPTED: "chief:0",
            schedules.DISK_FULL: "chief:0",
            schedules.PS_RESTARTED: "ps:0",
            schedules.PS_PREEMPTED: "ps:0",
        }.get(fault.kind, fault.task)
        if task and not cluster.is_running(task):
            return
        with self._changed:
            # Nobody would make the model again for a worker that comes then.
            if "chief:0" in self._leaving_since:
                return
        others = tuple(
            t
            for t in cluster.job_tasks
            if t != task and cluster.is_running(t) and t != "chief:0"
        )
        secs = _METHODS.get(fault.kind, Job._restart)(self, fault, task)
        if secs is not None:
            happened = Happened(fault, secs, time.monotonic(), others)
            self.happened.append(happened)

    # Each returns when it happened; None: it did not.

    def _restart(self, fault, task):
        self._cluster.kill(task)
        return self._go_on(fault, task)

    def _preempt(self, fault, task):
        self._tell(task)
        return self._go_on(fault, task)

    def _go_on(self, fault, task):
        secs = time.monotonic()
        self._cluster.wait(task, DEADLINE_SECS)
        if fault.kind == schedules.CHIEF_PREEMPTED:
            secs = time.monotonic()
        if fault.kind == schedules.WORKER_KILLED:
            self._killed.add(task)
        else:
            self._start(task)
        return secs

    def _restart_all(self, fault, task):
        del task
        running = [
            t for t in self._cluster.tasks if self._cluster.is_running(t)
        ]
        if fault.kind == schedules.ALL_PREEMPTED:
            for each in running:
                self._tell(each)
        else:
            self._cluster.kill_all()
        for each in running:
            self._cluster.wait(each, DEADLINE_SECS)
        secs = time.monotonic()
        self._start_all()
        return secs

    def _tell(self, task):
        with self._changed:
            self._leaving_since.setdefault(task, time.monotonic())
            self._told.add(task)
        self._cluster.kill(task, signal.SIGTERM)

    def _stop(self, fault, task):
        secs = time.monotonic()
        self._cluster.kill(task, signal.SIGSTOP)
        self._pause(fault)
        self._cluster.kill(task, signal.SIGCONT)
        return secs

    def _cut(self, fault, task):
        if self._network is None:
            return None
        secs = time.monotonic()
        self._network.cut(task)
        self._pause(fault)
        self._network.mend(task)
        return secs

    def _pause(self, fault):
        with self._changed:
            self._changed.wait_for(lambda: False, fault.pause_secs)

    def _fill_disk(self, fault, task):
        del fault
        if self._disk is None:
            return None
        with self._changed:
            self._is_disk_full = True
        self._disk.fill()
        with self._changed:
            enough = self._num_steps + 3 * self._schedule.save_steps
            self._changed.wait_for(
                lambda: (
                    self._num_steps >= enough
                    or not self._cluster.is_running(task)
                ),
                DEADLINE_SECS,
            )
        secs = time.monotonic()
        self._disk.free()
        # One that has met the full disk may be about to end.
        with self._changed:
            is_leaving = task in self._leaving_since
        if is_leaving:
            self._cluster.wait(task, DEADLINE_SECS)
        if not self._cluster.is_running(task):
            if self._cluster.returncode(task) != 0:
                self._start(task)
            secs = min(secs, self.signs[task][-1])
        with self._changed:
            self._is_disk_full = False
        return secs


_METHODS = {
    schedules.WORKER_STOPPED: Job._stop,
    schedules.LINK_CUT: Job._cut,
    schedules.DISK_FULL: Job._fill_disk,
    schedules.ALL_RESTARTED: Job._restart_all,
    schedules.ALL_PREEMPTED: Job._restart_all,
    schedules.WORKER_PREEMPTED: Job._preempt,
    schedules.CHIEF_PREEMPTED: Job._preempt,
    schedules.PS_PREEMPTED: Job._preempt,
}
