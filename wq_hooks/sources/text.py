"""Text files, cut by bytes: a line belongs to the slice in which it starts.

    source = TextLines("a.csv", num_header_lines=1)
    lines = list(source.read(0, 1_000_000))

A line is what tf.data.TextLineDataset makes of it: it ends at a newline, the
last one may lack it, and carriage returns are dropped. The trap:
`count_records` of text counts bytes; to count lines would mean to read all.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

from wq_hooks.core.items.slice_text import slice_text
from wq_hooks.sources import files
from wq_hooks.sources.source_errors import naming, shorter_error

# How much is read at a time; of the size of a cache.
BLOCK_BYTES = 1 << 20


class TextLines:
    """The lines of one text file.

    Args:
      path: Path of the file, on any file system that TensorFlow knows.
      num_header_lines: How many lines at its beginning are no records.
    """

    # What its slices are counted in; other sources count records.
    unit = "bytes"
    # What `num_slices="auto"` does not go below: shorter ones cost throughput.
    least_slice = 1 << 18

    def __init__(self, path: str, *, num_header_lines: int = 0):
        self.name = path
        self._num_header_lines = num_header_lines

    def __repr__(self) -> str:
        return f"TextLines({self.name!r})"

    def count_records(self) -> int | None:
        """Returns the size in bytes; None if compressed: not to be cut."""
        if files.compression_of(self.name):
            return None
        return files.size_of(self.name)

    def read(self, start: int, end: int) -> Iterator[bytes]:
        """Yields the lines that start in bytes [start, end).

        Raises:
          SourceError: If the file cannot be read, or has become shorter.
        """
        for first in range(start, end, BLOCK_BYTES):
            last = min(first + BLOCK_BYTES, end)
            yield from self.read_block(first, last).split(b"\n")[:-1]

    def read_block(self, start: int, end: int) -> bytes:
        """Returns the lines that start in [start, end), each ended.

        Raises:
          SourceError: If the file cannot be read, or has become shorter.
        """
        item = slice_text(self.name, start, end)
        with files.open_bytes(self.name) as file, naming(item):
            block = self._read(file, start, end)
        return block.replace(b"\r", b"") if b"\r" in block else block

    def _read(self, file: IO[bytes], start: int, end: int) -> bytes:
        header = [file.readline() for _ in range(self._num_header_lines)]
        start = max(start, sum(map(len, header)))
        if start:
            # The byte before tells whether a line starts at `start`.
            file.seek(start - 1)
            start += len(file.readline()) - 1
        if start >= end:
            return b""
        block = file.read(end - start)
        if len(block) < end - start:
            raise shorter_error(
                f"at least {end} bytes", self.name, start + len(block)
            )
        if not block.endswith(b"\n"):
            block = _ended(block + file.readline())
        return block


def _ended(block: bytes) -> bytes:
    """Ends the last line of a file, unless TensorFlow sees none there."""
    if block.endswith(b"\n"):
        return block
    last = block[block.rfind(b"\n") + 1 :]
    return block + b"\n" if last.strip(b"\r") else block[: -len(last)]
