"""The local queues through which items come to their readers, in all modes.

    channel = ItemChannel("train/1")
    dataset = channel.items()              # of (slot, text), for tf.data
    port = ItemPort(channel, None)         # the consumer's end; see there

Each time a dataset is iterated is an *iteration* with a number of its own. The
numbers come from a counter of the channel: Python counts, and keeps some of
them ready in a local queue. A new iteration takes the place of the one before,
which will not be asked for more; what was meant for that one is recognised by
its number and dropped.

The trap: two iterations at a time are refused, unless there are several
clients. The older one gets an error.

Another one: each Python number that is made a tensor in eager mode is kept for
good, with 750 bytes (the cache of pywrap_tensor.cc); a NumPy number is not.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tensorflow.compat.v1 as tf1

from wq_hooks.core.protocol import messages
from wq_hooks.runtime.ports.dataset_ops import queue_options
from wq_hooks.runtime.ports.port import UNLIMITED
from wq_hooks.runtime.transport.mailbox import Mailbox

# What a row of the answers is.
ITEM = 0
END = 1
ERROR = 2

_NUMBERS_READY = 256


class ItemChannel:
    """Hands items to a dataset, or to `take`; see the module.

    Args:
      shared_name: Name of its queues, unique in this process.
      num_clients: Number of iterations that draw from it at a time.
      mailbox: Mailbox from which an item is taken in the step that gives it,
        as soon as a reader asks; None: in a step of its own.
    """

    def __init__(
        self,
        shared_name: str,
        num_clients: int = 1,
        mailbox: Mailbox | None = None,
    ):
        self.is_shared = num_clients > 1
        self.mailbox = mailbox

        def queue(name: str, *dtypes: Any) -> Any:
            return tf1.FIFOQueue(
                UNLIMITED,
                dtypes=dtypes,
                shapes=[()] * len(dtypes),
                shared_name=f"{shared_name}/{name}",
                name=name,
            )

        # Datasets use the queues from inside their functions.
        with tf.init_scope():
            self._numbers = queue("numbers", tf.int64)
            self._demand = queue("demand", tf.int64)
            self._answers = queue(
                "answers", tf.int64, tf.int64, tf.int64, tf.string
            )
            self.source = self._answers.queue_ref
            self._next_number = itertools.count(1)
            if not tf.executing_eagerly():
                self._build_steps()

    # In the dataset.

    def take(self) -> Any:
        """Returns a tf.string scalar: asks for an item and waits for it."""
        zero = tf.constant(0, tf.int64)
        with tf.control_dependencies([self._demand.enqueue(zero)]):
            *_, text = self._answers.dequeue()
        return tf.identity(text, name="take")

    def items(self) -> Any:
        """Returns a tf.data.Dataset of (slot, text)."""
        return self.passes(lambda items: items)

    def passes(
        self,
        dataset_of: Callable[[Any], Any],
        then: Callable[[Any], Any] | None = None,
    ) -> Any:
        """Returns a dataset each pass over which is an iteration.

        Args:
          dataset_of: Maps the items of one, a dataset of (slot, text), to its
            dataset.
          then: Maps the dataset of all passes to what is returned. What it
            makes of an item need not come through a pass, element by element.
        """
        dataset = tf.data.Dataset.from_tensors(0).map(_plain(self._begin))
        dataset = dataset.flat_map(
            _plain(lambda number: dataset_of(self._items_of(number)))
        )
        if then is not None:
            dataset = then(dataset)
        return dataset.with_options(queue_options())

    def new_number(self) -> Any:
        """Returns a number met once, tf.int64; later ones are larger."""
        return self._numbers.dequeue()

    def _items_of(self, iteration: Any) -> Any:
        """Returns the dataset of (slot, text) of one iteration."""
        dataset = tf1.data.Dataset.from_tensors(iteration).repeat()
        # This map takes OutOfRangeError, of a queue that is closed, for the
        # end; that of tf.data 2 turns it into another error.
        dataset = dataset.map(_plain(self._take))
        return dataset.take_while(_plain(_is_item)).map(_plain(_strip))

    def _begin(self, _: Any) -> Any:
        return self.new_number()

    def _take(self, iteration: Any) -> Any:
        return self._ask(iteration, iteration)

    def _ask(self, demand: Any, iteration: Any) -> Any:
        """Returns (kind, slot, text) of the answer to a row of `demand`."""
        with tf.control_dependencies([self._demand.enqueue(demand)]):
            row = self._answers.dequeue()
        if self.is_shared:
            return tuple(row[1:])
        # What an earlier iteration has asked for and not fetched is dropped.
        row = tf.while_loop(
            lambda number, *_: number < iteration,
            lambda *_: tuple(self._answers.dequeue()),
            tuple(row),
        )
        number, kind, slot, text = row
        # And what a later one waits for goes back to it.
        is_later = tf.expand_dims(number > iteration, 0)
        put_back = self._answers.enqueue_many(
            [tf.boolean_mask(tf.expand_dims(x, 0), is_later) for x in row]
        )
        with tf.control_dependencies([put_back]):
            is_mine = tf.debugging.Assert(
                tf.equal(number, iteration),
                [
                    "Expected one iterator of a WorkQueue's dataset at a "
                    "time; a later one has taken the place of this one."
                ],
            )
            is_good = tf.debugging.Assert(tf.not_equal(kind, ERROR), [text])
        with tf.control_dependencies([is_mine, is_good]):
            return tf.identity(kind), tf.identity(slot), tf.identity(text)

    # In the consumer's thread.

    def fresh_numbers(self, num_ready: int) -> list[int]:
        """Returns numbers that were not used yet, where too few are ready."""
        missing = max(_NUMBERS_READY // 2 - num_ready, 0)
        return list(itertools.islice(self._next_number, 2 * missing))

    def wait(self) -> list[Any]:
        """Waits for a question; returns whose it is, and `num_ready()`."""
        iteration = self._demand.dequeue()
        with tf.control_dependencies([iteration]):
            return [iteration, self._numbers.size()]

    def num_questions(self) -> Any:
        """Returns how many questions wait."""
        return self._demand.size()

    def num_ready(self) -> Any:
        """Returns how many numbers are ready."""
        return self._numbers.size()

    def add_numbers(self, numbers: Any) -> Any:
        """Makes numbers ready, tf.int64 of shape [n]."""
        return self._numbers.enqueue_many([numbers])

    def answer(self, numbers: Any, text: Any) -> Any:
        """Puts an answer: iteration, kind and slot, tf.int64 of shape [3]."""
        return self._answers.enqueue([*tf.unstack(numbers), text])

    def end(self) -> Any:
        """Ends the answers: a question meets OutOfRangeError."""
        return self._answers.close()

    def shut(self) -> None:
        """Ends what waits on the queues, for good, in eager mode."""
        for queue in self.queues:
            queue.close(cancel_pending_enqueues=True)

    @property
    def queues(self) -> tuple[Any, ...]:
        """The local queues."""
        return self._numbers, self._demand, self._answers

    def _build_steps(self) -> None:
        numbers = tf1.placeholder(tf.int64, [3])
        text = tf1.placeholder(tf.string, [])
        fresh = tf1.placeholder(tf.int64, [None])
        self.steps = {
            "wait": (self.wait(), ()),
            "num_ready": (self.num_ready(), ()),
            "add_numbers": (self.add_numbers(fresh), (fresh,)),
            "answer": (self.answer(numbers, text), (numbers, text)),
            "end": (self.end(), ()),
        }
        if self.mailbox is not None:
            question = tf1.placeholder(tf.string, [5])
            steps = self._serve(self.mailbox, question)
            self.steps["serve"] = (steps, (question,))

    def _serve(self, mailbox: Mailbox, feed: Any) -> list[Any]:
        """Returns a step that waits for a question and answers it.

        Python lies between two steps, and its reader waits for both. What this
        one says to the chief is fixed before the reader asks, that its last
        item is completed among it. So it takes nothing, and says nothing, where
        another iteration asks than was expected.

        Args:
          mailbox: The mailbox.
          feed: tf.string of shape [5]: see `Mailbox.taken`; the number of the
            iteration that is expected, "": any; the slot of the item.
        """
        iteration, num_ready = self.wait()
        expected, slot_of_item = (
            feed[3],
            tf.strings.to_number(feed[4], tf.int64),
        )
        is_expected = tf.logical_or(
            tf.equal(expected, ""),
            tf.equal(expected, tf.strings.as_string(iteration)),
        )
        found, is_told = mailbox.taken(tf.where(is_expected, feed[:3], ""))
        rows = tf.identity(found)
        slot, token, _, text, current = tf.unstack(rows, axis=1)
        is_item = tf.logical_and(
            tf.equal(slot, str(messages.ITEM)), tf.equal(token, current)
        )
        texts = tf.boolean_mask(text, is_item)
        zeros = tf.zeros_like(texts, tf.int64)
        put = self._answers.enqueue_many(
            [zeros + iteration, zeros + ITEM, zeros + slot_of_item, texts]
        )
        with tf.control_dependencies([put]):
            return [iteration, num_ready, tf.identity(rows), is_told]


def _is_item(kind: Any, slot: Any, text: Any) -> Any:
    del slot, text
    return tf.equal(kind, ITEM)


def _strip(kind: Any, slot: Any, text: Any) -> Any:
    del kind
    return slot, text


def _plain(function: Any) -> Any:
    """Returns a function that AutoGraph leaves as it is."""
    return tf.autograph.experimental.do_not_convert(function)
