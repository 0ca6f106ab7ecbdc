from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time

import pytest
import tensorflow as tf

from model_zoo.demo import __main__ as demo_main
from model_zoo.demo import account, compare, job
from model_zoo.demo.account import Batch
from tests.support.environment import environment
from tests.support.paths import ROOT

COMMAND = [sys.executable, "-m", "model_zoo.demo"]
ROWS = dict.fromkeys("abcd", 10)


def batches_of(*rows):
    """Makes batches of rows such as (1.5, "a", 10)."""
    return [Batch(at, "chief:0", file, records) for at, file, records in rows]


class TestAccount:
    def test_reads_lists_that_are_growing(self, tmp_path):
        assert account.read(str(tmp_path)) == []
        (tmp_path / "trained").mkdir()
        for task, text in (
            ("worker_1", "2.5\t5\ta b\n2"),
            ("chief_0", "1.5\t10\ta b\n3.5\t1\tc\n"),
        ):
            (tmp_path / f"trained/{task}.tsv").write_text(text)
        assert account.read(str(tmp_path)) == [
            Batch(1.5, "chief:0", "a b", 10),
            Batch(2.5, "worker:1", "a b", 5),
            Batch(3.5, "chief:0", "c", 1),
        ]

    def test_a_run(self):
        batches = batches_of((1.0, "a", 10), (4.0, "b", 15), (9.0, "c", 8))
        assert account.Share.of(batches) == account.Share(3, 33, 8.0)
        assert account.Share.of([]) == account.Share(0, 0, 0.0)
        assert account.lost_and_repeated(batches, ROWS) == (12, 5)
        assert account.finished(batches, ROWS) == {"a", "b"}

    def resume_of(self, *after):
        """A is saved, b finished later, c begun, d not."""
        before = batches_of(
            (1.0, "a", 10), (4.0, "b", 4), (6.0, "b", 6), (7.0, "c", 3)
        )
        after = batches_of(*((20.0, file, n) for file, n in after))
        return account.Resume.of(before, after, 5.0, ROWS)

    def test_a_resume_that_is_right(self):
        assert self.resume_of(
            ("b", 10), ("c", 5), ("c", 5), ("d", 10)
        ) == account.Resume(
            finished={"a": 10, "b": 10},
            begun={"c": 3},
            kept={"a": 10},
            after={"b": 10, "c": 10, "d": 10},
            repeated={"b": 10, "c": 3},
            lost={},
        )

    def test_what_was_not_saved_and_not_done_again_is_lost(self):
        # B was finished before the kill, six records of it after the save.
        assert self.resume_of(("c", 10), ("d", 10)).lost == {"b": 6}

    def test_what_the_resume_leaves_out_is_lost(self):
        assert self.resume_of(("b", 10), ("c", 9)).lost == {"c": 1, "d": 10}

    def test_to_begin_again_is_no_resume(self):
        resume = self.resume_of(*((file, 10) for file in "abcd"))
        assert resume.repeated == {"a": 10, "b": 10, "c": 3}
        assert not resume.kept

    def test_an_item_trained_twice_by_the_resumed_job_is_a_repeat(self):
        resume = self.resume_of(("b", 10), ("c", 10), ("d", 20))
        assert resume.repeated == {"b": 10, "c": 3, "d": 10}


def test_levels():
    batches = batches_of(
        *((10.0 + i, file, 5) for i, file in enumerate("aabcd"))
    )
    assert demo_main.levels(batches, 4) == (
        "1.00 at 0 s, 0.75 at 0 s, 0.50 at 2 s, 0.25 at 3 s, 0.00 at 4 s"
    )


def test_a_comparison_counts_what_was_trained(tmp_path, monkeypatch):
    """Of runs that are made up: 24 files, one of them twice after the kill."""
    files = [f"part-{i}" for i in range(compare.NUM_FILES)]
    once = [
        Batch(float(i), f"worker:{i % 2}", file, compare.NUM_ROWS)
        for i, file in enumerate(files)
    ]
    runs = {
        "queue": once,
        "static": [*once[:-1], Batch(46.0, "chief:0", files[-1], 1000)],
        "killed": [*once[1:], once[3], once[4]],
    }
    commands, killed = [], []

    def run(command, log_dir, watch, timeout_secs, *, is_restarted):
        commands.append(command)
        assert is_restarted == log_dir.endswith("killed_logs")
        if is_restarted:
            os.makedirs(log_dir)
            with open(f"{log_dir}/launch.log", "w") as f:
                f.write("started chief:0 (pid 2), worker:0 (pid 7)")
            assert watch() is watch() is None
            assert killed == [(7, signal.SIGKILL)]

    monkeypatch.setattr(job, "output", commands.append)
    monkeypatch.setattr(job, "run", run)
    monkeypatch.setattr(
        account, "read", lambda checkpoint: runs[os.path.basename(checkpoint)]
    )
    monkeypatch.setattr(os, "kill", lambda *args: killed.append(args))
    row = compare.compare("din", str(tmp_path))
    assert row == (
        "| [din](din/README.md) | 1043 | 0%, 50%, 50% | 23.0 | 46.0 | 1000 "
        "| 2000 |\n"
    )
    assert len(commands) == 4
    del runs["queue"][0]
    with pytest.raises(job.JobFailedError, match="each record once"):
        compare.compare("din", str(tmp_path))


class TestJob:
    def run(self, tmp_path, program, watch=lambda: None, timeout_secs=60.0):
        start = "import json, os, sys, time; task = json.loads("
        start += "os.environ['TF_CONFIG'])['task']['type']\n"
        start += "if task == 'ps': time.sleep(600)\n"
        command = [sys.executable, "-c", start + program]
        log_dir = str(tmp_path / "logs")
        return job.run(command, log_dir, watch, timeout_secs)

    def test_ends_with_its_trainers(self, tmp_path):
        assert not self.run(tmp_path, "")
        assert not tasks_of(tmp_path)

    def test_is_killed_when_told(self, tmp_path):
        def watch():
            log = tmp_path / "logs" / "launch.log"
            return signal.SIGKILL if "started" in log.read_text() else None

        assert self.run(tmp_path, "time.sleep(600)", watch)
        assert not tasks_of(tmp_path)

    def test_a_task_that_fails_is_shown(self, tmp_path):
        program = "print('was here')\nif task == 'worker': sys.exit(3)"
        with pytest.raises(job.JobFailedError) as e:
            self.run(tmp_path, program)
        assert "was here" in str(e.value)
        assert "failed with exit code 3" in str(e.value)

    def test_does_not_wait_for_ever(self, tmp_path):
        with pytest.raises(job.JobFailedError, match=r"end within 0.5 s; see"):
            self.run(tmp_path, "time.sleep(600)", timeout_secs=0.5)
        assert not tasks_of(tmp_path)


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


def tasks_of(directory):
    """Returns the pids of processes that name a directory."""
    done = subprocess.run(
        ["pgrep", "-f", str(directory)], capture_output=True, text=True
    )
    return done.stdout.split()


@pytest.fixture
def handlers():
    """Puts back the signal handlers that the demo sets."""
    signums = (signal.SIGTERM, signal.SIGHUP)
    before = {signum: signal.getsignal(signum) for signum in signums}
    yield
    for signum, handler in before.items():
        signal.signal(signum, handler)


@pytest.mark.cluster
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("handlers")
def test_the_demo_holds_its_promises(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    # Its trainer uses Keras where it is that of tf.estimator.
    variables = environment(has_keras=hasattr(tf, "estimator"))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    launcher = [sys.executable, "-m", "tests.support.forked_launch"]
    monkeypatch.setattr(job, "WQ_HOOKS", launcher)
    code = demo_main.main(["--quick", f"--output_dir={tmp_path / 'demo'}"])
    out, err = capsys.readouterr()
    assert code == 0, out + err
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
    assert re.search(r"^  Level  1.00 at 0 s, .*0.00 at \d+ s$", out, re.M)
    assert out.count("  AUC    0.") == 2
    assert re.search(r"tensorboard --logdir \S+/queue$", out, re.M)
    assert list((tmp_path / "demo" / "queue").glob("events.out.*"))
    assert not tasks_of(tmp_path)


@pytest.mark.cluster
@pytest.mark.timeout(600)
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
        deadline = time.monotonic() + 400
        while len(tasks_of(directory / "data")) < 1 + job.NUM_PROCESSES:
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 130
    assert stderr == "\nInterrupted; all processes have ended.\n"
    assert not tasks_of(directory)
