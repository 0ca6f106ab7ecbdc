"""Runs jobs by a seeded schedule of faults, and accounts for every record.

    python -m tests.chaos.run --seeds 0-99 --jobs 2

One line for each run; the exit code is 1 if a record was lost, if more were
repeated than was in flight, if a process took too long to leave, or if a job
did not end.

The bound of the repeats is that of the contract, "what was in flight", made
exact. A fault may repeat the records of

* worker killed, restarted, stopped, cut off, or preempted without a hook: the
  items that it held;
* worker preempted with a hook: nothing where records come in order, else as
  many of the items that it held as its shuffle buffer has room for;
* chief restarted, preempted, or ended by a full disk: the items in flight at
  the checkpoint that it restores, and the items that the other workers, which
  live on, hold at the time;
* parameter server or all restarted, or preempted: the items in flight at the
  checkpoint;
* parameter server or chief cut off: what is unplanned and comes of it.

An item is in flight from when it is taken to when its last record is trained,
so what shuffle buffers hold is part of it.

A process has left in time if it ends within 5 s of the end of its last step, or
of SIGTERM; a chief, which saves, within 25 s, and so do all whose parameter
server has gone with them. With a hook SIGTERM ends them with 143.

What no schedule asks for may happen on a machine that is short of time: the
chief's session breaks down and is restored, or a worker is not heard of for
longer than its lease. That costs as much as the fault that it looks like; each
run says how often it happened ("unplanned"). The files of a run that is not
good can be kept (`--keep`), to see what it was.

Links are cut between network namespaces, and a disk that fills up is a file
system of its own; both take Linux and root. Elsewhere these faults are left out
of their schedules, and the run says why.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.job import Job, Left
from tests.chaos.schedule import schedule_of
from tests.support import forked

LEAVE_SECS = 5.0
# With a moment to end after the 25 s.
SAVE_SECS = 26.0


@dataclass(frozen=True)
class Outcome:
    """What became of a run.

    Attributes:
      seed: Seed of its schedule.
      kinds: The faults that happened.
      num_records: Number of records of the data.
      lost: Number of records that were not trained.
      untrained: Number of records that some checkpoint counts as completed and
        has not trained.
      num_checkpoints: Number of checkpoints looked at.
      repeated: How many records were trained more often than asked for.
      bound: How many may have been.
      num_unplanned: How often something happened that no schedule asked for.
      recovery_secs: Seconds from each fault until the work went on.
      left: Each Left of job.py.
      skipped: Why faults did not happen.
      secs: Seconds of the whole run.
      error: Why it failed, or "".
    """

    seed: int
    kinds: tuple[str, ...]
    num_records: int = 0
    lost: int = 0
    untrained: int = 0
    num_checkpoints: int = 0
    repeated: int = 0
    bound: int = 0
    num_unplanned: int = 0
    recovery_secs: tuple[float, ...] = ()
    left: tuple[Left, ...] = ()
    skipped: tuple[str, ...] = ()
    secs: float = 0.0
    error: str = ""

    @property
    def is_good(self):
        return (
            not self.error
            and not self.lost
            and not self.untrained
            and self.repeated <= self.bound
            and not self.late
        )

    @property
    def late(self):
        """The processes that took too long to leave."""
        return [
            left
            for left in self.left
            if left.secs
            > (
                SAVE_SECS
                if left.task == "chief:0" or not left.has_server
                else LEAVE_SECS
            )
        ]

    @property
    def longest_secs(self):
        """How long the last of all took to leave."""
        return max((left.secs for left in self.left), default=0.0)

    def __str__(self):
        faults = ", ".join(self.kinds) or "no fault"
        if self.error:
            return f"seed {self.seed} ({faults}) FAILED: {self.error}"
        recovery = ", ".join(f"{secs:.1f}" for secs in self.recovery_secs)
        told = "".join(
            f"; {left.task} told, left in {left.secs:.1f} s with "
            f"{left.returncode}"
            for left in self.left
            if left.was_told
        )
        late = "".join(
            f"; {left.task} LATE: {left.secs:.1f} s" for left in self.late
        )
        return (
            f"seed {self.seed} ({faults}) "
            f"records {self.num_records} lost {self.lost} "
            f"repeated {self.repeated} (bound {self.bound}) "
            f"recovery {recovery or '-'} s; {self.num_checkpoints} checkpoints "
            f"skip {self.untrained}; {self.num_unplanned} unplanned; "
            f"left in {self.longest_secs:.1f} s at most{told}{late}; "
            f"{self.secs:.0f} s in all"
            + "".join(f"; {reason}" for reason in self.skipped)
            + ("" if self.is_good else " FAILED")
        )


def outcome_of(seed, *, keep=None):
    """Runs the schedule of a seed.

    Args:
      seed: The seed.
      keep: A directory in which to keep what a job that is not good leaves
        behind; None: nowhere.

    Returns:
      The Outcome.
    """
    with tempfile.TemporaryDirectory() as directory:
        outcome = outcome_of_schedule(schedule_of(seed), directory)
        if keep and not outcome.is_good:
            target = Path(keep) / f"seed-{seed}"
            shutil.copytree(directory, target, dirs_exist_ok=True)
        return outcome


def outcome_of_schedule(schedule, directory):
    """Runs a schedule.

    Args:
      schedule: The Schedule.
      directory: An empty one, for data and checkpoints.

    Returns:
      The Outcome.
    """
    begin = time.monotonic()
    run = Job(schedule, directory)
    try:
        run.run()
    except (TimeoutError, RuntimeError) as e:
        kinds = tuple(fault.kind for fault in schedule.faults)
        text = f"{str(e).splitlines()[0]}\n{run.log()}"
        return Outcome(schedule.seed, kinds, error=text)
    fields = account_for(run, schedule, directory)
    return Outcome(**fields, secs=time.monotonic() - begin)


def account_for(run, schedule, directory):
    """Returns the fields of an Outcome."""
    # TensorFlow is imported late, so that a job starts with both cores free.
    from tests.chaos.account import Account
    from tests.chaos.bounds import cost_of, unplanned_repeats

    account = Account(
        directory,
        run.records,
        num_epochs=schedule.num_epochs,
        seed=schedule.seed,
    )
    last = account.last_checkpoint()
    lost, repeated = account.lost_and_repeated(last)
    bound, recovery_secs = 0, []
    for happened in run.happened:
        size, secs = cost_of(happened, account, run.signs, schedule)
        bound += size
        recovery_secs.append(secs)
    unplanned = unplanned_repeats(run.happened, account, schedule.lease_secs)
    bound += sum(unplanned)
    checkpoints = account.checkpoints()
    return {
        "seed": schedule.seed,
        "kinds": tuple(h.fault.kind for h in run.happened),
        "num_records": len(schedule) * schedule.num_epochs,
        "lost": lost,
        "untrained": sum(map(account.untrained, checkpoints)),
        "num_checkpoints": len(checkpoints),
        "repeated": repeated,
        "bound": bound,
        "num_unplanned": len(unplanned),
        "recovery_secs": tuple(recovery_secs),
        "left": tuple(run.left),
        "skipped": tuple(run.skipped),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="0-99", help="such as 7 or 0-99")
    parser.add_argument(
        "--keep", help="a directory for the files of runs that fail"
    )
    parser.add_argument(
        "--jobs",
        type=int,
        default=2,
        help="how many runs there are at a time; the more, the more that is "
        "unplanned (default: %(default)s)",
    )
    args = parser.parse_args()
    first, _, last = args.seeds.partition("-")
    seeds = range(int(first), int(last or first) + 1)
    outcomes = []
    with forked.clusters(), ThreadPoolExecutor(args.jobs) as pool:
        for outcome in pool.map(
            lambda seed: outcome_of(seed, keep=args.keep), seeds
        ):
            outcomes.append(outcome)
            print(outcome, flush=True)
    num_good = sum(outcome.is_good for outcome in outcomes)
    longest = max(outcomes, key=lambda outcome: outcome.longest_secs)
    print(
        f"{num_good} of {len(outcomes)} runs are good. The longest leaving "
        f"time is {longest.longest_secs:.1f} s, of seed {longest.seed}."
    )
    return 0 if num_good == len(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
