"""Slices: what it costs to read a file slice by slice, not as a whole."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks.results import Bar, Result, spread
from wq_hooks import readers, sources
from wq_hooks.core.items.slicing import Slicing

_RECORD_BYTES = 200
_MEGABYTES = (1, 8)
_BATCH_SIZE = 512
_LIMIT = 1.05

Reader = Callable[[Any], Any]

_FORMATS: dict[str, tuple[Any, Reader, Reader]] = {
    "text": (
        sources.TextLines,
        tf.data.TextLineDataset,
        readers.text_lines,
    ),
    "TFRecord": (
        sources.TFRecords,
        tf.data.TFRecordDataset,
        readers.tf_records,
    ),
}


def run(*, quick: bool) -> Result:
    """Reads one file of lines and one of records, whole and in slices."""
    # Many short turns: on a machine that others use as well, a long one has
    # no chance to be left alone. And many readings: where in memory one has
    # come to lie makes it faster or slower by a third for as long as it lives.
    num_readings = 1 if quick else 7
    _stay_on_one_core()
    num_batches = 8 if quick else 164
    num_records = 10_000 if quick else 84_000
    result = Result(
        "slices",
        f"CPU time to read a file of {num_records:,} records of "
        f"{_RECORD_BYTES} bytes in batches of {_BATCH_SIZE}, again and again. "
        "Slices are read by the readers of the package, the whole by "
        "TensorFlow's own, both by a flat_map over a dataset of items.",
        ("format", "read", "CPU s for all", "of whole", "min to max"),
    )
    with tempfile.TemporaryDirectory() as directory:
        paths = _write_files(directory, num_records)
        for name, (source, whole, sliced) in _FORMATS.items():
            secs: dict[str, list[float]] = {}
            for number in range(num_readings):
                readings = _readings(paths[name], source, whole, sliced)
                secs = secs or {how: [] for how in readings}
                # No way is always the first, or behind the same other one.
                ways = random.Random(number).sample([*readings], len(readings))
                # The first turn of each pays for what is done once.
                for is_counted in (False, True):
                    for how in ways:
                        spent = _cpu_secs_per_record(readings[how], num_batches)
                        if is_counted:
                            secs[how].append(spent * num_records)
            _add(result, name, secs)
    result.notes.append(
        "CPU time of the process, on one core: on several, the threads of "
        "TensorFlow that wait for each other spin, which is no reading; and "
        "other processes move wall time much more. The ways "
        f"take turns, {num_batches} batches at a time, and each turn is held "
        "to that of the whole in the same round. What a take "
        "costs is another benchmark's. Where records begin in the TFRecord "
        "file is read from an index beside it."
    )
    return result


def _readings(
    path: str, source: Any, whole: Reader, sliced: Reader
) -> dict[str, Iterator[Any]]:
    """Returns batches without end, by the way to read them.

    The first way is what others are held to.
    """
    ways = {"whole": _items([path]).flat_map(whole)}
    for megabytes in _MEGABYTES:
        texts = _slices(source(path), megabytes << 20)
        ways[f"slices of {megabytes} MB"] = _items(texts).flat_map(sliced)
    ways["whole, no flat_map"] = whole(path).repeat()
    return {
        how: iter(records.batch(_BATCH_SIZE)) for how, records in ways.items()
    }


def _add(result: Result, name: str, secs: dict[str, list[float]]) -> None:
    whole = secs["whole"]
    for how, found in secs.items():
        ratios = [spent / of for spent, of in zip(found, whole)]
        result.rows.append(
            (
                name,
                how,
                statistics.median(found),
                statistics.median(ratios),
                spread(ratios),
            )
        )
        if how.startswith("slices"):
            text = f"{name}, {how}, of whole"
            ratio = statistics.median(ratios)
            result.bars.append(Bar(text, ratio, "<=", _LIMIT))


def _write_files(directory: str, num_records: int) -> dict[str, str]:
    """Returns the path of a file of each format."""
    text = os.path.join(directory, "lines.txt")
    records = os.path.join(directory, "records.tfrecord")
    letters = np.random.RandomState(1).randint(
        ord("a"), ord("z") + 1, (num_records, _RECORD_BYTES), np.uint8
    )
    with open(text, "wb") as file, tf.io.TFRecordWriter(records) as writer:
        for row in letters:
            file.write(row.tobytes() + b"\n")
            writer.write(row.tobytes())
    sources.tfrecord.write_index(records)
    return {"text": text, "TFRecord": records}


def _items(texts: list[str]) -> Any:
    return tf.data.Dataset.from_tensor_slices(texts).repeat()


def _slices(source: Any, num_bytes: int) -> list[str]:
    """Returns slices of a file of about so many bytes."""
    num_slices = max(1, os.path.getsize(source.name) // num_bytes)
    slicing = Slicing.share([source.count_records()], num_slices)
    return [
        slicing.text(item, lambda _: str(source.name))
        for item in range(slicing.num_items)
    ]


def _stay_on_one_core() -> None:
    """Keeps all threads of this process, and those to come, on one core."""
    if not hasattr(os, "sched_setaffinity"):
        return  # Not on Linux.
    core = min(os.sched_getaffinity(0))
    for thread in os.listdir("/proc/self/task"):
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(int(thread), {core})


def _cpu_secs_per_record(batches: Iterator[Any], num_batches: int) -> float:
    """Returns the CPU time of this process that a record takes."""
    begin = time.process_time()
    num_records = sum(
        int(batch.shape[0]) for batch in itertools.islice(batches, num_batches)
    )
    return (time.process_time() - begin) / num_records
