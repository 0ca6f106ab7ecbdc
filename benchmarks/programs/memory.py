"""A process that draws items one by one: how much it grows with each.

Prints its figures. Each item is one record.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import gc
import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf

from benchmarks.measuring import print_figures
from wq_hooks import WorkQueue

tf1 = tf.compat.v1

# Caches are full then.
_WARM_UP_SHARE = 0.4


def main() -> None:
    """Measures one way to get the items."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--how", choices=("list", "dataset", "records"))
    parser.add_argument("--mode", choices=("eager", "session"))
    parser.add_argument("--num_items", type=int)
    args = parser.parse_args()
    num_warm_up = int(_WARM_UP_SHARE * args.num_items)
    with _source(args.how, args.mode, args.num_items) as draw:
        for _ in itertools.repeat(None, num_warm_up):
            draw()
        before = _resident_bytes()
        num_drawn = args.num_items - num_warm_up - 1
        for _ in itertools.repeat(None, num_drawn):
            draw()
        grown = _resident_bytes() - before
    print_figures({"bytes_of_item": grown / num_drawn})
    # The rest of the items, and their threads, do not matter.
    os._exit(0)


@contextlib.contextmanager
def _source(
    how: str, mode: str, num_items: int
) -> Iterator[Callable[[], object]]:
    """Yields what draws one item."""
    if mode == "eager":
        iterator = iter(_dataset(how, num_items))
        yield lambda: next(iterator)
        return
    server = tf.distribute.Server.create_local_server()
    with tf.Graph().as_default():
        dataset = _dataset(how, num_items)
        drawing = tf1.data.make_initializable_iterator(dataset)
        item = drawing.get_next()
        tf1.add_to_collection(
            tf1.GraphKeys.TABLE_INITIALIZERS, drawing.initializer
        )
        tf1.train.get_or_create_global_step()
        with tf1.train.MonitoredTrainingSession(
            server.target, save_summaries_steps=None, log_step_count_steps=None
        ) as session:
            yield lambda: session.run(item)


def _dataset(how: str, num_items: int) -> Any:
    works = [f"part-{i:08d}" for i in range(num_items)]
    reader = tf.data.Dataset.from_tensors
    if how == "list":
        return tf.data.Dataset.from_tensor_slices(works).flat_map(reader)
    queue = WorkQueue(works, shuffle=False)
    if how == "dataset":
        return queue.input_dataset().flat_map(reader)
    return queue.records(reader).to_dataset()


def _resident_bytes() -> int:
    gc.collect()
    # What is free and not given back yet does not count.
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
