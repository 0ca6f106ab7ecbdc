"""What a consumer's threads use of the queues between them and a reader.

    port = channel.in_session(session)
    port.wait_for_demand()
    port.put(claim, text)

`Port` says what there is, and what a port does that has nothing to do for it.
`SessionPort` runs the steps of one session.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import tensorflow as tf
import tensorflow.compat.v1 as tf1

from wq_hooks.core.consumer.acknowledgement import Acknowledgement, OnNext
from wq_hooks.core.consumer.consumer import Given
from wq_hooks.core.ledger.consumer_state import Consumer, Measure
from wq_hooks.core.protocol.lost_answers import OpenSteps
from wq_hooks.core.protocol.messages import Claim
from wq_hooks.runtime.transport.prepared_steps import Steps

UNLIMITED = -1
POLL_SECS = 0.05
_DISCARD_SECS = 2.0


class PortOps(Protocol):
    """The ops of a port, in a graph."""

    @property
    def source(self) -> Any:
        """The handle of the queue from which the readers have their items."""

    def in_session(self, session: tf1.Session) -> Port:
        """Returns the port as seen through a session."""


class Port:
    """Where the readers of one consumer get their items.

    Attributes:
      reads_records: Whether it counts the records of the items.
      num_ahead: Number of items that it holds and no reader has asked for.
      on_new_iteration: Called when a dataset is iterated again, which will not
        go on with what its last iteration has left.
      open_steps: The steps on the server that have begun and not returned.
    """

    reads_records = False
    num_ahead = 0

    def __init__(self) -> None:
        self.on_new_iteration: Callable[[], None] = lambda: None
        self.open_steps = OpenSteps()

    def new_rule(self, num_clients: int) -> Acknowledgement:
        """Returns the rule by which its items are completed.

        Args:
          num_clients: See `OnNext`.
        """
        return OnNext(num_clients)

    def serve(self, consumer: Consumer, completed: Sequence[Claim]) -> Given:
        """Waits until a reader asks; see `wq_hooks.core.consumer.consumer`."""
        del consumer, completed
        self.wait_for_demand()
        return Given()

    def wait_for_demand(self) -> None:
        """Waits until the readers want one item more."""
        raise NotImplementedError

    def put(self, claim: Claim, text: bytes) -> None:
        """Gives the readers one item."""
        raise NotImplementedError

    def close(self) -> None:
        """Gives the readers the end of data, after what is inside."""

    def end_early(self) -> None:
        """Closes it from another thread: an item may still be on its way."""
        self.close()

    def fail(self, message: str) -> None:
        """Raises an error where a reader waits, if it can be reached."""

    def discard(self) -> None:
        """Ends what waits on the port, for good."""

    def is_drawn(self) -> bool:
        """Returns whether the readers have drawn an item put ahead of them."""
        return False

    # Where records are counted.

    def begin(self) -> None:
        """Notes that `count_forever` is about to run."""

    def count_forever(
        self,
        acknowledge: Callable[[Sequence[Claim], int, Sequence[Measure]], None],
    ) -> None:
        """Reports what is completed, until the port is discarded.

        Args:
          acknowledge: See `ConsumerLoop.acknowledge`.
        """

    def flush(self, timeout_secs: float) -> None:
        """Waits until all that was delivered has been counted and reported."""

    def take_num_trained(self) -> int:
        """Returns how many records were trained and are not reported yet."""
        return 0

    def under_way(self) -> list[str]:
        """Returns the names of the items whose records are being read."""
        return []


class SessionPort(Port):
    """A port in a session.

    Args:
      session: The session.
      discard: An op that closes and forgets the port's queues.
    """

    def __init__(self, session: tf1.Session, discard: tf.Operation):
        super().__init__()
        self._session = session
        self._steps = Steps(session)
        self._discard_op = discard
        self._is_discarded = False
        self._num_running = 0
        self._changed = threading.Condition()

    def discard(self) -> None:
        """Ends what waits on the port, and forgets its queues.

        A queue of a server outlives the session; a closed one would be closed
        for the next session too. A step that began before may reach a queue
        only after that: it makes the queue again, with what belongs to this
        session inside, and the next session would find it. So that is repeated
        until no step runs. The threads of the steps could not do it
        themselves: a session that closes meanwhile would leave a closed queue.
        """
        with self._changed:
            self._is_discarded = True
        deadline = time.monotonic() + _DISCARD_SECS
        while True:
            with self._changed:
                is_last = self._num_running == 0
            self._session.run(self._discard_op)
            if is_last or time.monotonic() > deadline:
                return
            with self._changed:
                self._changed.wait_for(
                    lambda: self._num_running == 0, POLL_SECS
                )

    def run(
        self, fetch: Any, feeds: Sequence[Any] = (), values: Sequence[Any] = ()
    ) -> Any:
        """Runs a step; raises CancelledError once the port is discarded."""
        with self._changed:
            if self._is_discarded:
                raise tf.errors.CancelledError(None, None, "The session ends.")
            self._num_running += 1
        try:
            return self._steps.run(fetch, feeds, values)
        finally:
            with self._changed:
                self._num_running -= 1
                self._changed.notify_all()


def discard_op(*queues: Any) -> tf.Operation:
    """Returns an op that closes queues at once and forgets them."""
    closed = [queue.close(cancel_pending_enqueues=True) for queue in queues]
    with tf.control_dependencies(closed):
        forgotten = [
            tf.raw_ops.DestroyResourceOp(
                resource=queue.queue_ref, ignore_lookup_error=True
            )
            for queue in queues
        ]
    return tf.group(*forgotten)
