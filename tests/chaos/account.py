"""What a job has trained, lost and repeated, from what it left behind."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from tests.chaos.job import JOURNAL, MODEL
from wq_hooks.core.items.plan import Plan
from wq_hooks.core.items.works import Works
from wq_hooks.core.ledger.consumer_state import task_of
from wq_hooks.core.position.snapshot import Snapshot
from wq_hooks.core.protocol.messages import Claim, parse_report

# After that the chief has read what was reported. The next life of a task takes
# longer, to import TensorFlow.
_ON_THE_WAY_SECS = 1.0


@dataclass(frozen=True)
class Row:
    """A report about one item, when the chief read it."""

    secs: float
    kind: str
    task: str
    incarnation: str
    claim: Claim


@dataclass(frozen=True)
class Restored:
    """A checkpoint that the chief went back to."""

    secs: float
    path: str
    in_flight: tuple[str, ...]


class Account:
    """Reads journal and checkpoints of a directory.

    Args:
      directory: Where they are, as MODEL and JOURNAL.
      records: Works -> the numbers of their records.
      num_epochs: See the queue.
      seed: See the queue.
    """

    def __init__(self, directory, records, *, num_epochs, seed):
        self._model = Path(directory) / MODEL
        self._records = records
        self._num_epochs = num_epochs
        self._plan = Plan.fresh(
            Works(list(records)), num_epochs=num_epochs, shuffle=True, seed=seed
        )
        self.rows = []
        self.restored = []
        # Of each life of a task, when the chief heard of it.
        self._heard = defaultdict(list)
        with open(Path(directory) / JOURNAL) as journal:
            for line in journal:
                self._read(json.loads(line))

    def _read(self, entry):
        secs = entry["secs"]
        if "restored" in entry:
            self.restored.append(
                Restored(secs, entry["restored"], tuple(entry["in_flight"]))
            )
        for row in entry.get("reports", ()):
            report = parse_report(row.encode())
            task = task_of(report.sender.name)
            incarnation = report.sender.incarnation
            self._heard[task, incarnation].append(secs)
            self.rows += [
                Row(secs, report.kind, task, incarnation, claim)
                for claim in report.claims
            ]

    def size(self, works):
        """Returns the number of records of works."""
        return sum(len(self._records[work]) for work in works)

    def work_of(self, claim):
        return self._plan.item_at(claim.ticket).text

    # Checkpoints.

    def checkpoints(self):
        """Returns all that were kept and are whole, in order."""
        paths = self._model.glob("model.ckpt-*.index")
        paths = [str(path.with_suffix("")) for path in paths]
        return sorted(paths, key=lambda path: int(path.rpartition("-")[2]))

    def last_checkpoint(self):
        return tf.train.latest_checkpoint(str(self._model))

    def completed(self, position):
        """Returns {work: how many of its items a position has completed}."""
        position = Snapshot.from_json(position)
        outstanding = {item.ticket for item in position.outstanding}
        return Counter(
            self._plan.item_at(ticket).text
            for ticket in range(position.next_ticket)
            if ticket not in outstanding
        )

    def num_completed(self, checkpoint):
        """Returns how many items a checkpoint counts as completed."""
        reader = tf.train.load_checkpoint(checkpoint)
        position = reader.get_tensor("work_queue/position")
        return sum(self.completed(position).values())

    def untrained(self, checkpoint):
        """Returns the number of records that a checkpoint has skipped.

        They are counted as completed in its position and are not, or not
        often enough, in its model.
        """
        reader = tf.train.load_checkpoint(checkpoint)
        counts = reader.get_tensor("counts")
        completed = self.completed(reader.get_tensor("work_queue/position"))
        return sum(
            int(np.sum(counts[self._records[work]] < number))
            for work, number in completed.items()
        )

    def lost_and_repeated(self, checkpoint):
        """Returns how many records the model lacks, and has too often."""
        counts = tf.train.load_checkpoint(checkpoint).get_tensor("counts")
        excess = counts.astype(int) - self._num_epochs
        return -int(excess[excess < 0].sum()), int(excess[excess > 0].sum())

    # The bound of the repeats.

    def held(self, task, since, until):
        """Returns {claim: when it was leased} of what a task was at.

        Args:
          task: The task, in its life or lives at `since`, of which the chief
            may have read a little later.
          since: Without what it had completed by then, in seconds.
          until: When to stop, with what it took by then, in seconds.
        """
        lives = {
            row.incarnation
            for row in self.rows
            if row.task == task and row.secs < since + _ON_THE_WAY_SECS
        }
        held = {}
        for row in self.rows:
            if row.task != task or row.incarnation not in lives:
                continue
            if row.kind == "lease" and row.secs <= until:
                held[row.claim] = row.secs
            elif row.kind != "lease" and row.secs < since:
                held.pop(row.claim, None)
        return held

    def held_beyond(self, secs, tasks):
        """Returns what tasks go on with when the chief died at `secs`.

        It is of the chief's generation; some of it they take from the mailbox
        when the chief is dead, and the next chief reads the report.
        """
        generations = [
            row.claim.generation
            for row in self.rows
            if row.kind == "lease" and row.secs < secs
        ]
        held = defaultdict(dict)
        for row in self.rows:
            if row.task not in tasks or not generations:
                continue
            if row.claim.generation != generations[-1]:
                continue
            if row.kind == "lease":
                held[row.task][row.claim] = row.secs
            elif row.secs < secs:
                held[row.task].pop(row.claim, None)
        return [claim for claims in held.values() for claim in claims]

    def silences(self, lease_secs):
        """Yields (task, since, until) where a task lost its leases and lives.

        The chief did not hear of it for longer than a lease lasts. Not where
        the chief itself went back to a checkpoint meanwhile.

        Args:
          lease_secs: See the queue.
        """
        for (task, _), times in self._heard.items():
            for since, until in zip(times, times[1:]):
                if until - since > lease_secs and not any(
                    since < restored.secs < until for restored in self.restored
                ):
                    yield task, since, until

    def leased_again(self, claims, since):
        """Returns when the last of some items was taken again, or completed.

        Args:
          claims: The items.
          since: Time in seconds; returned if nothing had to be taken again.
        """
        latest = since
        for claim in claims:
            times = [
                row.secs
                for row in self.rows
                if row.secs > since and row.claim.ticket == claim.ticket
            ]
            latest = max(latest, min(times, default=since))
        return latest
