"""Memory: how much a process grows with each item that it draws."""

from __future__ import annotations

from benchmarks.measuring import figures_of
from benchmarks.results import Bar, Result

_LABELS = {
    "list": "plain list",
    "dataset": "queue, input_dataset()",
    "records": "queue, records()",
}
_MODES = {
    "eager": "an eager loop",
    "session": "a session on a server",
}
# The first two fifths fill what is bounded: the latest 10,000 events are kept.
_NUM_ITEMS = {"eager": 50_000, "session": 40_000}
_NUM_ITEMS_QUICK = 50
# An arena for each thread takes tens of thousands of items to stop growing.
_ENV = {"MALLOC_ARENA_MAX": "1"}
# Pages that come and go are more than a plain list keeps.
_SPARE_BYTES = 200


def run(*, quick: bool) -> Result:
    """Measures each way to get items, in a process of its own."""
    result = Result(
        "memory",
        "How much a process grows with each item that it draws, of one record "
        "each. Chief, server and worker are one process.",
        ("items in", "from", "items", "bytes of an item"),
    )
    for mode, where in _MODES.items():
        if quick and mode != "eager":
            continue
        num_items = _NUM_ITEMS_QUICK if quick else _NUM_ITEMS[mode]
        found = {
            how: figures_of(
                "memory", env=_ENV, how=how, mode=mode, num_items=num_items
            )["bytes_of_item"]
            for how in _LABELS
        }
        result.rows += [
            (where, _LABELS[how], num_items, bytes_of_item)
            for how, bytes_of_item in found.items()
        ]
        result.bars += [
            Bar(
                f"bytes of an item in {where}, {_LABELS[how]}",
                found[how],
                "<=",
                found["list"] + _SPARE_BYTES,
            )
            for how in ("dataset", "records")
        ]
    result.notes.append(
        "Resident memory, after what is free was given back, from two fifths "
        "of the items on. A server of TensorFlow keeps 0.4 kB of each step "
        "that waited for another one, for as long as its process lives "
        "(`LocalRendezvous::StartAbort`)."
    )
    return result
