"""Files of any file system: local ones as they are, others by TensorFlow.

    with open_bytes("gs://bucket/a.csv") as f: ...

Paths with a scheme (gs://, s3://, hdfs://, ...) go through `tf.io.gfile`,
which needs TensorFlow and, for some, tensorflow-io.
"""

from __future__ import annotations

import gzip
import os
import zlib
from typing import IO, Any, cast

from wq_hooks.core.items.slice_text import Slice, parse_slice, slice_text
from wq_hooks.errors import SourceError
from wq_hooks.sources.source_errors import naming

_CHUNK_BYTES = 1 << 18
# A path from the root follows.
_LOCAL = "file:///"
_COMPRESSED = {".gz": "GZIP", ".zz": "ZLIB", ".zlib": "ZLIB"}


def is_local(path: str) -> bool:
    """Whether a path has no scheme, or that of local files."""
    return "://" not in path or path.startswith(_LOCAL)


def local_path(path: str) -> str:
    """Returns a local path without its scheme; nothing in it is quoted."""
    return path[len(_LOCAL) - 1 :] if path.startswith(_LOCAL) else path


def open_bytes(path: str, mode: str = "rb") -> IO[bytes]:
    """Opens a file, with seek, read and readline, or for writing ("wb")."""
    with naming(path):
        if is_local(path):
            return cast("IO[bytes]", open(local_path(path), mode))
        file = _gfile().GFile(path, mode)
        if mode == "rb":
            file.size()  # A GFile opens when it is first used.
        return cast("IO[bytes]", file)


def size_of(path: str) -> int:
    """Returns the size of a file in bytes; raises as `version_of`."""
    return version_of(path)[0]


def version_of(path: str) -> tuple[int, int]:
    """Returns (size in bytes, time of the last change in ns) of a file."""
    with naming(path):
        if is_local(path):
            local = os.stat(local_path(path))
            return local.st_size, local.st_mtime_ns
        remote = _gfile().stat(path)
        return int(remote.length), int(remote.mtime_nsec)


def compression_of(path: str) -> str:
    """Returns TensorFlow's compression_type by the ending; "": none."""
    return _COMPRESSED.get(os.path.splitext(path)[1].lower(), "")


def expect_whole(path: str) -> None:
    """Decompresses a file to its end; raises SourceError if it was cut.

    TensorFlow takes the end of a file that was cut for the end of its data.
    """
    with open_bytes(path) as file, naming(path):
        try:
            if compression_of(path) == "GZIP":
                with gzip.GzipFile(fileobj=file) as stream:
                    while stream.read(_CHUNK_BYTES):
                        pass
            else:
                _decompress(file)
        except EOFError as e:
            raise SourceError(
                f"Expected the whole of a compressed file; got {path!r:.300}, "
                "which was cut: it ends before its data do."
            ) from e


def parse_item(text: str) -> Slice:
    """Returns what the text of an item says, a path or a slice.

    Raises:
      SourceError: If it reads as a slice of one local file, and is the path of
        another.
    """
    piece = parse_slice(text)
    if piece.start is None or not is_local(text):
        return piece
    if os.path.exists(local_path(text)):
        if not os.path.exists(local_path(piece.path)):
            return Slice(text, None, None)
        raise SourceError(
            f"Expected a slice or a path; got {text!r:.300}, which reads as a "
            "slice and is the name of a file too. Rename the file, or list "
            f"{slice_text(text, 0, None)!r:.300}."
        )
    return piece


def _decompress(file: IO[bytes]) -> None:
    """Decompresses what zlib wrote; raises EOFError if it was cut."""
    stream, is_begun = zlib.decompressobj(), False
    while not stream.eof and (chunk := file.read(_CHUNK_BYTES)):
        stream.decompress(chunk)
        is_begun = True
    # TensorFlow takes a file without a byte for one without data.
    if is_begun and not stream.eof:
        raise EOFError


def _gfile() -> Any:
    import tensorflow as tf

    return tf.io.gfile
