"""The planted signal: how rows are drawn, and what their labels follow.

    signal = make_signal(seed=1)
    rows = draw_rows(np.random.RandomState([1, 0]), num_rows=2000)
    probability = sigmoid(true_logits(signal, rows))

The logit is a sum over some of the columns: `log1p` of integers, one effect
for each value of some categorical columns, and one effect for each *pair* of
values of `CROSSED_COLUMNS`, which no sum over single columns can follow. A
missing value has an effect of its own. What is not named here is noise. As the
logit depends on nothing but what stands in the file, ordering by it is
optimal (Neyman and Pearson), and its AUC is the most that can be reached.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from model_zoo.wide_and_deep import criteo

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


@dataclasses.dataclass(frozen=True)
class Rows:
    """Columns of generated rows.

    Attributes:
      integers: int64 `[num_rows, 13]`.
      is_missing: bool `[num_rows, 13]`: which of the integers are left out.
      categories: int64 `[num_rows, 26]`, the number of the value in its
        column; the column's cardinality: left out.
    """

    integers: Any
    is_missing: Any
    categories: Any


@dataclasses.dataclass(frozen=True)
class Signal:
    """A logistic model of some of the columns.

    Attributes:
      seed: What it was made from.
      bias: Added to every logit.
      integer_weights: Weight of `log1p` of the value, by integer column.
      missing_effects: Effect of a missing value, by integer column.
      effects: Effects by categorical column, float `[cardinality + 1]`;
        the last is
        that of a missing value.
      crossed: float `[cardinality + 1, cardinality + 1]`, of the pairs of
        values of `CROSSED_COLUMNS`.
    """

    seed: int
    bias: float
    integer_weights: Mapping[str, float]
    missing_effects: Mapping[str, float]
    effects: Mapping[str, Any]
    crossed: Any


def make_signal(seed: int) -> Signal:
    """Draws the effects, and sets the bias for `POSITIVE_RATE`."""
    random = np.random.RandomState([seed, 2**32 - 1])
    missing = {c: 0.5 * random.randn() for c in sorted(INTEGER_WEIGHTS)}
    effects = {
        c: scale * random.randn(_cardinality(c) + 1)
        for c, scale in sorted(EFFECT_SCALES.items())
    }
    shape = [_cardinality(c) + 1 for c in CROSSED_COLUMNS]
    crossed = CROSSED_SCALE * random.randn(*shape)
    signal = Signal(seed, 0.0, INTEGER_WEIGHTS, missing, effects, crossed)
    logits = true_logits(signal, draw_rows(random, 20_000))
    low, high = -30.0, 30.0
    for _ in range(40):
        bias = (low + high) / 2
        if sigmoid(logits + bias).mean() < POSITIVE_RATE:
            low = bias
        else:
            high = bias
    return dataclasses.replace(signal, bias=bias)


def draw_rows(random: np.random.RandomState, num_rows: int) -> Rows:
    """Draws rows; the same for every seed of the signal."""
    shape = (num_rows, len(criteo.INTEGER_COLUMNS))
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
    for column, cardinality in enumerate(CARDINALITIES):
        # Popularity falls with the rank, as that of words (Zipf).
        weights = 1.0 / (np.arange(cardinality) + 5.0)
        edges = np.cumsum(weights) / weights.sum()
        values = np.searchsorted(edges[:-1], random.rand(num_rows))
        left_out = random.rand(num_rows) < 0.05 * (column % 3)
        categories.append(np.where(left_out, cardinality, values))
    return Rows(integers, is_missing, np.stack(categories, axis=1))


def true_logits(signal: Signal, rows: Rows) -> Any:
    """Returns float64 `[num_rows]`, the logits that labels are drawn from."""
    logits = np.full(len(rows.integers), signal.bias)
    for name, weight in signal.integer_weights.items():
        column = criteo.INTEGER_COLUMNS.index(name)
        values = np.log1p(np.maximum(rows.integers[:, column], 0))
        logits += np.where(
            rows.is_missing[:, column],
            signal.missing_effects[name],
            weight * (values - values_center(column)),
        )
    for name, effects in signal.effects.items():
        column = criteo.CATEGORICAL_COLUMNS.index(name)
        logits += effects[rows.categories[:, column]]
    first, second = (
        rows.categories[:, criteo.CATEGORICAL_COLUMNS.index(name)]
        for name in CROSSED_COLUMNS
    )
    return logits + signal.crossed[first, second]


def values_center(column: int) -> float:
    """About the middle of `log1p` of an integer column's values."""
    return float(np.log1p(np.exp(0.3 * column)))


def category_names(column: int) -> list[str]:
    """The values of a categorical column: 8 hexadecimal digits; `""` last."""
    # An odd factor permutes the numbers modulo 2**32: no two are the same.
    numbers = column * 2**16 + np.arange(CARDINALITIES[column])
    return [f"{n * 2654435761 % 2**32:08x}" for n in numbers.tolist()] + [""]


def sigmoid(logits: Any) -> Any:
    """The logistic function."""
    return 1.0 / (1.0 + np.exp(-logits))


def auc(labels: Any, scores: Any) -> float:
    """Area under the ROC curve, by the Mann-Whitney statistic.

    Args:
      labels: `[num_rows]`, 0 or 1; both occur.
      scores: `[num_rows]`; higher means more likely 1. Equal scores of
        different labels count one half.
    """
    labels = np.asarray(labels) > 0
    num_positive = int(labels.sum())
    num_negative = len(labels) - num_positive
    if not num_positive or not num_negative:
        raise ValueError(
            f"Expected labels of both classes; got {num_positive} positive "
            f"and {num_negative} negative."
        )
    _, inverse, counts = np.unique(
        scores, return_inverse=True, return_counts=True
    )
    last = np.cumsum(counts)
    ranks = (last - (counts - 1) / 2.0)[inverse]
    above = ranks[labels].sum() - num_positive * (num_positive + 1) / 2.0
    return float(above / (num_positive * num_negative))


def _cardinality(name: str) -> int:
    return CARDINALITIES[criteo.CATEGORICAL_COLUMNS.index(name)]
