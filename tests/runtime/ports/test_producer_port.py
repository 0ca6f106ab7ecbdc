"""The queue of `input_producer`, as its consumer sees it."""

from __future__ import annotations

import tensorflow as tf

from wq_hooks.core.protocol.messages import Claim
from wq_hooks.runtime.ports.producer_port import ProducerPort

tf1 = tf.compat.v1
CLAIM = Claim("gen", 0)


def test_an_item_is_drawn_when_it_was_put_and_is_gone():
    with tf.Graph().as_default():
        ops = ProducerPort("drawn")
        item = ops.queue.dequeue()
        with tf1.Session() as session:
            port = ops.in_session(session)
            assert not port.is_drawn()
            port.wait_for_demand()
            port.put(CLAIM, b"first")
            assert not port.is_drawn()
            assert session.run(item) == [b"first"]
            assert port.is_drawn()
            port.discard()


def test_one_that_was_taken_and_not_put_is_not_drawn():
    """Else the one before would be taken for completed."""
    with tf.Graph().as_default():
        ops = ProducerPort("taken")
        item = ops.queue.dequeue()
        with tf1.Session() as session:
            port = ops.in_session(session)
            port.put(CLAIM, b"first")
            session.run(item)
            # The next one is on its way from here on.
            port.wait_for_demand()
            assert not port.is_drawn()
            port.put(CLAIM, b"second")
            assert not port.is_drawn()
            port.discard()
