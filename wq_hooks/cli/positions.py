"""Finds the positions of queues in a checkpoint, a directory or a file.

    for position in find_positions("/model"): ...

TensorFlow reads checkpoints, on all of its file systems. The trap: it takes
their paths for patterns, and does not find those with brackets.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

import tensorflow as tf

from wq_hooks.cli import remote_files
from wq_hooks.core.position.snapshot import FORMAT
from wq_hooks.core.position.weights_positions import (
    SUFFIX,
    entries_of,
    is_beside,
    name_beside,
)
from wq_hooks.errors import WorkQueueError
from wq_hooks.runtime.saving import files

_INDEX = ".index"
_POSITION = "/position"
_MAX_FILE_BYTES = 1 << 28
# A snapshot names its format at its beginning.
_NUM_LOOKED_AT = 200
# What TensorFlow's reader raises of a file that is damaged, or none of its own.
_READ_ERRORS = (
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
    tf.errors.OpError,
)


class NothingFoundError(WorkQueueError):
    """There is no position of a queue at a path."""


@dataclass(frozen=True)
class Position:
    """A position that was found.

    Attributes:
      source: The checkpoint or file that it was found in.
      key: The name of its tensor, or "" in a file of its own.
      text: Text as it was saved; b"" if nothing had been written yet.
    """

    source: str
    key: str
    text: bytes

    @property
    def directory(self) -> str:
        """Where long lists may be kept beside it."""
        if not remote_files.has_file_system(self.source):
            return "."  # TensorFlow cannot look there.
        return os.path.dirname(self.source) or "."


def find_positions(path: str) -> list[Position]:
    """Returns the positions of the queues at a path, in order of their names.

    Args:
      path: A checkpoint with or without ".index", weights that have a position
        beside them, a file with a snapshot or with positions, or a directory
        of any of these, of which the latest counts.

    Raises:
      NothingFoundError: If there is none.
      WorkQueueError: If the checkpoint is damaged, or nothing here can read
        a path of its scheme.
    """
    path = path.rstrip("/") or path
    if not remote_files.has_file_system(path):
        text = remote_files.read_without_tensorflow(path)
        return _positions_in_text(path, text)
    is_directory = tf.io.gfile.isdir(path)
    checkpoint = _latest_in(path) if is_directory else _checkpoint_of(path)
    found, damage = [], None
    try:
        found = [] if checkpoint is None else _positions_in(checkpoint)
    except WorkQueueError as e:
        damage = e
    found = found or _positions_beside(path, checkpoint)
    if not found and is_directory:
        found = _newest_in(path)
    if not found and checkpoint is None and files.stat_of(path) is not None:
        found = [] if is_directory else _positions_in_file(path)
    if found:
        return found
    if damage is not None:
        raise damage
    if checkpoint is not None:
        raise NothingFoundError(
            f"Expected the position of a work queue in checkpoint {path!r}, "
            "or beside it; it was saved without one."
        )
    if is_directory:
        raise NothingFoundError(
            f"Expected a checkpoint or a position in directory {path!r}, or "
            "beside it; there is none."
        )
    raise NothingFoundError(
        "Expected a checkpoint, weights with a position beside them, a "
        f"directory or a file with a snapshot; there is nothing at {path!r}."
    )


def _checkpoint_of(path: str) -> str | None:
    """Returns the prefix of a checkpoint at a path, None if there is none."""
    prefix = path[: -len(_INDEX)] if path.endswith(_INDEX) else path
    if files.stat_of(prefix + _INDEX) is not None:
        return prefix
    if files.stat_of(path) is None or tf.io.gfile.isdir(path):
        return None
    # One of `Saver(write_version=V1)` is a file of any name.
    try:
        tf.train.load_checkpoint(path)
    except _READ_ERRORS:
        return None
    return path


def _latest_in(directory: str) -> str | None:
    """Returns the latest checkpoint of a directory, None if it has none."""
    state = tf.train.get_checkpoint_state(directory)
    if state is not None:
        named = str(state.model_checkpoint_path)
        # A directory that was moved has its checkpoints still inside.
        for path in (named, os.path.join(directory, os.path.basename(named))):
            if _checkpoint_of(path):
                return path
    newest = _newest(directory, lambda name: name.endswith(_INDEX))
    return newest and _checkpoint_of(newest)


def _positions_in(prefix: str) -> list[Position]:
    """Returns the positions in a checkpoint, none if it was saved without."""
    try:
        reader = tf.train.load_checkpoint(prefix)
        shapes = reader.get_variable_to_shape_map()
        strings = {
            key: reader.get_tensor(key)
            for key, kind in reader.get_variable_to_dtype_map().items()
            if kind == tf.string and not shapes[key]
        }
    except _READ_ERRORS as e:
        raise WorkQueueError(
            f"Expected all files of checkpoint {prefix!r}, undamaged; {e}"
        ) from e
    return [
        Position(prefix, key, text)
        for key, text in sorted(strings.items())
        if FORMAT.encode() in text[:_NUM_LOOKED_AT]
        or (not text and key.endswith(_POSITION))
    ]


def _newest(directory: str, is_wanted: Callable[[str], bool]) -> str | None:
    """Returns the path of the newest file of a directory, by its name."""
    paths = [
        os.path.join(directory, name)
        for name in files.names_in(directory)
        if is_wanted(name)
    ]
    return max(paths, key=_changed, default=None)


def _changed(path: str) -> int:
    stat = files.stat_of(path)
    return 0 if stat is None else stat[1]


def _positions_beside(path: str, checkpoint: str | None) -> list[Position]:
    """Returns the position beside weights, none if there is no file of it."""
    beside: str | None = name_beside(path)
    if files.stat_of(str(beside)) is None:
        if checkpoint is None and files.stat_of(path) is None:
            return []
        # A field of its name stands for all that Keras has filled in.
        folder, name = os.path.split(_checkpoint_of(path) or path)
        beside = _newest(folder, lambda other: is_beside(other, name))
    return [] if beside is None else _positions_in_file(beside)


def _newest_in(directory: str) -> list[Position]:
    """Returns the position of the newest file of a directory that has one."""

    def is_position(name: str) -> bool:
        path = os.path.join(directory, name)
        if tf.io.gfile.isdir(path):
            return False
        with tf.io.gfile.GFile(path, "rb") as file:
            start = file.read(_NUM_LOOKED_AT)
        return name.endswith(SUFFIX) or FORMAT.encode() in start

    newest = _newest(directory, is_position)
    return [] if newest is None else _positions_in_file(newest)


def _positions_in_file(path: str) -> list[Position]:
    """Returns what is in a file with a snapshot, or with positions."""
    if (files.stat_of(path) or (0,))[0] > _MAX_FILE_BYTES:
        raise NothingFoundError(
            f"Expected a file with a snapshot; {path!r} is too large for one."
        )
    return _positions_in_text(path, files.read(path) or b"")


def _positions_in_text(path: str, text: bytes) -> list[Position]:
    if path.endswith(SUFFIX):
        entries = entries_of(text, path)
        # The newest first.
        return [
            Position(path, "", str(entry["position"]).encode())
            for entry in entries[:1]
        ]
    return [Position(path, "", text)]
