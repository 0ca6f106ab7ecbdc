"""Reads the strings of a TensorFlow checkpoint, without TensorFlow.

    strings_of("/model/model.ckpt-1200")   # {"work_queue/position": b"{..."}

To load TensorFlow takes seconds; a queue's position is one string. A
checkpoint ("tensor bundle") is an index in the table format of LevelDB and
files of data; see tensorflow/core/util/tensor_bundle/tensor_bundle.h.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator

from wq_hooks.errors import WorkQueueError

_FOOTER_BYTES = 48
_MAGIC = 0xDB4775248B80FB57
_TRAILER_BYTES = 5
_DT_STRING = 7
_MAX_STRING_BYTES = 1 << 28


class BundleError(WorkQueueError, ValueError):
    """A file that is no checkpoint, or none that can be read here."""


def strings_of(prefix: str) -> dict[str, bytes]:
    """Returns the scalar string tensors of a checkpoint, by name.

    Args:
      prefix: The checkpoint's path, without ".index".

    Raises:
      BundleError: If it is damaged, or of a kind unknown here.
      OSError: If a file is not there.
    """
    with open(f"{prefix}.index", "rb") as file:
        table = file.read()
    try:
        entries = dict(_entries(table))
        num_shards = int(_fields(entries.get(b"", b"")).get(1, 1))
        strings = {}
        for key, value in entries.items():
            fields = _fields(value)
            # No dimension: a scalar.
            if key and fields.get(1) == _DT_STRING and not fields.get(2):
                path = (
                    f"{prefix}.data-{int(fields.get(3, 0)):05d}"
                    f"-of-{num_shards:05d}"
                )
                strings[key.decode()] = _string(
                    path, int(fields.get(4, 0)), int(fields.get(5, 0))
                )
        return strings
    except (IndexError, OverflowError, struct.error, UnicodeError) as e:
        raise BundleError(
            f"Expected a checkpoint at {prefix!r}; it is damaged: {e!r:.80}."
        ) from e


def _entries(table: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yields the keys and values of a table."""
    footer = table[-_FOOTER_BYTES:]
    if len(footer) < _FOOTER_BYTES or (
        struct.unpack("<Q", footer[-8:])[0] != _MAGIC
    ):
        raise BundleError(
            "Expected the index of a checkpoint; got something else, or a "
            "part of one."
        )
    at = _skip_handle(footer, 0)
    for _, handle in _block(table, *_handle(footer, at)):
        yield from _block(table, *_handle(handle, 0))


def _block(
    table: bytes, offset: int, size: int
) -> Iterator[tuple[bytes, bytes]]:
    block = table[offset : offset + size]
    kind = table[offset + size : offset + size + _TRAILER_BYTES][0]
    if kind != 0:
        raise BundleError("Expected a checkpoint that is not compressed.")
    (num_restarts,) = struct.unpack("<I", block[-4:])
    end = len(block) - 4 * (num_restarts + 1)
    at, key = 0, b""
    while at < end:
        shared, at = _varint(block, at)
        fresh, at = _varint(block, at)
        length, at = _varint(block, at)
        key = key[:shared] + block[at : at + fresh]
        at += fresh
        yield key, block[at : at + length]
        at += length


def _string(path: str, offset: int, size: int) -> bytes:
    if not 0 <= size <= _MAX_STRING_BYTES:
        raise BundleError(f"Expected a string; got one of {size} bytes.")
    with open(path, "rb") as file:
        file.seek(offset)
        data = file.read(size)
    # Its length, a checksum of the length, and the string.
    length, at = _varint(data, 0)
    value = data[at + 4 :]
    if len(value) != length:
        raise BundleError(
            f"Expected {length} bytes in {os.path.basename(path)!r}; got "
            f"{len(value)}."
        )
    return value


def _fields(message: bytes) -> dict[int, int | bytes]:
    """Returns the fields of a protocol buffer, the last of each number."""
    fields: dict[int, int | bytes] = {}
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            fields[number], at = _varint(message, at)
        elif kind == 2:
            length, at = _varint(message, at)
            fields[number] = message[at : at + length]
            at += length
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            raise BundleError("Expected an entry of a checkpoint's index.")
    return fields


def _handle(data: bytes, at: int) -> tuple[int, int]:
    offset, at = _varint(data, at)
    size, _ = _varint(data, at)
    return offset, size


def _skip_handle(data: bytes, at: int) -> int:
    _, at = _varint(data, at)
    _, at = _varint(data, at)
    return at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7
