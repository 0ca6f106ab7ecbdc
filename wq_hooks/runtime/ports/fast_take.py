"""Takes that lie in the reader's own step, so that an item costs no second one.

    port = TakePort("work_queue/worker:1/1", mailbox, "worker:1")
    item = port.take()

The step asks the parameter server first, where nothing of the worker is needed
and nothing waits: if an item is there, it is leased and comes back with the
answer, as with a bare `FIFOQueue.dequeue`. If not (the mailbox runs low, the
data end, the consumer is barred, the chief is not ready), the step goes on as
that of a DemandPort does: it tells a thread of the worker, and waits.

The trap: what is taken so is known to the worker only by what has arrived.
Acknowledgements follow from that, a little later; an item whose step was
aborted on its way back is found by what the worker says that it holds.
"""

from __future__ import annotations

import uuid
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow.compat.v1 as tf1

from wq_hooks.core.ledger.consumer_state import Consumer
from wq_hooks.core.protocol import messages
from wq_hooks.core.protocol.messages import Claim
from wq_hooks.runtime.ports.session_ports import (
    UNLIMITED,
    SessionPort,
    discard_op,
)
from wq_hooks.runtime.transport.mailbox import ELEMENT_SIZE, SEPARATOR, Mailbox

# In the place of an entry that the board has not; a number.
NO_LIFE = _NOTHING = "0"


def life_text(consumer: Consumer) -> str:
    """Returns the entry of the board that lets a consumer take in steps.

    It is the beginning of the reports of its leases.
    """
    return SEPARATOR.join((messages.LEASE, messages.sender_text(consumer), ""))


class TakePort:
    """The local queues of one take, and its way to the mailbox.

    Args:
      shared_name: Name of its queues, unique in this process.
      mailbox: Where items come from.
      consumer_name: Who takes.
    """

    def __init__(self, shared_name: str, mailbox: Mailbox, consumer_name: str):
        def queue(name: str, *dtypes: Any, shape: Any = ()) -> Any:
            return tf1.FIFOQueue(
                UNLIMITED,
                dtypes=dtypes,
                shapes=[shape] * len(dtypes),
                shared_name=f"{shared_name}/{name}",
                name=name,
            )

        self.consumer_name = consumer_name
        # Another process of the same name has another entry: one that lives
        # on, unseen, must not take in the name of its successor.
        self.life = messages.life_of(f"{consumer_name} {uuid.uuid4().hex}")
        self._mailbox = mailbox
        self._demand = queue("demand", tf.bool)
        self._proxy = queue("proxy", tf.string, shape=(ELEMENT_SIZE,))
        # What readers have got.
        self._arrivals = queue("arrivals", tf.string, shape=(ELEMENT_SIZE,))
        self.source = self._proxy.queue_ref
        self._wait = self._demand.dequeue()
        self._elements = tf1.placeholder(tf.string, [None, ELEMENT_SIZE])
        self._put = self._proxy.enqueue_many([self._elements])
        self._close = self._proxy.close()
        self._drain = self._arrivals.dequeue_many(self._arrivals.size())
        self._discard = discard_op(self._demand, self._proxy, self._arrivals)

    def take(self) -> Any:
        """Returns a tf.string scalar: an item, which may have to be waited for.

        An op costs two or three microseconds, whatever it does, so there are
        few of them; those that wait are dead where nothing is missing.
        (`tf.cond` would make a dozen more.)
        """
        # What only looks at a shape would be placed where the tensor is from.
        found = tf.identity(self._take_now())
        is_missing = tf.equal(tf.size(found), 0)
        taken, _ = tf.raw_ops.Switch(data=found, pred=is_missing)
        _, wanted = tf.raw_ops.Switch(data=tf.constant([True]), pred=is_missing)
        asked = self._demand.enqueue_many([wanted])
        with tf.control_dependencies([asked]):
            waited_for = self._proxy.dequeue_many(1)
        element, _ = tf.raw_ops.Merge(inputs=[taken, waited_for])
        element.set_shape([1, ELEMENT_SIZE])
        arrived = self._arrivals.enqueue_many([element])
        with tf.control_dependencies([arrived]):
            return tf.strided_slice(
                element,
                [0, ELEMENT_SIZE - 1],
                [1, ELEMENT_SIZE],
                shrink_axis_mask=0b11,
                name="take",
            )

    def _take_now(self) -> Any:
        """Returns an element in one row, or no row: without waiting.

        What happens or not is said by the number of rows, 0 or 1. All of it
        stands where the mailbox does, and needs constants alone.
        """
        mailbox = self._mailbox
        work = mailbox.work
        with tf.device(None), tf.device(mailbox.device):
            life, barred_in, generation, reserve = tf.unstack(
                mailbox.look_up(
                    [
                        self.life,
                        messages.gate_of(self.consumer_name),
                        messages.ITEM,
                        messages.RESERVE,
                    ],
                    _NOTHING,
                )
            )
            is_known = tf.not_equal(life, _NOTHING)
            # Before the chief has begun, both are nothing.
            is_let_in = tf.not_equal(barred_in, generation)
            # A dequeue that comes too late would wait for the next element.
            # So some are left: all who may be between here and there.
            is_enough = work.size() > tf.strings.to_number(reserve, tf.int32)
            may_take = tf.logical_and(
                is_enough, tf.logical_and(is_let_in, is_known)
            )
            element = work.dequeue_many(tf.cast(may_take, tf.int32))
            _, token, ticket, _ = tf.unstack(element, axis=1)
            # The chief knows that what is not of its generation is no item. (If
            # another one has begun since the look at the board, it is as if
            # the element had been taken before.)
            report = tf.strings.join([life, token, " ", ticket])
            is_item = tf.cast(tf.equal(token, generation), tf.int32)
            others, items = tf.dynamic_partition(element, is_item, 2)
            # The end of data, and what is stale, is for those who wait.
            with tf.control_dependencies(
                [
                    mailbox.reports.enqueue_many([report]),
                    work.enqueue_many([others]),
                ]
            ):
                return tf.identity(items)

    def in_session(self, session: tf1.Session) -> TakePortSession:
        """Returns the port as seen through a session."""
        return TakePortSession(self, session)


class TakePortSession(SessionPort):
    """A TakePort in a session."""

    num_ahead = 0

    def __init__(self, port: TakePort, session: tf1.Session):
        super().__init__(session, port._discard)
        self._port = port
        self.consumer_name = port.consumer_name
        self.life = port.life

    def wait_for_demand(self) -> None:
        """Waits until a reader has found nothing."""
        self._run(self._port._wait)

    def put(self, claim: Claim, text: bytes) -> None:
        """Gives an item to it."""
        self._put([[b"", claim.generation.encode(), str(claim.ticket), text]])

    def prepare_put(self) -> None:
        """Runs the step of `put` once, of no item.

        As with `MailboxSession.prepare_take`: it is needed when the data are
        about to end.
        """
        self._put(np.empty((0, ELEMENT_SIZE)))

    def close(self) -> None:
        """Gives it the end of data."""
        self._run(self._port._close)

    def arrived(self) -> list[Claim]:
        """Returns what has reached a reader since the last call.

        Not to be called by two threads at a time.
        """
        return [
            Claim(token.decode(), int(ticket))
            for _, token, ticket, _ in self._run(self._port._drain)
        ]

    def _put(self, elements: Any) -> None:
        self._run(self._port._put, [self._port._elements], [elements])
