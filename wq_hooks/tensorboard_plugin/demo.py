"""Writes a log of queues that never were, for a look at the tab.

    python -m wq_hooks.tensorboard_plugin.demo /tmp/demo
    tensorboard --logdir /tmp/demo

Needs TensorBoard, not TensorFlow. The queues are real ledgers whose workers
are played, in a time that is played as well.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import heapq
import os
import sys
import time
import zlib
from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

from wq_hooks.core.items.plan import Plan
from wq_hooks.core.items.works import Works
from wq_hooks.core.ledger.consumer_state import (
    Consumer,
    Measure,
    incarnation_at,
)
from wq_hooks.core.ledger.ledger import Ledger
from wq_hooks.core.position.in_flight import InFlight
from wq_hooks.core.position.origin import Origin
from wq_hooks.core.position.resume import resume
from wq_hooks.core.position.snapshot import Snapshot
from wq_hooks.tensorboard_plugin.demo_log import Log

_RECORDS_PER_ITEM = 10_000
_ASK_AGAIN_SECS = 1.0
_DAY_SECS = 86_400
_SAVE_SECS = 120
HOSTILE_WORKS = (
    "<img src=x onerror=\"document.title='hacked'\">",
    "../../etc/passwd",
    "long-" + "x" * 10_000,
    "\u202egpj.tfel-ot-thgir",
    "\u0645\u0644\u0641-\u0662\u0660\u0662\u0666.csv",
    "</script><script>alert(1)</script>",
)


class Player:
    """A job whose workers take a given time for an item.

    With `shuffled` it is as with `records()` behind a shuffle: a worker opens
    its next item when it has read the last one, and trains the rest of that
    later.

    Args:
      works: Works of its queue.
      secs_of: {worker: seconds it takes for an item}, a little more or less.
      num_epochs: Number of epochs.
      seed: Seed of what is random.
      shuffled: How much of an item waits in the shuffle buffer; 0: none.
      waiting: {worker: share of its time in which it waits for data}; a
        twentieth where it is not said.
    """

    def __init__(
        self,
        works: Sequence[str],
        secs_of: dict[str, float],
        *,
        num_epochs: int = 1,
        seed: int = 1,
        shuffled: float = 0.0,
        waiting: dict[str, float] | None = None,
    ):
        self._works = Works(works)
        self._seed = seed
        plan = Plan.fresh(
            self._works, num_epochs=num_epochs, shuffle=True, seed=seed
        )
        self.ledger = Ledger(plan, lease_secs=60.0)
        self.secs_of = dict(secs_of)
        self._num_epochs = num_epochs
        self._shuffled = shuffled
        self._waiting = waiting or {}
        self._begin_workers(0.0)

    def begin(self, wall_time: float) -> None:
        """Says when the job begins, in seconds since 1970."""
        self.ledger.items.origin = Origin(wall_time, wall_time)

    def restart(self, snapshot: Snapshot, now: float, wall_time: float) -> None:
        """Plays on from a position, as after a kill of all processes."""
        in_flight = InFlight.of(snapshot, counts_records=False)
        resumption = resume(
            self._works,
            snapshot,
            num_epochs=self._num_epochs,
            shuffle=True,
            seed=self._seed,
        )
        origin = Origin(
            snapshot.started,
            wall_time,
            is_resumed=True,
            num_in_flight=in_flight.num_items,
            changes=resumption.changes,
        )
        resumption = replace(resumption, origin=origin)
        self.ledger = Ledger(
            resumption.plan, lease_secs=60.0, resumption=resumption
        )
        self._begin_workers(now)

    def _begin_workers(self, now: float) -> None:
        secs_of = self.secs_of
        self._random = Random(self._seed)
        self._life: dict[str, int] = dict.fromkeys(secs_of, 1)
        self._present: set[str] = set()
        # What the items in hand cost, by ticket.
        self._costs: dict[int, Measure] = {}
        # When a worker takes an item, or completes that of the ticket.
        self._due: list[tuple[float, bool, str, int, int | None]] = []
        for i, worker in enumerate(secs_of):
            self._plan(now + i * 0.1, worker)

    def run_until(self, now: float) -> None:
        """Plays up to a time in seconds; never backwards."""
        while self._due and self._due[0][0] <= now:
            when, _, worker, life, ticket = heapq.heappop(self._due)
            if life != self._life[worker]:
                continue
            if ticket is None:
                self._take(worker, when)
            else:
                self._complete(worker, ticket, when)
        for worker in self._present:
            self.ledger.heard(self._consumer(worker), now)
        self.ledger.expire(now)

    def kill(self, worker: str, now: float, back_in: float) -> None:
        """Ends a worker's life; another one begins after so many seconds."""
        self._present.discard(worker)
        self._life[worker] += 1
        self._plan(now + back_in, worker)

    def _plan(
        self, when: float, worker: str, ticket: int | None = None
    ) -> None:
        """Plans that a worker completes an item, or takes one after that."""
        entry = (when, ticket is None, worker, self._life[worker], ticket)
        heapq.heappush(self._due, entry)

    def _consumer(self, worker: str) -> Consumer:
        number = zlib.crc32(f"{worker} {self._life[worker]}".encode())
        host = f"node-{list(self.secs_of).index(worker)}"
        incarnation = incarnation_at(f"{number:08x}", host, number % 30_000)
        return Consumer(worker, incarnation)

    def _complete(self, worker: str, ticket: int, now: float) -> None:
        consumer = self._consumer(worker)
        cost = self._costs[ticket]
        self.ledger.acknowledge(consumer, ticket, now, cost)
        self.ledger.count_records(consumer, cost.records)

    def _take(self, worker: str, now: float) -> None:
        consumer, ledger = self._consumer(worker), self.ledger
        self._present.add(worker)
        ledger.ask(consumer, now)
        items = []
        if consumer.name not in ledger.held_back(now):
            items = ledger.issue(1, now)
        if items:
            ticket = items[0].ticket
            ledger.lease(consumer, ticket, now)
            secs = self.secs_of[worker] * self._random.uniform(0.8, 1.2)
            wait_secs = secs * self._waiting.get(worker, 0.05)
            self._costs[ticket] = Measure(
                _RECORDS_PER_ITEM, secs - wait_secs, wait_secs
            )
            self._plan(now + secs, worker)
            self._plan(now + secs * (1 + self._shuffled), worker, ticket)
        elif ledger.is_done:
            ledger.leave(consumer, now)
            self._present.discard(worker)
        else:
            self._plan(now + _ASK_AGAIN_SECS, worker)


def write_job(
    directory: str,
    queue: str,
    player: Player,
    *,
    end: float,
    every: float,
    last: float,
    kills: Sequence[tuple[float, str, float]] = (),
    pause: tuple[float, float] | None = None,
) -> None:
    """Plays a job and writes its log to the directory of a run.

    Args:
      directory: Directory of the run.
      queue: Name of the queue.
      player: The job.
      end: How long to play, in seconds; no longer than the job.
      every: Seconds from one write to the next.
      last: Time of the last write, in seconds since 1970.
      kills: [(when, worker, back in seconds), ...].
      pause: When all processes are killed, and when the job goes on from
        where it was a while before.
    """
    now, to_kill = 0.0, sorted(kills)
    saved: Snapshot | None = None
    player.begin(last - end)
    with contextlib.closing(Log(directory, queue, last - end)) as log:
        while True:
            while to_kill and to_kill[0][0] <= now:
                when, worker, back_in = to_kill.pop(0)
                player.kill(worker, when, back_in)
            if pause and now >= pause[0]:
                now, pause = pause[1], None
                if saved is not None:
                    player.restart(saved, now, last - end + now)
            player.run_until(now)
            log.write(player.ledger, now)
            if saved is None or now % _SAVE_SECS < every:
                saved = player.ledger.snapshot(queue)
            if now >= end or player.ledger.is_done:
                return
            now = min(now + every, end)


def parts(number: int) -> list[str]:
    """Returns names of files."""
    return [f"clicks/part-{i:05d}-of-{number:05d}.csv" for i in range(number)]


def workers(number: int, secs: float) -> dict[str, float]:
    """Returns workers that are alike."""
    return {f"worker:{i}": secs for i in range(number)}


def write_all(directory: str, now: float) -> None:
    """Writes a run of each kind, the running ones up to `now` (since 1970)."""
    slow = {"chief:0": 20.0, **workers(5, 20.0), "worker:5": 80.0}
    hostile = {"<b>worker</b>": 9.0, "../../etc/passwd": 11.0}
    few, many = parts(40), parts(200)
    shuffled = functools.partial(Player, shuffled=0.4)
    done, broken_off = now - 5 * _DAY_SECS, now - 3 * _DAY_SECS
    kills = [(400.0, "worker:2", 30.0)]
    why = {**workers(4, 20.0), "worker:4": 55.0, "worker:5": 70.0}
    jobs: list[tuple[str, str, Player, float, float, float, Any]] = [
        # Run, queue, job, its end and how often it writes in seconds, the time
        # of the last write, kills.
        ("running", "train", shuffled(parts(240), slow, num_epochs=3),
         1500.0, 15.0, now, kills),
        ("running", "validation", shuffled(parts(60), workers(3, 10.0)),
         100.0, 10.0, now, ()),
        ("done, days ago", "train", shuffled(many, workers(4, 15.0)),
         3600.0, 20.0, done, ()),
        ("broken off, days ago", "train", shuffled(many, workers(4, 15.0)),
         400.0, 20.0, broken_off, ()),
        ("one worker", "train", shuffled(few, workers(1, 12.0)),
         200.0, 10.0, now, ()),
        ("slow disk, slow machine", "train",
         shuffled(many, why, waiting={"worker:5": 0.75}), 500.0, 10.0, now, ()),
        ("hostile <b>names", "ads/train", shuffled(HOSTILE_WORKS * 5, hostile),
         100.0, 10.0, now, ()),
    ]  # fmt: skip
    write_job(
        os.path.join(directory, "resumed"),
        "train",
        shuffled(parts(120), workers(3, 15.0)),
        end=900.0,
        every=15.0,
        last=now,
        kills=[(100.0, "worker:1", 20.0)],
        pause=(310.0, 600.0),
    )
    for run, queue, job, end, every, last, kills in jobs:
        write_job(
            os.path.join(directory, run),
            queue,
            job,
            end=end,
            every=every,
            last=last,
            kills=kills,
        )


def write_many(directory: str, now: float, num_workers: int = 1000) -> None:
    """Writes a job of many workers and a hundred items for each."""
    secs_of = workers(num_workers, 30.0)
    secs_of["worker:7"] = 150.0
    job = Player(parts(100 * num_workers), secs_of)
    run = os.path.join(directory, "many")
    write_job(run, "train", job, end=600.0, every=60.0, last=now)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the demo; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("logdir", help="where to write; made if need be")
    parser.add_argument(
        "--many", action="store_true", help="a job of 1,000 workers as well"
    )
    args = parser.parse_args(argv)
    write_all(args.logdir, time.time())
    if args.many:
        write_many(args.logdir, time.time())
    sys.stdout.write(f"Now run: tensorboard --logdir {args.logdir}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
