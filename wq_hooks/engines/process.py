"""What reads in this process, in eager mode, wherever the items come from.

    class EagerEngine(ProcessEngine): ...        # from a ledger of its own
    class ConnectedEngine(ProcessEngine): ...    # from another process

The trap: threads and what TensorFlow keeps must not hold an engine. A queue
that nobody holds gives back what its readers have, and its name.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from wq_hooks.engines.base import Engine
from wq_hooks.errors import WorkQueueError
from wq_hooks.runtime.ports.dataset_ops import texts_of
from wq_hooks.runtime.records.records import Records
from wq_hooks.runtime.threads.process_threads import EagerService


class ProcessEngine(Engine):
    """The readers of a queue of eager mode.

    Args:
      name: Name of the queue.
      shared_name: Begins the names of its TensorFlow queues; unique.
      service: Threads that run for the queue in this process.
      is_endless: Whether the items never end.
    """

    def __init__(
        self,
        name: str,
        shared_name: str,
        service: EagerService,
        *,
        is_endless: bool,
    ):
        self.name = name
        self.service = service
        self._shared_name = shared_name
        self._is_endless = is_endless
        self._numbers = itertools.count(1)

    @property
    def is_closed(self) -> bool:
        """Whether the queue was closed."""
        return self.service.is_closed

    @property
    def is_done(self) -> bool:
        """Whether every item is completed."""
        raise NotImplementedError

    @property
    def has_ended(self) -> bool:
        """Whether a reader has met the end of data, and it still is there."""
        raise NotImplementedError

    @property
    def is_ending_early(self) -> bool:
        """Whether readers were given the end of data, as the process ends."""
        return self.service.readers.is_ending_early

    def forgive(self) -> None:
        """Notes that no item has failed, where this process has the ledger."""

    def leave(self) -> None:
        """Gives back what is held, in order: the process has to go."""
        raise NotImplementedError

    def take(self) -> Any:
        self._expect_eager("take")
        return tf.constant(self.service.readers.take())

    def input_dataset(self) -> Any:
        self._expect_eager("input_dataset")
        items = self.service.readers.new_items(self._new_shared_name())
        return texts_of(items, self)

    def records(
        self, reader: Callable[[Any], Any], cycle_length: int
    ) -> Records:
        self._expect_eager("records")
        return self.service.readers.new_records(
            self._new_shared_name(),
            reader,
            cycle_length,
            self,
            is_endless=self._is_endless,
        )

    def mark_trained(
        self, num_batches: int | None, *, is_through: bool
    ) -> None:
        if num_batches is not None and num_batches < 0:
            raise ValueError(
                f"Expected num_batches >= 0 or None; got {num_batches}."
            )
        self.service.readers.mark_trained(num_batches, is_through=is_through)

    def add_summary(self) -> None:
        """Does nothing: WorkQueueCallback writes the summaries."""

    def enter(self) -> None:
        """Allows a `with` block."""

    def close(self, *, is_through: bool) -> None:
        """Ends the threads.

        Args:
          is_through: Whether what was read to the end of data is completed.
        """
        self.service.close(is_through=is_through)
        self.service.join()

    def _new_shared_name(self) -> str:
        return f"{self._shared_name}/{next(self._numbers)}"

    def _expect_eager(self, method: str) -> None:
        if not tf.executing_eagerly():
            raise WorkQueueError(
                f"Expected {method} to be called in eager mode, as WorkQueue "
                f"{self.name!r} was made; got a graph or a tf.function. "
                "Make the queue where it is used."
            )
        if self.is_closed:
            raise WorkQueueError(
                f"Expected an open queue; {self.name!r} was closed."
            )
