"""WorkQueue: one global queue of works for all tasks of a job.

    queue = WorkQueue(["a.csv", "b.csv"], num_epochs=2)
    dataset = tf.data.TextLineDataset(queue.input_dataset())

Every task builds the same queue in its graph. The chief's ledger decides; the
resources through which the tasks meet stand where the chief's variables are.
The trap: `repeat` behind `input_dataset` repeats nothing, since the queue has
ended by then; ask for epochs with `num_epochs`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import tensorflow as tf
import tensorflow.compat.v1 as tf1

from wq_hooks.core import log as logging
from wq_hooks.core.chief.tasks import Task, is_of_servers, num_workers
from wq_hooks.core.consumer.consumer import Transport
from wq_hooks.core.items.added_works import FeedLog
from wq_hooks.core.items.works import Works
from wq_hooks.core.ledger.attempts import AttemptsKeeper
from wq_hooks.core.ledger.consumer_state import consumer_name
from wq_hooks.core.ledger.ledger import Ledger
from wq_hooks.core.monitoring.progress import Progress, ProgressMeter
from wq_hooks.core.monitoring.view import View, Viewer
from wq_hooks.core.names import DEFAULT, Names
from wq_hooks.core.options import NAME_PLACE, Options, expect_no_num_clients
from wq_hooks.core.position.snapshot import Snapshot
from wq_hooks.core.protocol import messages
from wq_hooks.core.values import as_int
from wq_hooks.errors import WorkQueueError
from wq_hooks.local_work_mgr import LocalWorkMgr, expect_local_work_mgr
from wq_hooks.runtime.host.session_origin import SessionOrigin, find_origin
from wq_hooks.runtime.ports.dataset_ops import new_number, queue_options
from wq_hooks.runtime.ports.fast_take import TakePort
from wq_hooks.runtime.ports.session_ports import DemandPort, Port, ProducerPort
from wq_hooks.runtime.process_ports.one_step_port import (
    DirectPort,
    DirectRecordsPort,
)
from wq_hooks.runtime.reading.records_port import RecordsPort
from wq_hooks.runtime.records.read_records import expect_reader, records_read
from wq_hooks.runtime.records.records import Records
from wq_hooks.runtime.saving import saver_guard, sidecar_files
from wq_hooks.runtime.saving.ledger_factory import Beginning
from wq_hooks.runtime.threads import interrupt, session_wait
from wq_hooks.runtime.threads.session_threads import Service, ServiceRunner
from wq_hooks.runtime.transport.mailbox import Mailbox, MailboxSession
from wq_hooks.sources.passwords import expect_no_password, expect_no_passwords
from wq_hooks.sources.registry import TableSource
from wq_hooks.sources.slicer import Slicer

if TYPE_CHECKING:
    from typing_extensions import Self

_CPU = "/device:CPU:0"
_READY_SECS = 10.0
_QUEUES = "_wq_hooks_queues"


def queues_of(graph: tf.Graph) -> list[WorkQueue]:
    """Returns the queues of a graph, in the order in which they were made."""
    # An attribute, so that the queues die with the graph; a collection would
    # go into each exported MetaGraph.
    if not hasattr(graph, _QUEUES):
        setattr(graph, _QUEUES, [])
    queues: list[WorkQueue] = getattr(graph, _QUEUES)
    return queues


class WorkQueue:
    """Hands out works, one at a time, to whichever task is free.

    Args:
      works: A non-empty sequence of str, bytes, paths or sources (see
        `wq_hooks.sources`): the paths or tables to be read. Surrounding white
        space is stripped; duplicates are separate items.
      num_epochs: How often each work is handed out; None: without end.
      shuffle: Whether each epoch comes in an order of its own.
      seed: Makes the orders reproducible; None: another one in each job.
      prefix: Joined in front of what is handed out, as it is.
      num_slices: Number of items wanted, in one epoch, of all works that can
        be cut: tables, and files whose `source` is named. It is shared out by
        size; no slice is empty. Other works stay whole. "auto": long slices
        first, and short ones towards the end.
      name: Names the queue among those of a job, and its variable in the
        checkpoint. None: "work_queue", or "work_queue_1" and so on where the
        graph (in eager mode: the process) has that one; all tasks then have
        to make their queues in the same order.
      num_clients: How many readers draw from one `input_producer` or
        `input_dataset` at a time. An item counts as completed when that many
        later ones were asked for.
      ack: When an item is completed: "next", when the same consumer asks for
        its next item or has no more; "take", when it is handed out.
      is_chief: Whether this task keeps the ledger; None: as the creator of
        the session has it (`MonitoredTrainingSession(is_chief=...)`), else as
        TF_CONFIG has it, else worker 0 by the device of the worker's ops.
      lease_secs: A task that was not heard of for so many seconds loses the
        items that it holds.
      max_attempts: An item that was taken this often and never completed is
        given up, and reported; None: never. Counts across restarts of the job:
        what is in flight is written beside the checkpoints.
      balance_tail: Whether, near the end, a task that would only delay it
        takes no more items.
      backup_tasks: Whether, when nothing remains and somebody is idle, an item
        that is held far longer than usual is handed out once more; the one who
        completes it first counts. Repeats records.
      start_over: Whether to ignore the position in a checkpoint.
      save: Whether the position goes into checkpoints.
      source: Returns the source of a work, from its text with the prefix, so
        that it can be cut, such as `wq_hooks.sources.TextLines`; None: tables
        have one by their scheme or ending, plain files have none.
      is_open: Whether works may be added while the queue runs; the end of
        data then waits for `close_works`. Needs a number of epochs.
      local_work_mgr: Notes what this task takes, in a prediction job; see
        `LocalWorkMgr`. Of graph mode only.
      attempts_dir: Where it is kept what was in flight, for `max_attempts`;
        None: beside the checkpoints, as Savers and the Keras callbacks know
        them. A tf.train.Checkpoint does not tell where it is.

    What numpy calls an int or a bool is one. In eager mode the queue belongs to
    the process; it is then an `wq_hooks.eager_queue.EagerWorkQueue`, which see.

    Raises:
      TypeError: If an argument is of a wrong type.
      ValueError: If an argument is out of its range, a work is a URL with a
        password, or the graph has a queue of the name that is given.
    """

    _local_work_mgr: LocalWorkMgr | None = None

    def __new__(cls, *args: Any, **kwargs: Any) -> WorkQueue:
        """Makes the queue of a graph, or that of an eager process."""
        del kwargs
        if len(args) >= NAME_PLACE and issubclass(cls, WorkQueue):
            # Also where more of DeepRec's arguments follow.
            expect_no_num_clients(args[NAME_PLACE - 1])
        if cls is WorkQueue and tf.executing_eagerly():
            # It is a WorkQueue itself, so this module comes first.
            from wq_hooks.eager_queue import EagerWorkQueue

            cls = EagerWorkQueue
        return object.__new__(cls)

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
        self._local_work_mgr = expect_local_work_mgr(local_work_mgr)
        self._works = Works(works, prefix)
        expect_no_passwords(self._works)
        options = Options(
            num_epochs=num_epochs,
            shuffle=shuffle,
            seed=seed,
            num_slices=num_slices,
            name=name,
            num_clients=num_clients,
            ack=ack,
            is_chief=is_chief,
            lease_secs=lease_secs,
            max_attempts=max_attempts,
            balance_tail=balance_tail,
            backup_tasks=backup_tasks,
            start_over=start_over,
            save=save,
            is_open=is_open,
        )
        self.is_named = name is not None
        self._feed_log = FeedLog()
        if not options.is_open:
            self._feed_log.close()
        self._initial: Snapshot | None = None
        self._has_begun = False
        self.checkpoint_directory: str | None = None
        # The checkpoint that was restored and has no position, if it has none.
        self.lacking_checkpoint: str | None = None
        self._lock = threading.Lock()
        if attempts_dir is not None:
            attempts_dir = os.fspath(attempts_dir)
        self._attempts_dir = attempts_dir
        with self._names().claimed(name) as own_name:
            self._options = dataclasses.replace(options, name=own_name)
            slicer = Slicer(
                self._works,
                self._options.num_slices,
                source,
                own_name,
                num_workers(os.environ),
                in_order=not self._options.shuffle,
            )
            self._beginning = Beginning(
                self._works,
                self._options,
                slicer,
                self._feed_log,
                self._attempts_dir,
            )
            self._set_up()

    def _names(self) -> Names:
        """Returns the names of the queues beside which this one is made."""
        queues = queues_of(tf1.get_default_graph())
        return Names("the graph", lambda: [queue.name for queue in queues])

    def _set_up(self) -> None:
        """Makes what the queue consists of in its graph."""
        name = self.name
        num_epochs = self._options.num_epochs
        self._graph = tf1.get_default_graph()
        if tf.inside_function():
            raise WorkQueueError(
                "Expected the queue to be made outside of functions, branches "
                f"and loops, which may use it; got WorkQueue {name!r} inside "
                "of one. Make it before, and call take() there."
            )
        if self._graph.finalized:
            raise WorkQueueError(
                "Expected the queue to be made before the session; its graph "
                "is finalized already."
            )
        self.mailbox = Mailbox(
            name,
            is_saved=self.is_saved,
            on_saver=lambda saver: saver_guard.guard_saver(
                self._graph, saver, queues_of(self._graph)
            ),
            remaining=-1
            if num_epochs is None or self._options.is_open
            else num_epochs * len(self),
            level=1 if num_epochs is None else num_epochs,
        )
        self.ports: list[Port] = []
        self.has_hook = False
        self.has_summary = False
        self._worker_device = self._find_worker_device()
        self.task = Task.find(device=self._worker_device, environ=os.environ)
        self._given_role = self._options.is_chief
        self._origin: SessionOrigin | None = None
        self.is_chief = self._role()
        self._services: weakref.WeakKeyDictionary[tf1.Session, Service] = (
            weakref.WeakKeyDictionary()
        )
        self._last_service: Service | None = None
        with tf1.name_scope(f"{name}/"), self._worker_scope():
            # Ours starts threads and never runs an op; the plain QueueRunner
            # that an exported graph holds in its place waits in this one.
            idle = tf1.FIFOQueue(1, [tf.bool], [()], name="idle")
            runner = ServiceRunner(self.new_service, idle, idle.dequeue().op)
        tf1.add_to_collection(tf1.GraphKeys.QUEUE_RUNNERS, runner)
        queues_of(self._graph).append(self)
        session_wait.watch(self)

    # What the user asks for.

    def take(self) -> Any:
        """Returns a tf.string scalar tensor: one item each time it is run.

        Each call makes a consumer of its own. Raises
        tf.errors.OutOfRangeError when run at the end of data. Waits until the
        queue runs: MonitoredTrainingSession and Estimator start it, a bare
        session needs tf.compat.v1.train.start_queue_runners.

        In a branch, a loop or a function it takes each time that runs, from
        local queues. In a function of tf.data, use `input_dataset`: its maps
        turn the end of data into an error.
        """
        if not self._takes_in_step or tf.inside_function():
            # What is taken ahead is not taken in the reader's step. And what a
            # function of tf.data runs cannot be elsewhere.
            port = self._add_port(DemandPort)
        else:
            name = consumer_name(self.task.name, len(self.ports))
            port = self._add_port(
                functools.partial(
                    TakePort, mailbox=self.mailbox, consumer_name=name
                )
            )
        with self._worker_scope():
            return port.take()

    def input_producer(self) -> Any:
        """Returns a local tf.queue.FIFOQueue of tf.string, for Reader ops.

        Its elements are of shape [1], as DeepRec's are; Reader ops take them.
        It holds one item ahead of its reader. An item is completed when the
        reader has drawn the next one.
        """
        queue = self._add_port(ProducerPort).queue
        # Readers of tables see that the items are shared out already.
        queue._wq_hooks_queue = self
        return queue

    def input_dataset(self) -> Any:
        """Returns a tf.data.Dataset of tf.string scalars, one for each item.

        An item is completed when the dataset is asked for the next one, so a
        reader with `cycle_length` or `num_parallel_calls` above one needs
        that many `num_clients`. The pipeline behind it runs no further ahead
        than it says: end it in a `prefetch` if it should, and give its maps
        `num_parallel_calls`, since tf.data makes none parallel on its own here.

        As many iterators as `num_clients` may draw from a dataset at a time.
        When the only one is initialized again, the item that it was reading
        goes back to the line.
        """
        port = self._add_dataset_port(DemandPort, DirectPort)
        with self._worker_scope():

            def items(iteration: Any) -> Any:
                # The map of tf.data 2 turns the end of data into an error.
                dataset = tf1.data.Dataset.from_tensors(iteration).repeat()
                return dataset.map(port.take_in)

            once = tf1.data.Dataset.from_tensors(0)
            dataset = once.flat_map(lambda _: items(new_number()))
            dataset = dataset.with_options(queue_options())
            dataset._wq_hooks_queue = self
            return dataset

    def records(
        self,
        reader: Callable[[Any], Any],
        *,
        cycle_length: int = 1,
    ) -> Records:
        """Returns the records of the items, which know their item.

        An item is completed when its last record has been trained, however
        the pipeline shuffles, batches and prefetches in between:

            dataset = queue.records(tf.data.TextLineDataset)
            dataset = dataset.shuffle(20000).batch(512).map(parse).prefetch(1)
            dataset = dataset.to_dataset()

        When its iterator is initialized again, items that were not completed go
        back to the line; see `input_dataset`.

        Args:
          reader: Maps an item, a tf.string scalar, to a tf.data.Dataset of
            its records. What it filters out does not count. Before a save, an
            item may be read a second time, to see whether it has ended; not
            where random numbers are drawn, and its end is then known when
            more is asked for.
          cycle_length: How many items are read in turn.
        """
        expect_reader(reader)
        port = self._add_dataset_port(RecordsPort, DirectRecordsPort)

        def from_items(make: Callable[[Any], Any]) -> Any:
            with tf.control_dependencies(None), self._worker_scope():
                items = tf1.data.Dataset.from_tensors(0).repeat()
                return make(items.map(lambda _: port.take()))

        # The reader is traced where it is run.
        with tf.control_dependencies(None), self._worker_scope():
            return records_read(
                port,
                from_items,
                reader,
                cycle_length=cycle_length,
                is_endless=self._options.num_epochs is None,
            )

    def add_summary(self) -> None:
        """Adds the level of the queue to the graph's summaries.

        Tag and value are DeepRec's: `<name>/fraction_of_<len>_full`, the
        remaining items divided by those of one epoch.
        """
        self.has_summary = True
        with tf1.name_scope(None):
            tf1.summary.scalar(self.level_tag, self.mailbox.level)

    def add_works(self, works: Sequence[Any], *, priority: int = 0) -> None:
        """Adds works to a queue made with `is_open=True`, on the chief.

        They are handed out once each, whole, in this order, behind all epochs
        of the works listed before. To add a work again is to have it handed
        out again. May be called from any thread, also before the session.

        Args:
          works: A sequence of str, bytes or paths; the queue's prefix applies.
          priority: Added works of a higher one come before those of a lower
            one that are not under way; some dozens are, two for each consumer
            or 32.

        Raises:
          TypeError: If `works` is no sequence, or a work or the priority is of
            a wrong type.
          ValueError: If a work is blank, a source, or a URL with a password.
          WorkQueueError: If this is not the chief, or the queue is not open.
        """
        self._expect_chief("add_works")
        priority = as_int("priority", priority)
        if hasattr(works, "__len__") and len(works) == 0:
            return
        added = Works(works)
        for name in added:
            expect_no_password(self._works.joined(name), "an added work")
        if added.sources:
            raise ValueError(
                "Expected added works to be str or bytes, which are handed "
                f"out whole; got the source {added[min(added.sources)]!r}."
            )
        if not self._feed_log.add(list(added), priority):
            raise WorkQueueError(
                f"Expected an open queue; {self.name!r} "
                + (
                    "was closed with close_works()."
                    if self._options.is_open
                    else "was made without is_open=True."
                )
            )
        self._pull_works()

    def close_works(self) -> None:
        """Says, on the chief, that no more works will be added.

        The queue ends when all are done. May be called more than once.

        Raises:
          WorkQueueError: If this is not the chief.
        """
        self._expect_chief("close_works")
        self._feed_log.close()
        self._pull_works()

    @property
    def num_added(self) -> int:
        """Number of works that were ever added, as the chief knows.

        Also those that were added before a restart and came back with the
        checkpoint: a feeder skips that many of its works. Known when the
        session has begun; in eager mode, behind the restore.

        Raises:
          WorkQueueError: If this is not the chief, or no session runs.
        """
        self._expect_chief("num_added")
        if self._last_service is not None:
            self._last_service.wait_until_ready(_READY_SECS)
        dispatcher = self.dispatcher
        if dispatcher is None:
            raise WorkQueueError(
                "Expected num_added to be asked for while a session runs; "
                "before, the checkpoint is not known."
            )
        return int(dispatcher.num_added)

    def serve(self, port: int, *, in_step: bool = False) -> int:
        """Lets other processes take items, in eager mode; see `connect`.

        This process serves them from a TensorFlow server of its own, without
        authentication, as TensorFlow's servers are. It keeps the position, and
        may read as well. At `close`, and when the process ends, it waits until
        the others have left, `lease_secs` at most; `join` waits longer.

        Args:
          port: Port to listen on; 0: any that is free.
          in_step: Whether the processes train in step with each other, as
            with MultiWorkerMirroredStrategy and Horovod. The end of data then
            comes to each at once; otherwise they stay for what one that dies
            hands back.

        Returns:
          The port.

        Raises:
          WorkQueueError: In graph mode; if the port is taken; if the queue is
            served already, or something reads from it.
          ValueError: If the port is out of range.
        """
        del port, in_step
        raise self._eager_only("serve")

    def join(self, timeout_secs: float | None = None) -> bool:
        """Waits, where the queue is served, until others have done all items.

        What this process holds goes to the others first; it reads no more.

        Args:
          timeout_secs: Give up after that long; None: never. May be called
            again, as in `while not queue.join(60): manager.save()`.

        Returns:
          Whether all items are completed, and everybody has left.
        """
        del timeout_secs
        raise self._eager_only("join")

    @classmethod
    def connect(
        cls,
        target: str,
        name: str = DEFAULT,
        *,
        task: str | None = None,
        timeout_secs: float = 60.0,
        num_clients: int = 1,
    ) -> WorkQueue:
        """Returns a queue that another process serves, in eager mode.

        It has `take`, `input_dataset`, `records`, `size` and `close`; the
        position, and what is said in the constructor, are the server's.

        Args:
          target: Target of the server, such as "grpc://10.0.0.7:2222".
          name: Name of the queue.
          task: Names this process among those that take. One that comes back
            under its name gives up at once what it held before. None: host
            and process id, such as "node7-4711".
          timeout_secs: How long to look for the server, now and whenever the
            connection is lost.
          num_clients: See WorkQueue.

        Raises:
          WorkQueueError: In graph mode; if nobody answers, or serves no such
            queue, or one of another version of wq-hooks.
          ValueError: If an argument is out of its range.
        """
        del cls
        if not tf.executing_eagerly():
            raise WorkQueueError(
                "Expected connect to be called in eager mode; got a graph. In "
                "graph mode the queue stands on a parameter server, and each "
                "task makes it with WorkQueue(...)."
            )
        # It is a WorkQueue itself, so this module comes first.
        from wq_hooks.connected_queue import ConnectedWorkQueue

        return ConnectedWorkQueue(
            target,
            name,
            task=task,
            timeout_secs=timeout_secs,
            num_clients=num_clients,
        )

    def close(self) -> None:
        """Ends a queue of eager mode; see EagerWorkQueue.close."""
        raise self._eager_only("close")

    def __enter__(self) -> Self:
        """Returns a queue of eager mode, which the block's end closes."""
        if type(self).__exit__ is WorkQueue.__exit__:
            raise self._eager_only("a with block")
        return self

    def __exit__(self, kind: Any, *error: object) -> None:
        """Closes a queue of eager mode."""
        del kind, error

    def size(self) -> Any:
        """Returns a tf.int64 scalar tensor: remaining items; -1: no end."""
        return self.mailbox.remaining

    def __len__(self) -> int:
        """Number of items in one epoch.

        Where works are cut: the number that was asked for. There are less if
        the works have not so many records, and more if there are more works.
        """
        return self._beginning.num_items

    def __repr__(self) -> str:
        return f"WorkQueue({self._works!r}, name={self.name!r})"

    @property
    def works(self) -> list[str]:
        """The works, as listed, stripped of white space, without prefix.

        They are str; DeepRec's are bytes.
        """
        return list(self._works)

    @property
    def name(self) -> str:
        """The queue's name."""
        return str(self._options.name)

    def snapshot(self) -> str:
        """Returns the position as JSON, on the chief; see `restore`.

        Raises:
          WorkQueueError: If this is not the chief.
        """
        self._expect_chief("snapshot")
        service = self._last_service
        if self._initial is not None and not self._has_begun:
            return self._initial.to_json()
        if service is not None:
            service.wait_until_ready(_READY_SECS)
            if service.dispatcher is not None:
                return service.dispatcher.snapshot().to_json()
        fresh = self._beginning.new_ledger(None)
        return fresh.snapshot(self.name, None).to_json()

    def restore(self, snapshot: str) -> None:
        """Continues from a snapshot, on the chief, before the session starts.

        Raises:
          SnapshotError: If the snapshot is damaged or of a newer format.
          WorkQueueError: If this is not the chief, or a session runs.
        """
        self._expect_chief("restore")
        if self.dispatcher is not None:
            raise WorkQueueError(
                "Expected restore before the session starts; the queue runs."
            )
        self._initial = Snapshot.from_json(snapshot)
        self._has_begun = False

    # What hooks, runners and savers ask for.

    @property
    def graph(self) -> tf.Graph:
        """The graph that the queue belongs to."""
        return self._graph

    @property
    def level_tag(self) -> str:
        """DeepRec's tag of the level."""
        return f"{self.name}/fraction_of_{len(self)}_full"

    @property
    def is_saved(self) -> bool:
        """Whether the position goes into checkpoints."""
        return self._options.save

    def transport(self, mailbox: MailboxSession) -> Transport:
        """Returns through what the consumers of a session take."""
        if self._local_work_mgr is None:
            return mailbox
        return self._local_work_mgr.transport(mailbox, self._works.joined(""))

    @property
    def num_clients(self) -> int:
        """How many readers draw from one consumer at a time."""
        return self._options.num_clients

    @property
    def counts_attempts(self) -> bool:
        """Whether an item may be given up."""
        return self._options.counts_attempts

    @property
    def beat_secs(self) -> float:
        """How often a task says that it is alive."""
        return self._options.lease_secs / 4

    @property
    def lease_secs(self) -> float:
        """A task not heard of for so long loses what it holds."""
        return self._options.lease_secs

    @property
    def dispatcher(self) -> Any:
        """The chief's dispatcher while a session runs, or None."""
        service = self._last_service
        if service is None or not service.is_live:
            return None
        return service.dispatcher

    def service(self, session: tf1.Session) -> Service | None:
        """Returns what runs in a session, or None."""
        return self._services.get(session)

    def new_service(
        self, session: tf1.Session, coord: tf.train.Coordinator | None
    ) -> Service | None:
        """Returns the service of a new session; None if it has one."""
        with self._lock:
            running = self._services.get(session)
            if running is not None and running.is_live:
                return None
            self.heed_origin(session)
            service = Service(self, session, coord)
            self._services[session] = service
            self._last_service = service
        interrupt.watch()
        return service

    def give_role(self, is_chief: bool) -> None:
        """Says whether this task keeps the ledger, whatever others say."""
        self._given_role = is_chief
        self.is_chief = self._role()

    def heed_origin(self, session: tf1.Session | None = None) -> None:
        """Notes what the creator of a session says, where one is at work.

        Args:
          session: The session; None: it is not there yet.
        """
        origin = find_origin(session)
        if session is None and (origin is None or self.is_running):
            # Somebody restores of their own accord.
            return
        self._origin = origin
        self.is_chief = self._role()

    @property
    def is_running(self) -> bool:
        """Whether a session runs that has not been asked to stop."""
        service = self._last_service
        return service is not None and service.is_live

    @property
    def origin(self) -> SessionOrigin | None:
        """What is known of the session that began last, from its creator."""
        return self._origin

    @property
    def is_presumed_chief(self) -> bool:
        """Whether this task is the chief by convention alone."""
        return (
            self.is_chief and self.task.is_presumed and self._given_role is None
        )

    def _role(self) -> bool:
        """Returns whether this task is the chief, by who knows best."""
        if self._given_role is not None:
            return self._given_role
        if self._origin is not None and self._origin.is_chief is not None:
            return self._origin.is_chief
        return self.task.is_chief

    def new_ledger(self, position: str) -> Ledger:
        """Returns the ledger that a session of the chief starts with.

        Args:
          position: What a Saver has restored, "" if nothing.
        """
        snapshot = self._initial
        # What the user asked for is where the job begins. A session that is
        # created again goes back to its checkpoint, if there is one.
        is_asked_for = snapshot is not None or self._options.start_over
        if not saver_guard.is_trained_from(self._graph):
            logging.info(
                "Work queue %s: no model is trained in this session, so the "
                "queue starts at the beginning.",
                self.name,
            )
        elif position and (self._has_begun or not is_asked_for):
            snapshot = Snapshot.from_json(position)
        elif self.lacking_checkpoint:
            logging.info(
                "Work queue %s: checkpoint %s was written before the queue was "
                "added; the queue starts at the beginning.",
                self.name,
                self.lacking_checkpoint,
            )
        elif self.is_saved and saver_guard.is_saved_without_queues(self._graph):
            logging.warning(
                "Work queue %s: the Saver of this session saves a list that "
                "lacks the position, so the next run starts at the beginning. "
                "Add tf.compat.v1.get_collection(tf.compat.v1.GraphKeys."
                "SAVEABLE_OBJECTS) to the list; to model_to_estimator give "
                "checkpoint_format='saver'.",
                self.name,
            )
        return self._begin_ledger(snapshot, self.mailbox.device)

    def new_attempts(
        self, own_task: str | None, reads_records: Callable[[str], bool]
    ) -> AttemptsKeeper | None:
        """Returns what keeps the attempts at items; None: nobody asks.

        Args:
          own_task: See `AttemptsKeeper`.
          reads_records: See `AttemptsKeeper`.
        """
        return self._beginning.new_attempts(
            lambda: self.checkpoint_directory, own_task, reads_records
        )

    def _begin_ledger(self, snapshot: Snapshot | None, where: str) -> Ledger:
        self._has_begun = True
        return self._beginning.begin(snapshot, where, self.checkpoint_directory)

    @contextlib.contextmanager
    def held_position(self, directory: str) -> Iterator[None]:
        """Keeps the position as it is at this instant, for a save.

        Args:
          directory: Directory of the checkpoint.
        """
        self.checkpoint_directory = directory
        service = self._last_service
        if self.is_chief and service is not None:
            # TensorFlow saves as soon as it has started the threads.
            service.wait_until_ready(_READY_SECS)
        dispatcher = self.dispatcher if self.is_chief else None
        if service is None or dispatcher is None:
            yield
            return
        sidecar_files.keep(dispatcher, self.name, directory)
        # Here it may be known for the first time where to.
        dispatcher.keep_attempts()
        # What was trained before this instant may still have to be counted.
        service.settle()
        with dispatcher.held_position():
            yield

    def progress(self, meter: ProgressMeter) -> Progress | None:
        """Returns how far the queue is; None but on a chief that runs."""
        dispatcher = self.dispatcher
        return None if dispatcher is None else dispatcher.progress(meter)

    def state(self) -> dict[str, Any] | None:
        """Returns who has what, for json; None but on a chief that runs."""
        dispatcher = self.dispatcher
        return None if dispatcher is None else dispatcher.state()

    def view(self, viewer: Viewer) -> View | None:
        """Returns all that is written; None but on a chief that runs."""
        dispatcher = self.dispatcher
        return None if dispatcher is None else dispatcher.view(viewer)

    @property
    def works_text(self) -> str:
        """What the chief's board says of a list of works: see `works_text`."""
        return messages.works_text(self._works)

    # Inside.

    def _pull_works(self) -> None:
        # A ledger that is being made meanwhile finds them in the log.
        service = self._last_service
        if service is not None and service.dispatcher is not None:
            service.dispatcher.pull_works()

    def _add_dataset_port(self, kind: Any, direct_kind: Any) -> Any:
        if self._takes_in_step:
            kind = functools.partial(direct_kind, mailbox=self.mailbox)
        return self._add_port(
            functools.partial(kind, num_clients=self.num_clients)
        )

    @property
    def _takes_in_step(self) -> bool:
        """Whether an item may be taken in the step that gives it.

        Not where it is noted first who takes it.
        """
        return not (self.counts_attempts or self._local_work_mgr is not None)

    def _add_port(self, kind: Any) -> Any:
        # Out of branches, loops and functions, which use what is made here.
        with tf.init_scope():
            if tf1.get_default_graph() is not self._graph:
                raise ValueError(
                    f"Expected the graph in which WorkQueue {self.name!r} was "
                    "made to be current; got another one."
                )
            number = len(self.ports) + 1
            with tf1.name_scope(f"{self.name}/"), self._worker_scope():
                port = kind(f"{self.name}/{self.task.name}/{number}")
        self.ports.append(port)
        return port

    def _find_worker_device(self) -> str:
        """Returns the device on which this worker's part of the queue stands.

        Strings live on the CPU, also where the scope says GPU.
        """
        with tf.device(_CPU):
            device = str(tf.no_op().device)
        # A scope that puts the whole queue on a parameter server leaves its
        # local parts to the session, that is to this process.
        is_remote = is_of_servers(device, self.mailbox.device, os.environ)
        return _CPU if is_remote else device

    @contextlib.contextmanager
    def _worker_scope(self) -> Iterator[None]:
        with tf.device(None), tf.device(self._worker_device):
            yield

    def _eager_only(self, what: str) -> WorkQueueError:
        return WorkQueueError(
            f"Expected a queue of eager mode for {what}; {self.name!r} was "
            "made in a graph, whose sessions begin and end it, and where it "
            "stands on a parameter server for all tasks."
        )

    def _expect_chief(self, method: str) -> None:
        if not self.is_chief:
            raise WorkQueueError(
                f"Expected {method} to be called on the chief; this is "
                f"{self.task.name}."
            )
