"""Files of any file system: local ones as they are, others by TensorFlow.

    with open_bytes("gs://bucket/a.csv") as f: ...

Paths with a scheme (gs://, s3://, hdfs://, ...) go through `tf.io.gfile`,
which needs TensorFlow and, for some, tensorflow-io.
"""

from __future__ import annotations

import os
import zlib
from typing import IO, Any, cast

from wq_hooks.core.items.slice_text import Slice, parse_slice, slice_text
from wq_hooks.errors import SourceError

_CHUNK_BYTES = 1 << 18
# Behind it comes a path from the root.
_LOCAL = "file:///"
_COMPRESSED = {".gz": "GZIP", ".zz": "ZLIB", ".zlib": "ZLIB"}


def is_local(path: str) -> bool:
    """Whether a path has no scheme, or that of local files."""
    return "://" not in path or path.startswith(_LOCAL)


def local_path(path: str) -> str:
    """Returns a local path without its scheme, as TensorFlow reads it.

    Nothing in it is quoted.
    """
    return path[len(_LOCAL) - 1 :] if path.startswith(_LOCAL) else path


def open_bytes(path: str) -> IO[bytes]:
    """Opens a file for reading bytes, with seek and read.

    Raises:
      SourceError: If it cannot be opened.
    """
    try:
        if is_local(path):
            return open(local_path(path), "rb")
        file = _gfile().GFile(path, "rb")
        file.size()  # A GFile opens when it is first used.
        return cast("IO[bytes]", file)
    except Exception as e:
        raise SourceError(
            f"Expected a file that can be read; got {path!r:.300}: {e}"
        ) from e


def size_of(path: str) -> int:
    """Returns the size of a file in bytes.

    Raises:
      SourceError: If there is no such file.
    """
    return version_of(path)[0]


def version_of(path: str) -> tuple[int, int]:
    """Returns (size in bytes, time of the last change in ns) of a file.

    Raises:
      SourceError: If there is no such file.
    """
    try:
        if is_local(path):
            local = os.stat(local_path(path))
            return local.st_size, local.st_mtime_ns
        remote = _gfile().stat(path)
        return int(remote.length), int(remote.mtime_nsec)
    except Exception as e:
        raise SourceError(
            f"Expected a file that can be read; got {path!r:.300}: {e}"
        ) from e


def compression_of(path: str) -> str:
    """Returns TensorFlow's compression_type by the ending; "": none."""
    return _COMPRESSED.get(os.path.splitext(path)[1].lower(), "")


def expect_whole(path: str) -> None:
    """Decompresses a compressed file to its end, and forgets what it holds.

    TensorFlow takes the end of a file that was cut for the end of its data.

    Raises:
      SourceError: If the file cannot be read, is damaged, or ends too soon.
    """
    with open_bytes(path) as file:
        try:
            _decompress(file, path)
        except zlib.error as e:
            raise SourceError(
                f"Expected a file that can be decompressed; got {path!r:.300}: "
                f"{e}"
            ) from e


def _decompress(file: IO[bytes], path: str) -> None:
    is_gzip = compression_of(path) == "GZIP"

    def new_stream() -> Any:
        # "16 +" asks zlib for the header and checksum of gzip.
        return zlib.decompressobj((16 if is_gzip else 0) + zlib.MAX_WBITS)

    stream, is_begun = new_stream(), False
    while chunk := file.read(_CHUNK_BYTES):
        while chunk:
            if stream.eof:
                # Files of gzip may be put together, and filled up with zeros.
                chunk = chunk.lstrip(b"\0")
                if not chunk or not is_gzip:
                    break
                stream = new_stream()
            stream.decompress(chunk)
            is_begun, chunk = True, stream.unused_data
    # TensorFlow takes a file without a byte for one without data.
    if is_begun and not stream.eof:
        raise SourceError(
            f"Expected the whole of a compressed file; got {path!r:.300}, "
            "which was cut: it ends before its data do."
        )


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


def _gfile() -> Any:
    import tensorflow as tf

    return tf.io.gfile
