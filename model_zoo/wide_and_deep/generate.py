"""Writes data in the Criteo format with a planted signal.

    python -m model_zoo.wide_and_deep.generate --output_dir=data
    python -m model_zoo.wide_and_deep.generate --output_dir=data \
        --num_files=24 --rows_per_file=2000 --seed=1

The labels are drawn from a logistic model of some of the columns
(`planted.py`), so the best AUC that any model can reach is known: that of the
probabilities which the labels were drawn from. It is written to `signal.json`,
beside `train/part-000NN.tsv` and `eval/part-00000.tsv`.

The trap: files of an earlier run would be trained on too, so a directory that
has some is refused unless `--overwrite` is given.
"""

from __future__ import annotations

import argparse
import glob
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from model_zoo.wide_and_deep import criteo, planted

VERSION = 1

# Second part of the seed of a file; the training files have their number.
_EVAL_STREAM = 2**31


def format_rows(labels: Any, rows: planted.Rows) -> str:
    """Formats rows as lines of the Criteo format, a newline behind each.

    Args:
      labels: int `[num_rows]`, 0 or 1.
      rows: The columns.
    """
    columns = [list(map(str, labels.tolist()))]
    for values, is_missing in zip(rows.integers.T, rows.is_missing.T):
        columns.append(
            [
                "" if missing else str(value)
                for value, missing in zip(values.tolist(), is_missing.tolist())
            ]
        )
    for column, values in enumerate(rows.categories.T):
        names = planted.category_names(column)
        columns.append([names[value] for value in values.tolist()])
    lines = map(criteo.DELIMITER.join, zip(*columns))
    return "".join(f"{line}\n" for line in lines)


def generate(
    output_dir: str,
    *,
    num_files: int = 24,
    rows_per_file: int = 2000,
    eval_rows: int = 10_000,
    seed: int = 1,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Writes the files and returns what stands in `signal.json`.

    A file depends on `seed`, `rows_per_file` and its own number alone: more
    files with the same seed are the same files and some more.

    Args:
      output_dir: Directory to write to; made if need be.
      num_files: Files to train on.
      rows_per_file: Lines in each of these.
      eval_rows: Lines in the held-out file.
      seed: Seed of the signal and of the rows.
      overwrite: Whether to remove the files of an earlier run.

    Raises:
      ValueError: If a number is out of range, or the directory holds files of
        an earlier run and `overwrite` is False.
    """
    for name, value in (
        ("num_files", num_files),
        ("rows_per_file", rows_per_file),
        ("eval_rows", eval_rows),
    ):
        if value < 1:
            raise ValueError(f"Expected {name} >= 1; got {name}={value}.")
    if not 0 <= seed < 2**32:
        raise ValueError(f"Expected 0 <= seed < 2**32; got seed={seed}.")
    _make_room(output_dir, overwrite=overwrite)

    signal = planted.make_signal(seed)
    for index in range(num_files):
        _write_part(output_dir, "train", index, signal, rows_per_file, index)
    labels, logits = _write_part(
        output_dir, "eval", 0, signal, eval_rows, _EVAL_STREAM
    )
    summary = {
        "version": VERSION,
        "seed": seed,
        "num_files": num_files,
        "rows_per_file": rows_per_file,
        "eval_rows": eval_rows,
        "eval_positive_rate": round(float(labels.mean()), 6),
        "optimal_auc": round(planted.auc(labels, logits), 6),
        "integer_columns": sorted(signal.integer_weights),
        "categorical_columns": sorted(signal.effects),
        "crossed_columns": list(planted.CROSSED_COLUMNS),
    }
    # Written last: where it stands, the files beside it are complete.
    path = os.path.join(output_dir, criteo.SIGNAL_FILE)
    with open(path, "w", encoding="utf-8") as f:
        json.dump(summary, f, indent=2)
        f.write("\n")
    return summary


def _make_room(output_dir: str, *, overwrite: bool) -> None:
    """Makes the directories and sees that no older files are in them."""
    old = [
        path
        for pattern in ("train/part-*.tsv", "eval/part-*.tsv")
        for path in glob.glob(os.path.join(glob.escape(output_dir), pattern))
    ]
    if old and not overwrite:
        raise ValueError(
            f"Expected an output_dir without generated files; {output_dir!r} "
            f"has {len(old)}. Choose another, or give --overwrite."
        )
    signal_path = os.path.join(output_dir, criteo.SIGNAL_FILE)
    for path in [*old, signal_path]:
        if os.path.exists(path):
            os.remove(path)
    for split in ("train", "eval"):
        os.makedirs(os.path.join(output_dir, split), exist_ok=True)


def _write_part(
    output_dir: str,
    split: str,
    index: int,
    signal: planted.Signal,
    num_rows: int,
    stream: int,
) -> tuple[Any, Any]:
    """Writes one file; returns its labels and the logits behind them."""
    # RandomState: its streams are frozen, those of numpy's Generator are not.
    random = np.random.RandomState([signal.seed, stream])
    rows = planted.draw_rows(random, num_rows)
    logits = planted.true_logits(signal, rows)
    labels = (random.rand(num_rows) < planted.sigmoid(logits)).astype(int)
    path = os.path.join(output_dir, split, f"part-{index:05d}.tsv")
    with open(path, "w", encoding="ascii", newline="\n") as f:
        f.write(format_rows(labels, rows))
    return labels, logits


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m model_zoo.wide_and_deep.generate",
        description="Writes data in the Criteo format with a planted signal.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--output_dir", required=True, help="where to write")
    for name, default, what in (
        ("num_files", 24, "files to train on"),
        ("rows_per_file", 2000, "lines in each of these"),
        ("eval_rows", 10_000, "lines in the held-out file"),
        ("seed", 1, "seed of the signal and of the rows"),
    ):
        parser.add_argument(f"--{name}", type=int, default=default, help=what)
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="remove the files of an earlier run",
    )
    options = vars(parser.parse_args(argv))
    output_dir = options.pop("output_dir")
    try:
        summary = generate(output_dir, **options)
    except (OSError, ValueError) as e:
        parser.error(str(e))
    print(
        f"{summary['num_files']} x {summary['rows_per_file']} rows in "
        f"{output_dir}/train, {summary['eval_rows']} in {output_dir}/eval; "
        f"optimal AUC {summary['optimal_auc']:.4f}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
