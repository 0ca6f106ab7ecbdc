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
import io
import itertools
import struct
import threading
from collections.abc import Iterator
from typing import IO

import numpy as np

from wq_hooks.errors import SourceError
from wq_hooks.sources import files
from wq_hooks.sources.source_errors import naming, shorter_error

# A record: uint64 length, uint32 checksum, the data, uint32 checksum.
_HEADER = struct.Struct("<QI")
_FOOTER_BYTES = 4
# One offset is kept for so many records; those between are skipped over.
_STRIDE = 16
_INDEX_VERSION = 3
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

    def read(self, start: int, end: int) -> Iterator[bytes]:
        """Yields records [start, end); their checksums are not looked at.

        Raises:
          SourceError: If the file has not so many records (any more).
        """
        begin = self.begin_of(start, end)
        with files.open_bytes(self.name) as file, naming(self.name):
            file.seek(begin)
            for _ in range(end - start):
                length = _length(file)
                record = file.read(length + _FOOTER_BYTES)
                if len(record) < length + _FOOTER_BYTES:
                    raise EOFError("it has changed since it was listed")
                yield record[:length]

    def _index(self) -> _Index:
        return _index_of(self.name, files.version_of(self.name))


def write_index(path: str) -> str:
    """Writes the index of a TFRecord file beside it; returns its path.

    Raises:
      SourceError: If the file cannot be read, or is cut short.
    """
    index = _Index(path, files.size_of(path))
    count = index.count_records()
    content = io.BytesIO()
    np.savez(
        content,
        head=np.array([_INDEX_VERSION, index.size, count], np.uint64),
        offsets=np.array(index.offsets, np.uint64),
    )
    # A process that reads half of it makes the pass instead.
    with files.open_bytes(index_path(path), "wb") as file:
        file.write(content.getvalue())
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


class _Index:
    """Where the records of a file of `size` bytes begin."""

    def __init__(self, path: str, size: int):
        self.size = size
        # Offsets of records 0, _STRIDE, 2 * _STRIDE, ... as far as known.
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
                index = np.load(io.BytesIO(file.read()))
                version, size, count = index["head"].tolist()
                offsets = array.array("Q", index["offsets"].tolist())
        except Exception:
            return  # The pass finds out whether the file itself can be read.
        num_offsets = count // _STRIDE + 1
        if (version, size, len(offsets)) == (
            _INDEX_VERSION,
            self.size,
            num_offsets,
        ):
            self.offsets = offsets
            self._num_known, self._position = count, size

    def count_records(self) -> int:
        """Returns the number of records."""
        with self._lock:
            if self._position < self.size:
                self._scan(None)
            return self._num_known

    def expect(self, number: int) -> None:
        """Raises SourceError if the file has not so many records."""
        with self._lock:
            if number > self._num_known:
                self._scan(number - self._num_known)
            if number > self._num_known:
                raise shorter_error(
                    f"at least {number} records", self._path, self._num_known
                )

    def offset_of(self, number: int) -> int:
        """Returns where a record begins; one past the last is the end."""
        self.expect(number)
        with self._lock:
            if number == self._num_known:
                return self._position
            place, rest = divmod(number, _STRIDE)
            position = self.offsets[place]
        for end in itertools.islice(self._ends(position), rest):
            position = end
        return position

    def _scan(self, num: int | None) -> None:
        """Makes the pass over the lengths of `num` more records, or of all."""
        for end in itertools.islice(self._ends(self._position), num):
            self._num_known += 1
            self._position = end
            if self._num_known % _STRIDE == 0:
                self.offsets.append(end)

    def _ends(self, position: int) -> Iterator[int]:
        """Yields where the records from `position` on end."""
        with files.open_bytes(self._path) as file, naming(self._path):
            while position < self.size:
                file.seek(position)
                try:
                    length = _length(file)
                except EOFError:
                    length = self.size
                end = position + _HEADER.size + length + _FOOTER_BYTES
                if end > self.size:
                    raise SourceError(
                        f"Expected whole records in {self._path!r:.300}; its "
                        f"{self.size} bytes end within the record at byte "
                        f"{position}, or it is no TFRecord file."
                    )
                yield end
                position = end


def _length(file: IO[bytes]) -> int:
    """Returns the length of the record whose header comes next in a file."""
    header = file.read(_HEADER.size)
    if len(header) < _HEADER.size:
        raise EOFError("it has changed since it was listed")
    length: int = _HEADER.unpack(header)[0]
    return length
