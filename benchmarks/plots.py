"""Draws how cost grows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib

from benchmarks.results import Result

matplotlib.use("Agg")
from matplotlib import pyplot


def plot_growth(results: Sequence[Result], path: Path) -> None:
    """Writes one picture with a diagram for each result that has curves."""
    figure, axes = pyplot.subplots(
        1, len(results), figsize=(5 * len(results), 4), squeeze=False
    )
    for result, axis in zip(results, axes[0]):
        for curve in result.curves:
            label = f"{curve.label} (exponent {curve.exponent:.2f})"
            axis.loglog(curve.x, curve.y, marker="o", label=label)
        axis.set_title(result.name)
        axis.set_xlabel(result.curve_axes[0])
        axis.set_ylabel(result.curve_axes[1])
        axis.set_ylim(bottom=min(min(c.y) for c in result.curves) / 10)
        axis.grid(alpha=0.3)
        axis.legend(fontsize="small")
    figure.tight_layout()
    figure.savefig(path, dpi=100)
    pyplot.close(figure)
