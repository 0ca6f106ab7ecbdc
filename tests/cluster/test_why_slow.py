"""Why a worker is slow, told of a job whose workers are slow on purpose.

Servers and sessions in this process, an item's records through `records()`.
How long a slow one sleeps follows from how long the others take, so that a
busy machine does not change who is slow.
"""

from __future__ import annotations

import re
import threading
import time

import tensorflow as tf

from tests.support.in_process_cluster import Background, InProcessCluster
from tests.support.queues import chief_of
from tests.support.sessions import element_of, wait_until
from wq_hooks import WorkQueue
from wq_hooks.core.monitoring.slow_workers import slow_workers
from wq_hooks.core.monitoring.view import Viewer

tf1 = tf.compat.v1

CHIEF, DISK, MACHINE, BIG = range(4)
CAUSES = {
    f"worker:{DISK}": "slow disk",
    f"worker:{MACHINE}": "slow machine",
    f"worker:{BIG}": "big file",
}
ROWS, BATCH = 20, 10
# So often the time of a batch of the others, at each batch.
TIMES = 12


class Job:
    """Four workers that train the same files."""

    def __init__(self, directory):
        self.works = [str(directory / f"part-{i:03d}") for i in range(80)]
        for i, path in enumerate(self.works):
            rows = ROWS * (100 if i == 0 else 1)
            with open(path, "w") as file:
                file.writelines(f"{row}\n" for row in range(rows))
        self.cluster = InProcessCluster(num_workers=4)
        self.queue = None
        self.is_over = threading.Event()
        self.has_begun = [threading.Event() for _ in range(4)]
        self._batch_secs = 0.04

    def sleep(self, times):
        """Sleeps, unless all has been seen."""
        self.is_over.wait(times * self._batch_secs)

    def train(self, index):
        with self.cluster.task(index) as task:
            queue = WorkQueue(self.works, num_epochs=None, shuffle=False)
            if index == CHIEF:
                self.queue = queue
            batch = element_of(self._dataset(queue, index))
            with task.session() as session:
                self.has_begun[index].set()
                # The one with the big file is the first to take one.
                while index != BIG and not self.is_over.is_set():
                    if self._has_big():
                        break
                    time.sleep(0.01)
                while not self.is_over.is_set():
                    begin = time.monotonic()
                    session.run(batch)
                    if index == CHIEF:
                        secs = time.monotonic() - begin
                        self._batch_secs = 0.02 + min(secs, 0.2)
                    self.is_over.wait(0.02)
                    if index == MACHINE:
                        self.sleep(TIMES)

    def _has_big(self):
        if self.queue is None or chief_of(self.queue) is None:
            return False
        state = chief_of(self.queue).state()
        return any(
            worker["name"] == f"worker:{BIG}" and worker["in_hand"]
            for worker in state["workers"]
        )

    def _dataset(self, queue, index):
        def read(path):
            def wait(row):
                self.sleep(TIMES / BATCH)
                return row

            rows = tf.data.TextLineDataset(path)
            if index != DISK:
                return rows
            return rows.map(
                lambda row: tf.ensure_shape(
                    tf.numpy_function(wait, [row], tf.string), []
                )
            )

        return queue.records(read).batch(BATCH).to_dataset()


def test_a_slow_disk_a_slow_machine_and_a_big_file_are_told_apart(tmp_path):
    job, viewer, found = Job(tmp_path), Viewer("train"), {}
    tasks = [Background(job.train, index) for index in range(4)]
    wait_until(lambda: job.queue is not None and chief_of(job.queue))

    def are_told_apart():
        for task in tasks:
            if task.is_done:
                task.result()
        time.sleep(0.2)
        view = chief_of(job.queue).view(viewer)
        slow = slow_workers(view.state)
        for name, slowness in slow.items():
            if slowness.cause:
                found[name] = slowness
        time.sleep(0.2)
        causes = {name: found[name].cause for name in found}
        return CAUSES.items() <= causes.items()

    try:
        wait_until(are_told_apart)
    finally:
        job.is_over.set()
    for task in tasks:
        task.result()
    disk, machine, big = (found[name].in_words() for name in CAUSES)
    assert re.search(r"of which \d+% waiting for data \(slow disk\)$", disk)
    assert re.search(r"of which \d+% training \(slow machine\)$", machine)
    assert big.endswith("(big file)")
