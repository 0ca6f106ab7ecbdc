"""What reads from a queue in eager mode: a consumer for each dataset.

    readers = ProcessReaders("train", task, group, begin=...)
    dataset = readers.new_items("train-1")     # of (slot, text)
    readers.take()

A consumer's thread is started with its dataset and waits until that is
iterated. When a dataset is iterated again, what its last iteration has not
finished goes back to the line.
"""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from wq_hooks.core import log as logging
from wq_hooks.core.consumer.consumer import ConsumerLoop
from wq_hooks.core.ledger.consumer_state import Consumer, consumer_name
from wq_hooks.errors import WorkQueueError
from wq_hooks.runtime.ports.item_channel import ItemChannel
from wq_hooks.runtime.ports.item_port import ItemPort
from wq_hooks.runtime.ports.port import Port
from wq_hooks.runtime.reading.process_records_port import ProcessRecordsPort
from wq_hooks.runtime.reading.record_events import ALL_FETCHED, ALL_THROUGH
from wq_hooks.runtime.reading.records_port import RecordsPort
from wq_hooks.runtime.records.records import Records, records_read
from wq_hooks.runtime.threads.consumer_group import LEAVE_SECS, ConsumerGroup
from wq_hooks.runtime.transport.function_session import FunctionSession

_CPU = "/device:CPU:0"
# Raised where those who are told are gone.
GONE = (tf.errors.OpError, RuntimeError, WorkQueueError)


class _Owner:
    """Who has it may ask readers for records of a queue."""

    def __init__(self, queue: Any):
        self.queue = queue


class ProcessReaders:
    """The readers of one queue in this process, each with a consumer.

    Args:
      name: Name of the queue.
      task: Name of this process among those that share the queue.
      group: The consumers.
      num_clients: How many readers draw from one consumer at a time.
      reports_leave: Whether to say that a consumer ends.
      warns_of_waits: Whether to say that a reader waits for an item.
      begin: Called when the first reader begins.
    """

    def __init__(
        self,
        name: str,
        task: Consumer,
        group: ConsumerGroup,
        *,
        num_clients: int,
        reports_leave: bool,
        warns_of_waits: bool,
        begin: Callable[[], None],
    ):
        self.lock = threading.RLock()
        self.is_closed = False
        self.is_ending_early = False
        self._name = name
        self._task = task
        self._group = group
        self._num_clients = num_clients
        self._reports_leave = reports_leave
        self._warns_of_waits = warns_of_waits
        self._begin = begin
        self._take_loop: ConsumerLoop | None = None
        self._num_loops = 0
        self._num_ends = 0
        self._has_step_counter = False

    @property
    def has_begun(self) -> bool:
        """Whether there is, or was, a reader."""
        return self._num_loops > 0

    @property
    def has_ended(self) -> bool:
        """Whether a reader has met the end of data."""
        return any(loop.has_ended for loop in self._group.loops)

    def reads_records(self, name: str) -> bool:
        """Whether a consumer, by its name, is one that reads records."""
        return self._group.reads_records(name)

    def take(self) -> bytes:
        """Returns an item.

        Raises:
          tf.errors.OutOfRangeError: At the end of data.
        """
        with self.lock:
            loop = self._take_loop
            if loop is None:
                loop = self._new_loop(Port())
                self._take_loop = loop
        fetched = loop.next_item()
        if fetched is not None:
            return fetched[1]
        with self.lock:
            self._num_ends += 1
            if self._num_ends >= self._num_clients and loop.has_ended:
                loop.complete_all()
        raise tf.errors.OutOfRangeError(
            None, None, f"Work queue {self._name!r} has no more items."
        )

    def new_taker(self, task_name: str) -> ConsumerLoop:
        """Returns a consumer whose items are asked for by `next_item`.

        Args:
          task_name: Name of the task that it is for.
        """
        with self.lock:
            return self._new_loop(Port(), task_name)

    def new_items(self, shared_name: str) -> Any:
        """Returns a tf.data.Dataset of (slot, text) for plain readers.

        Args:
          shared_name: Name of its queues, unique in this process.
        """
        with tf.init_scope(), tf.device(_CPU):
            channel = ItemChannel(shared_name)
        port = ItemPort(channel, None)
        self.serve(port)
        return self._release_with(channel.items(), port)

    def new_records(
        self,
        shared_name: str,
        reader: Callable[[Any], Any],
        cycle_length: int,
        queue: Any,
        *,
        is_endless: bool = False,
    ) -> Records:
        """Returns the records of the items.

        Args:
          shared_name: Name of its queues, unique in this process.
          reader: See `reader_streams.pairs_read`.
          cycle_length: See `reader_streams.pairs_read`.
          queue: Lives as long as what is made of them.
          is_endless: Whether the items never end.
        """
        session = FunctionSession()
        with tf.device(_CPU):
            port = session.build(
                lambda: RecordsPort(f"{shared_name}/records", self._num_clients)
            )
        readers = ProcessRecordsPort(port, session)
        readers.has_step_counter = self._has_step_counter
        self.serve(readers)

        # Each dataset of the readers holds it, and so what is made of them.
        owner = self._release_with(_Owner(queue), readers)

        def from_items(*functions: Any) -> Any:
            dataset = port.channel.passes(*functions)
            dataset._wq_hooks_owner = owner
            return dataset

        return records_read(
            port,
            from_items,
            reader,
            cycle_length=cycle_length,
            is_endless=is_endless,
        )

    @property
    def _record_ports(self) -> list[ProcessRecordsPort]:
        return [
            port
            for port in self._group.ports
            if isinstance(port, ProcessRecordsPort)
        ]

    def say_through(self) -> None:
        """Notes that readers that have met the end of data are through."""
        for loop, port in self._group:
            if isinstance(port, ProcessRecordsPort) and loop.has_ended:
                port.mark_trained(ALL_THROUGH)

    def mark_trained(
        self,
        num_batches: int | None = None,
        *,
        is_through: bool = False,
        is_sure: Callable[[ProcessRecordsPort], bool] = lambda readers: True,
    ) -> None:
        """Notes what was trained.

        Args:
          num_batches: How many batches of `records` more; None: all of which
            it is known that they were fetched.
          is_through: Whether the readers that have met the end of data have
            nothing more to deliver.
          is_sure: Whether that is also true of an iteration of these readers
            that does not report what was fetched.
        """
        if self.is_closed:
            return
        number = ALL_FETCHED if num_batches is None else num_batches
        for port in self._record_ports:
            sure = is_sure(port)
            if num_batches != 0 or is_through:
                port.mark_trained(number, is_sure=sure)
            if is_through:
                port.mark_trained(ALL_THROUGH, is_sure=sure)
        self._group.flush()
        if is_through:
            for loop in self._group.loops:
                if loop.has_ended:
                    loop.complete_all()

    def end_early(self) -> None:
        """Gives all readers the end of data, and takes no more items.

        They train what they hold; `hand_back` settles what is left then.
        """
        self.is_ending_early = True
        for loop in self._group.loops:
            with contextlib.suppress(*GONE):
                loop.end_early()

    def hand_back(self) -> None:
        """Says what is completed, and gives back the rest."""
        self._group.flush()
        for loop in self._group.loops:
            with contextlib.suppress(*GONE):
                loop.hand_back()

    def expect_step_counter(self) -> None:
        """Notes that somebody counts the steps, and will say it."""
        self._has_step_counter = True
        for port in self._record_ports:
            port.has_step_counter = True

    def _release_with(self, owner: Any, port: Port) -> Any:
        """Gives back what readers hold when nobody has `owner`; returns it."""

        def release() -> None:
            # In a thread of its own: the garbage collector may come while
            # somebody builds a graph.
            threading.Thread(
                target=self.release, args=(port,), daemon=True
            ).start()

        weakref.finalize(owner, release).atexit = False
        return owner

    def release(self, port: Port) -> None:
        """Gives back what the readers of a port hold, who will not go on."""
        with self.lock, contextlib.suppress(*GONE):
            loops = [loop for loop, own in self._group if own is port]
            if self.is_closed or not loops:
                return
            (loop,) = loops
            is_exact = isinstance(port, ProcessRecordsPort) and (
                port.num_in_training == 0
            )
            if loop.has_ended and not is_exact:
                # Whether the last items were trained is not known yet.
                return
            port.flush(LEAVE_SECS)
            loop.begin_again()
            self._group.remove(loop)
            port.discard()
            if self._reports_leave:
                self._group.report_leave(loop)

    def serve(self, port: Port, task_name: str | None = None) -> None:
        """Starts a consumer.

        Args:
          port: Port that gives its readers their items.
          task_name: Task in which they read; None: in this process.
        """
        with self.lock:
            loop = self._new_loop(port, task_name)

        def serve_forever() -> None:
            # A dataset may be iterated again after the end of data.
            while not self.is_closed:
                try:
                    loop.serve_forever()
                except Exception as e:
                    if self.is_closed:
                        return
                    if loop not in self._group:
                        # It may have taken one just when nobody was left.
                        with contextlib.suppress(*GONE):
                            if not loop.has_ended:
                                loop.begin_again()
                        return
                    logging.error("Work queue %s: %s", self._name, e)
                    port.fail(f"Work queue {self._name}: {e}")

        self._group.serve(loop, serve_forever)

    def _new_loop(
        self, port: Port, task_name: str | None = None
    ) -> ConsumerLoop:
        if self.is_closed:
            raise RuntimeError(f"Work queue {self._name!r} was closed.")
        number = self._num_loops
        self._num_loops += 1
        if number == 0:
            self._begin()
        name = consumer_name(task_name or self._task.name, number)
        loop = self._group.add(
            port,
            Consumer(name, self._task.incarnation),
            pause=lambda _: self._expect_wanted(loop),
        )
        return loop

    def _expect_wanted(self, loop: ConsumerLoop) -> None:
        """Raises an error if nobody waits for an item of a consumer more."""
        if self.is_closed or loop not in self._group:
            raise WorkQueueError(
                f"Work queue {self._name!r} was closed while a reader waited "
                "for an item."
            )
        if self._warns_of_waits and loop.patience.is_over():
            logging.warning(
                "Work queue %s: a reader (%s) has waited %d s for an item; the "
                "queue is open, and waits for add_works or close_works.",
                self._name,
                loop.consumer.name,
                loop.patience.secs,
            )
