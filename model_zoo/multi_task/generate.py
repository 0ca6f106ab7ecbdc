"""Writes hours of TFRecord files with a planted signal, also one by one.

    python -m model_zoo.multi_task.generate --output_dir=data
    python -m model_zoo.multi_task.generate --output_dir=data \
        --first_hour=24 --every_secs=3 --late=30

A user clicks with a probability, and converts after a click with another one.
Both are logistic in effects of user, item and slot, a linear form of the dense
column, and one product, some of it shared. The probabilities stand beside the
labels, so the best AUC that any model can reach is known for any of the files.
An hour depends on its number and the seed alone. `_END` says that no more come.
"""

from __future__ import annotations

import argparse
import datetime
import os
import pathlib
import sys
import time
from typing import Any

import numpy as np
import tensorflow as tf

from model_zoo.multi_task import data
from wq_hooks import sources

FIRST = datetime.datetime(2026, 1, 1)
_EVAL_STREAM = 2**31
_MAX_ROWS = 10**6  # of an hour; ids tell hours apart


def new_signal(seed: int) -> dict[str, Any]:
    """Draws the effects for each task: half of their variance is shared."""
    random = np.random.RandomState([seed, 2**32 - 1])
    sizes = {**data.CATEGORIES, "dense": data.NUM_DENSE}
    scales = {"user": 0.8, "item": 0.8, "slot": 0.5, "dense": 0.5}
    signal: dict[str, Any] = {task: {} for task in data.TASKS}
    for name, size in sizes.items():
        shared = random.randn(size)
        for task in data.TASKS:
            both = (shared + random.randn(size)) / np.sqrt(2)
            signal[task][name] = scales[name] * both
    return signal


def draw(signal: dict[str, Any], random: Any, num: int) -> dict[str, Any]:
    """Draws the columns of so many rows."""
    columns: dict[str, Any] = {
        # Popularity falls with the rank.
        name: np.minimum(size * random.rand(num) ** 1.5, size - 1).astype(int)
        for name, size in data.CATEGORIES.items()
    }
    columns["dense"] = dense = random.randn(num, data.NUM_DENSE)
    probability = np.ones(num)
    drawn = np.ones(num)
    for task, bias in zip(data.TASKS, (-0.9, -0.4)):
        effects = signal[task]
        logits = (
            bias + dense @ effects["dense"] + 0.5 * dense[:, 0] * dense[:, 1]
        )
        logits += sum(effects[name][columns[name]] for name in data.CATEGORIES)
        given_before = 1.0 / (1.0 + np.exp(-logits))
        # Who has not clicked does not convert.
        probability = probability * given_before
        drawn = drawn * (random.rand(num) < given_before)
        columns[task], columns[f"{task}_probability"] = drawn, probability
    return columns


def write_files(
    directory: str, columns: dict[str, Any], first_id: int, num_files: int
) -> None:
    """Writes rows into files of about the same length, each with its index."""
    os.makedirs(directory, exist_ok=True)
    columns = {"id": first_id + np.arange(len(columns["user"])), **columns}
    for number, rows in enumerate(
        np.array_split(np.arange(len(columns["id"])), num_files)
    ):
        path = os.path.join(directory, f"part-{number:05d}.tfrecord")
        with tf.io.TFRecordWriter(path) as writer:
            for row in rows:
                example = tf.train.Example()
                for name, values in columns.items():
                    feature = example.features.feature[name]
                    if values.dtype.kind == "i":
                        feature.int64_list.value.append(values[row])
                    else:
                        feature.float_list.value.extend(np.ravel(values[row]))
                writer.write(example.SerializeToString())
        sources.tfrecord.write_index(path)


def write_hour(
    output_dir: str, number: int, *, num_files: int, num_rows: int, seed: int
) -> str:
    """Writes the hour of a number, from 0, whole; returns its directory."""
    hour = (FIRST + datetime.timedelta(hours=number)).strftime("%Y-%m-%d-%H")
    directory = os.path.join(output_dir, f"hour={hour}")
    random = np.random.RandomState([seed, number])
    columns = draw(new_signal(seed), random, num_rows)
    write_files(directory, columns, number * _MAX_ROWS, num_files)
    pathlib.Path(directory, data.SUCCESS).touch()
    return directory


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--output_dir", required=True, help="where to write")
    for name, default, what in (
        ("num_files", 96, "files of all hours together"),
        ("files_per_hour", 4, "files of an hour, at most"),
        ("rows_per_file", 500, "rows of a file"),
        ("eval_rows", 10_000, "rows of eval/part-00000.tfrecord"),
        ("first_hour", 0, "number of the first hour to write"),
        ("late", -1, "number of the hour that comes last"),
        ("every_secs", 0, "time between two hours"),
        ("seed", 1, "seed of signal and rows"),
    ):
        parser.add_argument(f"--{name}", type=int, default=default, help=what)
    parser.add_argument("--noend", action="store_true", help="write no _END")
    args = parser.parse_args()
    random = np.random.RandomState([args.seed, _EVAL_STREAM])
    columns = draw(new_signal(args.seed), random, args.eval_rows)
    write_files(os.path.join(args.output_dir, "eval"), columns, 0, 1)
    starts = range(0, args.num_files, args.files_per_hour)
    hours = [(args.first_hour + i, start) for i, start in enumerate(starts)]
    # False comes before True.
    for number, start in sorted(hours, key=lambda hour: hour[0] == args.late):
        num_files = min(args.files_per_hour, args.num_files - start)
        num_rows = num_files * args.rows_per_file
        sizes = {"num_files": num_files, "num_rows": num_rows}
        print(write_hour(args.output_dir, number, seed=args.seed, **sizes))
        sys.stdout.flush()
        time.sleep(args.every_secs)
    if not args.noend:
        pathlib.Path(args.output_dir, data.END).touch()


if __name__ == "__main__":
    main()
