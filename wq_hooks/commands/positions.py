"""Finds the positions of queues in a checkpoint, a directory or a file."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from wq_hooks.commands.bundle import BundleError, strings_of
from wq_hooks.core.kept_lists import list_in
from wq_hooks.core.snapshot import FORMAT, Snapshot, works_file_name
from wq_hooks.errors import WorkQueueError

_LATEST = re.compile(r'^model_checkpoint_path:\s*"((?:[^"\\]|\\.)*)"', re.M)
_MAX_FILE_BYTES = 1 << 28
_POSITION = "/position"


class NothingFoundError(WorkQueueError):
    """There is no position of a queue where somebody looked for one."""


@dataclass(frozen=True)
class Position:
    """A position that was found.

    Attributes:
      source: The checkpoint or file that it was found in.
      key: The name of its tensor, or "" in a file of its own.
      text: As it was saved; b"" if nothing had been written yet.
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
      path: A checkpoint with or without ".index", a directory of checkpoints
        (the latest one counts), or a file with a snapshot.

    Raises:
      NothingFoundError: If there is none.
      BundleError: If the checkpoint is damaged.
    """
    if "://" in path:
        return _positions_in(path, _strings_by_tensorflow(path))
    if os.path.isdir(path):
        return find_positions(_latest_of(path))
    prefix = path[: -len(".index")] if path.endswith(".index") else path
    if os.path.exists(f"{prefix}.index"):
        try:
            strings = strings_of(prefix)
        except OSError as e:
            raise BundleError(
                f"Expected all files of checkpoint {prefix!r}; {e.strerror}: "
                f"{e.filename!r}."
            ) from e
        return _positions_in(prefix, strings)
    if not os.path.isfile(path):
        raise NothingFoundError(
            f"Expected a checkpoint, a directory of checkpoints or a file "
            f"with a snapshot; there is nothing at {path!r}."
        )
    if os.path.getsize(path) > _MAX_FILE_BYTES:
        raise NothingFoundError(
            f"Expected a file with a snapshot; {path!r} is too large for one."
        )
    with open(path, "rb") as file:
        return [Position(path, "", file.read())]


def _positions_in(prefix: str, strings: dict[str, bytes]) -> list[Position]:
    positions = [
        Position(prefix, key, text)
        for key, text in sorted(strings.items())
        if FORMAT.encode() in text[:200]
        or (not text and key.endswith(_POSITION))
    ]
    if not positions:
        raise NothingFoundError(
            f"Expected the position of a work queue in checkpoint {prefix!r}; "
            "it was saved without one."
        )
    return positions


def _latest_of(directory: str) -> str:
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
                if os.path.exists(f"{prefix}.index"):
                    return prefix
    with os.scandir(directory) as entries:
        found = [e for e in entries if e.name.endswith(".index")]
    if not found:
        raise NothingFoundError(
            f"Expected a checkpoint in directory {directory!r}; there is none."
        )
    return max(found, key=lambda entry: entry.stat().st_mtime).path


def _strings_by_tensorflow(path: str) -> dict[str, bytes]:
    """Returns the strings of a checkpoint on a file system of TensorFlow's."""
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
