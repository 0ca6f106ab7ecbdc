"""A process that reads, and then trains, from each of some pipelines in turn.

Prints {what: {pipeline: [[records/s, CPU s of a record], ...]}}.
"""

from __future__ import annotations

import argparse
import glob
import json
import os
import random
import time
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from benchmarks.measuring import print_figures
from model_zoo.wide_and_deep import data, model
from wq_hooks import WorkQueue

tf1 = tf.compat.v1

_BATCH_SIZE = 512
_SHUFFLE = 20_000
# Behind a pause a pipeline has batches in hand.
_NUM_SKIPPED = 10

Pipeline = Callable[[list[str]], Any]


def main() -> None:
    """Measures each pipeline for a while in each round."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", help="pattern of what is read")
    parser.add_argument("--num_rounds", help="JSON, {what is measured: number}")
    parser.add_argument("--secs", type=float, help="of each turn")
    parser.add_argument("--warm_up_secs", type=float, help="of each pipeline")
    parser.add_argument("--seed", type=int, help="of orders; who is first")
    args = parser.parse_args()
    names = list(PIPELINES)
    first = args.seed % len(names)
    names = names[first:] + names[:first]
    generator = random.Random(args.seed)
    job = _Job(sorted(glob.glob(args.files)), names)
    rates: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for what, num_rounds in json.loads(args.num_rounds).items():
        for name in names:
            job.run_for(what, name, args.warm_up_secs)
        found = rates[what] = {name: [] for name in PIPELINES}
        for _ in range(num_rounds):
            # None comes always behind the same other one.
            for name in generator.sample(names, len(names)):
                found[name].append(job.run_for(what, name, args.secs))
    print_figures(rates)
    os._exit(0)


def _plain(files: list[str]) -> Any:
    """A plain list as people write it."""
    return _parsed(_plain_lines(files), tf.data.AUTOTUNE)


def _untuned(files: list[str]) -> Any:
    """The same, as lean as the pipelines of a queue."""
    options = tf.data.Options()
    options.autotune.enabled = False
    return _parsed(_plain_lines(files)).with_options(options)


def _plain_lines(files: list[str]) -> Any:
    paths = tf.data.Dataset.from_tensor_slices(files).repeat()
    return tf.data.TextLineDataset(paths).shuffle(_SHUFFLE)


def _next(files: list[str]) -> Any:
    queue = WorkQueue(files, num_epochs=None, name="next")
    lines = tf.data.TextLineDataset(queue.input_dataset()).shuffle(_SHUFFLE)
    return _parsed(lines)


def _records(files: list[str]) -> Any:
    queue = WorkQueue(files, num_epochs=None, name="records")
    lines = queue.records(tf.data.TextLineDataset).shuffle(_SHUFFLE)
    return _parsed(lines).to_dataset()


def _parsed(lines: Any, num_parallel_calls: int | None = None) -> Any:
    batches = lines.batch(_BATCH_SIZE).map(
        data.parse_lines,
        num_parallel_calls=num_parallel_calls or os.cpu_count(),
    )
    return batches.prefetch(1)


PIPELINES: dict[str, Pipeline] = {
    "plain": _plain,
    "plain, tuning off": _untuned,
    "queue, ack=next": _next,
    "queue, records()": _records,
}


class _Job:
    """A train step, and each pipeline to feed it from, in one session.

    Args:
      files: What is read, again and again.
      names: Names of the pipelines, in the order in which they are built.
    """

    def __init__(self, files: list[str], names: list[str]):
        with tf.Graph().as_default():
            step = tf1.train.get_or_create_global_step()
            iterators = {}
            for name in names:
                iterator = tf1.data.make_initializable_iterator(
                    PIPELINES[name](files)
                )
                tf1.add_to_collection(
                    tf1.GraphKeys.TABLE_INITIALIZERS, iterator.initializer
                )
                iterators[name] = iterator
            self._handle = tf1.placeholder(tf.string, [])
            plain = iterators["plain"]
            features, labels = tf1.data.Iterator.from_string_handle(
                self._handle,
                tf1.data.get_output_types(plain),
                tf1.data.get_output_shapes(plain),
            ).get_next()
            config = model.ModelConfig()
            loss = model.build_loss(
                model.build_logits(features, config), labels
            )
            num_rows = tf.size(labels)
            self._fetches = {
                "input alone": [num_rows, step.assign_add(1)],
                "train": [num_rows, model.build_train_op(loss, config)],
            }
            handles = {n: i.string_handle() for n, i in iterators.items()}
            self._session = tf1.train.MonitoredTrainingSession(
                log_step_count_steps=None
            )
            self._handles = self._session.run(handles)

    def run_for(self, what: str, name: str, secs: float) -> tuple[float, float]:
        """Runs steps for so many seconds.

        Args:
          what: "train", or "input alone": whether it trains, or only asks for
            batches.
          name: Name of the pipeline.
          secs: When to end.

        Returns:
          Records per second, and CPU seconds of a record.
        """
        feeds = {self._handle: self._handles[name]}
        fetches = self._fetches[what]
        for _ in range(_NUM_SKIPPED):
            self._session.run(fetches, feeds)
        cpu_secs = time.process_time()
        begin = end = time.perf_counter()
        num_records = 0
        while end - begin < secs:
            num_records += int(self._session.run(fetches, feeds)[0])
            end = time.perf_counter()
        cpu_secs = time.process_time() - cpu_secs
        return num_records / (end - begin), cpu_secs / num_records


if __name__ == "__main__":
    main()
