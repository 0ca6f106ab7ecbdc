"""The file beside the checkpoints that keeps how often items failed.

    write("model", "train", text)
    attempts = read("model", "train")      # None: nothing is kept

See `wq_hooks.core.ledger.attempts`.
"""

from __future__ import annotations

import os

import tensorflow as tf

from wq_hooks.core import log as logging
from wq_hooks.core.ledger.attempts import Attempts, read_attempts
from wq_hooks.errors import SnapshotError
from wq_hooks.runtime.saving import files


def path_of(directory: str, name: str) -> str:
    """Returns where the attempts of a queue are kept."""
    return os.path.join(directory, f"{name.replace('/', '_')}.attempts.json")


def write(directory: str, name: str, text: str) -> bool:
    """Keeps the attempts; returns whether it could.

    The job goes on without: they count then up to the next save only.
    """
    path = path_of(directory, name)
    try:
        tf.io.gfile.makedirs(directory)
        files.write(path, [text.encode()])
    except tf.errors.OpError as e:
        logging.warning_once(
            "Work queue %s: the attempts at its items cannot be kept, so "
            "max_attempts may count from the last checkpoint: %s",
            name,
            e,
        )
        return False
    return True


def read(directory: str | None, name: str) -> Attempts | None:
    """Returns the attempts that were kept, or None if there are none."""
    if not directory:
        return None
    path = path_of(directory, name)
    try:
        text = files.read(path)
        return None if text is None else read_attempts(text.decode())
    except (SnapshotError, UnicodeDecodeError, tf.errors.OpError) as e:
        logging.warning(
            "Work queue %s: %s cannot be read; max_attempts counts from the "
            "checkpoint: %s",
            name,
            path,
            e,
        )
        return None
