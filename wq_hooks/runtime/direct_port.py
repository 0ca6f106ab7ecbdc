"""Items that a worker takes and gives to its reader in one step.

    port = DirectPort("work_queue/worker:1/1", mailbox)
    text = port.take(iteration)          # in a dataset
    served = port.in_session(session).serve(gate, sender, completed)

A dataset cannot ask a parameter server by itself, so a thread of the worker
does it. With a DemandPort that thread is told of the question, takes an item,
and gives it to the reader: three steps, which the reader waits for. Here they
are one, which lies ready before the reader asks; Python hears of it while the
item is being read.

The trap: what the step says to the chief is fixed before the reader asks, that
its last item is completed among it. Who has begun a new iteration has not
completed the last item; the step then takes nothing and says nothing.
"""

from __future__ import annotations

import tensorflow as tf
import tensorflow.compat.v1 as tf1

from wq_hooks.core import messages
from wq_hooks.core.consumer import Served
from wq_hooks.core.messages import Claim
from wq_hooks.runtime.mailbox import (
    SHUT_GATE,
    Mailbox,
    element_of,
    question_of,
    report_text,
)
from wq_hooks.runtime.ports import DemandPort, DemandPortSession

# In the place of the iteration that is expected.
_ANY = "any"


class DirectPort(DemandPort):
    """A local queue whose items are taken in the step that gives them.

    Args:
      shared_name: Of its queues, unique in this process.
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
        found, is_told = mailbox.taken(tf.where(is_expected, question, nothing))
        found = tf.identity(found)
        slot, token, _, text, current = tf.unstack(found, axis=1)
        is_item = tf.logical_and(
            tf.equal(slot, str(messages.ITEM)), tf.equal(token, current)
        )
        text = tf.boolean_mask(text, is_item)
        put = self._proxy.enqueue_many([tf.fill(tf.shape(text), asked), text])
        with tf.control_dependencies([put]):
            self.served = [asked, tf.identity(found), is_told]

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
          gate: See `wq_hooks.core.messages.gate_of`.
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
        element = element_of(rows)
        if (
            element is None
            or not element.is_fresh
            or element.slot != messages.ITEM
        ):
            return Served(is_told, None)
        return Served(is_told, Claim(element.token, element.ticket))

    def put(self, claim: Claim, text: bytes) -> None:
        """Gives one to the reader that waits."""
        del claim
        port = self._direct
        self._run(port._put, port._feeds, [self._iteration, text])
