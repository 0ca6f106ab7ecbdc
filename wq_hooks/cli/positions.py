"""Finds the positions of queues in a checkpoint, a directory or a file.

    for position in find_positions("/model"): ...

The trap: a path is no pattern, whatever characters it has.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass

from wq_hooks.cli.bundle import BundleError, strings_of
from wq_hooks.core.position.sidecar_lists import list_in
from wq_hooks.core.position.snapshot import FORMAT, Snapshot, works_file_name
from wq_hooks.core.position.weights_positions import (
    SUFFIX,
    entries_of,
    is_beside,
    name_beside,
)
from wq_hooks.errors import WorkQueueError

_INDEX = ".index"
# The last bytes of a table of LevelDB, of which a checkpoint of version 1 is.
_TABLE = 0xDB4775248B80FB57.to_bytes(8, "little")
_LATEST = re.compile(r'^model_checkpoint_path:\s*"((?:[^"\\]|\\.)*)"', re.M)
_MAX_FILE_BYTES = 1 << 28
_POSITION = "/position"
# Of a file that may be a snapshot.
_NUM_LOOKED_AT = 200


class NothingFoundError(WorkQueueError):
    """There is no position of a queue where somebody looked for one."""


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
        """Where a long list of works may be kept beside it."""
        return os.path.dirname(self.source) or "."


def find_positions(path: str) -> list[Position]:
    """Returns the positions of the queues at a path, in order of their names.

    Args:
      path: A checkpoint with or without ".index", weights that have a position
        beside them, a file with a snapshot or with positions, or a directory
        of any of these, of which the latest counts.

    Raises:
      NothingFoundError: If there is none.
      BundleError: If the checkpoint is damaged.
    """
    if "://" in path:
        return _remote_positions(path)
    has_checkpoint = False
    if os.path.isdir(path):
        latest = _latest_of(path)
        has_checkpoint = latest is not None
        found = [] if latest is None else _positions_in_checkpoint(latest)
        found = found or _positions_beside(path) or _newest_in(path)
    elif _is_checkpoint(path):
        has_checkpoint = True
        found = _positions_in_checkpoint(path) or _positions_beside(path)
    else:
        found = _positions_beside(path)
        if not found and os.path.isfile(path):
            return _positions_in_file(path)
    if found:
        return found
    if has_checkpoint:
        raise NothingFoundError(
            f"Expected the position of a work queue in checkpoint {path!r}, "
            "or beside it; it was saved without one."
        )
    if os.path.isdir(path):
        raise NothingFoundError(
            f"Expected a checkpoint or a position in directory {path!r}, or "
            "beside it; there is none."
        )
    raise NothingFoundError(
        "Expected a checkpoint, weights with a position beside them, a "
        f"directory or a file with a snapshot; there is nothing at {path!r}."
    )


def _is_checkpoint(path: str) -> bool:
    return os.path.exists(_prefix_of(path) + _INDEX) or _is_version_1(path)


def _prefix_of(path: str) -> str:
    return path[: -len(_INDEX)] if path.endswith(_INDEX) else path


def _positions_in_checkpoint(path: str) -> list[Position]:
    """Returns the positions in a checkpoint, none if it was saved without."""
    prefix = _prefix_of(path)
    if not os.path.exists(prefix + _INDEX):
        return _positions_in(path, _strings_by_tensorflow(path))
    try:
        strings = strings_of(prefix)
    except OSError as e:
        raise BundleError(
            f"Expected all files of checkpoint {prefix!r}; {e.strerror}: "
            f"{e.filename!r}."
        ) from e
    return _positions_in(prefix, strings)


def _is_version_1(path: str) -> bool:
    """Whether it is a checkpoint of `Saver(write_version=V1)`: a table."""
    if not os.path.isfile(path):
        return False
    with open(path, "rb") as file:
        file.seek(max(os.path.getsize(path) - len(_TABLE), 0))
        return file.read() == _TABLE


def _positions_in(prefix: str, strings: dict[str, bytes]) -> list[Position]:
    return [
        Position(prefix, key, text)
        for key, text in sorted(strings.items())
        if FORMAT.encode() in text[:200]
        or (not text and key.endswith(_POSITION))
    ]


def _latest_of(directory: str) -> str | None:
    """Returns the latest checkpoint of a directory, None if it has none."""
    state = os.path.join(directory, "checkpoint")
    if os.path.isfile(state):
        with open(state, encoding="utf-8", errors="replace") as file:
            match = _LATEST.search(file.read(_MAX_FILE_BYTES))
        if match:
            # A directory that was moved has its checkpoints still inside.
            named = re.sub(r"\\(.)", r"\1", match[1])
            for prefix in (
                os.path.join(directory, named),
                os.path.join(directory, os.path.basename(named)),
            ):
                if _is_checkpoint(prefix):
                    return prefix
    return _newest(directory, lambda name: name.endswith(_INDEX))


def _newest(directory: str, is_wanted: Callable[[str], bool]) -> str | None:
    """Returns the path of the newest file of a directory, by its name."""
    with os.scandir(directory) as entries:
        found = [e for e in entries if e.is_file() and is_wanted(e.name)]
    if not found:
        return None
    return max(found, key=lambda entry: entry.stat().st_mtime).path


def _positions_beside(path: str) -> list[Position]:
    """Returns the position beside weights, none if there is no file of it."""
    path = path.rstrip("/") or path
    beside = name_beside(path)
    if os.path.isfile(beside):
        return _positions_in_file(beside)
    folder, name = os.path.split(_prefix_of(path))
    if not os.path.exists(path) and not _is_checkpoint(path):
        return []
    # It stands for all that Keras has filled in.
    newest = _newest(folder or ".", lambda other: is_beside(other, name))
    return [] if newest is None else _positions_in_file(newest)


def _newest_in(directory: str) -> list[Position]:
    """Returns the position of the newest file of a directory that has one."""

    def is_position(name: str) -> bool:
        with open(os.path.join(directory, name), "rb") as file:
            start = file.read(_NUM_LOOKED_AT)
        return name.endswith(SUFFIX) or FORMAT.encode() in start

    newest = _newest(directory, is_position)
    return [] if newest is None else _positions_in_file(newest)


def _positions_in_file(path: str) -> list[Position]:
    """Returns what is in a file with a snapshot, or with positions."""
    if os.path.getsize(path) > _MAX_FILE_BYTES:
        raise NothingFoundError(
            f"Expected a file with a snapshot; {path!r} is too large for one."
        )
    with open(path, "rb") as file:
        return _positions_of(path, file.read())


def _positions_of(path: str, text: bytes) -> list[Position]:
    if path.endswith(SUFFIX):
        entries = entries_of(text.decode("utf-8", "replace"), path)
        # The newest first.
        return [
            Position(path, "", str(entry["position"]).encode())
            for entry in entries[:1]
        ]
    return [Position(path, "", text)]


def _remote_positions(path: str) -> list[Position]:
    """Returns positions on a file system of TensorFlow's."""
    try:
        import tensorflow as tf
    except ImportError as e:
        raise WorkQueueError(
            f"Expected TensorFlow to be installed, to read {path!r}; {e}."
        ) from e
    gfile = tf.io.gfile
    for file in (path, name_beside(path.rstrip("/"))):
        is_json = file.endswith(".json")
        if is_json and gfile.exists(file) and not gfile.isdir(file):
            with gfile.GFile(file, "rb") as opened:
                return _positions_of(file, opened.read())
    found = _positions_in(path, _strings_by_tensorflow(path))
    if not found:
        raise NothingFoundError(
            f"Expected the position of a work queue in checkpoint {path!r}, "
            "or beside it; it was saved without one."
        )
    return found


def _strings_by_tensorflow(path: str) -> dict[str, bytes]:
    """Returns the strings of a checkpoint that TensorFlow has to read."""
    try:
        import tensorflow as tf
    except ImportError as e:
        raise WorkQueueError(
            f"Expected TensorFlow to be installed, to read {path!r}; {e}."
        ) from e
    try:
        reader = tf.train.load_checkpoint(path)
    except (ValueError, tf.errors.OpError) as e:
        raise NothingFoundError(
            f"Expected a checkpoint at {path!r}; {e}"
        ) from e
    kinds = reader.get_variable_to_dtype_map()
    shapes = reader.get_variable_to_shape_map()
    return {
        key: bytes(reader.get_tensor(key))
        for key, kind in kinds.items()
        if kind == tf.string and not shapes[key]
    }


def find_works(position: Position, snapshot: Snapshot) -> str | None:
    """Returns the path of the list of works kept beside a checkpoint."""
    for directory in (position.directory, snapshot.works_directory):
        if directory is not None:
            path = os.path.join(
                directory, works_file_name(snapshot.name, snapshot.fingerprint)
            )
            if os.path.isfile(path):
                return path
    return None


def read_works(path: str) -> list[str]:
    """Returns the names of a list of works that a chief has kept.

    Args:
      path: See `find_works`.

    Raises:
      SnapshotError: If it is damaged.
    """
    with open(path, "rb") as file:
        return list_in(file.read(), path)
