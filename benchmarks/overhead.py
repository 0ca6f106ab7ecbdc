"""Overhead: records per second from the queue, against a plain file list."""

from __future__ import annotations

import glob
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from benchmarks.results import Bar, Result, spread
from model_zoo.wide_and_deep import data, model
from model_zoo.wide_and_deep.generate import generate
from wq_hooks import WorkQueue

tf1 = tf.compat.v1

_ROWS_PER_MEGABYTE = 4_000
_BATCH_SIZE = 512
_SHUFFLE = 20_000
# A session prepares each of its steps when it is run for the first time, which
# would be a tenth of a run of seconds, and is nothing in one of hours.
_WARM_UP_SECS = 2.0
# Behind a pause a pipeline has batches in hand.
_NUM_SKIPPED = 10

Pipeline = Callable[[list[str]], Any]


class _Rate(NamedTuple):
    """How fast a job was for a while."""

    records_per_sec: float
    cpu_per_record: float


def run(*, quick: bool) -> Result:
    """Measures the input pipeline alone, then with the train step."""
    num_files = 2 if quick else 12
    # Rounds, and how long each job runs in each of them.
    plans = {
        "input alone": (2, 0.1) if quick else (12, 0.4),
        "train": (2, 0.1) if quick else (24, 0.6),
    }
    result = Result(
        "overhead",
        "Records per second through the Wide & Deep input pipeline (lines, "
        f"shuffle({_SHUFFLE}), batch({_BATCH_SIZE}), decode_csv), from files "
        "of 1 MB, in a MonitoredTrainingSession.",
        (
            "what",
            "files from",
            "records/s",
            "min to max",
            "of plain",
            "CPU, of plain",
        ),
    )
    with tempfile.TemporaryDirectory() as directory:
        files = _write_files(directory, 2_000 if quick else None, num_files)
        for what, (num_rounds, secs) in plans.items():
            rates = _take_turns(
                files,
                has_train_step=what == "train",
                num_rounds=num_rounds,
                secs=secs,
                warm_up_secs=0.1 if quick else _WARM_UP_SECS,
            )
            _add(result, what, rates)
    result.notes.append(
        "All jobs live in one process and run in turn, for half a second; "
        "each turn is held to the turn of the plain list in the same round. "
        "Chief, worker and queue share the two cores with the train step, "
        "where a cluster has a machine for each."
    )
    return result


def _take_turns(
    files: list[str],
    *,
    has_train_step: bool,
    num_rounds: int,
    secs: float,
    warm_up_secs: float,
) -> dict[str, list[_Rate]]:
    """Returns how fast each pipeline was in each round."""
    rates: dict[str, list[_Rate]] = {name: [] for name in _PIPELINES}
    jobs = {
        name: _Job(pipeline, files, has_train_step)
        for name, pipeline in _PIPELINES.items()
    }
    for job in jobs.values():
        job.run_for(warm_up_secs)
    names = list(jobs)
    for number in range(num_rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            rates[name].append(jobs[name].run_for(secs))
    return rates


def _add(result: Result, what: str, rates: dict[str, list[_Rate]]) -> None:
    plain = rates["plain"]
    for name, found in rates.items():
        of_plain, cpu_of_plain = (
            statistics.median(rate[k] / of[k] for rate, of in zip(found, plain))
            for k in range(2)
        )
        per_sec = [rate.records_per_sec for rate in found]
        result.rows.append(
            (
                what,
                name,
                statistics.median(per_sec),
                spread(per_sec),
                of_plain,
                cpu_of_plain,
            )
        )
        if name in _BARS:
            text = f"{what}, {name}, of plain"
            result.bars.append(Bar(text, of_plain, ">=", _BARS[name]))


def _plain(files: list[str]) -> Any:
    paths = tf.data.Dataset.from_tensor_slices(files).repeat()
    lines = tf.data.TextLineDataset(paths).shuffle(_SHUFFLE)
    return _parsed(lines)


def _next(files: list[str]) -> Any:
    paths = WorkQueue(files, num_epochs=None).input_dataset()
    lines = tf.data.TextLineDataset(paths).shuffle(_SHUFFLE)
    return _parsed(lines)


def _records(files: list[str]) -> Any:
    queue = WorkQueue(files, num_epochs=None)
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


class _Job:
    """A job that runs for a while, pauses, and goes on.

    Its session ends with the process: to close one in the midst of the data
    takes up to a minute, since TensorFlow waits until the thread that tunes
    its tf.data pipeline has slept its time.

    Args:
      pipeline: Where its batches come from.
      files: What it reads, again and again.
      has_train_step: Whether it trains; if not, it only asks for batches.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        files: list[str],
        has_train_step: bool,
    ):
        with tf.Graph().as_default():
            step = tf1.train.get_or_create_global_step()
            iterator = tf1.data.make_initializable_iterator(pipeline(files))
            tf1.add_to_collection(
                tf1.GraphKeys.TABLE_INITIALIZERS, iterator.initializer
            )
            features, labels = iterator.get_next()
            stepped = step.assign_add(1)
            if has_train_step:
                config = model.ModelConfig()
                loss = model.build_loss(
                    model.build_logits(features, config), labels
                )
                stepped = model.build_train_op(loss, config)
            self._fetches = [tf.size(labels), stepped]
            self._session = tf1.train.MonitoredTrainingSession(
                log_step_count_steps=None
            )

    def run_for(self, secs: float) -> _Rate:
        """Runs steps for so many seconds; returns how fast it was."""
        for _ in range(_NUM_SKIPPED):
            self._session.run(self._fetches)
        cpu_secs = time.process_time()
        begin = end = time.perf_counter()
        num_records = 0
        while end - begin < secs:
            num_records += self._session.run(self._fetches)[0]
            end = time.perf_counter()
        cpu_secs = time.process_time() - cpu_secs
        return _Rate(num_records / (end - begin), cpu_secs / num_records)


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
