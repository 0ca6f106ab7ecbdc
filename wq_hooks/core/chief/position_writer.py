"""When the position is written: at a save, and of its own accord.

    keeper = PositionKeeper(chief.snapshot, transport.write_position)
    with keeper.held():   # a Saver is at work
        ...
    keeper.write_older()  # once in a period, for one that nobody told us of

Without TensorFlow. May be used from several threads.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

from wq_hooks.core.position.snapshot import Snapshot


class PositionKeeper:
    """Writes the position to where a Saver finds it.

    Args:
      snapshot: Returns the position.
      write: Writes its JSON.
    """

    def __init__(
        self, snapshot: Callable[[], Snapshot], write: Callable[[str], None]
    ):
        # Items that were completed at the last save; None before the first.
        self.num_saved: int | None = None
        self._snapshot = snapshot
        self._write = write
        self._lock = threading.RLock()
        self._older: str | None = None
        self._written: str | None = None

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Writes the position, and keeps it as it is inside the block.

        What is acknowledged while a Saver is at work must not count: its last
        update may be missing from what the Saver has read already.
        """
        with self._lock:
            snapshot = self._snapshot()
            position = snapshot.to_json()
            self._write(position)
            self._written = self._older = position
            self.num_saved = snapshot.completed
            yield

    def write_older(self) -> None:
        """Writes the position of one period ago, unless it is held.

        For a Saver that nobody told us of: it reads the position at some
        moment of its save, and the model's variables at others.
        """
        if not self._lock.acquire(blocking=False):
            return
        try:
            position = self._snapshot().to_json()
            older, self._older = self._older, position
            if older is not None and older != self._written:
                self._write(older)
                self._written = older
        finally:
            self._lock.release()
