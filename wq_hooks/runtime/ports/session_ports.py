"""The local queues through which readers get their items, as TensorFlow ops.

A DemandPort gives an item for each dequeue and knows when one is wanted; takes
and datasets use it. A ProducerPort is a bare FIFOQueue, which Reader ops drain
unseen; it holds one item ahead. Both stand on the worker itself.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import tensorflow as tf
import tensorflow.compat.v1 as tf1

from wq_hooks.core.protocol.messages import Claim
from wq_hooks.runtime.transport.prepared_steps import Steps

UNLIMITED = -1
_MIN_POLL_SECS = 0.001
_MAX_POLL_SECS = 0.05
_DISCARD_SECS = 2.0


class Port(Protocol):
    """The ops of a port."""

    @property
    def source(self) -> Any:
        """The handle of the queue from which the readers have their items."""

    def in_session(self, session: tf1.Session) -> PortSession:
        """Returns the port as seen through a session."""


class PortSession(Protocol):
    """A port in a session; see `wq_hooks.core.consumer.consumer.Port`."""

    @property
    def num_ahead(self) -> int:
        """How many items it holds that no reader has asked for yet."""

    def wait_for_demand(self) -> None:
        """Waits until the readers want one item more."""

    def put(self, claim: Claim, text: bytes) -> None:
        """Gives them one; it may wait until they want the next."""

    def close(self) -> None:
        """Gives them the end of data, behind what is inside."""

    def discard(self) -> None:
        """Ends what waits on the port, and forgets its queues.

        A queue of a server outlives the session; a closed one would be closed
        for the next session too.
        """


class SessionPort:
    """A port in a session.

    Args:
      session: The session.
      discard: An op that closes and forgets the port's queues.
    """

    def __init__(self, session: tf1.Session, discard: tf.Operation):
        self._session = session
        self._steps = Steps(session)
        self._discard_op = discard
        self._is_discarded = False
        self._num_running = 0
        self._changed = threading.Condition()

    def discard(self) -> None:
        """Ends what waits on the port, and forgets its queues.

        A step that began before may reach a queue only after that: it makes
        the queue again, with what belongs to this session inside, and the next
        session would find it. So that is repeated until no step runs. The
        threads of the steps could not do it themselves: a session that closes
        meanwhile would leave a closed queue behind.
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
                    lambda: self._num_running == 0, _MAX_POLL_SECS
                )

    def _run(
        self, fetch: Any, feeds: Sequence[Any] = (), values: Sequence[Any] = ()
    ) -> Any:
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


class AskedPortSession(SessionPort):
    """A port whose readers ask for each item.

    To give them one and to wait until they ask again is one step: with files of
    a megabyte a worker makes twenty of them in a second.

    Args:
      session: The session.
      discard: An op that closes and forgets the port's queues.
      wait: A tensor, there as soon as the readers have asked: their question.
      feeds: Placeholders of an item.
      put_and_wait: A tensor, there as soon as they have asked for one more.
    """

    num_ahead = 0

    def __init__(
        self,
        session: tf1.Session,
        discard: tf.Operation,
        *,
        wait: Any,
        feeds: Sequence[Any],
        put_and_wait: Any,
    ):
        super().__init__(session, discard)
        self._wait = wait
        self._feeds = feeds
        self._put_and_wait = put_and_wait
        self._asked: Any = None

    def wait_for_demand(self) -> None:
        """Waits until the readers want one item more."""
        asked, self._asked = self._asked, None
        self._heed(self._run(self._wait) if asked is None else asked)

    def _heed(self, question: Any) -> None:
        """Does what has to be done before a question is answered."""

    def _give(self, *values: Any) -> None:
        """Gives them one, and returns when they have asked for the next."""
        self._asked = self._run(self._put_and_wait, self._feeds, values)


class DemandPort:
    """A local queue that counts how many items were asked for.

    Args:
      shared_name: Name of its queues, unique in this process.
      num_clients: How many iterations draw from it at a time.
    """

    def __init__(self, shared_name: str, num_clients: int = 1):
        self.num_clients = num_clients
        self._demand = tf1.FIFOQueue(
            UNLIMITED,
            dtypes=[tf.int64],
            shapes=[()],
            shared_name=f"{shared_name}/demand",
            name="demand",
        )
        # Of an iteration, an item.
        self._proxy = tf1.FIFOQueue(
            UNLIMITED,
            dtypes=[tf.int64, tf.string],
            shapes=[(), ()],
            shared_name=f"{shared_name}/proxy",
            name="proxy",
        )
        self._wait = self._demand.dequeue()
        self._feeds = [
            tf1.placeholder(tf.int64, []),
            tf1.placeholder(tf.string, []),
        ]
        self._put = self._proxy.enqueue(self._feeds)
        with tf.control_dependencies([self._put]):
            self._put_and_wait = self._demand.dequeue()
        self.source = self._proxy.queue_ref
        self._close = self._proxy.close()
        self._discard = discard_op(self._demand, self._proxy)

    def take(self) -> Any:
        """Returns a tf.string scalar: asks for an item and waits for it."""
        _, text = self._ask(tf.constant(0, tf.int64))
        return tf.identity(text, name="take")

    def take_in(self, iteration: Any) -> Any:
        """Asks, within a dataset, as `take` does.

        Args:
          iteration: Iteration that asks, a tf.int64 scalar.
        """
        row = self._ask(iteration)
        if self.num_clients == 1:
            # What a former iteration has asked for and not fetched is dropped:
            # it went back to the line.
            row = tf.while_loop(
                lambda asked, _: asked < iteration,
                lambda *_: tuple(self._proxy.dequeue()),
                tuple(row),
            )
        return row[1]

    def _ask(self, iteration: Any) -> Any:
        with tf.control_dependencies([self._demand.enqueue(iteration)]):
            return self._proxy.dequeue()

    def in_session(self, session: tf1.Session) -> PortSession:
        """Returns the port as seen through a session."""
        return DemandPortSession(self, session)


class DemandPortSession(AskedPortSession):
    """A DemandPort in a session.

    Attributes:
      on_new_iteration: Called when one iteration has taken the place of
        another; of several clients, the others may go on with what they have.
    """

    on_new_iteration: Callable[[], None] | None = None

    def __init__(self, port: DemandPort, session: tf1.Session):
        super().__init__(
            session,
            port._discard,
            wait=port._wait,
            feeds=port._feeds,
            put_and_wait=port._put_and_wait,
        )
        self._port = port
        self._iteration: int | None = None

    def _heed(self, question: Any) -> None:
        former, self._iteration = self._iteration, int(question)
        if former in (None, self._iteration) or self._port.num_clients > 1:
            return
        if self.on_new_iteration is not None:
            self.on_new_iteration()

    def put(self, claim: Claim, text: bytes) -> None:
        """Gives the readers one, and waits until they want the next."""
        del claim
        self._give(self._iteration, text)

    def close(self) -> None:
        """Gives them the end of data."""
        self._run(self._port._close)


class ProducerPort:
    """A bare local FIFOQueue of one item, for Reader ops.

    Its elements are of shape [1], as DeepRec's are.

    Args:
      shared_name: Name of its queue, unique in this process.
    """

    def __init__(self, shared_name: str):
        self.queue = tf1.FIFOQueue(
            1,
            dtypes=[tf.string],
            shapes=[(1,)],
            shared_name=f"{shared_name}/producer",
            name="producer",
        )
        self.source = self.queue.queue_ref
        self._size = self.queue.size()
        self._text = tf1.placeholder(tf.string, [1])
        self._put = self.queue.enqueue(self._text)
        self._close = self.queue.close()
        self._discard = discard_op(self.queue)

    def in_session(self, session: tf1.Session) -> PortSession:
        """Returns the port as seen through a session."""
        return ProducerPortSession(self, session)


class ProducerPortSession(SessionPort):
    """A ProducerPort in a session.

    Attributes:
      max_poll_secs: How long it may stay unknown that an item was drawn.
    """

    # The item passed on last has just been drawn: it is being read.
    num_ahead = 1
    max_poll_secs = _MAX_POLL_SECS

    def __init__(self, port: ProducerPort, session: tf1.Session):
        super().__init__(session, port._discard)
        self._port = port

    @property
    def is_drawn(self) -> bool:
        """Whether the readers have drawn all that was put."""
        return not self._run(self._port._size)

    def wait_for_demand(self) -> None:
        """Waits until the queue is empty.

        A FIFOQueue does not tell when, and an enqueue that waits for a free
        place would hold a second item.
        """
        pause = _MIN_POLL_SECS
        while not self.is_drawn:
            time.sleep(pause)
            pause = min(2 * pause, self.max_poll_secs)

    def put(self, claim: Claim, text: bytes) -> None:
        """Gives the readers one."""
        del claim
        self._run(self._port._put, [self._port._text], [[text]])

    def close(self) -> None:
        """Gives them the end of data."""
        self._run(self._port._close)


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
