"""Writes clicks with histories, with a planted signal.

    python -m model_zoo.din.generate --output_dir=data

Each user likes a few categories, and the history is mostly of these. A click
depends on the popularity of the item that is shown and on how many items of its
category stand in the history, which only a comparison of the two can tell. As
the logit depends on nothing but what stands in the file, ordering by it is
optimal. Its AUC, the best that any model can reach, stands in `signal.json`.

Each part is written twice: as Parquet, which is cut into slices, and as text,
for the workers of ParameterServerStrategy.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import numpy as np

from model_zoo.common import generator, report
from model_zoo.din import data

NUM_ITEMS, NUM_CATEGORIES = 500, 20
MAX_HISTORY = 30
NUM_LIKED = 3
# Of the logit.
BIAS, INTEREST_WEIGHT, POPULARITY_SCALE = -2.4, 1.7, 0.3

# Second part of the seed of a file; the training files have their number.
_EVAL_STREAM = 2**31


def generate(
    output_dir: str,
    *,
    num_files: int = 24,
    rows_per_file: int = 2000,
    eval_rows: int = 10_000,
    seed: int = 1,
) -> float:
    """Writes the files, and returns the best AUC that can be reached.

    Args:
      output_dir: Directory to write to; made if need be.
      num_files: Files to train on, of each format.
      rows_per_file: Rows in each of these.
      eval_rows: Rows in the held-out file.
      seed: Seed of the signal and of the rows.
    """
    for number in range(num_files):
        rows, _ = draw_rows(seed, number, rows_per_file, number * rows_per_file)
        _write(os.path.join(output_dir, "train", f"part-{number:05d}"), rows)
    rows, logits = draw_rows(seed, _EVAL_STREAM, eval_rows, 0)
    _write(os.path.join(output_dir, "eval", "part-00000"), rows)
    return report.write_signal(output_dir, seed, rows["clicked"], logits)


def draw_rows(
    seed: int, stream: int, num_rows: int, first_id: int
) -> tuple[dict[str, Any], Any]:
    """Draws rows; returns their columns, and the logits of the clicks."""
    # RandomState: its streams are frozen, those of numpy's Generator are not.
    catalogue = np.random.RandomState([seed, 2**32 - 1])
    category_of = catalogue.randint(NUM_CATEGORIES, size=NUM_ITEMS)
    popularity = POPULARITY_SCALE * catalogue.randn(NUM_ITEMS)
    # Items of a category stand side by side, for draws within it.
    order = np.argsort(category_of, kind="stable")
    ends = np.cumsum(np.bincount(category_of, minlength=NUM_CATEGORIES))
    random = np.random.RandomState([seed, stream])

    def draw_items(liked: Any, share: float) -> Any:
        """Items `[num_rows, length]`, of which a share is of what is liked."""
        shape = (num_rows, liked.shape[1])
        starts = np.concatenate([[0], ends[:-1]])[liked]
        within = starts + random.rand(*shape) * (ends[liked] - starts)
        anywhere = random.rand(*shape) * NUM_ITEMS
        is_liked = random.rand(*shape) < share
        return order[np.where(is_liked, within, anywhere).astype(int)]

    likes = random.randint(NUM_CATEGORIES, size=(num_rows, NUM_LIKED))
    columns = random.randint(NUM_LIKED, size=(num_rows, 1 + MAX_HISTORY))
    liked = np.take_along_axis(likes, columns, axis=1)
    shown = draw_items(liked[:, :1], 0.4)[:, 0]
    history = draw_items(liked[:, 1:], 0.8)
    # Short histories are more frequent than long ones.
    lengths = 1 + (MAX_HISTORY * random.rand(num_rows) ** 2).astype(int)
    is_there = np.arange(MAX_HISTORY) < lengths[:, np.newaxis]
    is_same = category_of[history] == category_of[shown][:, np.newaxis]
    matches = (is_same & is_there).sum(axis=1)
    logits = BIAS + INTEREST_WEIGHT * np.log1p(matches) + popularity[shown]
    clicked = random.rand(num_rows) < 1.0 / (1.0 + np.exp(-logits))

    def texts(values: Any) -> list[str]:
        return [
            " ".join(map(str, row[:length]))
            for row, length in zip(values.tolist(), lengths)
        ]

    rows = {
        "id": first_id + np.arange(num_rows),
        "clicked": clicked.astype(np.int64),
        "item": 1 + shown,
        "category": 1 + category_of[shown],
        "history": texts(1 + history),
        "history_categories": texts(1 + category_of[history]),
    }
    return rows, logits


def _write(path: str, rows: dict[str, Any]) -> None:
    # Here and not above: a program that reads the text does not need it.
    import pyarrow as pa
    import pyarrow.parquet as pq

    os.makedirs(os.path.dirname(path), exist_ok=True)
    # Small row groups: a slice reads no more than it needs.
    pq.write_table(pa.table(rows), f"{path}.parquet", row_group_size=500)
    with open(f"{path}.tsv", "w", encoding="ascii") as f:
        for row in zip(*rows.values()):
            f.write(data.DELIMITER.join(map(str, row)) + "\n")


if __name__ == "__main__":
    sys.exit(generator.run(generate, __doc__))
