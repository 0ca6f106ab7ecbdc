"""Scale: ten million works, or slices, in one process."""

from __future__ import annotations

from benchmarks.measuring import figures_of
from benchmarks.results import Bar, Curve, Result

_LABELS = {
    "queue": "work queue",
    "sliced": "work queue, slices of 1,000 tables",
    "list": "list in graph and checkpoint",
}
# The constant of a longer list does not go into a GraphDef, 2 GB at most.
_MOST_FOR_LIST = 10**6


def run(*, quick: bool) -> Result:
    """Measures a chief that lists or slices its works, as these grow."""
    sizes = (10**3, 10**4) if quick else (10**4, 10**5, 10**6, 10**7)
    result = Result(
        "scale",
        "Works that are listed, and slices of tables. Chief, parameter server "
        "and worker are one process, whose growth is that of all three.",
        (
            "items",
            "what",
            "s to first item",
            "MB",
            "checkpoint bytes",
            "ms of the first save",
            "ms of a save",
            "s to first item after a restore",
        ),
        curve_axes=("items", "seconds to the first item"),
    )
    baseline = figures_of("scale", how="list", num_items=100)
    found: dict[str, dict[int, dict[str, float]]] = {n: {} for n in _LABELS}
    for num_items in sizes:
        for how in _LABELS:
            if how == "list" and num_items > _MOST_FOR_LIST:
                continue
            figures = figures_of("scale", how=how, num_items=num_items)
            found[how][num_items] = figures
            result.rows.append(
                (
                    num_items,
                    _LABELS[how],
                    figures["first_secs"],
                    figures["megabytes"],
                    figures["checkpoint_bytes"],
                    figures["first_save_secs"] * 1e3,
                    figures["save_secs"] * 1e3,
                    figures["restore_secs"],
                )
            )
    most, sliced = (found[how][sizes[-1]] for how in ("queue", "sliced"))
    result.curves = [
        Curve(
            _LABELS[how],
            tuple(by_items),
            tuple(figures["first_secs"] for figures in by_items.values()),
        )
        for how, by_items in found.items()
    ]
    added_ms = (most["save_secs"] - baseline["save_secs"]) * 1e3
    result.bars = [
        Bar("s to first item, most works", most["first_secs"], "<=", 5),
        Bar("MB grown, most works", most["megabytes"], "<=", 1024),
        Bar("MB grown, most slices", sliced["megabytes"], "<=", 100),
        Bar("checkpoint bytes", most["checkpoint_bytes"], "<=", 2**20),
        Bar("ms added to a save", added_ms, "<=", 50),
        Bar("s to restore", most["restore_secs"], "<=", 5),
    ]
    result.notes.append(
        "MB: growth of the process behind the list itself, TensorFlow's own "
        "left out. A checkpoint without its .meta, the exported graph. The "
        "first save also writes, once, the list of the works to a file beside "
        "the checkpoints."
    )
    return result
