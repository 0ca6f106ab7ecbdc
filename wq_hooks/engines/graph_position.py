"""Where a graph's queue begins, and what a save keeps of it.

ledger = position.begin("/job:ps/task:0", restored)
with position.frozen("model", service): ...        # the Saver saves
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import tensorflow as tf

from wq_hooks.core import log as logging
from wq_hooks.core.ledger.ledger import Ledger
from wq_hooks.runtime.saving import saver_guard
from wq_hooks.runtime.saving.ledger_factory import LedgerFactory
from wq_hooks.runtime.threads.session_service import Service

# How long to wait, on the chief, until the queue has begun.
READY_SECS = 10.0


class GraphPosition:
    """The position of a queue of a graph, on its way from and to Savers.

    Args:
      name: Name of the queue.
      graph: Graph of the queue.
      factory: Makes the ledgers.
      is_saved: Whether the position goes into checkpoints.
    """

    def __init__(
        self,
        name: str,
        graph: tf.Graph,
        factory: LedgerFactory,
        *,
        is_saved: bool,
    ):
        self._name = name
        self._graph = graph
        self._factory = factory
        self._is_saved = is_saved
        # The checkpoint that was restored, if it has no position.
        self._lacking: str | None = None

    def note_lacking(self, path: str | None) -> None:
        """Notes which checkpoint was restored that has no position."""
        self._lacking = path

    def begin(self, where: str, position: str) -> Ledger:
        """Returns the ledger of a session that begins.

        Args:
          where: Device of the mailboxes.
          position: Text that a Saver has restored; "" if none.
        """
        if not saver_guard.is_trained_from(self._graph):
            position = ""
            logging.info(
                "Work queue %s: no model is trained in this session, so the "
                "queue starts at the beginning.",
                self._name,
            )
        elif not position and self._lacking:
            logging.info(
                "Work queue %s: checkpoint %s was written before the queue was "
                "added; the queue starts at the beginning.",
                self._name,
                self._lacking,
            )
        elif self._is_saved and saver_guard.is_saved_without_queues(
            self._graph
        ):
            logging.warning(
                "Work queue %s: the Saver of this session saves a list that "
                "lacks the position, so the next run starts at the beginning. "
                "Add tf.compat.v1.get_collection(tf.compat.v1.GraphKeys."
                "SAVEABLE_OBJECTS) to the list; to model_to_estimator give "
                "checkpoint_format='saver'.",
                self._name,
            )
        return self._factory.begin(where, position)

    @contextlib.contextmanager
    def frozen(self, directory: str, service: Service | None) -> Iterator[None]:
        """Keeps the position as it is at this instant, for a save.

        Args:
          directory: Directory of the checkpoint.
          service: The chief's service; None: this is not the chief, or no
            session has begun.
        """
        self._factory.sidecars.directory = directory
        if service is not None:
            # TensorFlow saves as soon as it has started the threads.
            service.wait_until_ready(READY_SECS)
        feeder = None
        if service is not None and service.is_live:
            feeder = service.feeder
        if service is None or feeder is None:
            yield
            return
        self._factory.sidecars.keep(feeder.chief.ledger)
        # Here it may be known for the first time where to.
        feeder.chief.keep_attempts()
        # What was trained before this instant may still have to be counted.
        service.flush()
        with feeder.freeze_position():
            yield
