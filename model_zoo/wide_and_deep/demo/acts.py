"""The acts of the demo: data, work queue, static split, kill, resume.

has_passed = Demo("demo_run", FULL).run()
"""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any, Callable

from model_zoo.wide_and_deep import criteo, generate
from model_zoo.wide_and_deep.demo import account, tables
from model_zoo.wide_and_deep.demo.account import TaskAccount, TrainedBatch
from model_zoo.wide_and_deep.demo.console import ProgressLine
from model_zoo.wide_and_deep.demo.job import Job, JobFailedError
from model_zoo.wide_and_deep.demo.progress import (
    Tracker,
    read_json,
    read_queue,
)

SLOW = {"worker:1": 4.0}
NUM_WORKERS = 2
TRAINERS = ("train_estimator", "train_monitored_session")

_TITLE = "{:17}"

# Run by the Python that trains; importing TensorFlow here would cost time.
_PROBE = (
    "import tensorflow as tf; "
    "print('TF', tf.__version__, int(hasattr(tf, 'estimator')))"
)


@dataclasses.dataclass(frozen=True)
class Scale:
    """How large the demo is.

    Attributes:
      num_files: Items.
      rows_per_file: Records of each.
      eval_rows: Records of the AUC.
      batch_size: Records of a step.
      step_secs: What a step takes at least.
      save_secs: How often to save.
      min_reached: The part of the way from chance to the optimal AUC that has
        to be reached; None: any.
      timeout_secs: What one job may take.
    """

    num_files: int
    rows_per_file: int
    eval_rows: int
    batch_size: int
    step_secs: float
    save_secs: int
    min_reached: float | None
    timeout_secs: float


FULL = Scale(48, 2000, 10_000, 128, 0.05, 4, 0.85, 300.0)
QUICK = Scale(24, 256, 500, 32, 0.03, 1, None, 120.0)


class DemoError(Exception):
    """The demo cannot go on."""


class Demo:
    """Runs the acts, each of which says what it does and what came of it.

    Args:
      output_dir: An empty directory.
      scale: How large it is.
      trainer: One of TRAINERS; None: the first that TensorFlow allows.
    """

    def __init__(
        self, output_dir: str, scale: Scale, trainer: str | None = None
    ) -> None:
        self._dir = output_dir
        self._scale = scale
        self._trainer = trainer
        self._tasks = ["chief:0", *(f"worker:{i}" for i in range(NUM_WORKERS))]
        self._rows_of_files: dict[str, int] = {}

    @property
    def queue_dir(self) -> str:
        """Where the job that trains from the queue writes."""
        return self._path("queue")

    @property
    def log_dir(self) -> str:
        """Where the output of all tasks is."""
        return self._path("logs")

    def run(self) -> bool:
        """Runs all acts; returns whether all checks hold.

        Raises:
          DemoError: If TensorFlow is missing.
          JobFailedError: If a job fails.
        """
        print(
            "Wide & Deep on 1 PS, the chief and 2 workers; "
            "worker:1 is 4x slower.",
            flush=True,
        )
        self._make_data()
        queue_levels = self._train("2/5 work queue", "queue").levels()
        self._train_static()
        queue, static = map(self._run_account, ("queue", "static"))
        resume_text, resume_checks = self._kill_and_resume()
        result, resumed = map(self._result, ("queue", "killed"))

        print("\n" + tables.shares(queue, static, SLOW) + "\n")
        print(f"  Time   {tables.times(queue, static)}")
        print(f"  Level  {tables.levels(queue_levels)}")
        print(f"  AUC    {tables.auc(result)}\n")
        print(resume_text + "\n")
        print(f"  AUC    {tables.auc(resumed)}\n")
        checks = [
            *tables.run_checks(queue, static, SLOW),
            *resume_checks,
            *tables.auc_checks([result, resumed], self._scale.min_reached),
        ]
        print(*checks, sep="\n", flush=True)
        return all(check.holds for check in checks)

    def _make_data(self) -> None:
        scale, start = self._scale, time.monotonic()
        data = self._path("data")
        with ProgressLine(sys.stdout) as line:
            line.update("1/5 data")
            probe = subprocess.Popen(
                [sys.executable, "-c", _PROBE],
                env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            try:
                signal = generate.generate(
                    data,
                    num_files=scale.num_files,
                    rows_per_file=scale.rows_per_file,
                    eval_rows=scale.eval_rows,
                )
                reason = self._choose_trainer(*probe.communicate(timeout=120))
            finally:
                probe.kill()
                probe.communicate()
            line.finish(
                f"{_TITLE.format('1/5 data')}  {scale.num_files} files of "
                f"{scale.rows_per_file} records, optimal AUC "
                f"{signal['optimal_auc']:.4f}; "
                f"{time.monotonic() - start:.0f} s\n{reason}"
            )
        files = criteo.find_files(data, "train")
        self._rows_of_files = dict.fromkeys(files, scale.rows_per_file)

    def _choose_trainer(self, stdout: str, stderr: str) -> str:
        """Chooses by what TensorFlow is installed; returns why."""
        words = stdout.split()
        if words[:1] != ["TF"]:
            raise DemoError(
                f"TensorFlow cannot be imported by {sys.executable}; 'make "
                f"demo' installs it.\n{stderr.strip()}"
            )
        has_estimator = words[2] == "1"
        what = "    TensorFlow {} on Python {}.{}".format(
            words[1], *sys.version_info
        )
        if self._trainer is not None:
            return f"{what}; trainer: {self._trainer}, as asked for"
        self._trainer = TRAINERS[0 if has_estimator else 1]
        if has_estimator:
            return f"{what} has tf.estimator; trainer: {self._trainer}"
        return (
            f"{what} has no tf.estimator (2.15 was the last);\n"
            f"    trainer: {self._trainer}"
        )

    def _train_static(self) -> None:
        # Its chief would evaluate before the slow worker has ended. And when
        # all is trained there is nothing to wait for: a TensorFlow session may
        # take half a minute to close when the chief has left before.
        self._train(
            "3/5 static split",
            "static",
            "--noworkqueue",
            "--noeval",
            is_enough=lambda batches: (
                account.num_finished(batches, self._rows_of_files)
                == len(self._rows_of_files)
            ),
        )

    def _train(
        self,
        title: str,
        name: str,
        *flags: str,
        log_name: str | None = None,
        is_enough: Callable[[list[TrainedBatch]], bool] = lambda _: False,
        what_if_killed: str = "",
    ) -> Tracker:
        """Runs a job to its end, or kills it.

        Args:
          title: What to say that it is.
          name: Name of its checkpoint directory.
          *flags: Flags of the trainer, beside the usual ones.
          log_name: Name of its log directory, if not the same.
          is_enough: Whether to kill it, given what it has trained.
          what_if_killed: What to say of that; if there is something to say,
            the job has to be killed.
        """
        start = time.monotonic()
        log_dir = os.path.join(self.log_dir, log_name or name)
        job = self._job(self._path(name), log_dir, flags)
        tracker = Tracker(
            self._path(name),
            self._tasks,
            self._rows_of_files,
            num_processes=job.num_processes,
        )
        title = _TITLE.format(title)

        def watch() -> bool:
            batches = tracker.poll()
            secs = f"{time.monotonic() - start:.0f} s"
            line.update(f"{title}  {tracker.describe()}  {secs}")
            return is_enough(batches)

        with ProgressLine(sys.stdout) as line:
            was_killed = job.run(watch, timeout_secs=self._scale.timeout_secs)
            if what_if_killed and not was_killed:
                raise JobFailedError(
                    "The job has ended before it could be killed half-way."
                )
            done = TaskAccount.of(tracker.poll())
            line.finish(
                f"{title}  {done.items} items, {done.records} records in "
                f"{done.secs:.1f} s of {time.monotonic() - start:.0f} s"
                f"{what_if_killed}"
            )
        return tracker

    def _kill_and_resume(self) -> tuple[str, list[tables.Check]]:
        name = "killed"
        checkpoint = self._path(name)
        before = self._train(
            "4/5 kill half-way",
            name,
            "--noeval",
            is_enough=lambda batches: self._is_half_way(
                batches, account.checkpoint_at(checkpoint)
            ),
            what_if_killed=f"; SIGKILL to all {len(self._tasks) + 1}",
        ).poll()
        checkpoint_at = account.checkpoint_at(checkpoint)
        after = self._train("5/5 resume", name, log_name="resumed").poll()
        counts = account.ResumeAccount.of(
            before,
            after,
            checkpoint_at=checkpoint_at,
            rows_of_files=self._rows_of_files,
        )
        state = read_queue(checkpoint)
        if state is None:
            raise JobFailedError(f"Expected queue.json in {checkpoint}.")
        return (
            tables.resume(counts, before[-1].at - checkpoint_at),
            tables.resume_checks(
                counts,
                completed_at_start=state["completed_at_start"],
                num_trainers=len(self._tasks),
            ),
        )

    def _is_half_way(
        self, batches: list[TrainedBatch], checkpoint_at: float
    ) -> bool:
        """Whether half is done, of which some, but not all, is saved."""
        rows = self._rows_of_files
        saved = [batch for batch in batches if batch.at <= checkpoint_at]
        num_done = account.num_finished(batches, rows)
        num_saved = account.num_finished(saved, rows)
        return 2 * num_done >= len(rows) and 0 < num_saved < num_done

    def _job(self, checkpoint: str, log_dir: str, flags: Sequence[str]) -> Job:
        scale = self._scale
        return Job(
            [
                *(sys.executable, "-m"),
                f"model_zoo.wide_and_deep.{self._trainer}",
                f"--data_location={self._path('data')}",
                f"--checkpoint={checkpoint}",
                f"--batch_size={scale.batch_size}",
                f"--step_secs={scale.step_secs}",
                f"--save_secs={scale.save_secs}",
                "--report_secs=0.5",
                "--log_batches",
                "--verbosity=0",
                "--seed=1",
                *flags,
            ],
            num_workers=NUM_WORKERS,
            slow=SLOW,
            log_dir=log_dir,
        )

    def _run_account(self, name: str) -> account.RunAccount:
        batches = account.read_batches(self._path(name), self._tasks)
        return account.RunAccount.of(batches, self._rows_of_files)

    def _result(self, name: str) -> dict[str, Any]:
        path = os.path.join(self._path(name), "result.json")
        result = read_json(path)
        if result is None:
            raise JobFailedError(f"Expected the chief to write {path}.")
        return result

    def _path(self, name: str) -> str:
        return os.path.join(self._dir, name)
