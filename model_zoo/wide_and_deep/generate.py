"""Writes data in the Criteo format with a planted signal.

    python -m model_zoo.wide_and_deep.generate --output_dir=data
    python -m model_zoo.wide_and_deep.generate --output_dir=data \
        --num_files=24 --rows_per_file=2000 --seed=1

The labels are drawn from a logistic model of some of the columns: `log1p` of
integers, one effect for each value of some categorical columns, and one for
each *pair* of values of `CROSSED_COLUMNS`, which no sum over single columns can
follow. A missing value has an effect of its own; all else is noise. As the
logit depends on nothing but what stands in the file, ordering by it is optimal
(Neyman and Pearson). Its AUC, the best that any model can reach, stands in
`signal.json`, beside `train/part-000NN.tsv` and `eval/part-00000.tsv`.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import numpy as np

from model_zoo.common import generator, report
from model_zoo.wide_and_deep import data

POSITIVE_RATE = 0.25  # about that of the Criteo challenge

# Number of values per categorical column: a few large ones and many small
# ones, as in the challenge's data, where the largest have millions.
CARDINALITIES = (
    *(50, 80, 3000, 2000, 20, 10, 1500, 40, 3, 2500, 1000, 3000, 800),
    *(15, 1200, 2500, 10, 900, 300, 4, 3000, 12, 14, 2000, 40, 1000),
)
INTEGER_WEIGHTS = {"I1": 0.5, "I3": -0.4, "I5": 0.6, "I7": 0.3, "I11": -0.6}
# Standard deviation of the effects of a column's values.
EFFECT_SCALES = {"C1": 0.6, "C2": 0.6, "C6": 0.6, "C14": 0.6, "C25": 0.5}
CROSSED_COLUMNS = ("C5", "C17")
CROSSED_SCALE = 1.0

# Second part of the seed of a file; the training files have their number.
_EVAL_STREAM = 2**31


class Signal:
    """The logistic model that labels are drawn from.

    Args:
      seed: Seed of the effects. The bias is set for `POSITIVE_RATE`.
    """

    def __init__(self, seed: int) -> None:
        random = np.random.RandomState([seed, 2**32 - 1])
        self.missing = {
            c: 0.5 * random.randn() for c in sorted(INTEGER_WEIGHTS)
        }
        # The last effect is that of a missing value.
        self.effects = {
            name: scale * random.randn(cardinality(name) + 1)
            for name, scale in sorted(EFFECT_SCALES.items())
        }
        shape = [cardinality(name) + 1 for name in CROSSED_COLUMNS]
        self.crossed = CROSSED_SCALE * random.randn(*shape)
        logits = self.logits(*draw_rows(random, 20_000))
        low, high = -30.0, 30.0
        for _ in range(40):
            bias = (low + high) / 2
            is_low = sigmoid(logits + bias).mean() < POSITIVE_RATE
            low, high = (bias, high) if is_low else (low, bias)
        self.bias = bias

    def logits(self, integers: Any, is_missing: Any, categories: Any) -> Any:
        """Returns float64 `[num_rows]`, without the bias."""
        logits = np.zeros(len(integers))
        for name, weight in INTEGER_WEIGHTS.items():
            column = data.INTEGER_COLUMNS.index(name)
            values = np.log1p(np.maximum(integers[:, column], 0))
            middle = np.log1p(np.exp(0.3 * column))
            logits += np.where(
                is_missing[:, column],
                self.missing[name],
                weight * (values - middle),
            )
        for name, effects in self.effects.items():
            logits += effects[categories[:, index(name)]]
        first, second = (categories[:, index(c)] for c in CROSSED_COLUMNS)
        return logits + self.crossed[first, second]


def draw_rows(random: Any, num_rows: int) -> tuple[Any, Any, Any]:
    """Draws the columns of some rows.

    Returns:
      Integers, int64 `[num_rows, 13]`; which of them are missing, bool
      `[num_rows, 13]`; numbers of the categorical values in their column, int64
      `[num_rows, 26]`, of which the column's cardinality stands for missing.
    """
    shape = (num_rows, len(data.INTEGER_COLUMNS))
    columns = np.arange(shape[1])
    # Log-normal, the median growing with the column from 1 to about 40.
    integers = np.exp(
        0.3 * columns + (1.0 + 0.05 * columns) * random.randn(*shape)
    )
    integers = np.floor(integers).astype(np.int64)
    # As in the challenge's data, the second column has some values below 0.
    integers[:, 1] -= 1
    is_missing = random.rand(*shape) < 0.08 * (columns % 4)
    categories = []
    for column, size in enumerate(CARDINALITIES):
        # Popularity falls with the rank, as that of words (Zipf).
        weights = 1.0 / (np.arange(size) + 5.0)
        edges = np.cumsum(weights) / weights.sum()
        values = np.searchsorted(edges[:-1], random.rand(num_rows))
        left_out = random.rand(num_rows) < 0.05 * (column % 3)
        categories.append(np.where(left_out, size, values))
    return integers, is_missing, np.stack(categories, axis=1)


def generate(
    output_dir: str,
    *,
    num_files: int = 24,
    rows_per_file: int = 2000,
    eval_rows: int = 10_000,
    seed: int = 1,
) -> float:
    """Writes the files, and returns the best AUC that can be reached.

    A file depends on `seed`, `rows_per_file` and its own number alone: more
    files with the same seed are the same files and some more.

    Args:
      output_dir: Directory to write to; made if need be.
      num_files: Files to train on.
      rows_per_file: Lines in each of these.
      eval_rows: Lines in the held-out file.
      seed: Seed of the signal and of the rows.
    """
    signal = Signal(seed)
    for number in range(num_files):
        path = os.path.join(output_dir, "train", f"part-{number:05d}.tsv")
        _write_part(path, signal, rows_per_file, [seed, number])
    path = os.path.join(output_dir, "eval", "part-00000.tsv")
    labels, logits = _write_part(path, signal, eval_rows, [seed, _EVAL_STREAM])
    return report.write_signal(output_dir, seed, labels, logits)


def _write_part(
    path: str, signal: Signal, num_rows: int, seed: list[int]
) -> tuple[Any, Any]:
    """Writes one file; returns its labels and the logits that they follow."""
    # RandomState: its streams are frozen, those of numpy's Generator are not.
    random = np.random.RandomState(seed)
    integers, is_missing, categories = draw_rows(random, num_rows)
    logits = signal.logits(integers, is_missing, categories) + signal.bias
    labels = (random.rand(num_rows) < sigmoid(logits)).astype(int)
    texts = np.where(is_missing, "", integers.astype(str))
    columns = [labels.astype(str), *texts.T]
    for column, values in enumerate(categories.T):
        columns.append(category_names(column)[values])
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="ascii", newline="\n") as f:
        f.writelines(f"{data.DELIMITER.join(row)}\n" for row in zip(*columns))
    return labels, logits


def category_names(column: int) -> Any:
    """The values of a categorical column: 8 hexadecimal digits; `""` last."""
    # An odd factor permutes the numbers modulo 2**32: no two are the same.
    numbers = column * 2**16 + np.arange(CARDINALITIES[column])
    names = [f"{n * 2654435761 % 2**32:08x}" for n in numbers.tolist()]
    return np.array([*names, ""])


def index(name: str) -> int:
    """Number of a categorical column."""
    return data.CATEGORICAL_COLUMNS.index(name)


def cardinality(name: str) -> int:
    """How many values a categorical column has."""
    return CARDINALITIES[index(name)]


def sigmoid(logits: Any) -> Any:
    """The logistic function."""
    return 1.0 / (1.0 + np.exp(-logits))


if __name__ == "__main__":
    sys.exit(generator.run(generate, __doc__))
