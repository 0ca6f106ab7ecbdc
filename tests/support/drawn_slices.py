"""Reads a source slice by slice, cut as hypothesis draws it."""

from __future__ import annotations

from hypothesis import strategies as st


def read_in_slices(data, source, num_records):
    """Returns the records of all slices, in order."""
    inner = data.draw(st.lists(st.integers(0, num_records), max_size=6))
    edges = [0, *sorted(inner), num_records]
    return [
        record
        for start, end in zip(edges, edges[1:])
        for record in source.read(start, end)
    ]
