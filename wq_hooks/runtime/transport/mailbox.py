"""The TensorFlow resources through which chief and workers meet.

On the parameter server stand a work mailbox and a report mailbox (FIFOQueues)
and a board, a hash table: a few words from the chief to everybody, and the
position, for the Saver. All are stock TensorFlow; nothing in this module
decides anything.

The trap: neither mailbox is ever closed. A closed queue stays closed for as
long as its server lives, so a restarted chief could not use it again. The end
of data is an element that every taker puts back for the next one.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tensorflow.compat.v1 as tf1

from wq_hooks.core.protocol import messages
from wq_hooks.core.protocol.messages import (
    SEPARATOR,
)
from wq_hooks.runtime.transport.position_saveable import WorkQueuePosition

REPORTS_CAPACITY = 1_000_000
WORK_CAPACITY = 100_000
_STRING = tf.string
# Of what can be read on the board, and does not exceed its type.
_INTEGER = f"-?{messages.NUMBER_PATTERN}"
_DECIMAL = r"[0-9]{1,18}(\.[0-9]{1,30})?(e-[0-9]{1,2})?"
# Of an element: slot, token, ticket, text.
ELEMENT_SIZE = 4


def names_table() -> Any:
    """Returns the table of the queues that have begun on a server.

    It stands on the device, and in the container, that are current.
    """
    return tf.raw_ops.MutableHashTableV2(
        key_dtype=_STRING, value_dtype=tf.int64, shared_name="wq_hooks/names"
    )


class Mailbox:
    """The ops over the shared resources of one queue, in the current graph.

    Args:
      name: Name of the queue; the resources are shared under it within the
        container of the graph (`tf.compat.v1.container`).
      is_saved: Whether the position goes into checkpoints.
      on_saver: Called with each Saver that takes the position along.
      remaining: Items that remain as long as the chief has not said; -1: no
        end.
      level: The level as long as the chief has not said.
    """

    def __init__(
        self,
        name: str,
        *,
        is_saved: bool = True,
        on_saver: Callable[[tf1.train.Saver], None] | None = None,
        remaining: int = 0,
        level: float = 0.0,
    ):
        self.name = name
        # What is fed or drained must not wait for what the user's script has
        # in its `control_dependencies`.
        with tf.control_dependencies(None), tf1.name_scope(f"{name}/"):
            with tf.device("/device:CPU:0"):
                # The scope that is current puts this where the chief's
                # variables are, and the queue goes there as well. Nothing is
                # kept in it.
                place = tf.raw_ops.VarHandleOp(
                    dtype=_STRING,
                    shape=[],
                    shared_name=f"{name}/position",
                    name="position",
                )
            self.device = place.device
            with tf.device(None), tf.device(self.device):
                self._build(name, str(remaining), str(level))
                # Restores of another process, or of another graph, are not
                # those of this one.
                self.restore_token = uuid.uuid4().hex[:12]
                self.position = WorkQueuePosition(
                    place,
                    tf.identity(self.look_up(messages.POSITION)),
                    self._restored,
                    on_saver,
                )
        if is_saved:
            tf1.add_to_collection(tf1.GraphKeys.SAVEABLE_OBJECTS, self.position)

    def _restored(self, position: Any) -> tf.Operation:
        """Returns an op that keeps a position that a Saver has restored."""
        with tf.device(None), tf.device(self.device):
            restored = tf.strings.join(
                [self.restore_token, position], separator=SEPARATOR
            )
            return self._insert(
                [messages.POSITION, messages.RESTORED], [position, restored]
            )

    def _build(self, name: str, remaining: str, level: str) -> None:
        # Each tensor that is fed or fetched takes a round trip of its own
        # between worker and parameter server, which costs more than all that
        # is done there. So there is one of each, of strings.
        self.work = tf1.FIFOQueue(
            WORK_CAPACITY,
            dtypes=[_STRING],
            shapes=[(ELEMENT_SIZE,)],
            shared_name=f"{name}/work",
            name="work",
        )
        self.reports = reports = tf1.FIFOQueue(
            REPORTS_CAPACITY,
            dtypes=[_STRING],
            shapes=[()],
            shared_name=f"{name}/reports",
            name="reports",
        )
        self._board = tf.raw_ops.MutableHashTableV2(
            key_dtype=tf.int64, value_dtype=_STRING, shared_name=f"{name}/board"
        )

        self.announce = tf.raw_ops.LookupTableInsertV2(
            table_handle=names_table(),
            keys=tf.constant([name]),
            values=tf.constant([1], tf.int64),
        )
        look_up = self.look_up

        def fed(*shape: int | None, dtype: Any = _STRING) -> Any:
            return tf1.placeholder(dtype, shape)

        # A worker takes: one step on the parameter server.
        self.take_feed = fed(3)
        rows, is_told = self.taken(self.take_feed)
        with tf.control_dependencies([is_told]):
            self.take = tf.identity(rows)
        self.report_feed = fed()
        self.report = reports.enqueue(self.report_feed)

        # The chief drains and feeds.
        first = reports.dequeue()
        with tf.control_dependencies([first]):
            # Nobody else takes reports out: that many are there.
            rest = reports.dequeue_many(reports.size())
        self.drain = self._noted(tf.concat([tf.expand_dims(first, 0), rest], 0))
        self.drained = tf.io.parse_tensor(look_up(messages.DRAINED), _STRING)
        self.num_reports = reports.size()
        self.num_work = self.work.size()
        # Keys and values, for the board. With elements, the last of them says
        # which delivery it is: one that was done is not done again.
        self.publish_feed = fed(2, None)
        keys, values = tf.unstack(self.publish_feed)
        self.deliver_feed = fed(None, ELEMENT_SIZE)
        generation = look_up(messages.ITEM)
        is_allowed = tf.reduce_any(
            [
                tf.not_equal(keys[0], str(messages.FENCE)),
                tf.equal(values[0], generation),
                tf.equal(generation, ""),
            ]
        )
        num_entries = tf.cast(is_allowed, tf.int32) * tf.shape(keys)[0]
        keys, values = keys[:num_entries], values[:num_entries]
        is_new = tf.logical_and(
            is_allowed,
            tf.not_equal(look_up(messages.DELIVERED), self.publish_feed[1, -1]),
        )
        number = tf.cast(is_new, tf.int32) * tf.shape(self.deliver_feed)[0]
        with tf.control_dependencies([number]):
            published = self._insert(
                tf.strings.to_number(keys, tf.int64), values
            )
        with tf.control_dependencies([published]):
            self.deliver = self.work.enqueue_many([self.deliver_feed[:number]])
        self.look_up_feed = fed(None, dtype=tf.int64)
        self.looked_up = look_up(self.look_up_feed)
        self.remaining = _number(
            look_up(messages.REMAINING), remaining, _INTEGER, tf.int64
        )
        self.level = _number(
            look_up(messages.LEVEL), level, _DECIMAL, tf.float32
        )

    def taken(self, question: Any) -> tuple[Any, tf.Operation]:
        """Returns an element, once there is one, as the mailbox's ops.

        Args:
          question: tf.string of shape [3]: the consumer's gate, what it
            reports first, and `messages.lease_text` of it. An empty gate asks
            for nothing, and nothing is reported.

        Returns:
          tf.string of shape [1, 5], an element and the token that counts at
          present; [0, 5], without waiting, if the gate is closed. And an op
          that has to run with it, after which the chief is told.
        """
        with tf.device(None), tf.device(self.device):
            gate, ask, lease = tf.unstack(question)
            # Each op of a queue passes to another thread. The one who waits for
            # the element does not wait for those that tell of it.
            is_asked = tf.not_equal(gate, "")
            num_asked = tf.cast(is_asked, tf.int32)
            asked = self.reports.enqueue_many(
                [tf.expand_dims(ask, 0)[:num_asked]]
            )
            gate = tf.where(is_asked, gate, "0")
            held_back_in = self.look_up(tf.strings.to_number(gate, tf.int64))
            # Another default: who asks before the chief has begun waits.
            generation = self.look_up(messages.ITEM, default=messages.NOBODY)
            may_take = tf.logical_and(
                is_asked, tf.not_equal(held_back_in, generation)
            )
            # One element, or none: without control flow.
            element = self.work.dequeue_many(tf.cast(may_take, tf.int32))
            slot, token = element[:, 0], element[:, 1]
            is_end = tf.equal(slot, str(messages.END))
            with tf.control_dependencies([element]):
                current = self.look_up(tf.cast(is_end, tf.int64))
            # The chief knows that what is not of its generation is no item. Of
            # what cannot be read, it must not take a part for a lease.
            claim = tf.where(
                tf.equal(slot, str(messages.ITEM)),
                tf.strings.reduce_join(element[:, 1:3], 1, separator=" "),
                tf.where(is_end, "", messages.UNREADABLE),
            )
            with tf.control_dependencies([asked]):
                leased = self.reports.enqueue_many(
                    [tf.strings.join([lease, claim])]
                )
            with tf.control_dependencies([element]):
                # See `messages.answer_of`.
                entry = -tf.strings.to_number(tf.expand_dims(gate, 0), tf.int64)
                answered = self._insert(
                    entry[:num_asked], tf.expand_dims(lease, 0)[:num_asked]
                )
            is_fresh_end = tf.logical_and(is_end, tf.equal(token, current))
            num_ends = tf.reduce_sum(tf.cast(is_fresh_end, tf.int32))
            put_back = self.work.enqueue_many([element[:num_ends]])
            rows = tf.concat([element, tf.expand_dims(current, 1)], 1)
            return rows, tf.group(leased, put_back, answered)

    def _noted(self, drained: Any) -> Any:
        """Writes what was taken out to the board.

        Returns:
          How often something was taken out, the generation that counts, and
          what was taken out, in one vector.
        """
        with tf.control_dependencies([drained]):
            before, generation = tf.unstack(
                self.look_up([messages.NUM_DRAINED, messages.ITEM])
            )
        number = tf.strings.as_string(
            _number(before, "0", messages.NUMBER_PATTERN, tf.int64) + 1
        )
        rows = tf.concat([[number, generation], drained], 0)
        noted = self._insert(
            [messages.NUM_DRAINED, messages.DRAINED],
            [number, tf.io.serialize_tensor(rows)],
        )
        with tf.control_dependencies([noted]):
            return tf.identity(rows)

    def _insert(self, keys: Any, values: Any) -> tf.Operation:
        return tf.raw_ops.LookupTableInsertV2(
            table_handle=self._board,
            keys=tf.convert_to_tensor(keys, tf.int64),
            values=tf.convert_to_tensor(values),
        )

    def look_up(self, keys: Any, default: str = "") -> Any:
        """Returns entries of the board, `default` where there is none."""
        return tf.raw_ops.LookupTableFindV2(
            table_handle=self._board,
            keys=tf.convert_to_tensor(keys, tf.int64),
            default_value=tf.constant(default),
        )


def _number(text: Any, default: str, pattern: str, dtype: Any) -> Any:
    """Returns an entry of the board as a number.

    Args:
      text: The entry.
      default: Number instead of one that is missing, or cannot be read.
      pattern: Regular expression of those that can be.
      dtype: Type of the number.
    """
    is_number = tf.strings.regex_full_match(text, pattern)
    return tf.strings.to_number(
        tf.where(is_number, text, tf.constant(default)), dtype
    )
