import re
import signal
import sys

import pytest

from tests.support.environment import environment
from tests.support.keras_version import has_keras_2
from tests.support.paths import ROOT
from wq_hooks import WorkQueue
from wq_hooks.errors import WorkQueueError
from wq_hooks.launcher.local_cluster import Cluster

PROGRAM = ROOT / "tests" / "programs" / "train_coordinator.py"
NUM_FILES, ROWS = 12, 40
DEADLINE_SECS = 200.0
PREEMPTED = 143


@pytest.fixture
def files(tmp_path):
    paths = []
    for i in range(NUM_FILES):
        path = tmp_path / f"{i:02d}.txt"
        rows = range(i * ROWS, (i + 1) * ROWS)
        path.write_text("".join(f"{row}\n" for row in rows))
        paths.append(str(path))
    return paths


def train(files, *args, kill=False, preempt=False):
    """Runs a job; returns (lost, repeated)."""
    command = [sys.executable, str(PROGRAM), *args]
    command += [f"--num_records={NUM_FILES * ROWS}", "--works", *files]
    env = environment(has_keras=True)
    with Cluster(command, num_ps=1, num_workers=2, env=env) as cluster:
        cluster.start("ps:0", "worker:0", "worker:1", "chief:0")
        if kill:
            cluster.wait_for_line("chief:0", "STEP", timeout_secs=DEADLINE_SECS)
            cluster.kill("worker:1")
            cluster.wait("worker:1", timeout_secs=DEADLINE_SECS)
            cluster.start("worker:1")
        if preempt:
            cluster.wait_for_line("chief:0", "STEP", timeout_secs=DEADLINE_SECS)
            cluster.kill("chief:0", signal.SIGTERM)
            status = cluster.wait("chief:0", timeout_secs=DEADLINE_SECS)
            assert status == PREEMPTED
            cluster.start("chief:0")
        assert cluster.wait("chief:0", timeout_secs=DEADLINE_SECS) == 0
        text = "\n".join(cluster.lines("chief:0"))
    assert "DONE True" in text
    match = re.search(r"LOST (\d+) REPEATED (\d+)", text)
    return int(match.group(1)), int(match.group(2))


@pytest.mark.cluster
@pytest.mark.skipif(not has_keras_2, reason="Keras 3 has no such strategy")
def test_fit_loses_nothing_when_a_worker_is_killed(files):
    lost, repeated = train(files, "--mode=fit", "--step_secs=0.05", kill=True)
    assert lost == 0
    # What both workers held, since on a slow machine the one that lives may be
    # taken for lost, too: four items each, by the buffers of the pipeline.
    assert repeated <= 8 * ROWS


@pytest.mark.cluster
@pytest.mark.skipif(not has_keras_2, reason="Keras 3 has no such strategy")
@pytest.mark.parametrize(
    "args", [(), ("--in_order",)], ids=["shuffled", "in order"]
)
def test_a_coordinator_that_is_told_to_go_saves(files, tmp_path, args):
    lost, repeated = train(
        files,
        "--mode=fit",
        "--step_secs=0.05",
        f"--checkpoint={tmp_path / 'model'}",
        *args,
        preempt=True,
    )
    assert lost == 0
    # Of the items that the workers were at, those that they could not finish
    # in the time that they have.
    assert repeated <= 5 * ROWS


@pytest.mark.cluster
@pytest.mark.parametrize(
    "args", [(), ("--in_order",)], ids=["shuffled", "in order"]
)
def test_steps_lose_nothing_when_a_worker_is_killed(files, args):
    lost, repeated = train(
        files, "--mode=loop", "--step_secs=0.05", *args, kill=True
    )
    assert lost == 0
    assert repeated <= 5 * ROWS


@pytest.mark.cluster
def test_items_lose_nothing_when_a_worker_is_killed(files):
    lost, repeated = train(files, "--mode=items", "--step_secs=0.05", kill=True)
    assert lost == 0
    # The one that it was at.
    assert repeated <= ROWS


def test_says_where_a_queue_has_to_be_made(files):
    with WorkQueue(files) as queue:
        with pytest.raises(WorkQueueError, match="in the scope of a"):
            queue.dataset_creator(lambda: None)
        with pytest.raises(WorkQueueError, match="in the scope of a"):
            next(queue.schedule_items(None, lambda path: None))
        with pytest.raises(WorkQueueError, match="in the scope of a"):
            next(queue.schedule_steps(None, lambda i: None, lambda: None))
