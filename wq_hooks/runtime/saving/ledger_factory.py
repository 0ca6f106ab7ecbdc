"""How a queue begins: afresh, or where a snapshot says.

    factory = LedgerFactory(works, options, slicer, added_log)
    factory.sidecars.directory = "model"
    ledger = factory.begin("/job:ps/task:0", position)

A session that is created again, and a restore, begin again.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import replace

from wq_hooks.core import log as logging
from wq_hooks.core.items.added_works import AddedLog, AddedWorks
from wq_hooks.core.items.plan import Plan
from wq_hooks.core.items.works import Works
from wq_hooks.core.ledger.attempts import Attempts, AttemptsKeeper
from wq_hooks.core.ledger.ledger import Ledger
from wq_hooks.core.options import Options
from wq_hooks.core.position.in_flight import InFlight
from wq_hooks.core.position.origin import Origin
from wq_hooks.core.position.resume import Resumption
from wq_hooks.core.position.resume_added_works import resume_with_added
from wq_hooks.core.position.snapshot import Snapshot
from wq_hooks.runtime.saving.sidecar_files import SidecarFiles
from wq_hooks.sources.slicer import Slicer


class LedgerFactory:
    """Makes the ledgers of one queue, each where the queue begins.

    Args:
      works: Listed works.
      options: Options of the queue.
      slicer: Cuts the works.
      added_log: Log of the works added to them.
      attempts_directory: Directory of the attempts at items; None: beside
        the checkpoints.

    Attributes:
      sidecars: Files that are kept beside the checkpoints.
      asked_for: The position that the user has given, if any.
    """

    def __init__(
        self,
        works: Works,
        options: Options,
        slicer: Slicer,
        added_log: AddedLog,
        attempts_directory: str | None = None,
    ):
        self._works = works
        self._options = options
        self._slicer = slicer
        self._added_log = added_log
        # What was kept by an earlier job is not asked for.
        self._is_forgetful = options.start_over
        self._has_begun = False
        self.sidecars = SidecarFiles(options, attempts_directory)
        self.asked_for: Snapshot | None = None

    @property
    def _name(self) -> str:
        # Options are checked before the queue has a name.
        return str(self._options.name)

    @property
    def num_items(self) -> int:
        """Number of items of one epoch."""
        return self._slicer.num_items

    @property
    def begins_as_asked(self) -> bool:
        """Whether the next ledger begins where the user has said.

        That is where the job begins. A session that is created again goes back
        to its checkpoint, if there is one.
        """
        is_asked = self.asked_for is not None or self._options.start_over
        return is_asked and not self._has_begun

    def continue_from(self, snapshot: str) -> None:
        """Lets the next ledger begin at a snapshot.

        Raises:
          SnapshotError: If it is damaged or of a newer format.
        """
        self.asked_for = Snapshot.from_json(snapshot)
        self._has_begun = False

    def begin(self, where: str, position: str = "") -> Ledger:
        """Returns a ledger, and logs in one line where it begins.

        Args:
          where: The device on which the queue stands, or "".
          position: Text that a Saver has restored, "" if none.
        """
        snapshot = self.asked_for
        if position and not self.begins_as_asked:
            snapshot = Snapshot.from_json(position)
        self._has_begun = True
        in_flight = None
        if snapshot is not None:
            counts_records = self._slicer.counts_records
            in_flight = InFlight.of(snapshot, counts_records=counts_records)
        ledger = self._new_ledger(
            snapshot, 0 if in_flight is None else in_flight.num_items
        )
        self._is_forgetful = False
        logging.info(
            "Work queue %s: %d works, %s%s, %s epochs; %s on %s.",
            self._options.name,
            len(self._works),
            self._slicer.in_words(ledger.plan),
            "shuffled" if self._options.shuffle else "in order",
            self._options.num_epochs or "endless",
            _position_in_words(ledger, in_flight),
            where or "this process",
        )
        if in_flight and in_flight.is_much(ledger.completed):
            logging.warning(
                "Work queue %s: more items were in flight (%d) than completed "
                "(%d), and are trained again. Each was partly in a shuffle "
                "buffer: a smaller buffer, or smaller items, repeat less.",
                self._options.name,
                in_flight.num_items,
                ledger.completed,
            )
        if ledger.is_done and not self._options.is_open:
            logging.warning(
                "Work queue %s: all items were completed before; nothing is "
                "left to be trained. A higher num_epochs adds epochs, "
                "start_over=True begins again.",
                self._options.name,
            )
        return ledger

    def fresh_ledger(self) -> Ledger:
        """Returns a ledger from the beginning, which nobody works with."""
        return self._new_ledger(None)

    def _new_ledger(
        self, snapshot: Snapshot | None, num_in_flight: int = 0
    ) -> Ledger:
        options, now = self._options, time.time()
        if snapshot is None:
            origin = Origin(now, now)
            resumption = Resumption(self._fresh_plan(), origin=origin)
        else:
            resumption = resume_with_added(
                self._works,
                snapshot,
                log=self._added_log,
                num_epochs=options.num_epochs,
                shuffle=options.shuffle,
                seed=options.seed,
                read_works=self.sidecars.works_of,
                num_slices=options.num_slices,
                slice_works=self._slicer.slice_works,
            )
            _log_changes(str(options.name), resumption)
            resumption = replace(
                resumption,
                origin=Origin(
                    snapshot.started,
                    now,
                    is_resumed=True,
                    num_in_flight=num_in_flight,
                    changes=resumption.changes,
                ),
            )
        return Ledger(
            resumption.plan,
            lease_secs=options.lease_secs,
            ack_on_take=options.acks_on_take,
            max_attempts=options.max_attempts,
            balance_tail=options.balance_tail,
            backup_tasks=options.backup_tasks,
            is_one_unit=self._slicer.is_one_unit,
            resumption=resumption,
            known_attempts=self._known_attempts(),
        )

    def new_attempts(
        self, own_task: str | None, reads_records: Callable[[str], bool]
    ) -> AttemptsKeeper | None:
        """Returns what keeps the attempts at items; None: nobody asks.

        Args:
          own_task: See `AttemptsKeeper`.
          reads_records: See `AttemptsKeeper`.
        """
        if not self._options.counts_attempts:
            return None

        return AttemptsKeeper(
            self._name, self.sidecars.write_attempts, own_task, reads_records
        )

    def _known_attempts(self) -> Attempts | None:
        if not self._options.counts_attempts:
            return None
        if self._is_forgetful:
            return Attempts()
        return self.sidecars.read_attempts()

    def _fresh_plan(self) -> Plan:
        options = self._options
        seed = options.seed
        plan = Plan.fresh(
            self._works,
            num_epochs=options.num_epochs,
            shuffle=options.shuffle,
            seed=secrets.randbits(63) if seed is None else seed,
            slicing=self._slicer.slice_works(),
            num_slices=options.num_slices,
        )
        if options.is_open and plan.total is not None:
            plan.added = AddedWorks(plan.total, self._added_log)
        return plan


def _position_in_words(ledger: Ledger, in_flight: InFlight | None) -> str:
    if in_flight is None:
        return "from the beginning"
    total = "endless" if ledger.total is None else str(ledger.total)
    return (
        f"resumed: {ledger.completed} of {total} items completed, "
        f"{in_flight.in_words()}"
    )


def _log_changes(name: str, resumption: Resumption) -> None:
    if resumption.changes:
        # Seen by default: what was kept is not what is asked for now.
        logging.warning(
            "Work queue %s: the arguments have changed since the checkpoint: "
            "%s.",
            name,
            "; ".join(resumption.changes),
        )
