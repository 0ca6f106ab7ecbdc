"""The multi-task model: hours as they come, late, killed, told to go."""

from __future__ import annotations

import csv
import itertools
import json
import os
import re
import signal
import sys
import time

import pytest
import tensorflow as tf

from model_zoo.multi_task import data, feeder, generate
from tests.support import forked
from tests.support.environment import environment
from tests.support.paths import ROOT
from wq_hooks import WorkQueue, WorkQueueHook
from wq_hooks.launcher.local_cluster import Cluster

tf1 = tf.compat.v1

TRAINER = "model_zoo.multi_task.train_monitored_session"
BAR = 0.85
DEADLINE_SECS = 200.0
# How much a file system may be behind the clock.
CLOCK_SECS = 0.1


def wait_until(condition):
    """Waits; the deadline turns a hang into a failure."""
    deadline = time.monotonic() + DEADLINE_SECS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def add_hour(directory, number, num_files=2):
    """Makes a complete hour of files that nobody reads; returns its name."""
    hour = directory / f"hour=2026-01-01-{number:02d}"
    hour.mkdir()
    for part in range(num_files):
        (hour / f"part-{part}.tfrecord").touch()
    (hour / data.SUCCESS).touch()
    return hour.name[len("hour=") :]


class TestFeeder:
    @pytest.fixture
    def hours(self, tmp_path):
        return feeder.HoursFile(str(tmp_path / "checkpoint" / "hours.json"))

    def new_queue(self, tmp_path, hours):
        listed = hours.listed(str(tmp_path), is_chief=True)
        return WorkQueue(listed, shuffle=False, is_open=True)

    def new_feeder(self, tmp_path, hours):
        """Returns a queue, its feeder, and the hours that it evaluates."""
        queue = self.new_queue(tmp_path, hours)
        evaluated = []
        looker = feeder.Feeder(
            queue, str(tmp_path), hours, lambda hour, _: evaluated.append(hour)
        )
        return queue, looker, evaluated

    def rest(self, queue):
        """Closes a queue; returns the hours of what is left, in order."""
        queue.close_works()
        items = [
            item.decode() for item in queue.input_dataset().as_numpy_iterator()
        ]
        queue.close()
        return [data.hour_of(item) for item in items]

    def test_adds_complete_hours_once_and_evaluates_the_newest(
        self, tmp_path, hours
    ):
        first = add_hour(tmp_path, 5)
        queue, looker, evaluated = self.new_feeder(tmp_path, hours)
        later = [add_hour(tmp_path, number) for number in (6, 7)]
        (tmp_path / "hour=2026-01-01-08").mkdir()
        (tmp_path / "hour=2026-01-01-08" / "part-0.tfrecord").touch()
        for _ in range(3):
            assert looker.look()
        assert evaluated == later[1:]
        assert self.rest(queue) == [h for h in (first, *later) for _ in "ab"]

    def test_what_is_late_comes_first_and_is_not_evaluated(
        self, tmp_path, hours
    ):
        first = add_hour(tmp_path, 5)
        queue, looker, evaluated = self.new_feeder(tmp_path, hours)
        later = [add_hour(tmp_path, number) for number in (6, 7)]
        looker.look()
        late = add_hour(tmp_path, 4)
        looker.look()
        assert evaluated == later[1:]
        expected = [h for h in (first, late, *later) for _ in "ab"]
        assert self.rest(queue) == expected

    def test_the_end_closes_the_queue(self, tmp_path, hours):
        hour = add_hour(tmp_path, 5)
        queue = self.new_queue(tmp_path, hours)
        last = add_hour(tmp_path, 6)
        (tmp_path / data.END).touch()
        assert not feeder.Feeder(queue, str(tmp_path), hours).look()
        with queue:
            items = list(queue.input_dataset().as_numpy_iterator())
        assert [data.hour_of(item.decode()) for item in items] == [
            *(hour, hour, last, last)
        ]

    def test_a_restart_adds_what_the_position_does_not_know(
        self, tmp_path, hours
    ):
        first = add_hour(tmp_path, 5)
        queue = self.new_queue(tmp_path, hours)
        looker = feeder.Feeder(queue, str(tmp_path), hours)
        known = add_hour(tmp_path, 6)
        looker.look()
        position = queue.snapshot()
        forgotten = add_hour(tmp_path, 7)
        looker.look()
        late = add_hour(tmp_path, 4)
        looker.look()
        queue.close()

        queue = self.new_queue(tmp_path, hours)
        queue.restore(position)
        looker = feeder.Feeder(queue, str(tmp_path), hours)
        looker.catch_up()
        looker.look()
        expected = [h for h in (first, late, known, forgotten) for _ in "ab"]
        assert self.rest(queue) == expected


class TestFeederHook:
    def session(self, tmp_path, looker_of):
        """Returns a session that takes items, and what it takes."""
        checkpoint = tmp_path / "checkpoint"
        hours = feeder.HoursFile(str(checkpoint / "hours.json"))
        queue = WorkQueue(
            hours.listed(str(tmp_path), is_chief=True),
            shuffle=False,
            is_open=True,
        )
        item = queue.take()
        tf1.train.get_or_create_global_step()
        hook = feeder.FeederHook(
            looker_of(queue, str(tmp_path), hours), poll_secs=0.02
        )
        session = tf1.train.MonitoredTrainingSession(
            checkpoint_dir=str(checkpoint), hooks=[WorkQueueHook(), hook]
        )
        return session, queue, item

    def test_a_late_hour_is_taken_before_later_ones(self, tmp_path):
        add_hour(tmp_path, 1)
        taken = []
        with tf.Graph().as_default():
            session, queue, item = self.session(tmp_path, feeder.Feeder)
            with session:
                # More than lie ready for workers, whom nothing overtakes.
                for number in range(2, 22):
                    add_hour(tmp_path, number, num_files=8)
                wait_until(lambda: queue.num_added == 20 * 8)
                late = add_hour(tmp_path, 0)
                wait_until(lambda: queue.num_added == 20 * 8 + 2)
                (tmp_path / data.END).touch()
                while not session.should_stop():
                    taken.append(data.hour_of(session.run(item).decode()))
        assert len(taken) == 2 + 20 * 8 + 2
        others = [hour for hour in taken if hour != late]
        assert others == sorted(others)
        assert taken.index(late) < taken.index("2026-01-01-10")

    def test_an_error_of_the_feeder_ends_a_blocked_session(self, tmp_path):
        class Failing(feeder.Feeder):
            def look(self):
                if (tmp_path / "now").exists():
                    raise OSError("the disk is gone")
                return super().look()

        add_hour(tmp_path, 1)
        with tf.Graph().as_default():
            session, _, item = self.session(tmp_path, Failing)

            def train():
                with session:
                    while not session.should_stop():
                        session.run(item)
                        (tmp_path / "now").touch()

            with pytest.raises(OSError, match="the disk is gone"):
                train()


def generated(directory, numbers, num_files=2, num_rows=100):
    """Writes hours that may be trained on; returns the ids of their rows."""
    for number in numbers:
        generate.write_hour(
            str(directory),
            number,
            num_files=num_files,
            num_rows=num_rows,
            seed=1,
        )
    return {
        number * 10**6 + row for number in numbers for row in range(num_rows)
    }


def test_learns_both_tasks(tmp_path):
    generate_args = [
        f"--output_dir={tmp_path / 'data'}",
        "--num_files=32",
        "--eval_rows=4000",
    ]
    env = {**os.environ, **environment()}
    env.pop("TF_CONFIG", None)
    for module, args in (
        ("model_zoo.multi_task.generate", generate_args),
        (
            TRAINER,
            [
                f"--data_location={tmp_path / 'data'}",
                f"--checkpoint={tmp_path / 'checkpoint'}",
                "--batch_size=64",
                "--num_slices=40",
                "--seed=1",
            ],
        ),
    ):
        done = forked.run(
            [sys.executable, "-m", module, *args],
            cwd=ROOT,
            env=env,
            timeout=DEADLINE_SECS,
        )
        assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "checkpoint" / "result.json").read_text())
    assert result["rows"] == 4000
    for task in data.TASKS:
        assert BAR <= result[task]["reached"] < 1.0


def trained(checkpoint):
    """Returns what was trained, by all tasks: (time, id)."""
    rows = []
    for path in (checkpoint / "trained").glob("*.tsv"):
        with path.open() as file:
            rows += [
                (float(row[0]), int(row[2]))
                for row in csv.reader(file, delimiter="\t")
                if len(row) == 3
            ]
    return rows


def checkpoint_step(checkpoint):
    path = tf.train.latest_checkpoint(str(checkpoint))
    return int(path.rpartition("-")[2]) if path else 0


@pytest.mark.cluster
@pytest.mark.timeout(900)
def test_a_killed_chief_goes_on_and_sigterm_saves(tmp_path):
    directory, checkpoint = tmp_path / "data", tmp_path / "checkpoint"
    ids = generated(directory, [1, 2, 3])
    command = [
        *(sys.executable, "-m", TRAINER),
        f"--data_location={directory}",
        f"--checkpoint={checkpoint}",
        "--log_records",
        "--batch_size=10",
        "--num_slices=12",
        "--step_secs=0.03",
        "--save_secs=1",
        "--poll_secs=0.1",
    ]
    with Cluster(
        command, num_ps=1, num_workers=1, env=environment()
    ) as cluster:
        cluster.start()
        hours = feeder.HoursFile(str(checkpoint / "hours.json"))
        wait_until((checkpoint / "hours.json").exists)
        # The chief saves behind a step of its own, and the worker may be the
        # one that takes all there is: more comes until then.
        for num_hours in itertools.count(1):
            ids |= generated(directory, [3 + num_hours])
            wait_until(lambda n=num_hours: len(hours.read()[1]) == 2 * n)
            if num_hours >= 2 and checkpoint_step(checkpoint) > 0:
                break
        num_lines = len(cluster.lines("chief:0"))
        cluster.kill("chief:0")
        cluster.wait("chief:0", DEADLINE_SECS)
        ids |= generated(directory, [0])
        cluster.start("chief:0")
        path = cluster.wait_for_line(
            "chief:0",
            r"Restoring parameters from (\S+)",
            DEADLINE_SECS,
            after=num_lines,
        )[1]
        restored_at = time.time()
        saved_at = os.path.getmtime(f"{path}.index")

        def lost():
            # What was trained in between is not in the model any more.
            return ids - {
                number
                for at, number in trained(checkpoint)
                if at <= saved_at or at >= restored_at
            }

        wait_until(lambda: not lost())
        ids |= generated(directory, [4 + num_hours])
        wait_until(lambda: not lost())
        told_at = time.time() - CLOCK_SECS
        for task in cluster.job_tasks:
            cluster.kill(task, signal.SIGTERM)
        codes = cluster.wait_for_job(DEADLINE_SECS)
        log = "\n".join(cluster.lines("chief:0"))
    assert codes == {"chief:0": 143, "worker:0": 143}
    assert re.search(r"AUC of 2026-01-0\d-\d\d: click 0\.\d+", log)
    inspected = forked.run(
        [
            sys.executable,
            "-m",
            "wq_hooks.cli.command_line",
            "inspect",
            "--format=json",
            str(checkpoint),
        ],
        env={**os.environ, **environment()},
        timeout=DEADLINE_SECS,
    )
    assert inspected.returncode == 0, inspected.stderr
    (position,) = json.loads(inspected.stdout)
    # 12 slices of what was listed, and two files of each hour that came. What a
    # task could not finish in time comes again.
    assert position["total"] == 12 + (num_hours + 2) * 2
    assert position["total"] - position["completed"] <= len(codes)
    saved = tf.train.latest_checkpoint(str(checkpoint))
    assert os.path.getmtime(f"{saved}.index") >= told_at
