"""A client that writes into the mailboxes and onto the board of a queue."""

from __future__ import annotations

import tensorflow as tf

from wq_hooks.core.protocol import messages

tf1 = tf.compat.v1


class Stranger:
    """Writes into the mailboxes of a queue, in the current graph.

    Args:
      mailbox: The `Mailbox` of the queue in that graph.
    """

    def __init__(self, mailbox):
        self.session = None
        self._report = tf1.placeholder(tf.string, [])
        self._element = tf1.placeholder(tf.string, [4])
        self._key = tf1.placeholder(tf.int64, [])
        self._text = tf1.placeholder(tf.string, [])
        with tf.device(mailbox.device):
            self._put_report = mailbox.reports.enqueue(self._report)
            self._put_element = mailbox.work.enqueue(self._element)
            self._write = mailbox._insert([self._key], [self._text])
            self._generation = mailbox.look_up(messages.ITEM)

    def generation(self):
        """Returns the generation that counts at present."""
        return self.session.run(self._generation).decode()

    def report(self, row):
        """Puts a row into the report mailbox."""
        self.session.run(self._put_report, {self._report: row})

    def hand_out(self, element):
        """Puts an element into the work mailbox."""
        self.session.run(self._put_element, {self._element: element})

    def write(self, key, text):
        """Writes an entry of the board."""
        self.session.run(self._write, {self._key: key, self._text: text})
