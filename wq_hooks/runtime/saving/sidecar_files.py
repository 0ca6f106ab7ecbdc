"""What one queue keeps beside its checkpoints, and where that is.

    sidecars = SidecarFiles(options)
    sidecars.directory = "model"         # known from the first save or restore
    sidecars.keep(ledger)                # long lists, once each
    sidecars.works_of(snapshot)          # None: not kept

A list of works, or of the items that a merge has kept, is named by its
fingerprint: a file that exists is not written again. The attempts at items
(`wq_hooks.core.ledger.attempts`) are written whenever they change.
"""

from __future__ import annotations

import os
from typing import Protocol

import tensorflow as tf

from wq_hooks.core import log as logging
from wq_hooks.core.ledger.attempts import Attempts, read_attempts
from wq_hooks.core.ledger.ledger import Ledger
from wq_hooks.core.position.sidecar_lists import file_of, list_in
from wq_hooks.core.position.snapshot import Snapshot, sidecar_name
from wq_hooks.errors import SnapshotError
from wq_hooks.runtime.saving import files


class Named(Protocol):
    """Options of a queue, which are checked before it has a name."""

    @property
    def name(self) -> str | None:
        """Name of the queue."""


class SidecarFiles:
    """The files of one queue beside its checkpoints.

    Args:
      options: Options of the queue, for its name.
      attempts_directory: Directory of the attempts; None: as of the others.

    Attributes:
      directory: Directory of the checkpoints; None or "": not known yet.
    """

    def __init__(self, options: Named, attempts_directory: str | None = None):
        self._options = options
        self._attempts_directory = attempts_directory
        self.directory: str | None = None

    @property
    def attempts_directory(self) -> str | None:
        """Where the attempts at items are kept; None: not known yet."""
        return self._attempts_directory or self.directory or None

    def keep(self, ledger: Ledger) -> None:
        """Keeps what is too long for each checkpoint, where that is known."""
        if not self.directory:
            return
        for fingerprint, make in ledger.long_lists().items():
            name = sidecar_name(str(self._options.name), fingerprint)
            path = os.path.join(self.directory, name)
            if not tf.io.gfile.exists(path):
                files.write(path, file_of(make()))
            ledger.items.note_sidecars(self.directory)

    def works_of(self, snapshot: Snapshot) -> list[str] | None:
        """Returns the works that a snapshot was written of, None if not kept.

        Raises:
          SnapshotError: If the file is damaged.
        """
        path = find(snapshot, self.directory)
        file = None if path is None else files.read(path)
        return None if file is None else list_in(file, str(path))

    def write_attempts(self, text: str) -> bool:
        """Keeps the attempts; returns whether it could.

        The job goes on without: they count then up to the next save only.
        """
        directory = self.attempts_directory
        if directory is None:
            return False
        try:
            tf.io.gfile.makedirs(directory)
            files.write(self._attempts_path(directory), [text.encode()])
        except tf.errors.OpError as e:
            logging.warning_once(
                "Work queue %s: the attempts at its items cannot be kept, so "
                "max_attempts may count from the last checkpoint: %s",
                self._options.name,
                e,
            )
            return False
        return True

    def read_attempts(self) -> Attempts | None:
        """Returns the attempts that were kept, or None if there are none."""
        if self.attempts_directory is None:
            return None
        path = self._attempts_path(self.attempts_directory)
        try:
            text = files.read(path)
            return None if text is None else read_attempts(text.decode())
        except (SnapshotError, UnicodeDecodeError, tf.errors.OpError) as e:
            logging.warning(
                "Work queue %s: %s cannot be read; max_attempts counts from "
                "the checkpoint: %s",
                self._options.name,
                path,
                e,
            )
            return None

    def _attempts_path(self, directory: str) -> str:
        name = str(self._options.name).replace("/", "_")
        return os.path.join(directory, f"{name}.attempts.json")


def find(snapshot: Snapshot, directory: str | None) -> str | None:
    """Returns where the works of a snapshot are kept, None if nowhere.

    Args:
      snapshot: The position.
      directory: Directory of its checkpoint now; it may have been moved.
    """
    name = sidecar_name(snapshot.name, snapshot.fingerprint)
    for place in (directory, snapshot.sidecar_directory):
        if place is not None and tf.io.gfile.exists(os.path.join(place, name)):
            return os.path.join(place, name)
    return None
