"""WorkQueue: one global queue of works for all tasks of a job.

    queue = WorkQueue(["a.csv", "b.csv"], num_epochs=2)
    dataset = tf.data.TextLineDataset(queue.input_dataset())

How a queue lives is up to its engine; see `wq_hooks.engines`. The trap: a
`repeat` after `input_dataset` repeats nothing; ask for `num_epochs`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from wq_hooks.core.names import DEFAULT
from wq_hooks.core.options import Options, refuses_num_clients
from wq_hooks.core.preemption import PREEMPTION, Preemption
from wq_hooks.engines.connected import ServedWorks
from wq_hooks.engines.new_engine import new_engine
from wq_hooks.local_work_mgr import LocalWorkMgr
from wq_hooks.runtime.records.records import Records
from wq_hooks.sources.registry import TableSource

if TYPE_CHECKING:
    from typing_extensions import Self


class WorkQueue(tf.train.experimental.PythonState):
    """Hands out works, one at a time, to whichever task is free.

    Made in a graph, the queue belongs to all tasks that build the same graph.
    Made in eager mode, it belongs to the process, and other processes may
    `connect` to it; its threads end with `close`, at the end of a `with` block,
    or with the process. A `tf.train.Checkpoint` saves it as a trackable.

    Args:
      works: A non-empty sequence of str, bytes, paths or sources (see
        `wq_hooks.sources`) to be read. Surrounding white space is stripped;
        duplicates are separate items.
      num_epochs: How often each work is handed out; None: without end.
      shuffle: Whether each epoch comes in an order of its own.
      seed: Makes the orders reproducible; None: another one in each job.
      prefix: Text that is joined in front of each item, as it is.
      num_slices: Number of items wanted, in one epoch, of all works that can
        be cut: tables, and files whose `source` is named. Each has its share;
        other works stay whole. "auto": shorter slices towards the end.
      name: Name of the queue in the job and in checkpoints. None: "work_queue",
        or "work_queue_1" and so on where the graph (in eager mode: the process)
        has that one; all tasks then make their queues in the same order.
      num_clients: How many readers draw from one producer or dataset at a time.
        An item is completed when that many later ones were asked for.
      ack: When an item is completed: "next", when the same consumer asks for
        its next item or has no more; "take", when it is handed out.
      is_chief: Whether this task keeps the ledger; None: as the creator of
        the session says, else TF_CONFIG, else the device: that of worker 0.
      lease_secs: A task not heard of for so long loses the items it holds.
      give_up_secs: In a graph, a task whose parameter server has not answered
        for so long ends with a CutOffError, by force within 5 s; 0: never.
      max_attempts: An item that was taken this often and never completed, also
        in earlier runs of the job, is given up and reported; None: never.
      balance_tail: Whether a task takes no more items that would delay the end.
      backup_tasks: Whether, when nothing remains and a task is idle, an item
        that is held far longer than usual is handed out once more; the task
        that completes it first counts. Repeats records.
      start_over: Whether to ignore the position in a checkpoint.
      save: Whether the position goes into checkpoints.
      source: Function that returns the source of a work, so that it can be
        cut, from its text with the prefix, such as `sources.TextLines`; None:
        tables have one by their scheme or ending, plain files have none.
      is_open: Whether works may be added while the queue runs; the end of
        data then waits for `close_works`. Needs a number of epochs.
      local_work_mgr: Notes what this task takes in a graph.
      attempts_dir: Directory for what was in flight, for `max_attempts`; None:
        that of the checkpoints, which a tf.train.Checkpoint does not tell.

    Raises:
      TypeError: If an argument is of a wrong type. Numpy's ints and bools pass.
      ValueError: If an argument is out of its range, a work is a URL with a
        password, or the graph has a queue of this name.
    """

    @refuses_num_clients
    def __init__(
        self,
        works: Sequence[Any],
        num_epochs: int | None = 1,
        shuffle: bool = True,
        seed: int | None = None,
        prefix: str | None = None,
        num_slices: int | str | None = None,
        name: str | None = None,
        *,
        num_clients: int = 1,
        ack: str = "next",
        is_chief: bool | None = None,
        lease_secs: float = 60.0,
        give_up_secs: float = 1800.0,
        max_attempts: int | None = None,
        balance_tail: bool = True,
        backup_tasks: bool = False,
        start_over: bool = False,
        save: bool = True,
        source: Callable[[str], TableSource | None] | None = None,
        is_open: bool = False,
        local_work_mgr: LocalWorkMgr | None = None,
        attempts_dir: str | os.PathLike[str] | None = None,
    ):
        super().__init__()
        options = Options(
            num_epochs=num_epochs, shuffle=shuffle, seed=seed,
            num_slices=num_slices, name=name, num_clients=num_clients, ack=ack,
            is_chief=is_chief, lease_secs=lease_secs, max_attempts=max_attempts,
            balance_tail=balance_tail, backup_tasks=backup_tasks, save=save,
            start_over=start_over, is_open=is_open, give_up_secs=give_up_secs,
        )  # fmt: skip
        self._engine = new_engine(
            works, prefix, options, source, local_work_mgr, attempts_dir
        )

    @classmethod
    def connect(
        cls,
        target: str,
        name: str = DEFAULT,
        *,
        task: str | None = None,
        timeout_secs: float = 60.0,
        num_clients: int = 1,
        on_preemption: Preemption | None = PREEMPTION,
    ) -> Self:
        """Returns a queue of eager mode that another process serves.

        The position, and what a constructor is told, are the server's.

        Args:
          target: Target of the server, such as "grpc://10.0.0.7:2222".
          name: Name of the queue.
          task: Name of this process; under it, it gives up at once what it held
            before it came back. None: such as "node7-4711", with process id.
          timeout_secs: How long to look for the server, now and each time that
            the connection is lost.
          num_clients: See WorkQueue.
          on_preemption: How to leave at SIGTERM; None: leave it alone.

        Raises:
          WorkQueueError: In graph mode; if no server answers, or it serves no
            such queue, or one of another version of wq-hooks.
        """
        served: Any = ServedWorks(target, task, timeout_secs, on_preemption)
        return cls(served, name=name, num_clients=num_clients)

    def __len__(self) -> int:
        """Number of items in one epoch; not always `num_slices`."""
        return self._engine.num_items()

    def __repr__(self) -> str:
        return repr(self._engine)

    @property
    def name(self) -> str:
        """The queue's name."""
        return self._engine.name

    @property
    def works(self) -> list[str]:
        """The works, as listed, as str: stripped, without prefix."""
        return self._engine.works()

    def take(self) -> Any:
        """Returns a tf.string scalar tensor: one item.

        In a graph each call makes a consumer of its own, whose tensor takes an
        item each time that it is run. It waits until the queue runs, which
        MonitoredTrainingSession and Estimator start; a bare session needs
        tf.compat.v1.train.start_queue_runners. In a function of tf.data use
        `input_dataset`: its maps turn the end of data into an error.

        Raises:
          tf.errors.OutOfRangeError: At the end of data, again and again.
        """
        return self._engine.take()

    def input_producer(self) -> Any:
        """Returns a local tf.queue.FIFOQueue of a graph, for Reader ops.

        Its elements are tf.string of shape [1]. It holds one item ahead of its
        reader. An item is completed when the reader has drawn the next one.
        """
        return self._engine.input_producer()

    def input_dataset(self) -> Any:
        """Returns a tf.data.Dataset of tf.string scalars, one for each item.

        An item is completed when the dataset is asked for the next one, so a
        reader with `cycle_length` or `num_parallel_calls` above one needs
        that many `num_clients`. The pipeline that follows runs no further ahead
        than it says: end it in a `prefetch` if it should, and give its maps
        `num_parallel_calls`, since tf.data makes none parallel on its own here.
        One iterator at a time may draw from it, in a graph `num_clients`. When
        it is iterated again, the item that was read goes back to the line.
        """
        return self._engine.input_dataset()

    def records(
        self, reader: Callable[[Any], Any], *, cycle_length: int = 1
    ) -> Records:
        """Returns the records of the items, which know their item.

        An item is completed when its last record has been trained, however
        the pipeline shuffles, batches and prefetches in between:

            dataset = queue.records(tf.data.TextLineDataset)
            dataset = dataset.shuffle(20000).batch(512).map(parse).prefetch(1)
            dataset = dataset.to_dataset()

        When it is iterated again, items not completed go back to the line.

        Args:
          reader: Maps an item, a tf.string scalar, to a tf.data.Dataset of
            its records. What it filters out does not count. Before a save it
            may read an item again, to see whether that has ended, unless it
            draws random numbers.
          cycle_length: How many items are read in turn.
        """
        return self._engine.records(reader, cycle_length)

    def mark_trained(
        self, num_batches: int | None = None, *, is_through: bool = False
    ) -> None:
        """Says, in eager mode, which batches of `records` were trained.

        A batch counts as trained when the train loop asks for the next one;
        this says so without asking, before a save. The Keras callbacks call it.
        A strategy, or `zip`, after `to_dataset()` hides which batches went into
        a step: then only `num_batches` counts, or `is_through`.

        Args:
          num_batches: How many batches were trained since the last call, in
            the order of `to_dataset()`; None: all that the loop has fetched.
          is_through: Whether all loops over the queue's datasets have come to
            their end. All that they have given is completed then.
        """
        self._engine.mark_trained(num_batches, is_through=is_through)

    def dataset_creator(self, dataset_fn: Callable[[], Any]) -> Any:
        """Returns what `model.fit` reads on the workers, in Keras 2.

        `fit` needs a WorkQueueCallback or WorkQueueCheckpoint, too.

        Args:
          dataset_fn: Returns `queue.records(...)...to_dataset()`.
        """
        return self._engine.dataset_creator(dataset_fn)

    def schedule_steps(
        self,
        coordinator: Any,
        train_step: Callable[[Any], Any],
        dataset_fn: Callable[[], Any],
    ) -> Iterator[Any]:
        """Lets the workers of a coordinator train on records until the end.

        Args:
          coordinator: A tf.distribute.coordinator.ClusterCoordinator.
          train_step: A tf.function of the worker's iterator.
          dataset_fn: See `dataset_creator`.

        Returns:
          An iterator of what the steps have returned, as they end. It raises
          what a step has raised, whose items stay open.
        """
        return self._engine.schedule_steps(coordinator, train_step, dataset_fn)

    def schedule_items(
        self, coordinator: Any, function: Callable[[Any], Any]
    ) -> Iterator[str]:
        """Lets the workers of a coordinator train on an item at a time.

        Args:
          coordinator: See `schedule_steps`.
          function: A tf.function of an item, a tf.string scalar. It is run
            again where a worker was lost.

        Returns:
          An iterator of the items that are completed, as their functions end.
          It raises what a function has raised, whose item stays open.
        """
        return self._engine.schedule_items(coordinator, function)

    def size(self) -> Any:
        """Returns a tf.int64 scalar tensor: remaining items; -1: no end."""
        return self._engine.size()

    def add_summary(self) -> None:
        """Adds the level of the queue to the graph's summaries.

        That is the remaining items divided by those of one epoch, as
        `<name>/fraction_of_<len>_full`. In eager mode callbacks write it.
        """
        self._engine.add_summary()

    def add_works(self, works: Sequence[Any], *, priority: int = 0) -> None:
        """Adds works to a queue made with `is_open=True`, on the chief.

        They are handed out whole, in this order, after all epochs of the listed
        works. May be called from any thread, also before the session.

        Args:
          works: A sequence of str, bytes or paths; the queue's prefix applies.
          priority: Works of a higher one come before those of a lower one that
            are not under way; two for each consumer are, or 32.
        """
        self._engine.add_works(works, priority)

    def close_works(self) -> None:
        """Says, on the chief, that no more works will be added."""
        self._engine.close_works()

    @property
    def num_added(self) -> int:
        """Number of works that were ever added, as the chief knows.

        A feeder skips that many of its works. Known when a session has begun,
        in eager mode after the restore: those of the checkpoint count, too.
        """
        return self._engine.num_added()

    def snapshot(self) -> str:
        """Returns the position as JSON, on the chief; see `restore`."""
        return self._engine.snapshot()

    def restore(self, snapshot: str) -> None:
        """Continues from a snapshot, on the chief; a bad one: SnapshotError.

        In a graph before the session starts, in eager mode at once.
        """
        self._engine.restore(snapshot)

    def serialize(self) -> str:
        """Returns the position, for a tf.train.Checkpoint."""
        return self._engine.serialize()

    def deserialize(self, string_value: str | bytes) -> None:
        """Continues from the position of a tf.train.Checkpoint."""
        self._engine.deserialize(string_value)

    def serve(
        self,
        port: int,
        *,
        in_step: bool = False,
        on_preemption: Preemption | None = PREEMPTION,
    ) -> int:
        """Lets other processes `connect`, in eager mode; returns the port.

        This process serves them from a TensorFlow server of its own, which has
        no authentication. It keeps the position, and may read as well. At
        `close`, and at its end, it waits until the others left, `lease_secs`
        at most; `join` waits longer.

        Args:
          port: Port to listen on; 0: any that is free.
          in_step: Whether the processes train in step, as with
            MultiWorkerMirroredStrategy and Horovod. Then the end of data comes
            to each at once; else they stay for what one that dies hands back.
          on_preemption: At SIGTERM this process ends, and the others wait for
            its successor; `PreemptionScope` saves before. None: it does not.
        """
        return self._engine.serve(port, in_step, on_preemption)

    def join(self, timeout_secs: float | None = None) -> bool:
        """Waits, where the queue is served, until others have done all items.

        Returns whether they have, and left. This process reads no more.

        Args:
          timeout_secs: Time after which to give up; None: never. Then call it
            again, as in `while not queue.join(60): manager.save()`.
        """
        return self._engine.join(timeout_secs)

    def close(self) -> None:
        """Ends a queue of eager mode; a new queue may have its name.

        What was read to the end of data is completed; the rest goes back.
        """
        self._engine.close(is_through=True)

    def __enter__(self) -> Self:
        """Returns the queue, which the end of the block closes."""
        self._engine.enter()
        return self

    def __exit__(self, kind: Any, *error: object) -> None:
        """Closes the queue; after an error nothing is completed."""
        del error
        self._engine.close(is_through=kind is None)
