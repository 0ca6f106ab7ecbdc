"""The position as a file of its own, beside weights that others save.

    file = PositionFile("backup")          # a folder or file of weights
    if file.has_changed():                 # somebody has saved them
        file.write(queue.snapshot())
    position = file.read()                 # that of the weights, or None

Weights and position are two files, and a kill may fall between them. So each
position names the weights that it was written after. Where the weights have
been saved once more since, the position is an older one: what lies between is
trained again. A position newer than the weights is never used.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from typing import Any

import tensorflow as tf

from wq_hooks.core import log as logging
from wq_hooks.core.position.weights_positions import (
    SUFFIX,
    VERSION,
    entries_of,
    fields_of,
    name_beside,
)
from wq_hooks.runtime.saving import files

_INDEX = ".index"
_DATA = re.compile(r"\.data-\d+-of-\d+\Z")
_NUM_KEPT = 3


class PositionFile:
    """A position that is matched to weights; see the module.

    Args:
      beside: A file of weights, a folder of them, the prefix of a TensorFlow
        checkpoint, or any of these with fields in braces, such as
        "model-{epoch:02d}.keras"; of several the newest counts.
    """

    def __init__(self, beside: str | os.PathLike[str]):
        self._beside = os.fspath(beside).rstrip("/")
        self._fields = fields_of(self._beside)
        self.path = name_beside(self._beside)
        # Of the position that was read: how many steps were trained by then.
        self.step = 0
        self._last_seen: str | None = None

    def has_changed(self) -> bool:
        """Whether the weights have changed since this was asked last.

        The first question, or `read`, notes how they are.
        """
        found = self._identify()
        if found is None:
            self._last_seen = self._last_seen or ""
            return False
        is_first = self._last_seen is None
        has_changed = found[0] != self._last_seen
        self._last_seen = found[0]
        return has_changed and not is_first

    def write(self, position: str, step: int = 0) -> None:
        """Keeps a position that belongs to the weights as they are now.

        Args:
          position: See WorkQueue.snapshot.
          step: How many steps were trained by then.
        """
        found = self._identify()
        if found is None:
            return
        identity, mtime = found
        entry = {
            "weights": identity,
            "mtime": mtime,
            "position": position,
            "step": step,
        }
        entries = [e for e in self._entries() if e["weights"] != identity]
        text = json.dumps(
            {
                "version": VERSION,
                "positions": [entry, *entries[: _NUM_KEPT - 1]],
            }
        )
        files.write(self.path, [text.encode()])

    def read(self) -> str | None:
        """Returns the position of the weights; None: begin at the beginning.

        Raises:
          ValueError: If the file is none of ours.
        """
        found = self._identify()
        self._last_seen = "" if found is None else found[0]
        entries = self._entries()
        if found is None:
            if entries:
                # It belongs to a run whose weights are gone.
                tf.io.gfile.remove(self.path)
            return None
        identity, mtime = found
        for entry in entries:
            if entry["weights"] == identity:
                return self._take(entry)
        for entry in entries:
            if entry["mtime"] <= mtime:
                logging.info(
                    "%s was written for earlier weights than those in %s; "
                    "what was trained in between is trained again.",
                    self.path,
                    self._beside,
                )
                return self._take(entry)
        if entries:
            logging.warning(
                "The weights in %s are older than each position in %s; the "
                "queue starts at the beginning.",
                self._beside,
                self.path,
            )
        return None

    def _take(self, entry: dict[str, Any]) -> str:
        self.step = int(entry["step"])
        return str(entry["position"])

    def _entries(self) -> list[dict[str, Any]]:
        text = files.read(self.path)
        return [] if text is None else entries_of(text, self.path)

    def _identify(self) -> tuple[str, int] | None:
        """Returns (identity, time of change in ns) of the weights."""
        newest: tuple[int, str] | None = None
        for path in self._candidates():
            for name in _files_in(path):
                stat = files.stat_of(name)
                if stat is not None:
                    newest = max(newest or (0, ""), (stat[1], path))
        if newest is None:
            return None
        mtime, path = newest
        digest = hashlib.blake2b(digest_size=16)
        for name in _files_in(path):
            digest.update(
                repr((name[len(path) :], files.stat_of(name))).encode()
            )
        return digest.hexdigest(), mtime

    def _candidates(self) -> list[str]:
        if tf.io.gfile.exists(self._beside):
            return [self._beside]
        if not self._fields.patterns:
            # A TensorFlow checkpoint is several files with a common prefix.
            index = self._beside + _INDEX
            return [index] if tf.io.gfile.exists(index) else []
        found = [self._fields.folder]
        for pattern in self._fields.patterns:
            found = [
                path
                for folder in found
                for name in files.names_in(folder)
                if (path := _matched(pattern, folder, name))
            ]
        return found


def _matched(pattern: re.Pattern[str], folder: str, name: str) -> str | None:
    """Returns the path of a file or folder that matches, or None."""
    if SUFFIX in name or _DATA.search(name):
        return None
    stem = name[: -len(_INDEX)] if name.endswith(_INDEX) else name
    if not pattern.fullmatch(stem):
        return None
    return os.path.join(folder, name)


def _files_in(path: str) -> list[str]:
    if not tf.io.gfile.isdir(path):
        return [path]
    return sorted(
        os.path.join(folder, name)
        for folder, _, names in tf.io.gfile.walk(path)
        for name in names
    )
