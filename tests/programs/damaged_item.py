"""Trains items one by one, and is killed at one of them.

    damaged_item.py WAY DIRECTORY NUMBER

WAY is "take", "dataset", "producer" or "records", of a graph's session, or
"eager". It appends what it has trained to DIRECTORY/trained.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import tensorflow as tf

from tests.support.sessions import element_of, item_of
from wq_hooks import WorkQueue, WorkQueueHook

NUM_ITEMS = 5
MAX_ATTEMPTS = 2

tf1 = tf.compat.v1


def main(way, directory, bad):
    names = [str(i) for i in range(NUM_ITEMS)]

    def train(name):
        if name == bad:
            # A Reader draws unseen; it takes a moment to know what it reads.
            time.sleep(0.1)
            os.kill(os.getpid(), signal.SIGKILL)
        with open(directory / "trained", "a", encoding="utf-8") as f:
            f.write(name + "\n")

    args = {"shuffle": False, "max_attempts": MAX_ATTEMPTS}
    if way == "eager":
        with WorkQueue(names, attempts_dir=directory, **args) as queue:
            for item in queue.input_dataset():
                train(item.numpy().decode())
        return
    with tf.Graph().as_default():
        step = tf1.train.get_or_create_global_step()
        queue = WorkQueue(names, **args)
        if way == "records":
            records = queue.records(tf.data.Dataset.from_tensors)
            item = element_of(records.to_dataset())
        else:
            item = item_of(queue, way)
        with tf.control_dependencies([item]):
            stepped = step.assign_add(1)
        with tf1.train.MonitoredTrainingSession(
            checkpoint_dir=str(directory),
            hooks=[WorkQueueHook()],
            save_checkpoint_steps=1,
            save_summaries_steps=None,
            log_step_count_steps=None,
        ) as session:
            while not session.should_stop():
                train(session.run([item, stepped])[0].decode())


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
