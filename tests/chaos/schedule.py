"""Which faults a run has: a function of its seed."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

# What happens to whom. After "killed" the task does not come back.
WORKER_KILLED = "worker killed"
WORKER_RESTARTED = "worker restarted"
WORKER_STOPPED = "worker stopped"  # longer than its lease, then continued
CHIEF_RESTARTED = "chief restarted"
PS_RESTARTED = "ps restarted"
ALL_RESTARTED = "all restarted"
# Told to go by SIGTERM, and started again when it has gone.
WORKER_PREEMPTED = "worker preempted"
CHIEF_PREEMPTED = "chief preempted"
PS_PREEMPTED = "ps preempted"
ALL_PREEMPTED = "all preempted"
# Longer than a lease, then connected again.
LINK_CUT = "link cut"
# Until the chief has ended with an error, or has not noticed for a while.
DISK_FULL = "disk full"
KINDS = (
    WORKER_KILLED,
    WORKER_RESTARTED,
    CHIEF_RESTARTED,
    PS_RESTARTED,
    ALL_RESTARTED,
    WORKER_STOPPED,
    WORKER_PREEMPTED,
    CHIEF_PREEMPTED,
    PS_PREEMPTED,
    ALL_PREEMPTED,
    LINK_CUT,
    DISK_FULL,
)
WORKERS = ("worker:0", "worker:1")
TASKS = ("ps:0", "chief:0", *WORKERS)
_OF_A_WORKER = (
    WORKER_KILLED,
    WORKER_RESTARTED,
    WORKER_STOPPED,
    WORKER_PREEMPTED,
)


@dataclass(frozen=True)
class Fault:
    """Something that happens to a job.

    Attributes:
      kind: One of KINDS.
      task: Name of the worker, or of the task whose link is cut, or "".
      at_step: Number of steps, of all tasks together, after which it happens.
      pause_secs: How long the task is away.
    """

    kind: str
    task: str
    at_step: int
    pause_secs: float


@dataclass(frozen=True)
class Schedule:
    """A job and what happens to it; `len` of it is the number of records.

    Attributes:
      seed: Seed of the schedule, and of the queue.
      num_items: Number of works.
      num_records: Number of records of each, one by one; some are empty.
      num_epochs: See the queue.
      shuffle: Size of the shuffle buffer; 0: none.
      batch: Records of a batch.
      cycle_length: How many items are read in turn.
      save_steps: Steps between checkpoints.
      lease_secs: See the queue.
      has_hook: Whether there is a WorkQueueHook.
      faults: What happens, in order.
    """

    seed: int
    num_records: tuple[int, ...]
    num_epochs: int
    shuffle: int
    batch: int
    cycle_length: int
    save_steps: int
    lease_secs: float
    has_hook: bool
    faults: tuple[Fault, ...]

    def has(self, kind):
        """Whether a kind of fault is among those that happen."""
        return any(fault.kind == kind for fault in self.faults)

    def __len__(self):
        return sum(self.num_records)

    @property
    def num_steps(self):
        return len(self) * self.num_epochs // self.batch


def schedule_of(seed, *, max_faults=3):
    """Returns the schedule of a seed; the first kinds go round."""
    random = Random(seed)
    num_epochs = random.choice((1, 1, 2))
    batch = random.choice((16, 32, 64))
    num_steps = random.randint(150, 250)
    num_items = random.randint(20, 60)
    mean = num_steps * batch // num_epochs // num_items
    num_records = [random.randint(0, 2 * mean) for _ in range(num_items)]
    num_records[random.randrange(num_items)] = 0
    lease_secs = 2.0
    schedule = Schedule(
        seed=seed,
        num_records=tuple(num_records),
        num_epochs=num_epochs,
        shuffle=random.choice((0, 200, 1000, 20_000)),
        batch=batch,
        cycle_length=random.choice((1, 1, 3)),
        save_steps=random.randint(5, 40),
        lease_secs=lease_secs,
        has_hook=random.random() < 0.75,
        faults=(),
    )
    kinds = [KINDS[seed % len(KINDS)]]
    while len(kinds) < max_faults and random.random() < 0.5:
        kinds.append(random.choice(KINDS))
    # The first is early enough that the job has not ended, whatever the
    # shuffle buffer holds back.
    low, high = schedule.num_steps // 10, schedule.num_steps * 7 // 10
    at_steps = sorted(random.randint(low, high) for _ in kinds)
    alive = list(WORKERS)
    faults = []
    for kind, at_step in zip(kinds, at_steps):
        task = ""
        if kind in _OF_A_WORKER:
            if not alive:
                continue
            task = random.choice(alive)
            if kind == WORKER_KILLED:
                alive.remove(task)
        pause_secs = 0.0
        if kind == LINK_CUT:
            task = random.choice(("ps:0", "chief:0", *alive))
        if kind in (WORKER_STOPPED, LINK_CUT):
            pause_secs = lease_secs * random.uniform(1.5, 2.5)
        faults.append(Fault(kind, task, at_step, pause_secs))
    return Schedule(**{**schedule.__dict__, "faults": tuple(faults)})
