"""Items that a worker takes and gives to its dataset in one step.

    port = DirectPort("work_queue/worker:1/1", mailbox)
    text = port.take_in(iteration)       # in a dataset
    served = port.in_session(session).serve(gate, sender, completed)

A dataset cannot ask a parameter server by itself, so a thread of the worker
does it. With other ports that thread is told of the question, takes an item,
and gives it to the reader: three steps, which the reader waits for. Here they
are one, which lies ready before the reader asks; Python hears of it while the
item is being read.

The trap: what the step says to the chief is fixed before the reader asks, that
its last item is completed among it. Who has begun a new iteration has not
completed the last item; the step then takes nothing and says nothing.
"""

from __future__ import annotations

import threading
from typing import Any

import tensorflow as tf
import tensorflow.compat.v1 as tf1

from wq_hooks.core.consumer.consumer import Served, claim_in
from wq_hooks.core.protocol import messages
from wq_hooks.core.protocol.messages import Claim
from wq_hooks.runtime.ports.session_ports import DemandPort, DemandPortSession
from wq_hooks.runtime.reading.records_port import (
    RecordsPort,
    RecordsPortSession,
)
from wq_hooks.runtime.transport.mailbox import (
    SHUT_GATE,
    Mailbox,
    element_of,
    question_of,
    report_text,
)

# In the place of the iteration that is expected.
_ANY = "any"
_START_SECS = 10.0


class DirectPort(DemandPort):
    """A local queue whose items are taken in the step that gives them.

    Args:
      shared_name: Name of its queues, unique in this process.
      mailbox: Where items come from.
      num_clients: How many iterations draw from it at a time.
    """

    def __init__(self, shared_name: str, mailbox: Mailbox, num_clients: int):
        super().__init__(shared_name, num_clients)
        # A question, and whose demand it is the answer to: see `serve`.
        self.serve_feed = tf1.placeholder(tf.string, [4])
        asked = self._demand.dequeue()
        question, expected = self.serve_feed[:3], self.serve_feed[3]
        is_expected = tf.logical_or(
            tf.equal(expected, _ANY),
            tf.equal(expected, tf.strings.as_string(asked)),
        )
        nothing = question_of(
            SHUT_GATE, report_text(messages.WAKE, "", ""), "none"
        )
        question = tf.where(is_expected, question, nothing)
        self.served = [
            asked,
            *_taken_and_put(mailbox, question, self._proxy, asked),
        ]

    def in_session(self, session: tf1.Session) -> DirectPortSession:
        """Returns the port as seen through a session."""
        return DirectPortSession(self, session)


class DirectPortSession(DemandPortSession):
    """A DirectPort in a session."""

    def __init__(self, port: DirectPort, session: tf1.Session):
        super().__init__(port, session)
        self._direct = port

    def serve(self, gate: int, sender: str, completed: str) -> Served:
        """Waits until a reader asks, and gives it an item.

        Args:
          gate: See `wq_hooks.core.protocol.messages.gate_of`.
          sender: Consumer name and incarnation.
          completed: The items that it will have completed by then.

        Returns:
          What it has got. If that is nothing, it waits for a `put`.
        """
        port = self._direct
        expected = _ANY if port.num_clients > 1 else str(self._iteration)
        ask = report_text(messages.ASK, sender, completed)
        asked, rows = self._run(
            port.served,
            [port.serve_feed],
            [[*question_of(gate, ask, sender), expected]],
        )
        is_told = expected in (_ANY, str(asked))
        self._heed(asked)
        return Served(is_told, claim_in(element_of(rows)))

    def put(self, claim: Claim, text: bytes) -> None:
        """Gives one to the reader that waits."""
        del claim
        port = self._direct
        self._run(port._put, port._feeds, [self._iteration, text])


class DirectRecordsPort(RecordsPort):
    """The queues behind `records`, with the same step.

    Args:
      shared_name: Name of its queues, unique in this process.
      mailbox: Where items come from.
      num_clients: How many batches are trained at a time.
    """

    def __init__(self, shared_name: str, mailbox: Mailbox, num_clients: int):
        super().__init__(shared_name, num_clients)
        # A question, and the slot of the item that will be the answer.
        self.serve_feeds = [
            tf1.placeholder(tf.string, [3]),
            tf1.placeholder(tf.int64, []),
        ]
        question, slot = self.serve_feeds
        with tf.control_dependencies([self._demand.dequeue()]):
            question = tf.identity(question)
        self.served = _taken_and_put(mailbox, question, self._proxy, slot)

    def in_session(self, session: tf1.Session) -> DirectRecordsPortSession:
        """Returns the port as seen through a session."""
        return DirectRecordsPortSession(self, session)


class DirectRecordsPortSession(RecordsPortSession):
    """A DirectRecordsPort in a session."""

    def __init__(self, port: DirectRecordsPort, session: tf1.Session):
        super().__init__(port, session)
        self._direct = port
        self._started = threading.Condition()

    def serve(self, gate: int, sender: str, completed: str) -> Served:
        """Waits until the pipeline asks, and gives it an item.

        As `DirectPortSession.serve`.
        """
        port = self._direct
        ask = report_text(messages.ASK, sender, completed)
        (rows,) = self._run(
            port.served,
            port.serve_feeds,
            [question_of(gate, ask, sender), self._next_slot],
        )
        element = element_of(rows)
        claim = claim_in(element)
        if element is not None and claim is not None:
            with self._started:
                self.start(claim, element.text)
                self._started.notify_all()
        return Served(True, claim)

    def put(self, claim: Claim, text: bytes) -> None:
        """Gives one to the pipeline that waits."""
        port = self._direct
        self._run(port.put, port.feeds, [self.start(claim, text), text])

    def _wait_for_start(self, slot: int) -> None:
        # The pipeline may have begun to read before its step has come back.
        with self._started:
            self._started.wait_for(lambda: slot != self._next_slot, _START_SECS)


def _taken_and_put(
    mailbox: Mailbox, question: Any, proxy: Any, number: Any
) -> list[Any]:
    """Returns what a step has to fetch: what was taken, and an op.

    Args:
      mailbox: Where items come from.
      question: See `Mailbox.taken`.
      proxy: The queue of the reader, of (tf.int64, tf.string).
      number: Goes with the text, tf.int64 scalar.
    """
    found, is_told = mailbox.taken(question)
    found = tf.identity(found)
    slot, token, _, text, current = tf.unstack(found, axis=1)
    is_item = tf.logical_and(
        tf.equal(slot, str(messages.ITEM)), tf.equal(token, current)
    )
    texts = tf.boolean_mask(text, is_item)
    put = proxy.enqueue_many([tf.fill(tf.shape(texts), number), texts])
    with tf.control_dependencies([put]):
        return [tf.identity(found), is_told]
