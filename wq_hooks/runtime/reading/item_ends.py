"""Whether an item has more records than those that were read, asked for once.

    ahead = RecordLookAhead("train/records")
    ahead.keep(slot, records)                    # where the item is read
    session.run(ahead.num_more, {ahead.feeds[0]: slot, ...})

The reader of an item says that it has ended only when it is asked for one
record more, and that one the pipeline would not give back. So the dataset that
the reader has returned is kept while its item is open, and read a second time
where somebody has to know: before a save, when all that was read was trained.

Nothing here is in the way of the records. The trap: it is of use only where a
second reading gives as many records as the first; see `is_repeatable`.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tensorflow.compat.v1 as tf1

# Parts of the names of ops that draw other numbers each time. (A shuffle does
# not change how many records there are.)
_RANDOM = ("Random", "Uniform", "Normal", "Multinomial", "Rng", "Distorted")

_NUMBERS = tf.TensorSpec([], tf.int64)


class RecordLookAhead:
    """Keeps what readers have returned, by the slot of the item.

    Args:
      shared_name: Name of the place where it is kept, unique in this process.
    """

    def __init__(self, shared_name: str):
        self._place: dict[str, Any] = {
            "dtypes": [tf.variant],
            "shared_name": shared_name,
        }
        # A slot, how many records were read, and how many more to look for.
        self.feeds = [tf1.placeholder(tf.int64, []) for _ in range(3)]
        size = tf.raw_ops.MapSize(**self._place)
        # Functions, of datasets among others, do not take over the container of
        # their graph. Without it, what asks for a slot would wait for ever.
        container = size.op.get_attr("container")
        self._place["container"] = tf.compat.as_str(container)
        self.num_more = self._num_more(*self.feeds)
        self.slots = tf1.placeholder(tf.int64, [None])
        self.forget = self._forget(self.slots)

    def keep(self, slot: Any, records: Any) -> Any:
        """Returns an op that keeps the records of an item.

        Args:
          slot: Slot of the item, a tf.int64 scalar.
          records: The dataset.
        """
        # Whatever the records are, their numbers are all of one type.
        numbers = records.enumerate().map(lambda number, _: number)
        return tf.raw_ops.MapStage(
            key=slot,
            indices=[0],
            values=[tf.data.experimental.to_variant(numbers)],
            **self._place,
        )

    def _forget(self, slots: Any) -> Any:
        """Returns how many slots it forgets, all of `slots`, tf.int32."""

        def forget(index: Any) -> Any:
            key = slots[index]
            unstaged = tf.raw_ops.MapUnstage(
                key=key, indices=[0], **self._place
            )
            with tf.control_dependencies(unstaged):
                return [index + 1]

        number = tf.size(slots)
        (forgotten,) = tf.while_loop(
            lambda index: index < number, forget, [tf.constant(0)]
        )
        return forgotten

    def _num_more(self, slot: Any, num_read: Any, limit: Any) -> Any:
        (variant,) = tf.raw_ops.MapPeek(key=slot, indices=[0], **self._place)
        numbers = tf.data.experimental.from_variant(variant, _NUMBERS)
        found = numbers.skip(num_read).batch(limit).take(1)
        none = tf.data.Dataset.from_tensors(tf.constant(0, tf.int64))
        sizes = found.map(lambda batch: tf.size(batch, tf.int64))
        return sizes.concatenate(none).take(1).get_single_element()


def is_repeatable(graph: Any) -> bool:
    """Whether what a graph reads has as many records each time.

    Args:
      graph: Graph of a function of tf.data.
    """
    content = graph.as_graph_def()
    nodes = [*content.node]
    for function in content.library.function:
        nodes += function.node_def
    return not any(
        part in node.op and not node.op.startswith("Stateless")
        for node in nodes
        for part in _RANDOM
    )
