"""Synchronous replicas, up to the end of data: in processes, in threads."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
import tensorflow as tf

from tests.support.environment import environment
from tests.support.in_process_cluster import Background, InProcessCluster
from tests.support.paths import PROGRAMS
from tests.support.sync_replicas import train_function
from wq_hooks import SyncReplicasHook
from wq_hooks.cli import command_line
from wq_hooks.errors import WorkQueueError
from wq_hooks.launcher.local_cluster import Cluster

tf1 = tf.compat.v1
PROGRAM = PROGRAMS / "train_in_step.py"
# With TensorFlow's own hook the chief stays for 120 s, if it ends at all.
DEADLINE_SECS = 100
NUM_REPLICAS = 3
RECORDS = "queue.records(tf.data.TextLineDataset).batch(4).prefetch(1)"
SHUFFLED = (
    "queue.input_dataset().flat_map(tf.data.TextLineDataset)"
    ".shuffle(20).batch(4)"
)


@pytest.fixture
def paths(tmp_path):
    paths = [tmp_path / f"{i}.csv" for i in range(6)]
    for number, path in enumerate(paths):
        path.write_text("".join(f"{number},{i}\n" for i in range(9)))
    return [str(path) for path in paths]


def expected(paths):
    """Returns each line, as often as it has to be trained."""
    lines = [line for path in paths for line in Path(path).read_text().split()]
    return Counter(lines * 2)


@pytest.fixture
def cluster(tmp_path, paths):
    """Three replicas in processes, before their first step."""
    gate = tmp_path / "gate"
    command = [sys.executable, str(PROGRAM), f"--gate={gate}"]
    command += ["--lease_secs=3", "--paths", *paths]
    with Cluster(
        command, num_ps=1, num_workers=2, env=environment()
    ) as cluster:
        cluster.start()
        for task in cluster.job_tasks:
            cluster.wait_for_line(task, "^START", DEADLINE_SECS)
        gate.touch()
        yield cluster


def trained_by(cluster):
    return Counter(
        line[4:]
        for task in cluster.job_tasks
        for line in cluster.lines(task, "stdout")
        if line.startswith("GOT ")
    )


@pytest.mark.cluster
def test_replicas_in_processes_end_with_the_data(cluster, paths):
    codes = cluster.wait_for_job(DEADLINE_SECS)

    assert set(codes.values()) == {0}
    assert trained_by(cluster) == expected(paths)


@pytest.mark.cluster
def test_replicas_end_without_one_that_was_killed(cluster, paths):
    cluster.wait_for_line("worker:1", "^GOT", DEADLINE_SECS)
    cluster.kill("worker:1")

    for task in ("chief:0", "worker:0"):
        assert cluster.wait(task, DEADLINE_SECS) == 0
    # What it held when it died is trained again, and nothing is lost.
    assert not expected(paths) - trained_by(cluster)


class Replicas:
    """Replicas in threads of this process, and what they have trained."""

    def __init__(self, paths, *, slow=None, replace=()):
        self.lines = []
        self._slow = slow
        cluster = InProcessCluster(NUM_REPLICAS)
        # A worker that is there before the model sleeps for 30 s.
        is_begun = threading.Event()
        all_there = threading.Barrier(NUM_REPLICAS)

        def before_steps():
            is_begun.set()
            all_there.wait(DEADLINE_SECS)

        def task(index):
            train = train_function(
                paths,
                cluster.spec,
                _Results(self.lines, 0.2 if index == slow else 0.01),
                before_steps,
                replace,
            )
            if index:
                assert is_begun.wait(DEADLINE_SECS)
            train(cluster._servers[1 + index].target, index)

        self._tasks = [Background(task, i) for i in range(NUM_REPLICAS)]

    def wait(self):
        for task in self._tasks:
            task.result(DEADLINE_SECS)


class _Results:
    def __init__(self, lines, step_secs):
        self._lines = lines
        self._step_secs = step_secs

    def append(self, batch):
        self._lines.extend(line.decode() for line in batch)
        time.sleep(self._step_secs)


@pytest.mark.parametrize(
    ("num_aggregated", "slow", "lines"),
    [
        (2, 0, RECORDS),
        # None to spare, and a slow one is kept from the last items.
        (3, 2, SHUFFLED),
        # Several gradients of some in each update.
        (4, None, RECORDS),
    ],
    ids=["spare", "none to spare", "too few"],
)
def test_replicas_end_with_the_data(
    capsys, tmp_path, paths, num_aggregated, slow, lines
):
    to_dataset = "lines.to_dataset()" if lines == RECORDS else "lines"
    saved = f"is_chief=is_chief, checkpoint_dir={str(tmp_path / 'model')!r},"
    replicas = Replicas(
        paths,
        slow=slow,
        replace=[
            (
                "replicas_to_aggregate=2",
                f"replicas_to_aggregate={num_aggregated}",
            ),
            (RECORDS, lines),
            ("lines.to_dataset()", to_dataset),
            ("is_chief=is_chief,", saved),
        ],
    )

    replicas.wait()

    assert Counter(replicas.lines) == expected(paths)
    # And each item was acknowledged before the last save.
    capsys.readouterr()
    command_line.main(["inspect", "--format=json", str(tmp_path / "model")])
    (position,) = json.loads(capsys.readouterr().out)
    assert position["completed"] == position["total"] == 2 * len(paths)


def test_the_others_end_when_the_chief_stops(paths):
    stop = "[tf.train.StopAtStepHook(last_step=5)] * is_chief"
    replicas = Replicas(
        paths,
        replace=[
            ("WorkQueueHook()]", f"WorkQueueHook()] + {stop}"),
            ("num_epochs=2", "num_epochs=2000"),
        ],
    )

    replicas.wait()

    assert len(replicas.lines) < 1000 * sum(expected(paths).values())


def test_a_graph_without_a_queue_is_an_error():
    with tf.Graph().as_default():
        optimizer = tf1.train.SyncReplicasOptimizer(
            tf1.train.GradientDescentOptimizer(0.1), replicas_to_aggregate=1
        )
        hook = SyncReplicasHook(optimizer, is_chief=True)
        with pytest.raises(WorkQueueError, match="there is none"):
            hook.begin()
