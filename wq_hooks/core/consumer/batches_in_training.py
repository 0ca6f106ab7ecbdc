"""Which of the batches that were delivered have been trained.

    batches = BatchesInTraining()
    batches.begin(Watch.PASSED)         # a new iteration
    batches.deliver(batch)              # one leaves the pipeline
    batches.pass_on(3)                  # the train loop has fetched three
    for batch in batches.take_trained(): ...

What stands between the pipeline and the train step may hold batches that no
step has trained. `Watch` says what can be known of it. Where nothing is known,
only what somebody says counts. Without TensorFlow.
"""

from __future__ import annotations

import collections
import enum
from collections.abc import Mapping
from typing import NamedTuple


class Watch(enum.IntEnum):
    """How it shows that a batch of an iteration was trained."""

    ASKED = 0  # nothing is between: when the next one is asked for
    PASSED = 1  # it shows which were fetched, in order: behind the next one
    CUT = 2  # likewise, and the end need not be that of the pipeline
    AT_END = 3  # it shows when the train loop has met the end of all
    UNSEEN = 4  # it does not show


class Batch(NamedTuple):
    """A batch on its way to the train step."""

    num_records: int
    parts: Mapping[int, int]  # how many of which slot


class BatchesInTraining:
    """The batches of one iteration that are not known to be trained.

    Args:
      num_parallel_steps: How many batches are being trained at a time.
    """

    def __init__(self, num_parallel_steps: int = 1):
        self.watch = Watch.ASKED
        self._num_parallel_steps = num_parallel_steps
        self.begin(Watch.ASKED)

    def __len__(self) -> int:
        """Number of batches that wait for their step."""
        return len(self._batches)

    def __iter__(self) -> collections.abc.Iterator[Batch]:
        """The batches that wait for their step."""
        return iter(self._batches)

    def begin(self, watch: Watch) -> None:
        """Forgets all batches: those of a new iteration follow."""
        self.watch = watch
        self._batches: collections.deque[Batch] = collections.deque()
        self._num_delivered = 0
        self._num_passed = 0
        self._num_told = 0
        self._num_known = 0
        self._has_ended = False

    def clear(self) -> None:
        """Forgets the batches that are there; the iteration may go on."""
        self._num_known = self._num_delivered
        self._batches.clear()

    def deliver(self, batch: Batch) -> None:
        """Notes that a batch leaves the pipeline."""
        self._batches.append(batch)
        self._num_delivered += 1
        self._note_fetched(self._num_parallel_steps)

    def pass_on(self, num_batches: int) -> None:
        """Notes how many batches the train loop has fetched in all."""
        self._num_passed = num_batches
        self._note_fetched(self._num_parallel_steps)

    def end(self, num_in_training: int) -> None:
        """Notes that the pipeline has met the end of data.

        Args:
          num_in_training: How many of the last batches may not be trained yet.
        """
        self._has_ended = True
        if self.watch is Watch.ASKED:
            self._note_fetched(num_in_training)

    def end_seen(self, num_in_training: int) -> None:
        """Notes that the train loop has met the end; see `end`."""
        if self._has_ended and self.watch in (Watch.PASSED, Watch.AT_END):
            self._know(self._num_delivered - num_in_training)
        else:
            self._note_fetched(num_in_training)

    def train(self, num_batches: int) -> None:
        """Notes that steps have trained so many batches more, in order."""
        if self.watch is Watch.AT_END:
            return
        is_passed = self.watch in (Watch.PASSED, Watch.CUT)
        # Steps may have had no data: a strategy's, where others had some.
        most = self._num_passed if is_passed else self._num_delivered
        self._num_told = min(self._num_told + num_batches, most)
        self._know(self._num_told)

    def train_fetched(self) -> None:
        """Notes that all that is known to be fetched was trained."""
        self._note_fetched(0)

    def train_through(self) -> None:
        """Notes that the train loop is through with what it was given."""
        if self._has_ended and self.watch is not Watch.CUT:
            self._know(self._num_delivered)
        else:
            self.train_fetched()

    def take_trained(self) -> list[Batch]:
        """Returns the batches that were trained since the last call."""
        num_left = self._num_delivered - self._num_known
        return [
            self._batches.popleft()
            for _ in range(len(self._batches) - max(num_left, 0))
        ]

    def _note_fetched(self, num_in_training: int) -> None:
        if self.watch is Watch.ASKED:
            self._know(self._num_delivered - num_in_training)
        elif self.watch in (Watch.PASSED, Watch.CUT):
            self._know(self._num_passed - num_in_training)

    def _know(self, num_trained: int) -> None:
        num_trained = min(num_trained, self._num_delivered)
        self._num_known = max(self._num_known, num_trained)
