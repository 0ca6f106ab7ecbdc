"""Small files beside the checkpoints, on any file system of TensorFlow's.

    files.write(path, [b"..."])
    files.read(path)              # None: there is none

A reader sees the old content or the new one.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

import tensorflow as tf


def write(path: str, pieces: Iterable[bytes]) -> None:
    """Writes a file that is there as a whole, or not at all.

    Args:
      path: Path of the file. Its directory exists.
      pieces: Content of the file.

    Raises:
      tf.errors.OpError: If it cannot be written.
    """
    temporary = f"{path}.{os.getpid()}.tmp"
    with tf.io.gfile.GFile(temporary, "wb") as file:
        for piece in pieces:
            file.write(piece)
    tf.io.gfile.rename(temporary, path, overwrite=True)


def read(path: str) -> bytes | None:
    """Returns the content of a file, None if there is none.

    Raises:
      tf.errors.OpError: If it cannot be read.
    """
    if not tf.io.gfile.exists(path) or tf.io.gfile.isdir(path):
        return None
    with tf.io.gfile.GFile(path, "rb") as file:
        return bytes(file.read())


def names_in(directory: str) -> list[str]:
    """Returns the names in a directory, none if there is no directory."""
    directory = directory or "."
    if not tf.io.gfile.isdir(directory):
        return []
    return [name.rstrip("/") for name in tf.io.gfile.listdir(directory)]


def stat_of(path: str) -> tuple[int, int] | None:
    """Returns (length, time of change in ns), None if the file is gone."""
    try:
        if "://" not in path:
            # TensorFlow's stat knows whole seconds only.
            local = os.stat(path)
            return local.st_size, local.st_mtime_ns
        stat = tf.io.gfile.stat(path)
        return int(stat.length), int(stat.mtime_nsec)
    except (FileNotFoundError, tf.errors.NotFoundError):
        return None
