"""A queue in a graph, for Estimator and MonitoredTrainingSession.

Every task builds the same queue in its graph. The resources through which the
tasks meet stand where the chief's variables are; what runs for the queue in a
session is a `Service`. The trap: an engine lives as long as its graph, and a
session only for a while.
"""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import tensorflow as tf
import tensorflow.compat.v1 as tf1

from wq_hooks.core.chief.chief import Chief
from wq_hooks.core.chief.feeder import Feeder
from wq_hooks.core.chief.tasks import Task, is_of_servers
from wq_hooks.core.ledger.attempts import AttemptsKeeper
from wq_hooks.core.ledger.ledger import Ledger
from wq_hooks.core.protocol import messages
from wq_hooks.core.protocol.transports import ConsumerTransport
from wq_hooks.engines.base import Engine
from wq_hooks.engines.graph_position import READY_SECS, GraphPosition
from wq_hooks.engines.listing import Listing
from wq_hooks.errors import WorkQueueError
from wq_hooks.local_work_mgr import LocalWorkMgr
from wq_hooks.runtime.host.role import Role
from wq_hooks.runtime.host.session_origin import find_origin
from wq_hooks.runtime.ports.dataset_ops import texts_of
from wq_hooks.runtime.ports.item_port import GraphItemChannel
from wq_hooks.runtime.ports.port import POLL_SECS, PortOps
from wq_hooks.runtime.ports.producer_port import ProducerPort
from wq_hooks.runtime.reading.records_port_session import GraphRecordsPort
from wq_hooks.runtime.records.records import (
    Records,
    expect_reader,
    records_read,
)
from wq_hooks.runtime.saving import saver_guard
from wq_hooks.runtime.threads import interrupt, session_wait
from wq_hooks.runtime.threads.session_service import Service
from wq_hooks.runtime.threads.session_threads import ServiceRunner
from wq_hooks.runtime.transport.mailbox import Mailbox
from wq_hooks.runtime.transport.mailbox_session import MailboxSession

_CPU = "/device:CPU:0"
_ENGINES = "_wq_hooks_engines"
# How long an item that is drawn may be taken for one that lies ready, where it
# matters which of the two has ended the process.
_DRAWN_SECS = 0.005


def engines_in(graph: tf.Graph) -> list[GraphEngine]:
    """Returns the engines of a graph's queues, in the order of making."""
    # An attribute, so that the queues die with the graph; a collection would
    # go into each exported MetaGraph.
    if not hasattr(graph, _ENGINES):
        setattr(graph, _ENGINES, [])
    engines: list[GraphEngine] = getattr(graph, _ENGINES)
    return engines


class GraphEngine(Engine):
    """The part of a queue in the graph that is current.

    Args:
      listing: Arguments that the queue was made of.
      local_work_mgr: Notes what this task takes; None: nobody does.
    """

    mode = "graph"

    def __init__(self, listing: Listing, local_work_mgr: LocalWorkMgr | None):
        self.name = listing.name
        self.graph = tf1.get_default_graph()
        self._expect_buildable()
        self.is_named = listing.is_named
        self._listing = listing
        self.options = options = listing.options
        self._factory = listing.factory
        self._local_work_mgr = local_work_mgr
        num_epochs = options.num_epochs
        self.mailbox = Mailbox(
            self.name,
            is_saved=options.save,
            on_saver=lambda saver: saver_guard.guard_saver(
                self.graph, saver, engines_in(self.graph)
            ),
            remaining=-1
            if num_epochs is None or options.is_open
            else num_epochs * self.num_items(),
            level=1 if num_epochs is None else num_epochs,
        )
        # Readers' steps take from it, but where it is noted first who takes.
        notes = options.counts_attempts or local_work_mgr is not None
        self._source = None if notes else self.mailbox
        self.ports: list[PortOps] = []
        self.has_hook = False
        self.has_summary = False
        self._position = GraphPosition(
            self.name, self.graph, listing.factory, is_saved=options.save
        )
        self._worker_device = self._find_worker_device()
        self.task = Task.find(device=self._worker_device, environ=os.environ)
        self.role = Role(self.task, options.is_chief)
        self._lock = threading.Lock()
        self._services: weakref.WeakKeyDictionary[tf1.Session, Service] = (
            weakref.WeakKeyDictionary()
        )
        self._last_service: Service | None = None
        with self._scope():
            # Ours starts threads and never runs an op; the plain QueueRunner
            # that an exported graph holds in its place waits in this one.
            idle = tf1.FIFOQueue(1, [tf.bool], [()], name="idle")
            runner = ServiceRunner(self.new_service, idle, idle.dequeue().op)
        tf1.add_to_collection(tf1.GraphKeys.QUEUE_RUNNERS, runner)
        engines_in(self.graph).append(self)
        session_wait.watch(self)

    def __repr__(self) -> str:
        return f"WorkQueue({self._listing!r})"

    # What users call; see WorkQueue.

    def take(self) -> Any:
        port = self._add_item_channel()
        with self._worker_scope():
            return port.take()

    def input_producer(self) -> Any:
        # If the process ends, either the item that is drawn has ended it or
        # the one that lies ready: where attempts count, it is found out soon.
        poll_secs = _DRAWN_SECS if self.options.counts_attempts else POLL_SECS
        queue = self._add_port(lambda name: ProducerPort(name, poll_secs)).queue
        # Readers of tables see that the items are shared out already.
        queue._wq_hooks_engine = self
        return queue

    def input_dataset(self) -> Any:
        port = self._add_item_channel(self.options.num_clients)
        with self._worker_scope():
            return texts_of(port.items(), self)

    def records(
        self, reader: Callable[[Any], Any], cycle_length: int
    ) -> Records:
        expect_reader(reader)
        num_clients = self.options.num_clients
        port = self._add_port(
            lambda name: GraphRecordsPort(name, num_clients, self._source)
        )

        def from_items(*functions: Any) -> Any:
            with tf.control_dependencies(None), self._worker_scope():
                return port.channel.passes(*functions)

        # The reader is traced where it is run.
        with tf.control_dependencies(None), self._worker_scope():
            return records_read(
                port,
                from_items,
                reader,
                cycle_length=cycle_length,
                is_endless=self.options.num_epochs is None,
            )

    def add_summary(self) -> None:
        self.has_summary = True
        tag = f"{self.name}/fraction_of_{self.num_items()}_full"
        with tf1.name_scope(None):
            tf1.summary.scalar(tag, self.mailbox.level)

    def add_works(self, works: Sequence[Any], priority: int) -> None:
        self._expect_chief("add_works")
        self._listing.add(works, priority)
        self._pull_works()

    def close_works(self) -> None:
        self._expect_chief("close_works")
        self._listing.end()
        self._pull_works()

    def num_added(self) -> int:
        self._expect_chief("num_added")
        if self._last_service is not None:
            self._last_service.wait_until_ready(READY_SECS)
        chief = self.chief
        if chief is None:
            raise WorkQueueError(
                "Expected num_added to be asked for while a session runs; "
                "before, the checkpoint is not known."
            )
        return int(chief.num_added)

    def size(self) -> Any:
        return self.mailbox.remaining

    def num_items(self) -> int:
        return self._factory.num_items

    def works(self) -> list[str]:
        return list(self._listing.works)

    def snapshot(self) -> str:
        self._expect_chief("snapshot")
        asked_for = self._factory.asked_for
        if asked_for is not None and self._factory.begins_as_asked:
            return asked_for.to_json()
        service = self._last_service
        if service is not None:
            service.wait_until_ready(READY_SECS)
            if service.chief is not None:
                return service.chief.snapshot().to_json()
        fresh = self._factory.fresh_ledger()
        return fresh.snapshot(self.name).to_json()

    def restore(self, snapshot: str) -> None:
        self._expect_chief("restore")
        if self.chief is not None:
            raise WorkQueueError(
                "Expected restore before the session starts; the queue runs."
            )
        self._factory.continue_from(snapshot)

    # What sessions, hooks and Savers ask for; see `SessionQueue`.

    @property
    def works_text(self) -> str:
        """What the chief's board says of a list of works."""
        return messages.works_text(self._listing.works)

    @property
    def checkpoint_directory(self) -> str | None:
        """Directory of the checkpoints, as far as it is known."""
        return self._factory.sidecars.directory

    @property
    def feeder(self) -> Feeder | None:
        """The chief's feeder while a session runs, or None."""
        service = self._last_service
        if service is None or not service.is_live:
            return None
        return service.feeder

    @property
    def chief(self) -> Chief | None:
        """The owner of the ledger while a session runs, or None."""
        return None if self.feeder is None else self.feeder.chief

    @property
    def is_running(self) -> bool:
        """Whether a session runs that has not been asked to stop."""
        service = self._last_service
        return service is not None and service.is_live

    def transport(self, mailbox: MailboxSession) -> ConsumerTransport:
        """Returns through what the consumers of a session take."""
        if self._local_work_mgr is None:
            return mailbox
        prefix = self._listing.works.joined("")
        return self._local_work_mgr.transport(mailbox, prefix)

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
            self.role.heed(find_origin(session))
            service = Service(self, session, coord)
            self._services[session] = service
            self._last_service = service
        interrupt.watch()
        return service

    def note_hook(self, is_chief: bool | None) -> None:
        """Notes that a hook of the session tells how it ends.

        Args:
          is_chief: Whether this task keeps the ledger; None: as others say.
        """
        self.has_hook = True
        if is_chief is not None:
            self.role.give(is_chief)

    def note_restore(self, path: str, *, has_position: bool) -> None:
        """Notes that a Saver is about to restore a checkpoint.

        Args:
          path: Path of the checkpoint.
          has_position: Whether the position is in it.
        """
        self._factory.sidecars.directory = os.path.dirname(path)
        self._position.note_lacking(None if has_position else path)
        origin = find_origin()
        # Without one, or while a session runs, the user restores.
        if origin is not None and not self.is_running:
            self.role.heed(origin)

    def new_ledger(self, position: str) -> Ledger:
        """Returns the ledger that a session of the chief starts with.

        Args:
          position: Text that a Saver has restored, "" if none.
        """
        return self._position.begin(self.mailbox.device, position)

    def new_attempts(
        self, own_task: str | None, reads_records: Callable[[str], bool]
    ) -> AttemptsKeeper | None:
        """Returns what keeps the attempts at items; None: nobody asks."""
        return self._factory.new_attempts(own_task, reads_records)

    def freeze_position(
        self, directory: str
    ) -> contextlib.AbstractContextManager[None]:
        """Keeps the position as it is at this instant, for a save."""
        service = self._last_service if self.role.is_chief else None
        return self._position.frozen(directory, service)

    # Inside.

    def _pull_works(self) -> None:
        # A ledger that is being made meanwhile finds them in the log.
        service = self._last_service
        if service is not None and service.chief is not None:
            service.chief.pull_works()

    def _add_item_channel(self, num_clients: int = 1) -> Any:
        return self._add_port(
            lambda name: GraphItemChannel(name, num_clients, self._source)
        )

    def _add_port(self, kind: Any) -> Any:
        # Out of branches, loops and functions, which use what is made here.
        with tf.init_scope():
            if tf1.get_default_graph() is not self.graph:
                raise ValueError(
                    f"Expected the graph in which WorkQueue {self.name!r} was "
                    "made to be current; got another one."
                )
            number = len(self.ports) + 1
            with self._scope():
                port = kind(f"{self.name}/{self.task.name}/{number}")
        self.ports.append(port)
        return port

    def _expect_buildable(self) -> None:
        if tf.inside_function():
            raise WorkQueueError(
                "Expected the queue to be made outside of functions, branches "
                f"and loops, which may use it; got WorkQueue {self.name!r} "
                "inside of one. Make it before, and call take() there."
            )
        if self.graph.finalized:
            raise WorkQueueError(
                "Expected the queue to be made before the session; its graph "
                "is finalized already."
            )

    def _expect_chief(self, method: str) -> None:
        if not self.role.is_chief:
            raise WorkQueueError(
                f"Expected {method} to be called on the chief; this is "
                f"{self.task.name}."
            )

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
    def _scope(self) -> Iterator[None]:
        with tf1.name_scope(f"{self.name}/"), self._worker_scope():
            yield

    @contextlib.contextmanager
    def _worker_scope(self) -> Iterator[None]:
        with tf.device(None), tf.device(self._worker_device):
            yield
