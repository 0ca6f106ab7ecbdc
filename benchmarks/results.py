"""What a benchmark found: rows of figures, bars that they are held to, notes.

A bar that is missed is printed as such; nothing is left out. Results go to a
table for people and to JSON for programs.
"""

from __future__ import annotations

import dataclasses
import json
import operator
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

_COMPARISONS = {"<=": operator.le, ">=": operator.ge}


@dataclass(frozen=True)
class Bar:
    """A figure and what it is held to.

    Attributes:
      text: What is measured.
      value: What it is.
      comparison: "<=" or ">=".
      limit: What it should be.
    """

    text: str
    value: float
    comparison: str
    limit: float

    @property
    def holds(self) -> bool:
        """Whether the bar is met."""
        return bool(_COMPARISONS[self.comparison](self.value, self.limit))

    def __str__(self) -> str:
        verdict = "holds" if self.holds else "MISSED"
        return (
            f"{self.text}: {short(self.value, 4)} "
            f"({self.comparison} {short(self.limit)}): {verdict}"
        )


@dataclass(frozen=True)
class Curve:
    """Points to plot on logarithmic axes.

    Attributes:
      label: Label of the curve.
      x: What the points are at, such as numbers of works.
      y: Cost at each x.
    """

    label: str
    x: tuple[float, ...]
    y: tuple[float, ...]

    @property
    def exponent(self) -> float:
        """The k of y ~ x^k, by least squares on the logarithms."""
        return float(np.polyfit(np.log(self.x), np.log(self.y), 1)[0])


@dataclass
class Result:
    """What one benchmark found.

    Attributes:
      name: Name of the benchmark.
      title: What it asks, in a line.
      columns: Columns of the table.
      rows: Text or numbers, one for each column.
      bars: What the figures are held to.
      curves: What is plotted, if anything.
      curve_axes: What x and y are.
      notes: What a reader has to know; also what could not be run, and why.
      where: Machine, versions and load of the run.
      secs: How long the run took, in seconds.
    """

    name: str
    title: str
    columns: Sequence[str]
    rows: list[Sequence[Any]] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)
    curve_axes: tuple[str, str] = ("", "")
    notes: list[str] = field(default_factory=list)
    where: str = ""
    secs: float = 0.0

    def to_text(self) -> str:
        """Returns the table, for a terminal or a Markdown page."""
        cells = [list(self.columns)]
        cells += [[short(value) for value in row] for row in self.rows]
        widths = [
            max(len(row[i]) for row in cells) for i in range(len(cells[0]))
        ]
        lines = [
            "| " + " | ".join(c.ljust(w) for c, w in zip(row, widths)) + " |"
            for row in cells
        ]
        lines.insert(1, "| " + " | ".join("-" * w for w in widths) + " |")
        lines = [f"## {self.name}", "", self.title, "", *lines, ""]
        lines += [f"* {bar}" for bar in self.bars]
        lines += [
            f"* {curve.label}: grows with the {curve.exponent:.2f}th power of "
            f"the {self.curve_axes[0]}"
            for curve in self.curves
        ]
        lines += [f"* {note}" for note in self.notes]
        if self.where:
            lines.append(f"* {self.where} It took {self.secs:.0f} s.")
        return "\n".join(lines) + "\n"

    def save(self, path: Path) -> None:
        """Writes the result as JSON."""
        path.write_text(json.dumps(dataclasses.asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> Result:
        """Reads what `save` has written."""
        fields = json.loads(path.read_text())
        fields["bars"] = [Bar(**bar) for bar in fields["bars"]]
        fields["curves"] = [
            Curve(curve["label"], tuple(curve["x"]), tuple(curve["y"]))
            for curve in fields["curves"]
        ]
        fields["curve_axes"] = tuple(fields["curve_axes"])
        return cls(**fields)


def short(value: Any, num_digits: int = 3) -> str:
    """Returns a number with the digits that matter, or a text as it is."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{round(value):,}"
    return f"{value:.{num_digits}g}"


def spread(values: Sequence[float]) -> str:
    """Returns the least and the greatest of several runs, in words."""
    return f"{short(min(values))} to {short(max(values))}"


def standard_error(values: Sequence[float]) -> float:
    """Returns the standard error of the median of several runs.

    By the bootstrap (Efron, Annals of Statistics 1979): how much the median
    varies among samples of the same size, drawn from the runs.
    """
    generator = np.random.RandomState(0)
    picked = generator.randint(0, len(values), (1_000, len(values)))
    return float(np.median(np.asarray(values)[picked], axis=1).std())
