"""The queue of `input_producer`: a bare FIFOQueue, for Reader ops.

    port = ProducerPort("train/producer")
    reader.read(port.queue)

Reader ops drain it unseen, so it holds one item ahead of them. The trap: that
an item was drawn is known by polling alone.
"""

from __future__ import annotations

import time

import tensorflow as tf
import tensorflow.compat.v1 as tf1

from wq_hooks.core.protocol.messages import Claim
from wq_hooks.runtime.ports.port import POLL_SECS, SessionPort, discard_op

_MIN_POLL_SECS = 0.001


class ProducerPort:
    """A bare local FIFOQueue of one item.

    Its elements are of shape [1], as DeepRec's are.

    Args:
      shared_name: Name of its queue, unique in this process.
      max_poll_secs: How long it may stay unknown that an item was drawn.
    """

    def __init__(self, shared_name: str, max_poll_secs: float = POLL_SECS):
        self.queue = tf1.FIFOQueue(
            1,
            dtypes=[tf.string],
            shapes=[(1,)],
            shared_name=f"{shared_name}/producer",
            name="producer",
        )
        self.source = self.queue.queue_ref
        self.max_poll_secs = max_poll_secs
        self.size = self.queue.size()
        self.text = tf1.placeholder(tf.string, [1])
        self.put = self.queue.enqueue(self.text)
        self.close = self.queue.close()
        self.discard = discard_op(self.queue)

    def in_session(self, session: tf1.Session) -> ProducerPortSession:
        """Returns the port as seen through a session."""
        return ProducerPortSession(self, session)


class ProducerPortSession(SessionPort):
    """A ProducerPort in a session."""

    # The item passed on last has just been drawn: it is being read.
    num_ahead = 1

    def __init__(self, port: ProducerPort, session: tf1.Session):
        super().__init__(session, port.discard)
        self._port = port
        # Whether an item was put since the last one was missed.
        self._is_put = False

    def is_drawn(self) -> bool:
        """Returns whether the readers have drawn the item taken last.

        One that was taken and is not put yet lies ahead as well.
        """
        return self._is_put and self._is_empty()

    def _is_empty(self) -> bool:
        return not self.run(self._port.size)

    def wait_for_demand(self) -> None:
        """Waits until the queue is empty.

        A FIFOQueue does not tell when, and an enqueue that waits for a free
        place would hold a second item.
        """
        pause = _MIN_POLL_SECS
        while not self._is_empty():
            time.sleep(pause)
            pause = min(2 * pause, self._port.max_poll_secs)
        self._is_put = False

    def put(self, claim: Claim, text: bytes) -> None:
        """Gives the readers one."""
        del claim
        self.run(self._port.put, [self._port.text], [[text]])
        self._is_put = True

    def close(self) -> None:
        """Gives the readers the end of data."""
        self.run(self._port.close)
