"""What is too long for each checkpoint is kept beside them, once.

A list of works, or of the items that a merge has kept, is named by its
fingerprint: a file that exists is not written again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import tensorflow as tf

from wq_hooks.core.chief.dispatcher import Dispatcher
from wq_hooks.core.position.sidecar_lists import file_of, list_in
from wq_hooks.core.position.snapshot import Snapshot, works_file_name
from wq_hooks.runtime.saving import files


def keep(dispatcher: Dispatcher, name: str, directory: str | None) -> None:
    """Keeps beside the checkpoints what is too long for each of them.

    Args:
      dispatcher: Dispatcher of the queue, which is told where it is.
      name: Name of the queue.
      directory: Directory of the checkpoints; None or "": nothing is kept.
    """
    if not directory:
        return
    for fingerprint, make in dispatcher.ledger.long_lists().items():
        path = path_of(directory, name, fingerprint)
        write(path, make)
        dispatcher.note_lists_directory(directory)


def works_of(snapshot: Snapshot, directory: str | None) -> list[str] | None:
    """Returns the works that a snapshot was written of, None if not kept.

    Args:
      snapshot: The position.
      directory: Where its checkpoint is now; it may have been moved.
    """
    path = find(snapshot, directory)
    return None if path is None else read(path)


def find(snapshot: Snapshot, directory: str | None) -> str | None:
    """Returns where the works of a snapshot are kept, None if nowhere.

    Args:
      snapshot: The position.
      directory: Where its checkpoint is now; it may have been moved.
    """
    for place in (directory, snapshot.works_directory):
        if place is not None:
            path = path_of(place, snapshot.name, snapshot.fingerprint)
            if tf.io.gfile.exists(path):
                return path
    return None


def path_of(directory: str, name: str, fingerprint: str) -> str:
    """Returns where the list of works of a queue is kept."""
    return os.path.join(directory, works_file_name(name, fingerprint))


def write(path: str, make: Callable[[], Sequence[str]]) -> None:
    """Keeps a long list of works beside the checkpoints, once.

    Args:
      path: See `path_of`.
      make: Returns the list; not called if it is kept already.
    """
    if tf.io.gfile.exists(path):
        return
    files.write(path, file_of(make()))


def read(path: str) -> list[str] | None:
    """Returns the list that `write` kept, or None if there is none.

    Raises:
      SnapshotError: If the file is damaged.
    """
    file = files.read(path)
    return None if file is None else list_in(file, path)
