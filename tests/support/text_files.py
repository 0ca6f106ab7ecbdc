"""Text files, for tests."""

from __future__ import annotations


def write(directory, sizes):
    """Writes files of so many lines; returns {path: its lines}."""
    files = {}
    for i, size in enumerate(sizes):
        path = directory / f"part-{i}.txt"
        records = [f"{i:02d}-{j:05d}" for j in range(size)]
        path.write_text("".join(f"{record}\n" for record in records))
        files[str(path)] = records
    return files
