"""Overhead: records per second from the queue, against a plain file list."""

from __future__ import annotations

import glob
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from benchmarks.results import Bar, Result, spread
from model_zoo.wide_and_deep import data, model
from model_zoo.wide_and_deep.generate import generate
from wq_hooks import WorkQueue

tf1 = tf.compat.v1

_ROWS_PER_MEGABYTE = 4_000
_BATCH_SIZE = 512
_SHUFFLE = 20_000
# A session prepares each of its steps when it is run for the first time; that
# would be a tenth of a run of seconds, and is nothing in one of hours.
_WARM_UP_STEPS = 50

Pipeline = Callable[[list[str], int], Any]


def run(*, quick: bool) -> Result:
    """Measures the input pipeline alone, then with the train step."""
    num_files = 2 if quick else 12
    # Runs, and epochs of each.
    plans = {
        "input alone": (1, 2) if quick else (3, 6),
        "train": (1, 1) if quick else (5, 5),
    }
    result = Result(
        "overhead",
        "Records per second through the Wide & Deep input pipeline (lines, "
        f"shuffle({_SHUFFLE}), batch({_BATCH_SIZE}), decode_csv), from files "
        "of 1 MB, in a MonitoredTrainingSession.",
        ("what", "files from", "records/s", "min to max", "of plain"),
    )
    with tempfile.TemporaryDirectory() as directory:
        files = _write_files(directory, 2_000 if quick else None, num_files)
        for what, (num_runs, epochs) in plans.items():
            rates: dict[str, list[float]] = {name: [] for name in _PIPELINES}
            for _ in range(num_runs):
                for name, pipeline in _PIPELINES.items():
                    rates[name].append(
                        _records_per_sec(
                            pipeline,
                            files,
                            epochs,
                            what == "train",
                            1 if quick else _WARM_UP_STEPS,
                        )
                    )
            for name, found in rates.items():
                ratio = statistics.median(
                    rate / plain for rate, plain in zip(found, rates["plain"])
                )
                median = statistics.median(found)
                result.rows.append((what, name, median, spread(found), ratio))
                if name in _BARS:
                    text = f"{what}, {name}, of plain"
                    result.bars.append(Bar(text, ratio, ">=", _BARS[name]))
    return result


def _plain(files: list[str], num_epochs: int) -> Any:
    paths = tf.data.Dataset.from_tensor_slices(files).repeat(num_epochs)
    lines = tf.data.TextLineDataset(paths).shuffle(_SHUFFLE)
    return _parsed(lines)


def _next(files: list[str], num_epochs: int) -> Any:
    paths = WorkQueue(files, num_epochs=num_epochs).input_dataset()
    lines = tf.data.TextLineDataset(paths).shuffle(_SHUFFLE)
    return _parsed(lines)


def _records(files: list[str], num_epochs: int) -> Any:
    queue = WorkQueue(files, num_epochs=num_epochs)
    lines = queue.records(tf.data.TextLineDataset).shuffle(_SHUFFLE)
    return _parsed(lines).to_dataset()


def _parsed(lines: Any) -> Any:
    # tf.data makes a plain map parallel where nobody minds that it runs ahead.
    batches = lines.batch(_BATCH_SIZE)
    batches = batches.map(data.parse_lines, num_parallel_calls=tf.data.AUTOTUNE)
    return batches.prefetch(1)


_PIPELINES: dict[str, Pipeline] = {
    "plain": _plain,
    "queue, ack=next": _next,
    "queue, records()": _records,
}
_BARS = {"queue, ack=next": 0.98, "queue, records()": 0.90}


def _write_files(
    directory: str, num_rows: int | None, num_files: int
) -> list[str]:
    generate(
        directory,
        num_files=num_files,
        rows_per_file=num_rows or _ROWS_PER_MEGABYTE,
        eval_rows=10,
    )
    return sorted(glob.glob(os.path.join(directory, "train", "*")))


def _records_per_sec(
    pipeline: Pipeline,
    files: list[str],
    num_epochs: int,
    has_train_step: bool,
    num_warm_up: int,
) -> float:
    with tf.Graph().as_default():
        step = tf1.train.get_or_create_global_step()
        iterator = tf1.data.make_initializable_iterator(
            pipeline(files, num_epochs)
        )
        tf1.add_to_collection(
            tf1.GraphKeys.TABLE_INITIALIZERS, iterator.initializer
        )
        features, labels = iterator.get_next()
        num_records = tf.size(labels)
        stepped = step.assign_add(1)
        if has_train_step:
            config = model.ModelConfig()
            loss = model.build_loss(
                model.build_logits(features, config), labels
            )
            stepped = model.build_train_op(loss, config)
        with tf1.train.MonitoredTrainingSession(
            log_step_count_steps=None
        ) as session:
            for _ in range(num_warm_up):
                session.run([num_records, stepped])
            begin = end = time.perf_counter()
            total = 0
            while not session.should_stop():
                total += session.run([num_records, stepped])[0]
                end = time.perf_counter()
        # The end of the data leaves the block above.
        return float(total / (end - begin))
