"""What another version, or another program, leaves on a server."""

from __future__ import annotations

import tensorflow as tf

tf1 = tf.compat.v1

PS = "/job:ps/task:0"
# The other tasks may not be there.
CONFIG = tf1.ConfigProto(device_filters=["/job:ps"])


def _queue(name, *, kind=tf1.FIFOQueue, capacity=100_000, dtype=tf.string):
    def left(num_columns=4):
        queue = kind(
            capacity,
            dtypes=[dtype],
            shapes=[(num_columns,)],
            shared_name=f"{name}/work",
        )
        return queue.size()

    return left


def _shuffled(capacity, **kwargs):
    return tf1.RandomShuffleQueue(capacity, 0, **kwargs)


def _table_size(table):
    return tf.raw_ops.LookupTableSizeV2(table_handle=table)


LEFT = {
    "columns": lambda name: _queue(name)(5),
    "dtype": lambda name: _queue(name, dtype=tf.int64)(),
    "capacity": lambda name: _queue(name, capacity=7)(),
    "kind": lambda name: _queue(name, kind=_shuffled)(),
    "board": lambda name: _table_size(
        tf.raw_ops.MutableHashTableV2(
            key_dtype=tf.string,
            value_dtype=tf.int64,
            shared_name=f"{name}/board",
        )
    ),
    "rows on the board": lambda name: _table_size(
        tf.raw_ops.MutableHashTableOfTensorsV2(
            key_dtype=tf.int64,
            value_dtype=tf.string,
            value_shape=[2],
            shared_name=f"{name}/board",
        )
    ),
    "a fixed board": lambda name: _table_size(
        tf.raw_ops.HashTableV2(
            key_dtype=tf.int64,
            value_dtype=tf.string,
            shared_name=f"{name}/board",
        )
    ),
}


def leave(what, target, name="work_queue", device=PS):
    """Leaves something under the name of a queue, for good.

    Args:
      what: A key of `LEFT`.
      target: Target of the server.
      name: Name of the queue.
      device: Device of the server.
    """
    with tf.Graph().as_default():
        with tf1.device(device):
            left = LEFT[what](name)
        with tf1.Session(target, config=CONFIG) as session:
            session.run(left)
