"""Shows on this machine what a work queue does: `make demo`.

    python -m model_zoo.demo --output_dir=demo_run

Trains Wide & Deep on a parameter server, a chief and two workers, of which one
is four times slower: from the work queue, then by a static split of the files;
then kills a job half-way with SIGKILL and resumes it. What was trained is
counted from lists that the tasks write step by step. The exit code is 0 if the
counts are as they should be.
"""

from __future__ import annotations

import argparse
import glob
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from model_zoo.demo import account, job
from model_zoo.demo.account import Batch

TRAINERS = ("train_estimator", "train_monitored_session")
# Of the way from chance to the best AUC.
BAR = 0.85

# Run by the Python that trains; importing TensorFlow here would cost time.
_PROBE = (
    "import tensorflow as tf; print(tf.__version__, hasattr(tf, 'estimator'))"
)
MARKER = ".made_by_demo"


class Demo:
    """Runs the acts, each of which says what it does and what came of it.

    Args:
      output_dir: An empty directory.
      is_quick: Whether to do it on little data, where no AUC is asked for.
    """

    def __init__(self, output_dir: str, *, is_quick: bool) -> None:
        self._dir = output_dir
        self._num_files, self._num_rows = (24, 256) if is_quick else (48, 2000)
        self._has_bar = not is_quick
        self._flags = [
            f"--data_location={self._path('data')}",
            f"--batch_size={32 if is_quick else 128}",
            f"--step_secs={0.06 if is_quick else 0.05}",
            f"--save_secs={1 if is_quick else 4}",
            *("--shuffle_buffer=1", "--report_secs=0.5", "--seed=1"),
            *(f"--slow_task={job.SLOW_TASK}", "--log_records", "--verbosity=0"),
        ]
        self._rows: dict[str, int] = {}
        self._trainer = TRAINERS[0]
        self._has_passed = True

    def run(self) -> bool:
        """Runs all acts; returns whether all is as it should be."""
        print("Wide & Deep on 1 PS, the chief and 2 workers.", flush=True)
        self._make_data()
        queue = self._train("2/5 work queue", "queue")
        # Its chief would evaluate before the slow worker has ended. And it may
        # take a session half a minute to close when the chief has left.
        static = self._train(
            *("3/5 static split", "static", "--noworkqueue", "--noeval"),
            end=lambda batches: (
                signal.SIGTERM if self._is_trained(batches) else None
            ),
        )
        killed = self._path("killed")
        before = self._train(
            *("4/5 kill half-way", "killed", "--noeval"),
            end=lambda batches: (
                signal.SIGKILL if self._is_half_way(batches) else None
            ),
        )
        position = self._inspect(killed)
        saved_at = checkpoint_at(killed)
        after = self._train("5/5 resume", "killed")[len(before) :]
        self._tell_shares(queue, static)
        self._tell_resume(before, after, saved_at, position["completed"])
        return self._has_passed

    def _make_data(self) -> None:
        generate = [sys.executable, "-m", "model_zoo.wide_and_deep.generate"]
        generate += [f"--output_dir={self._path('data')}"]
        generate += [f"--num_files={self._num_files}"]
        generate += [f"--rows_per_file={self._num_rows}"]
        said = job.output(generate)
        files = glob.glob(os.path.join(self._path("data"), "train", "*"))
        self._rows = dict.fromkeys(sorted(files), self._num_rows)
        version, has_estimator = job.output(
            [sys.executable, "-c", _PROBE]
        ).split()
        self._trainer = TRAINERS[0 if has_estimator == "True" else 1]
        print(
            f"1/5 data           {self._num_files} files of {self._num_rows} "
            f"records,{said.rpartition(';')[2].rstrip()}\n"
            f"    TensorFlow {version}; trainer: {self._trainer}",
            flush=True,
        )

    def _train(
        self,
        title: str,
        name: str,
        *flags: str,
        end: Callable[[list[Batch]], signal.Signals | None] = lambda _: None,
    ) -> list[Batch]:
        """Runs a job to its end, or until `end` says to end it.

        Args:
          title: What to say that it is.
          name: Name of its checkpoint directory.
          *flags: Flags of the trainer, beside the usual ones.
          end: Returns with which signal to end it, given what it has trained.

        Returns:
          What is trained by then, before a resume included.
        """
        start = time.monotonic()
        old = len(account.read(self._path(name)))

        def watch() -> signal.Signals | None:
            batches = account.read(self._path(name))
            if sys.stdout.isatty():
                share = account.Share.of(batches[old:])
                print(f"\r{title:17}  {share.items} items", end="", flush=True)
            return end(batches)

        was_ended = job.run(
            [
                *(sys.executable, "-m"),
                f"model_zoo.wide_and_deep.{self._trainer}",
                *(f"--checkpoint={self._path(name)}", *self._flags, *flags),
            ],
            self._path(f"logs/{title[:1]}_{name}"),
            watch,
            timeout_secs=600.0,
        )
        if name == "killed" and "--noeval" in flags and not was_ended:
            raise job.JobFailedError("The job ended before it was killed.")
        batches = account.read(self._path(name))
        share = account.Share.of(batches[old:])
        rewrite = "\r" if sys.stdout.isatty() else ""
        secs = time.monotonic() - start
        print(
            f"{rewrite}{title:17}  {share.items} items, {share.records} "
            f"records in {share.secs:.1f} s of {secs:.0f} s",
            flush=True,
        )
        return batches

    def _is_trained(self, batches: list[Batch]) -> bool:
        return account.finished(batches, self._rows) == set(self._rows)

    def _is_half_way(self, batches: list[Batch]) -> bool:
        """Whether half is done, of which some, but not all, is saved."""
        saved_at = checkpoint_at(self._path("killed"))
        saved = [batch for batch in batches if batch.at <= saved_at]
        num_saved = len(account.finished(saved, self._rows))
        num_done = len(account.finished(batches, self._rows))
        return 2 * num_done >= len(self._rows) and 0 < num_saved < num_done

    def _tell_shares(self, queue: list[Batch], static: list[Batch]) -> None:
        """Tells who has trained what, and how long it took."""
        tasks = sorted({batch.task for batch in queue + static})
        shares = [
            (name, share_of(queue, name), share_of(static, name))
            for name in [*tasks, "together"]
        ]
        _, ours, theirs = shares[-1]
        print(
            f"\n{'':25}{'from the work queue':>29}{'by a static split':>26}\n"
            f"{'':25}{'items':>6}{'records':>9}{'share':>8}{'secs':>6}"
            f"{'items':>11}{'records':>9}{'secs':>6}"
        )
        for name, mine, other in shares:
            who = f"{name}, 4x slower" if name == job.SLOW_TASK else name
            print(
                f"  {who:23}{mine.items:>6}{mine.records:>9}"
                f"{mine.records / ours.records:>8.1%}{mine.secs:>6.1f}"
                f"{other.items:>11}{other.records:>9}{other.secs:>6.1f}"
            )
        print(
            f"\n  Time   {ours.secs:.1f} s from the queue, {theirs.secs:.1f} s "
            f"by the static split: {theirs.secs / ours.secs:.1f} times as fast"
        )
        print(f"  Level  {levels(queue, len(self._rows))}")
        self._tell_auc("queue")
        for name, run in (("work queue", queue), ("static split", static)):
            lost, repeated = account.lost_and_repeated(run, self._rows)
            self._check(
                f"{name}: each record once, {lost} lost, {repeated} repeated",
                lost == repeated == 0,
            )
        slow, fixed = next(s[1:] for s in shares if s[0] == job.SLOW_TASK)
        self._check(
            f"{job.SLOW_TASK} trained fewer items than a fixed share: "
            f"{slow.items} against {fixed.items}",
            slow.items < fixed.items,
        )
        self._check(
            f"the queue is faster than the static split: {ours.secs:.1f} s "
            f"against {theirs.secs:.1f} s",
            ours.secs < theirs.secs,
        )

    def _tell_resume(
        self,
        before: list[Batch],
        after: list[Batch],
        saved_at: float,
        num_saved: int,
    ) -> None:
        """Tells what was trained before the kill and after it.

        Args:
          before: What was trained before the kill.
          after: What was trained after it.
          saved_at: When the checkpoint was written.
          num_saved: How many items it says that are completed.
        """
        resume = account.Resume.of(before, after, saved_at, self._rows)
        age = before[-1].at - saved_at
        print("\n  killed half-way, and resumed  items  records")
        for what, records in (
            ("in all", self._rows),
            ("finished before the kill", resume.finished),
            ("begun, but not finished", resume.begun),
            (f"in the checkpoint, {age:.1f} s old", resume.kept),
            ("trained after the resume", resume.after),
            ("trained twice", resume.repeated),
            ("lost", resume.lost),
        ):
            total = sum(records.values())
            print(f"  {what:28}{len(records):>7}{total:>9}")
        print()
        self._tell_auc("killed")
        self._check(
            f"killed and resumed: {len(resume.lost)} items lost",
            not resume.lost,
        )
        self._check(
            f"the rest and only the rest was trained: {len(self._rows)} - "
            f"{num_saved} in the checkpoint = {len(resume.after)}",
            len(self._rows) - num_saved == len(resume.after),
        )
        since = len(resume.finished) - len(resume.kept)
        self._check(
            f"trained twice: {len(resume.repeated)} items; at most {since} "
            f"since the checkpoint + {job.NUM_TRAINERS} in flight",
            len(resume.repeated) <= since + job.NUM_TRAINERS,
        )

    def _tell_auc(self, name: str) -> None:
        path = os.path.join(self._path(name), "result.json")
        with open(path, encoding="utf-8") as f:
            result = json.load(f)
        text = (
            f"{result['auc']:.4f} of at most {result['optimal_auc']:.4f}: "
            f"{result['reached']:.1%} of the way from chance"
        )
        print(f"  AUC    {text}\n")
        if self._has_bar:
            self._check(
                f"at least {BAR:.0%} of the way to the best AUC",
                BAR <= result["reached"] < 1.0,
            )

    def _check(self, text: str, holds: bool) -> None:
        self._has_passed = self._has_passed and holds
        print(f"  {'ok    ' if holds else 'FAILED'}  {text}", flush=True)

    def _inspect(self, checkpoint: str) -> Any:
        """Returns what the checkpoint says of the queue."""
        command = [*job.WQ_HOOKS, "inspect", "--format=json", checkpoint]
        (position,) = json.loads(job.output(command))
        return position

    def _path(self, name: str) -> str:
        return os.path.join(self._dir, name)


def share_of(batches: list[Batch], task: str) -> account.Share:
    """Returns the share of a task, or of all "together"."""
    return account.Share.of(
        [batch for batch in batches if task in (batch.task, "together")]
    )


def levels(batches: list[Batch], num_items: int) -> str:
    """Returns when the queue came down to some levels."""
    begun: dict[str, float] = {}
    for batch in batches:
        begun.setdefault(batch.file, batch.at - batches[0].at)
    times = sorted(begun.values())
    words = []
    for mark in (0.75, 0.5, 0.25, 0.0):
        secs = times[round((1 - mark) * num_items) - 1]
        words.append(f"{mark:.2f} at {secs:.0f} s")
    return ", ".join(["1.00 at 0 s", *words])


def checkpoint_at(checkpoint: str) -> float:
    """Returns when the newest checkpoint was written; 0.0: there is none."""
    paths = glob.glob(os.path.join(glob.escape(checkpoint), "*.index"))
    return max(map(os.path.getmtime, paths), default=0.0)


def make_room(output_dir: str) -> None:
    """Makes an empty directory; removes nothing but an earlier demo.

    Raises:
      JobFailedError: If the directory holds other files.
    """
    marker = os.path.join(output_dir, MARKER)
    if os.path.isdir(output_dir) and os.listdir(output_dir):
        if not os.path.exists(marker):
            raise job.JobFailedError(
                "Expected --output_dir to be new, empty, or of an earlier "
                f"demo; {output_dir!r} holds other files."
            )
        shutil.rmtree(output_dir)
    os.makedirs(output_dir, exist_ok=True)
    with open(marker, "w", encoding="utf-8"):
        pass


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the demo; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m model_zoo.demo",
        description="Shows on this machine what a work queue does.",
    )
    parser.add_argument("--output_dir", default="demo_run")
    parser.add_argument("--quick", action="store_true", help="on little data")
    args = parser.parse_args(argv)
    start = time.monotonic()
    for signum in (signal.SIGTERM, signal.SIGHUP):
        # Not the end at once, so that the tasks are ended before.
        signal.signal(signum, lambda signum, frame: sys.exit(128 + signum))
    try:
        make_room(args.output_dir)
        has_passed = Demo(args.output_dir, is_quick=args.quick).run()
    except KeyboardInterrupt:
        print("\nInterrupted; all processes have ended.", file=sys.stderr)
        return 128 + signal.SIGINT
    except (job.JobFailedError, OSError, subprocess.SubprocessError) as e:
        print(f"\nThe demo has failed: {e}", file=sys.stderr)
        return 1
    print(f"\n{time.monotonic() - start:.0f} s. To look at the level:\n")
    print(f"  tensorboard --logdir {os.path.join(args.output_dir, 'queue')}\n")
    print(f"The output of all tasks is in {args.output_dir}/logs.")
    if not has_passed:
        print("\nThe demo has failed: see FAILED above.", file=sys.stderr)
    return 0 if has_passed else 1


if __name__ == "__main__":
    sys.exit(main())
