"""TFRecord files, cut by records: lengths are skipped over, data is not read.

    source = TFRecords("a.tfrecord")
    source.count_records()
    records = list(source.read(0, 1000))

To cut such a file one has to know where its records begin, which takes one
pass over their lengths. `write_index` keeps the result beside the file, as
`<file>.wq_index`; without it each process makes the pass once, as far as it
needs. The format: https://www.tensorflow.org/tutorials/load_data/tfrecord
"""

from __future__ import annotations

import array
import functools
import os
import struct
import threading
from collections.abc import Iterator
from typing import IO

import numpy as np

from wq_hooks.errors import SourceError
from wq_hooks.sources import files

# A record: uint64 length, uint32 checksum, the data, uint32 checksum.
_LENGTH = struct.Struct("<Q")
_HEADER_BYTES = 12
_FOOTER_BYTES = 4
_BLOCK_BYTES = 1 << 20
# A way of so many records is not worth a whole block.
_SHORT_WAY = 64
_SHORT_BLOCK_BYTES = 1 << 16
_ONE_BLOCK_BYTES = 8 << 20
# One offset is kept for so many records; those between are skipped over.
_STRIDE = 16
_INDEX_MAGIC = b"wq_index"
_INDEX_VERSION = 2
_KEPT_FILES = 1024


class TFRecords:
    """The records of one TFRecord file.

    Args:
      path: Path of the file, on any file system that TensorFlow knows.
    """

    def __init__(self, path: str):
        self.name = path

    def __repr__(self) -> str:
        return f"TFRecords({self.name!r})"

    def count_records(self) -> int | None:
        """Returns the number of records; None if compressed: not to be cut.

        Raises:
          SourceError: If the file cannot be read, or is cut short.
        """
        if files.compression_of(self.name):
            return None
        return self._index().count_records()

    def begin_of(self, start: int, end: int) -> int:
        """Returns where records [start, end) begin, in bytes.

        Raises:
          SourceError: If the file has not so many records (any more).
        """
        index = self._index()
        index.expect(end)
        return index.offset_of(start)

    def byte_blocks(self, start: int, end: int) -> list[tuple[int, int]]:
        """Returns [(begin, end), ...] in bytes of records [start, end).

        Each block holds whole records, one at least. A range of a few
        megabytes is one block.

        Raises:
          SourceError: If the file has not so many records (any more).
        """
        edges = self._index().edges(start, end)
        if edges and edges[-1] - edges[0] <= _ONE_BLOCK_BYTES:
            return [(edges[0], edges[-1])]
        blocks: list[tuple[int, int]] = []
        for first, last in zip(edges, edges[1:]):
            if blocks and last - blocks[-1][0] <= _BLOCK_BYTES:
                blocks[-1] = (blocks[-1][0], last)
            else:
                blocks.append((first, last))
        return blocks

    def read_bytes(self, begin: int, end: int) -> list[bytes]:
        """Returns the records of a block; their checksums are not looked at.

        Raises:
          SourceError: If these bytes are not whole records (any more).
        """
        with files.open_bytes(self.name) as file:
            block = _read_at(file, begin, end - begin, self.name)
        records = []
        position, size = 0, len(block)
        unpack = _LENGTH.unpack_from
        while position + _HEADER_BYTES <= size:
            first = position + _HEADER_BYTES
            last = first + unpack(block, position)[0]
            position = last + _FOOTER_BYTES
            records.append(block[first:last])
        if position != end - begin:
            raise SourceError(
                f"Expected whole records in bytes {begin} to {end} of "
                f"{self.name!r:.300}: it has changed since it was listed."
            )
        return records

    def read(self, start: int, end: int) -> Iterator[bytes]:
        """Yields records [start, end); their checksums are not looked at.

        Raises:
          SourceError: If the file has not so many records (any more).
        """
        for begin, stop in self.byte_blocks(start, end):
            yield from self.read_bytes(begin, stop)

    def _index(self) -> _Index:
        return _index_of(self.name, files.version_of(self.name))


def write_index(path: str) -> str:
    """Writes the index of a TFRecord file beside it; returns its path.

    Raises:
      SourceError: If the file cannot be read, or is cut short.
    """
    index = _Index(path, files.size_of(path))
    count = index.count_records()
    head = struct.pack(
        "<8sIQQ", _INDEX_MAGIC, _INDEX_VERSION, index.size, count
    )
    offsets = np.array(index.offsets, dtype="<u8").tobytes()
    target = index_path(path)
    if files.is_local(path):
        target = files.local_path(target)
        part = f"{target}.{os.getpid()}.part"
        with open(part, "wb") as file:
            file.write(head + offsets)
        os.replace(part, target)
    else:
        import tensorflow as tf

        with tf.io.gfile.GFile(target, "wb") as file:
            file.write(head + offsets)
    return index_path(path)


def index_path(path: str) -> str:
    """Returns where the index of a TFRecord file is kept."""
    return f"{path}.wq_index"


@functools.lru_cache(maxsize=_KEPT_FILES)
def _index_of(path: str, version: tuple[int, int]) -> _Index:
    """Returns the index of a file in this state, kept in memory."""
    index = _Index(path, version[0])
    index.load()
    return index


def _read_at(file: IO[bytes], begin: int, num: int, path: str) -> bytes:
    """Returns up to `num` bytes of a file.

    Raises:
      SourceError: If they cannot be read; it names the file.
    """
    try:
        file.seek(begin)
        return file.read(num)
    except Exception as e:
        raise SourceError(
            f"Expected to read bytes from {begin} on of {path!r:.300}: {e}"
        ) from e


class _Index:
    """Where the records of a file begin.

    Args:
      path: Path of the file.
      size: Size of the file in bytes.
    """

    def __init__(self, path: str, size: int):
        self.size = size
        # Of records 0, _STRIDE, 2 * _STRIDE, ... as far as they are known.
        self.offsets = array.array("Q", [0])
        self._path = path
        # How far the pass has come.
        self._num_known = 0
        self._position = 0
        self._lock = threading.Lock()

    def load(self) -> None:
        """Takes what `write_index` wrote, if that fits this file."""
        try:
            with files.open_bytes(index_path(self._path)) as file:
                data = file.read()
        except Exception:
            return  # The pass finds out whether the file itself can be read.
        head = struct.Struct("<8sIQQ")
        if len(data) < head.size:
            return
        magic, version, size, count = head.unpack_from(data)
        num_offsets = count // _STRIDE + 1
        if (magic, version, size, len(data)) != (
            _INDEX_MAGIC,
            _INDEX_VERSION,
            self.size,
            head.size + 8 * num_offsets,
        ):
            return  # Of another file, or of an older state of this one.
        offsets = np.frombuffer(data, "<u8", offset=head.size)
        self.offsets = array.array("Q", offsets.tolist())
        self._num_known = count
        self._position = self.size

    def count_records(self) -> int:
        """Returns the number of records."""
        with self._lock:
            if self._position < self.size:
                self._scan(None)
            return self._num_known

    def edges(self, start: int, end: int) -> list[int]:
        """Returns where records [start, end) begin, some of them, and end."""
        if start >= end:
            return []
        last = self.offset_of(end)
        between = range(start - start % _STRIDE + _STRIDE, end, _STRIDE)
        return [
            self.offset_of(start),
            *(self.offsets[number // _STRIDE] for number in between),
            last,
        ]

    def expect(self, number: int) -> None:
        """Sees that the file has so many records.

        Raises:
          SourceError: If it has not (any more).
        """
        with self._lock:
            if number > self._num_known:
                self._scan(number)
            if number > self._num_known:
                raise SourceError(
                    f"Expected at least {number} records in "
                    f"{self._path!r:.300}; got {self._num_known}: it has "
                    "become shorter since it was listed."
                )

    def offset_of(self, number: int) -> int:
        """Returns where a record begins; one past the last is the end."""
        self.expect(number)
        with self._lock:
            if number == self._num_known:
                return self._position
            place, rest = divmod(number, _STRIDE)
            position = self.offsets[place]
            nearby = self.offsets[place + 1 : place + 2]
        num_bytes = _SHORT_BLOCK_BYTES
        if nearby:
            num_bytes = min(num_bytes, nearby[0] - position)
        for _, end in self._walk(position, rest, num_bytes):
            position = end
        return position

    def _scan(self, until: int | None) -> None:
        """Makes the pass over the lengths, up to a record or to the end."""
        num = None if until is None else until - self._num_known
        is_short = num is not None and num <= _SHORT_WAY
        num_bytes = _SHORT_BLOCK_BYTES if is_short else _BLOCK_BYTES
        for _, position in self._walk(self._position, num, num_bytes):
            self._num_known += 1
            self._position = position
            if self._num_known % _STRIDE == 0:
                self.offsets.append(position)

    def _walk(
        self, position: int, num: int | None, block_bytes: int
    ) -> Iterator[tuple[int, int]]:
        """Yields (begin, end) of up to `num` records from `position` on."""
        if num == 0 or position >= self.size:
            return
        unpack = _LENGTH.unpack_from
        overhead = _HEADER_BYTES + _FOOTER_BYTES
        size = self.size
        with files.open_bytes(self._path) as file:
            block, base = b"", position
            while position < size and num != 0:
                if position - base + _HEADER_BYTES > len(block):
                    block = _read_at(file, position, block_bytes, self._path)
                    base = position
                    if len(block) < _HEADER_BYTES:
                        raise self._cut_short(position)
                end = position + overhead + unpack(block, position - base)[0]
                if end > size:
                    raise self._cut_short(position)
                yield position, end
                position = end
                num = None if num is None else num - 1

    def _cut_short(self, position: int) -> SourceError:
        return SourceError(
            f"Expected whole records in {self._path!r:.300}; its {self.size} "
            f"bytes end within the record at byte {position}, or it is no "
            "TFRecord file."
        )
