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
from wq_hooks.errors import SourceError
from wq_hooks.sources import files

# How much is read at a time; of the size of a cache.
BLOCK_BYTES = 1 << 20
_TAIL_BYTES = 1 << 12


class TextLines:
    """The lines of one text file.

    Args:
      path: Path of the file, on any file system that TensorFlow knows.
      num_header_lines: How many lines at its beginning are no records.
    """

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
        with files.open_bytes(self.name) as file:
            try:
                block = self._read(file, start, end)
            except SourceError:
                raise
            except Exception as e:
                raise SourceError(
                    "Expected to read "
                    f"{slice_text(self.name, start, end)!r:.300}: {e}"
                ) from e
        return block.replace(b"\r", b"") if b"\r" in block else block

    def _read(self, file: IO[bytes], start: int, end: int) -> bytes:
        if self._num_header_lines:
            start = max(start, self._end_of_header(file))
        if start >= end:
            return b""
        # The byte before tells whether a line starts at `start`.
        before = min(start, 1)
        file.seek(start - before)
        block = file.read(end - start + before)
        if len(block) < end - start + before:
            raise SourceError(
                f"Expected at least {end} bytes in {self.name!r:.300}; got "
                f"{start - before + len(block)}: it has become shorter since "
                "it was listed."
            )
        if before:
            begin = block.find(b"\n") + 1
            # No line starts here: the one that goes on is another slice's.
            if not begin or begin == len(block):
                return b""
            block = block[begin:]
        parts = [block]
        while not parts[-1].endswith(b"\n"):
            tail = file.read(_TAIL_BYTES)
            if not tail:
                return _ended(b"".join(parts))
            cut = tail.find(b"\n") + 1
            parts.append(tail[:cut] if cut else tail)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _end_of_header(self, file: IO[bytes]) -> int:
        file.seek(0)
        position, missing = 0, self._num_header_lines
        while True:
            block = file.read(_TAIL_BYTES)
            if not block:
                return position
            num = block.count(b"\n")
            if num >= missing:
                cut = -1
                for _ in range(missing):
                    cut = block.index(b"\n", cut + 1)
                return position + cut + 1
            missing -= num
            position += len(block)


def _ended(block: bytes) -> bytes:
    """Ends the last line of a file, unless TensorFlow sees none there."""
    last = block[block.rfind(b"\n") + 1 :]
    return block + b"\n" if last.strip(b"\r") else block[: -len(last)]
