"""The queues between a dataset and its consumer."""

from __future__ import annotations

import sys
import threading

import pytest
import tensorflow as tf

from wq_hooks import WorkQueue
from wq_hooks.runtime.ports.item_channel import ItemChannel
from wq_hooks.runtime.ports.item_port import GraphItemChannel, ItemPort

tf1 = tf.compat.v1


def served(port, slots):
    """Gives items to whoever asks, then the end of data."""

    def give():
        for slot in slots:
            port.wait_for_demand()
            port.put_slot(slot, b"text")
        port.wait_for_demand()
        port.close()

    giver = threading.Thread(target=give, daemon=True)
    giver.start()
    return giver


def test_numbers_that_are_given_are_not_kept():
    # TensorFlow keeps each Python number that is made a tensor, for good.
    channel = ItemChannel("given")
    slots = [10**12 + i for i in range(3)]
    before = [sys.getrefcount(slot) for slot in slots]
    giver = served(ItemPort(channel, None), slots)
    got = [int(slot) for slot, _ in channel.items()]
    giver.join()
    assert got == slots
    del giver, got
    assert [sys.getrefcount(slot) for slot in slots] == before


def ops_of(dataset):
    """Yields the types of the ops of a dataset and of its functions."""
    graph = tf1.get_default_graph().as_graph_def()
    yield from (node.op for node in graph.node)
    for function in graph.library.function:
        yield from (node.op for node in function.node_def)


class TestIterations:
    """A counter of the queue tells them apart."""

    @pytest.mark.parametrize("source", ["input_dataset", "records"])
    def test_no_op_looks_at_the_clock(self, source):
        with tf.Graph().as_default():
            queue = WorkQueue(["a", "b"])
            dataset = (
                queue.input_dataset()
                if source == "input_dataset"
                else queue.records(tf.data.TextLineDataset).to_dataset()
            )
            tf1.data.make_initializable_iterator(dataset)
            ops = set(ops_of(dataset))
        assert "QueueDequeueV2" in ops
        assert "Timestamp" not in ops

    def test_a_later_one_drops_what_an_earlier_one_has_left(self, monkeypatch):
        """Also where the clock was set back in between."""
        seconds = iter([1e9, 1e9 - 3600.0])
        monkeypatch.setattr(
            tf, "timestamp", lambda: tf.constant(next(seconds), tf.float64)
        )
        channel = ItemChannel("later")
        port = ItemPort(channel, None)
        first = iter(channel.items().prefetch(1))
        loop = threading.Thread(target=next, args=(first,), daemon=True)
        loop.start()
        port.wait_for_demand()
        port.put_slot(0, b"fetched")
        loop.join()
        # The prefetch asks for it, and the loop does not fetch it.
        port.wait_for_demand()
        del first, loop
        port.put_slot(1, b"left")
        giver = served(port, [2, 3])
        got = [int(slot) for slot, _ in channel.items()]
        giver.join()
        assert got == [2, 3]

    def test_numbers_do_not_run_out(self):
        channel = ItemChannel("many")
        port = ItemPort(channel, None)
        numbers = [int(channel.new_number()) for _ in range(200)]
        giver = served(port, range(3))
        assert len(list(channel.items())) == 3
        giver.join()
        numbers += [int(channel.new_number()) for _ in range(200)]
        assert numbers == sorted(set(numbers))

    def test_numbers_go_on_in_the_next_session(self):
        with tf.Graph().as_default():
            channel = GraphItemChannel("next")
            number = channel.new_number()
            seen = []
            for _ in range(2):
                with tf1.Session() as session:
                    port = channel.in_session(session)
                    seen += [int(session.run(number)) for _ in range(3)]
                    port.discard()
        assert seen == sorted(set(seen))
