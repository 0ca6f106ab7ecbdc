from __future__ import annotations

import contextlib
import io
import os
import re
import signal
import subprocess
import sys
import time

import pytest
import tensorflow as tf

from model_zoo.wide_and_deep.demo import __main__ as demo_main
from model_zoo.wide_and_deep.demo import (
    account,
    acts,
    console,
    progress,
    tables,
)
from model_zoo.wide_and_deep.demo.account import (
    Count,
    ResumeAccount,
    RunAccount,
    TrainedBatch,
)
from model_zoo.wide_and_deep.demo.job import Job, JobFailedError
from tests.support.environment import environment
from tests.support.paths import ROOT

COMMAND = [sys.executable, "-m", "model_zoo.wide_and_deep.demo"]


def batches_of(*rows):
    """Makes batches of rows such as ("chief:0", 1.5, "a", 10)."""
    return [TrainedBatch(*row) for row in rows]


def write_batches(checkpoint, task, text):
    path = checkpoint / "tasks" / f"{task.replace(':', '_')}.batches.tsv"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


class TestAccount:
    def test_reads_lists_that_are_growing(self, tmp_path):
        write_batches(tmp_path, "chief:0", "1.5\t0\t10\ta b\n2.5\t1\t5\ta b\n2")
        assert account.read_batches(tmp_path, ["chief:0", "worker:0"]) == {
            "chief:0": batches_of(
                ("chief:0", 1.5, "a b", 10), ("chief:0", 2.5, "a b", 5)
            ),
            "worker:0": [],
        }

    def test_time_of_the_newest_checkpoint(self, tmp_path):
        assert account.checkpoint_at(tmp_path) == 0.0
        (tmp_path / "checkpoint").write_text(
            'model_checkpoint_path: "model.ckpt-7"\n'
            'all_model_checkpoint_paths: "model.ckpt-9"\n'
        )
        assert account.checkpoint_at(tmp_path) == 0.0
        (tmp_path / "model.ckpt-7.index").touch()
        os.utime(tmp_path / "model.ckpt-7.index", (5.0, 6.0))
        assert account.checkpoint_at(tmp_path) == 6.0

    def test_a_run(self):
        batches = {
            "chief:0": batches_of(
                ("chief:0", 1.0, "a", 6), ("chief:0", 4.0, "a", 4)
            ),
            "worker:0": batches_of(
                ("worker:0", 3.0, "b", 10), ("worker:0", 9.0, "c", 15)
            ),
            "worker:1": [],
        }
        rows = dict.fromkeys("abcd", 10)
        run = RunAccount.of(batches, rows)
        assert run.tasks["chief:0"] == account.TaskAccount(1, 10, 3.0)
        assert run.tasks["worker:1"] == account.TaskAccount(0, 0, 0.0)
        assert run.job == account.TaskAccount(3, 35, 8.0)
        assert (run.lost, run.repeated) == (10, 5)

    def resume_of(self, after, *, checkpoint_at=5.0):
        """A is saved, b finished later, c begun, d not."""
        before = batches_of(
            ("chief:0", 1.0, "a", 10),
            ("chief:0", 4.0, "b", 4),
            ("chief:0", 6.0, "b", 6),
            ("worker:0", 7.0, "c", 3),
        )
        return ResumeAccount.of(
            before,
            batches_of(*(("chief:0", 20.0, f, n) for f, n in after)),
            checkpoint_at=checkpoint_at,
            rows_of_files=dict.fromkeys("abcd", 10),
        )

    def checks_of(self, counts, completed_at_start=1):
        return [
            check.holds
            for check in tables.resume_checks(
                counts, completed_at_start=completed_at_start, num_trainers=2
            )
        ]

    def test_a_resume_that_is_right(self):
        counts = self.resume_of([("b", 10), ("c", 5), ("c", 5), ("d", 10)])
        assert counts == ResumeAccount(
            total=Count(4, 40),
            finished=Count(2, 20),
            begun=Count(1, 3),
            kept=Count(1, 10),
            after=Count(3, 30),
            lost=Count(0, 0),
            repeated=Count(2, 13),
        )
        assert counts.finished_since_checkpoint == 1
        assert self.checks_of(counts) == [True, True, True]

    def test_what_was_not_saved_and_not_done_again_is_lost(self):
        counts = self.resume_of([("c", 10), ("d", 10)])
        # B was finished before the kill, six records of it after the save.
        assert counts.lost == Count(1, 6)
        assert self.checks_of(counts, completed_at_start=2) == [
            False,
            True,
            True,
        ]

    def test_what_the_resume_leaves_out_is_lost(self):
        counts = self.resume_of([("b", 10), ("c", 9)])
        assert counts.lost == Count(2, 11)

    def test_to_begin_again_is_no_resume(self):
        counts = self.resume_of([(file, 10) for file in "abcd"])
        assert counts.repeated == Count(3, 23)
        assert counts.kept == Count(0, 0)
        assert self.checks_of(counts) == [True, False, True]
        assert self.checks_of(counts, completed_at_start=0)[1]

    def test_an_item_trained_twice_by_the_resumed_job_is_a_repeat(self):
        counts = self.resume_of([("b", 10), ("c", 10), ("d", 20)])
        assert counts.repeated == Count(3, 6 + 4 + 3 + 10)


class TestTables:
    ROWS = dict.fromkeys([f"part-{i}" for i in range(10)], 100)

    def run_of(self, *shares, secs):
        names = ["chief:0", "worker:0", "worker:1"]
        files = iter(self.ROWS)
        return RunAccount.of(
            {
                task: [
                    TrainedBatch(task, i * secs / (share - 1), next(files), 100)
                    for i in range(share)
                ]
                for task, share in zip(names, shares)
            },
            self.ROWS,
        )

    def test_shares(self):
        queue, static = (
            self.run_of(4, 4, 2, secs=8.0),
            self.run_of(4, 3, 3, secs=20.0),
        )
        text = tables.shares(queue, static, {"worker:1": 4.0})
        assert max(map(len, text.splitlines())) <= 80
        heading, columns, *rows = map(str.split, text.splitlines())
        assert heading == (
            ["from", "the", "work", "queue", "by", "a", "static", "split"]
        )
        assert columns == (
            ["items", "records", "share", "secs", "items", "records", "secs"]
        )
        assert rows[0] == (
            ["chief:0", "4", "400", "40.0%", "8.0", "4", "400", "20.0"]
        )
        assert rows[2][:5] == ["worker:1,", "4x", "slower", "2", "200"]
        assert rows[3][:4] == ["together", "10", "1000", "100.0%"]
        assert tables.times(queue, static) == (
            "8.0 s from the queue, 20.0 s by the static split: 2.5 times as "
            "fast"
        )

    def test_checks_of_runs(self):
        good, slow = self.run_of(4, 4, 2, secs=8.0), {"worker:1": 4.0}
        static = self.run_of(4, 3, 3, secs=20.0)
        checks = tables.run_checks(good, static, slow)
        assert [check.holds for check in checks] == [True] * 4
        assert str(checks[0]) == (
            "  ok      work queue: each record once, 0 lost, 0 repeated"
        )
        bad = self.run_of(4, 3, 2, secs=20.0)
        checks = tables.run_checks(bad, static, slow)
        assert [check.holds for check in checks] == [False, True, True, False]
        assert str(checks[0]).startswith("  FAILED  work queue")
        checks = tables.run_checks(static, static, slow)
        assert [check.holds for check in checks] == [True, True, False, False]

    def test_levels(self):
        history = [(0.0, 1.0), (2.0, 0.8), (3.0, 0.4), (7.0, 0.2), (8.0, 0.0)]
        assert tables.levels(history) == (
            "1.00 at 0 s, 0.40 at 3 s, 0.20 at 7 s, 0.00 at 8 s"
        )
        assert tables.levels([]) == ""

    def test_auc(self):
        result = {"auc": 0.77, "optimal_auc": 0.8, "reached": 0.9}
        assert tables.auc(result) == (
            "0.7700 of at most 0.8000: 90.0% of the way from chance"
        )
        for bar, holds in ((0.85, [True]), (0.95, [False]), (None, [])):
            checks = tables.auc_checks([result, result], bar)
            assert [check.holds for check in checks] == holds


class Terminal(io.StringIO):
    def isatty(self):
        return True


class TestConsole:
    def test_on_a_terminal_the_line_is_rewritten(self, monkeypatch):
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", "20")
        stream = Terminal()
        with console.ProgressLine(stream) as line:
            line.update("one")
            line.update("x" * 30)
            line.finish("done")
        assert stream.getvalue() == (
            f"\rone\033[K\r{'x' * 19}\033[K\r\033[Kdone\n"
        )

    def test_what_fails_begins_a_line_of_its_own(self, monkeypatch):
        monkeypatch.setenv("TERM", "xterm")
        stream = Terminal()
        line = console.ProgressLine(stream)
        with contextlib.suppress(KeyboardInterrupt), line:
            line.update("one")
            raise KeyboardInterrupt
        assert stream.getvalue() == "\rone\033[K\n"

    def test_in_a_log_there_is_a_line_now_and_then(self):
        now = 0.0
        stream = io.StringIO()
        with console.ProgressLine(stream, clock=lambda: now) as line:
            for second in range(12):
                now = float(second)
                line.update(f"{second} s")
            line.finish("done")
        assert stream.getvalue() == "5 s\n10 s\ndone\n"

    def test_bar(self):
        parts = (-1, 0, 0.5, 1, 2)
        assert [console.bar(part, 4) for part in parts] == (
            ["[....]", "[....]", "[##..]", "[####]", "[####]"]
        )


def test_tracker_counts_only_the_new_job(tmp_path):
    write_batches(tmp_path, "chief:0", "1.0\t0\t10\ta\n")
    (tmp_path / "queue.json").write_text('{"at": 1.0, "completed": 1}')
    tracker = progress.Tracker(
        str(tmp_path),
        ["chief:0", "worker:0"],
        dict.fromkeys("abcd", 10),
        num_processes=3,
    )
    assert tracker.poll() == []
    assert tracker.describe() == "starting 3 processes"
    write_batches(tmp_path, "chief:0", "1.0\t0\t10\ta\n9.0\t0\t10\tb\n")
    write_batches(tmp_path, "worker:0", "8.0\t0\t4\tc\n")
    assert [batch.at for batch in tracker.poll()] == [8.0, 9.0]
    assert tracker.describe() == "[###.........]  1/4 items  (1+0)"
    (tmp_path / "queue.json").write_text(
        '{"at": 9.5, "completed": 2, "remaining": 1, "items_per_epoch": 4}'
    )
    tracker.poll()
    assert tracker.describe() == (
        "[######......]  2/4 items  (1+0)  level 0.25"
    )
    assert tracker.levels() == [(1.5, 0.25)]


class TestJob:
    def job(self, tmp_path, program):
        start = "import json, os, sys, time; task = json.loads("
        start += "os.environ['TF_CONFIG'])['task']['type']\n"
        return Job(
            [sys.executable, "-c", start + program],
            num_workers=1,
            slow={},
            log_dir=str(tmp_path / "logs"),
        )

    def test_ends_with_its_trainers(self, tmp_path):
        job = self.job(tmp_path, "if task == 'ps': time.sleep(600)")
        assert job.num_processes == 3
        assert not job.run(lambda: False, timeout_secs=30)

    def test_is_killed_when_told(self, tmp_path):
        job = self.job(tmp_path, "time.sleep(600)")
        assert job.run(lambda: True, timeout_secs=30)

    def test_a_task_that_fails_is_shown(self, tmp_path):
        job = self.job(
            tmp_path,
            "print(task, 'was here')\n"
            "if task == 'worker': sys.exit(3)\n"
            "time.sleep(600)",
        )
        with pytest.raises(JobFailedError) as e:
            job.run(lambda: False, timeout_secs=30)
        path = tmp_path / "logs" / "worker_0.log"
        assert str(e.value) == (
            "worker:0 has ended with exit code 3.\n"
            f"The end of {path}:\n  worker was here"
        )

    def test_so_is_a_parameter_server(self, tmp_path):
        job = self.job(tmp_path, "if task != 'ps': time.sleep(600)")
        with pytest.raises(JobFailedError, match="ps:0 has ended with exit"):
            job.run(lambda: False, timeout_secs=30)

    def test_does_not_wait_for_ever(self, tmp_path):
        job = self.job(tmp_path, "print('here'); time.sleep(600)")
        with pytest.raises(
            JobFailedError, match=r"within 0.7 s; chief:0, worker:0 still"
        ):
            job.run(lambda: False, timeout_secs=0.7)


class TestCommand:
    def test_keeps_its_hands_off_other_files(self, tmp_path, capsys):
        (tmp_path / "thesis.txt").touch()
        assert demo_main.main([f"--output_dir={tmp_path}"]) == 1
        assert "holds other files" in capsys.readouterr().err
        assert os.listdir(tmp_path) == ["thesis.txt"]

    def test_replaces_an_earlier_demo(self, tmp_path):
        directory = tmp_path / "demo"
        demo_main.make_room(str(directory))
        (directory / "queue").mkdir()
        demo_main.make_room(str(directory))
        assert os.listdir(directory) == [demo_main.MARKER]

    def test_says_that_tensorflow_is_missing(self, tmp_path):
        demo = acts.Demo(str(tmp_path), acts.QUICK)
        with pytest.raises(acts.DemoError, match="'make demo' installs it"):
            demo._choose_trainer("", "ModuleNotFoundError: tensorflow")

    @pytest.mark.parametrize(
        ("trainer", "stdout", "words"),
        [
            (None, "TF 2.15.1 1", "has tf.estimator; trainer: train_estimator"),
            (None, "TF 2.21.0 0", "has no tf.estimator .* train_monitored"),
            ("train_monitored_session", "TF 2.15.1 1", "as asked for"),
        ],
    )
    def test_says_which_trainer_and_why(self, tmp_path, trainer, stdout, words):
        demo = acts.Demo(str(tmp_path), acts.QUICK, trainer)
        reason = demo._choose_trainer(f"{stdout}\n", "")
        assert re.search(words, reason, re.DOTALL)

    def test_tensorboard_stands_beside_python(self, tmp_path, monkeypatch):
        monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
        assert demo_main.tensorboard_command("a b").startswith("tensorboard ")
        (tmp_path / "tensorboard").touch()
        monkeypatch.chdir(tmp_path.parent)
        assert demo_main.tensorboard_command("a b") == (
            f"{tmp_path.name}/tensorboard --logdir 'a b'"
        )


def tasks_of(directory):
    """Returns the pids of processes that name a directory."""
    done = subprocess.run(
        ["pgrep", "-f", str(directory)], capture_output=True, text=True
    )
    return done.stdout.split()


@pytest.mark.cluster
def test_the_demo_holds_its_promises(tmp_path):
    done = subprocess.run(
        [*COMMAND, "--quick", f"--output_dir={tmp_path / 'demo'}"],
        cwd=ROOT,
        # Its trainer uses Keras where it is that of tf.estimator.
        env={**os.environ, **environment(has_keras=hasattr(tf, "estimator"))},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    out = done.stdout
    directory = str(tmp_path)
    lines = [line for line in out.splitlines() if directory not in line]
    assert max(map(len, lines)) <= 80
    for row in ("chief:0", "worker:0", "worker:1, 4x slower"):
        assert re.search(
            rf"^  {row} +\d+ +\d+ +[\d.]+% +[\d.]+ +8 +2048 ", out, re.M
        )
    assert re.search(r"^  together +24 +6144 +100.0%", out, re.M)
    assert re.search(r"^  lost +0 +0$", out, re.M)
    assert re.search(r"^  trained twice +[1-9]\d* ", out, re.M)
    assert out.count("\n  ok      ") == 7
    assert "FAILED" not in out
    assert re.search(
        r"^  Level  [01]\.\d\d at 0 s, .*0.00 at \d+ s$", out, re.M
    )
    assert out.count("  AUC    0.") == 2
    assert re.search(r"tensorboard --logdir \S+/queue$", out, re.M)
    assert list((tmp_path / "demo" / "queue").glob("events.out.*"))
    assert not tasks_of(tmp_path)


@pytest.mark.cluster
def test_ctrl_c_leaves_no_process(tmp_path):
    directory = tmp_path / "demo"
    process = subprocess.Popen(
        [*COMMAND, "--quick", f"--output_dir={directory}"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 60
        while len(tasks_of(directory / "data")) < 4:
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=20)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 130
    assert stderr == "\nInterrupted; all processes have ended.\n"
    assert not tasks_of(directory)
