"""A process that lists many works: memory, times, size of a checkpoint.

Prints its figures.
"""

from __future__ import annotations

import argparse
import glob
import os
import resource
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from benchmarks.measuring import print_figures
from wq_hooks import WorkQueue

tf1 = tf.compat.v1

_NUM_SAVES = 5
_NUM_TABLES = 1000


class _Table:
    """A source of so many records; none is read."""

    def __init__(self, name: str, num_records: int):
        self.name = name
        self._num_records = num_records

    def count_records(self) -> int:
        """Returns their number."""
        return self._num_records

    def read(self, start: int, end: int) -> Iterator[int]:
        """Yields their numbers."""
        yield from range(start, end)


def main() -> None:
    """Measures one way to hold the works."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--how", choices=("queue", "sliced", "list"))
    parser.add_argument("--num_items", type=int)
    args = parser.parse_args()
    works = _works(args.how, args.num_items)
    # What TensorFlow takes by itself does not count.
    with tf.Graph().as_default(), tf1.Session() as session:
        session.run(tf.constant(1))
    before = _resident_megabytes()
    with tempfile.TemporaryDirectory() as directory:
        prefix = os.path.join(directory, "model.ckpt")
        first_secs, saves = _run(args.how, works, prefix, args.num_items)
        grown = _resident_megabytes() - before
        files = [f for f in glob.glob(prefix + "*") if not f.endswith(".meta")]
        size = sum(map(os.path.getsize, files))
        restore_secs, _ = _run(
            args.how, works, prefix, args.num_items, restores=True
        )
    print_figures(
        {
            "first_secs": first_secs,
            # The first one writes what is kept once.
            "first_save_secs": saves[0],
            "save_secs": min(saves[1:]),
            "checkpoint_bytes": size,
            "megabytes": grown,
            "restore_secs": restore_secs,
        }
    )


def _works(how: str, num_items: int) -> list[Any]:
    if how == "sliced":
        # The records do not matter, as long as there are slices of them.
        num_records = 1000 * num_items // _NUM_TABLES
        return [
            _Table(f"odps://warehouse/day-{i:04d}", num_records)
            for i in range(_NUM_TABLES)
        ]
    return [f"hdfs://warehouse/part-{i:08d}" for i in range(num_items)]


def _run(
    how: str,
    works: list[Any],
    prefix: str,
    num_items: int,
    *,
    restores: bool = False,
) -> tuple[float, list[float]]:
    """Returns seconds to the first item, and those of each save."""
    begin = time.perf_counter()
    with tf.Graph().as_default():
        take = _take(how, works, num_items)
        tf1.train.get_or_create_global_step()
        saver = tf1.train.Saver()
        tf1.add_to_collection(tf1.GraphKeys.SAVERS, saver)
        with tf1.Session() as session:
            session.run(
                [
                    tf1.global_variables_initializer(),
                    tf1.local_variables_initializer(),
                ]
            )
            if restores:
                saver.restore(session, prefix)
            coord = tf1.train.Coordinator()
            threads = tf1.train.start_queue_runners(session, coord)
            session.run(take)
            first_secs = time.perf_counter() - begin
            saves = []
            for _ in range(0 if restores else _NUM_SAVES):
                saving = time.perf_counter()
                saver.save(session, prefix)
                saves.append(time.perf_counter() - saving)
            coord.request_stop()
            coord.join(threads, stop_grace_period_secs=20)
    return first_secs, saves


def _take(how: str, works: list[Any], num_items: int) -> Any:
    if how == "queue":
        return WorkQueue(works).take()
    if how == "sliced":
        return WorkQueue(works, num_slices=num_items).take()
    # DeepRec's way on stock ops: the list in the graph and in the checkpoint.
    names = tf1.Variable(
        tf.constant(works), name="works", trainable=False, use_resource=True
    )
    position = tf1.Variable(0, trainable=False, use_resource=True)
    index = position.assign_add(1, read_value=True)
    return tf.gather(names, index - 1)


def _resident_megabytes() -> float:
    # ru_maxrss is in KiB on Linux.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
