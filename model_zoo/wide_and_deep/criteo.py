"""The Criteo display-ads format: columns, and where its files are found.

    files = find_files("data", "train")      # data/train/* or data/train*

One line is one impression, its fields separated by tabs: the label (1 = was
clicked), 13 integer columns `I1` to `I13` and 26 categorical columns `C1` to
`C26`, each 8 hexadecimal digits. A missing value is an empty field. The format
is that of the Kaggle Display Advertising Challenge (Criteo Labs, 2014).

The trap: the challenge's own `test.txt` has no labels, so it has 39 fields and
cannot be evaluated; hold out some lines of `train.txt` instead.
"""

from __future__ import annotations

import json
import os
from typing import Any

INTEGER_COLUMNS = tuple(f"I{i}" for i in range(1, 14))
CATEGORICAL_COLUMNS = tuple(f"C{i}" for i in range(1, 27))
NUM_FIELDS = 1 + len(INTEGER_COLUMNS) + len(CATEGORICAL_COLUMNS)
DELIMITER = "\t"

SIGNAL_FILE = "signal.json"


def find_files(data_location: str, split: str) -> list[str]:
    """Lists the files of one split in alphabetical order.

    Args:
      data_location: Directory of the data set.
      split: `"train"` or `"eval"`.

    Returns:
      The files in `<data_location>/<split>/` if that directory exists, else
      those of `<data_location>` whose names begin with `split`. Names that
      begin with `_` or `.` (markers such as `_SUCCESS`) are left out. Empty
      if there is none.
    """
    directory = os.path.join(data_location, split)
    start = ""
    if not os.path.isdir(directory):
        directory, start = data_location, split
    if not os.path.isdir(directory):
        return []
    return [
        path
        for path in (
            os.path.join(directory, name)
            for name in sorted(os.listdir(directory))
            if name.startswith(start) and not name.startswith(("_", "."))
        )
        if os.path.isfile(path)
    ]


def read_signal(data_location: str) -> dict[str, Any] | None:
    """Reads what the generator planted; None for data from elsewhere."""
    path = os.path.join(data_location, SIGNAL_FILE)
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as f:
        signal: dict[str, Any] = json.load(f)
    return signal
