"""The TensorFlow resources through which chief and workers meet.

On the parameter server stand a work mailbox and a report mailbox (FIFOQueues),
a board (hash table of a few words from the chief to everybody) and the
position (a string variable, for the Saver). All are stock TensorFlow; nothing
in this module decides anything.

The trap: neither mailbox is ever closed. A closed queue stays closed for as
long as its server lives, so a restarted chief could not use it again. The end
of data is an element that every taker puts back for the next one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import tensorflow as tf
import tensorflow.compat.v1 as tf1

from wq_hooks.core import messages
from wq_hooks.runtime.steps import Steps

_REPORTS_CAPACITY = 1_000_000
_WORK_CAPACITY = 100_000
_STRING = tf.string
_WORK_TYPES = [tf.int64, tf.string, tf.string, tf.string]


class Element(NamedTuple):
    """What a taker got: one element of the work mailbox."""

    is_fresh: bool
    slot: int
    token: str
    ticket: int
    text: bytes


class Mailbox:
    """The ops over the shared resources of one queue, in the current graph.

    Args:
      name: Of the queue; the resources are shared under it within the
        container of the graph (`tf.compat.v1.container`).
      is_saved: Whether the position goes into checkpoints.
      remaining: Items that remain as long as the chief has not said; -1: no
        end.
      level: The level as long as the chief has not said.
    """

    def __init__(
        self,
        name: str,
        *,
        is_saved: bool = True,
        remaining: int = 0,
        level: float = 0.0,
    ):
        collection = (
            tf1.GraphKeys.GLOBAL_VARIABLES
            if is_saved
            else tf1.GraphKeys.LOCAL_VARIABLES
        )
        # What is fed or drained must not wait for what the user's script has
        # in its `control_dependencies`.
        with tf.control_dependencies(None), tf1.name_scope(f"{name}/"):
            with tf.device("/device:CPU:0"):
                # The scope that is current puts the variable where the
                # chief's variables are; everything else goes there as well.
                self.position = tf1.Variable(
                    b"",
                    name="position",
                    dtype=_STRING,
                    trainable=False,
                    collections=[collection],
                    use_resource=True,
                )
            self.device = self.position.device
            with tf.device(None), tf.device(self.device):
                self._build(name, str(remaining), str(level))

    def _build(self, name: str, remaining: str, level: str) -> None:
        self.work = tf1.FIFOQueue(
            _WORK_CAPACITY,
            dtypes=_WORK_TYPES,
            shapes=[()] * 4,
            shared_name=f"{name}/work",
            name="work",
        )
        reports = tf1.FIFOQueue(
            _REPORTS_CAPACITY,
            dtypes=[_STRING] * 3,
            shapes=[()] * 3,
            shared_name=f"{name}/reports",
            name="reports",
        )
        board = tf.raw_ops.MutableHashTableV2(
            key_dtype=tf.int64, value_dtype=_STRING, shared_name=f"{name}/board"
        )

        def look_up(keys: Any) -> Any:
            return tf.raw_ops.LookupTableFindV2(
                table_handle=board,
                keys=tf.convert_to_tensor(keys, tf.int64),
                default_value=tf.constant(""),
            )

        def fed(shape: Sequence[int | None], dtype: Any = _STRING) -> Any:
            return tf1.placeholder(dtype, shape)

        # A worker takes: one step on the parameter server.
        # Fed: its gate, the sender, what it has completed.
        self.take_feeds = [fed([], tf.int64), fed([]), fed([])]
        gate, sender, completed = self.take_feeds
        ask = reports.enqueue([messages.ASK, sender, completed])
        with tf.control_dependencies([ask]):
            barred_in, generation = tf.unstack(look_up([gate, messages.ITEM]))
        is_barred = tf.logical_and(
            tf.equal(barred_in, generation), tf.not_equal(generation, "")
        )
        # One element, or none: without control flow.
        slot, token, ticket, text = self.work.dequeue_many(
            1 - tf.cast(is_barred, tf.int32)
        )
        with tf.control_dependencies([slot]):
            is_fresh = tf.equal(look_up(slot), token)
        is_item = tf.logical_and(is_fresh, tf.equal(slot, messages.ITEM))
        is_end = tf.logical_and(is_fresh, tf.equal(slot, messages.END))
        claim = tf.strings.join([token, ticket], separator=" ")
        report = reports.enqueue_many(
            _rows_if(is_item, [messages.LEASE, sender, claim])
        )
        put_back = self.work.enqueue_many(
            _rows_if(is_end, [slot, token, ticket, text])
        )
        with tf.control_dependencies([report, put_back]):
            self.take = [
                tf.identity(x) for x in (is_fresh, slot, token, ticket, text)
            ]
        self.report_feeds = [fed([]), fed([]), fed([])]
        self.report = reports.enqueue(self.report_feeds)

        # The chief drains and feeds.
        first = reports.dequeue()
        with tf.control_dependencies([first[0]]):
            # Nobody else takes reports out: that many are there.
            rest = reports.dequeue_many(reports.size())
        self.drain = [
            tf.concat([tf.expand_dims(head, 0), tail], 0)
            for head, tail in zip(first, rest)
        ]
        self.num_reports = reports.size()
        self.num_work = self.work.size()
        self.publish_feeds = [fed([None], tf.int64), fed([None])]
        keys, values = self.publish_feeds
        self.publish = tf.raw_ops.LookupTableInsertV2(
            table_handle=board, keys=keys, values=values
        )
        self.deliver_feeds = [fed([None], dtype) for dtype in _WORK_TYPES]
        with tf.control_dependencies([self.publish]):
            self.deliver = self.work.enqueue_many(self.deliver_feeds)
        self.look_up_feed = fed([None], tf.int64)
        self.looked_up = look_up(self.look_up_feed)
        self.remaining = tf.strings.to_number(
            _default(look_up(messages.REMAINING), remaining), tf.int64
        )
        self.level = tf.strings.to_number(
            _default(look_up(messages.LEVEL), level), tf.float32
        )
        self.position_feed = fed([])
        self.read_position = self.position.read_value()
        self.write_position = self.position.assign(
            self.position_feed, read_value=False
        )


class MailboxSession:
    """The mailbox as seen through one session: plain calls, plain values.

    Its methods may be called from several threads. They raise what
    `tf.compat.v1.Session.run` raises.
    """

    def __init__(self, mailbox: Mailbox, session: tf1.Session):
        self._mailbox = mailbox
        self._session = session
        self._run = Steps(session).run

    def take(self, gate: int, sender: str, completed: str) -> Element | None:
        """Reports what is completed, then waits for an element.

        Args:
          gate: See `wq_hooks.core.messages.gate_of`.
          sender: Consumer name and incarnation.
          completed: The items that it has completed.

        Returns:
          The element; None, without waiting, if the gate is closed.
        """
        mailbox = self._mailbox
        columns = self._run(
            mailbox.take, mailbox.take_feeds, [gate, sender, completed]
        )
        for is_fresh, slot, token, ticket, text in zip(*columns):
            return Element(
                bool(is_fresh), int(slot), token.decode(), int(ticket), text
            )
        return None

    def report(
        self, kind: str, sender: str, payload: str, timeout_secs: float = 0.0
    ) -> None:
        """Puts one row into the report mailbox.

        Args:
          kind: See `wq_hooks.core.messages`.
          sender: Consumer name and incarnation.
          payload: The items it is about.
          timeout_secs: Give up after that long; 0: never.
        """
        mailbox = self._mailbox
        row = [kind, sender, payload]
        if not timeout_secs:
            self._run(mailbox.report, mailbox.report_feeds, row)
            return
        options = tf1.RunOptions(timeout_in_ms=int(timeout_secs * 1000))
        feeds = dict(zip(mailbox.report_feeds, row))
        self._session.run(mailbox.report, feeds, options=options)

    def mark(self, number: int) -> bool:
        """Reports a mark, behind what was reported; returns True."""
        self.report(messages.WAKE, "", messages.mark_text(number))
        return True

    def receive(self) -> list[tuple[bytes, bytes, bytes]]:
        """Waits for reports and returns all that are there."""
        columns = self._run(self._mailbox.drain)
        return list(zip(*columns))

    def deliver(
        self,
        elements: Sequence[tuple[int, str, str, bytes]],
        board: Mapping[int, str],
    ) -> None:
        """Writes to the board, then puts elements into the work mailbox."""
        mailbox = self._mailbox
        columns: list[Sequence[Any]] = [[], [], [], []]
        if elements:
            columns = [list(column) for column in zip(*elements)]
        self._run(
            mailbox.deliver,
            [*mailbox.publish_feeds, *mailbox.deliver_feeds],
            [list(board), list(board.values()), *columns],
        )

    def look_up(self, *keys: int) -> list[str]:
        """Returns the board's entries, "" where there is none."""
        mailbox = self._mailbox
        found = self._run(
            mailbox.looked_up, [mailbox.look_up_feed], [list(keys)]
        )
        return [value.decode() for value in found]

    def num_work(self) -> int:
        """Returns the number of elements in the work mailbox."""
        return int(self._run(self._mailbox.num_work))

    def num_reports(self) -> int:
        """Returns the number of rows in the report mailbox."""
        return int(self._run(self._mailbox.num_reports))

    def read_position(self) -> bytes:
        """Returns the position that was restored or written last."""
        return bytes(self._run(self._mailbox.read_position))

    def write_position(self, position: str) -> None:
        """Writes the position, for the next save."""
        mailbox = self._mailbox
        self._run(mailbox.write_position, [mailbox.position_feed], [position])


def _rows_if(condition: Any, columns: Sequence[Any]) -> list[Any]:
    """Returns the columns of the rows, one or none, that fulfil a condition."""
    return [
        tf.boolean_mask(tf.broadcast_to(column, tf.shape(condition)), condition)
        for column in columns
    ]


def _default(value: Any, default: str) -> Any:
    """Returns `default` in the place of an empty string."""
    return tf.where(tf.equal(value, ""), tf.constant(default), value)
