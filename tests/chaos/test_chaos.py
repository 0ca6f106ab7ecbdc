"""A few schedules of `make chaos`, and the special case of the issue."""

from __future__ import annotations

import json
import signal
from random import Random

import pytest

from tests.chaos import run as runs
from tests.chaos.account import Account
from tests.chaos.bounds import cost_of, unplanned_repeats
from tests.chaos.job import JOURNAL, Happened, Job, Left
from tests.chaos.schedule import (
    ALL_PREEMPTED,
    ALL_RESTARTED,
    CHIEF_PREEMPTED,
    CHIEF_RESTARTED,
    DISK_FULL,
    KINDS,
    LINK_CUT,
    PS_RESTARTED,
    TASKS,
    WORKER_KILLED,
    WORKER_PREEMPTED,
    WORKER_RESTARTED,
    WORKER_STOPPED,
    WORKERS,
    Fault,
    Schedule,
    schedule_of,
)


def schedule_with(*faults, shuffle=300, has_hook=True):
    return Schedule(
        seed=7,
        num_records=(0, 1, *[150] * 38),
        num_epochs=1,
        shuffle=shuffle,
        batch=32,
        cycle_length=1,
        save_steps=10,
        lease_secs=2.0,
        has_hook=has_hook,
        faults=faults,
    )


# Each kind of fault, and as few starts of processes as that takes.
SCHEDULES = {
    "worker restarted, worker killed": schedule_with(
        Fault(WORKER_RESTARTED, "worker:0", 40, 0.0),
        Fault(WORKER_KILLED, "worker:1", 70, 0.0),
    ),
    "worker stopped, chief restarted": schedule_with(
        Fault(WORKER_STOPPED, "worker:1", 30, 3.5),
        Fault(CHIEF_RESTARTED, "", 70, 0.0),
        has_hook=False,
    ),
    "ps restarted": schedule_with(
        Fault(PS_RESTARTED, "", 60, 0.0), shuffle=20_000
    ),
    "all restarted": schedule_with(Fault(ALL_RESTARTED, "", 60, 0.0)),
    "worker preempted, chief preempted": schedule_with(
        Fault(WORKER_PREEMPTED, "worker:0", 40, 0.0),
        Fault(CHIEF_PREEMPTED, "", 80, 0.0),
        shuffle=0,
    ),
    "all preempted": schedule_with(Fault(ALL_PREEMPTED, "", 60, 0.0)),
    "worker cut off, chief cut off": schedule_with(
        Fault(LINK_CUT, "worker:0", 40, 3.5),
        Fault(LINK_CUT, "chief:0", 80, 3.5),
    ),
    "disk full": schedule_with(Fault(DISK_FULL, "", 60, 0.0)),
}


@pytest.mark.cluster
@pytest.mark.parametrize("name", SCHEDULES)
def test_nothing_is_lost_and_little_repeated(tmp_path, name):
    outcome = runs.outcome_of_schedule(SCHEDULES[name], tmp_path)

    print(outcome)
    if outcome.skipped:
        pytest.skip(outcome.skipped[0])
    assert outcome.error == ""
    assert len(outcome.recovery_secs) == len(SCHEDULES[name].faults)
    assert outcome.lost == 0
    assert outcome.untrained == 0
    # What a shuffle buffer of all the data leaves: the first and the last.
    assert outcome.num_checkpoints >= 2
    assert outcome.repeated <= outcome.bound


@pytest.mark.cluster
def test_no_record_is_acknowledged_and_untrained(tmp_path):
    """shuffle(20000), batch 512, and a worker is killed at a random step."""
    at_step = Random(3).randint(60, 120)
    schedule = Schedule(
        **{
            **schedule_with(
                Fault(WORKER_KILLED, "worker:0", at_step, 0.0)
            ).__dict__,
            # More than the buffers of the three tasks hold.
            "num_records": (1500,) * 60,
            "shuffle": 20_000,
            "batch": 512,
            "save_steps": 5,
        }
    )
    job = Job(schedule, tmp_path)

    job.run()

    account = Account(tmp_path, job.records, num_epochs=1, seed=schedule.seed)
    (happened,) = job.happened
    assert job.returncode("worker:0") == -signal.SIGKILL
    held = account.held("worker:0", happened.secs, float("inf"))
    assert held
    completed = [account.num_completed(c) for c in account.checkpoints()]
    # Some of them lie between the first items and the last.
    assert sum(0 < number < 60 for number in completed) >= 2
    assert [account.untrained(c) for c in account.checkpoints()] == [0] * len(
        completed
    )
    lost, repeated = account.lost_and_repeated(account.last_checkpoint())
    assert lost == 0
    assert repeated <= account.size(map(account.work_of, held))


def test_a_schedule_is_a_function_of_its_seed():
    assert schedule_of(5) == schedule_of(5)
    assert schedule_of(5) != schedule_of(11)


def test_a_hundred_schedules_have_all_kinds_of_faults():
    schedules = [schedule_of(seed) for seed in range(100)]

    for kind in KINDS:
        assert sum(s.faults[0].kind == kind for s in schedules) >= 8
    assert {len(s.faults) for s in schedules} == {1, 2, 3}
    for schedule in schedules:
        dead = set()
        assert all(0 < f.at_step < schedule.num_steps for f in schedule.faults)
        for fault in schedule.faults:
            assert fault.task not in dead
            if fault.kind == WORKER_KILLED:
                dead.add(fault.task)
            if fault.kind == LINK_CUT:
                assert fault.task in TASKS
            if fault.kind in (WORKER_STOPPED, LINK_CUT):
                assert fault.pause_secs > schedule.lease_secs
        assert dead <= set(WORKERS)


def journal_of(directory, *entries):
    lines = [json.dumps({"secs": secs, **entry}) for secs, entry in entries]
    (directory / JOURNAL).write_text("".join(f"{x}\n" for x in lines))
    return Account(directory, {"a": [0, 1, 2]}, num_epochs=1, seed=1)


def test_a_process_that_takes_too_long_to_leave_is_a_failure():
    in_time = Left("worker:0", 4.9, 0, was_told=False)
    with_a_save = Left("chief:0", 24.0, 143, was_told=True)
    alone = Left("worker:0", 25.0, 143, was_told=True, has_server=False)
    late = Left("worker:1", 5.1, 143, was_told=True)

    good = runs.Outcome(7, (), left=(in_time, with_a_save, alone))
    bad = runs.Outcome(7, (), left=(in_time, late))

    assert good.is_good
    assert good.longest_secs == 25.0
    assert not bad.is_good
    assert bad.late == [late]
    assert "LATE" not in str(good)
    assert "worker:1 LATE: 5.1 s" in str(bad)


def test_a_preempted_worker_in_order_repeats_nothing(tmp_path):
    account = journal_of(tmp_path, (10.0, heard("lease", "generation 0")))
    fault = Fault(WORKER_PREEMPTED, "worker:0", 5, 0.0)
    happened = Happened(fault, 10.5, 11.0, ())

    def bound(shuffle):
        schedule = schedule_with(fault, shuffle=shuffle)
        return cost_of(happened, account, {}, schedule)[0]

    # The item has three records.
    assert [bound(0), bound(2), bound(300)] == [0, 2, 3]


def heard(kind="alive", payload="", sender="worker:0/1 life"):
    return {"reports": ["\n".join([kind, sender, "", "", "", payload])]}


def test_an_account_knows_who_was_silent_for_longer_than_a_lease(tmp_path):
    account = journal_of(
        tmp_path,
        (10.0, heard("lease", "generation 0")),
        (11.5, heard(sender="worker:0 life")),
        (11.6, heard(sender="worker:1 other")),
        (14.0, heard()),
        (14.5, heard(sender="worker:0 next")),
    )

    assert list(account.silences(2.0)) == [("worker:0", 11.5, 14.0)]
    assert list(account.silences(3.0)) == []
    (claim,) = account.held("worker:0", 11.5, 14.0)
    assert account.size([account.work_of(claim)]) == 3


def test_who_dies_before_the_chief_has_heard_of_it_held_something(tmp_path):
    account = journal_of(
        tmp_path,
        (10.2, heard("lease", "generation 0")),
        (13.0, heard("lease", "generation 1", sender="worker:0/1 next")),
    )

    (claim,) = account.held("worker:0", 10.0, float("inf"))

    assert claim.ticket == 0


def test_nobody_is_silent_while_the_chief_goes_back(tmp_path):
    account = journal_of(
        tmp_path,
        (10.0, heard()),
        (11.0, {"restored": "model.ckpt-5", "in_flight": ["a"]}),
        (14.0, heard()),
    )

    assert list(account.silences(2.0)) == []


def test_what_nobody_asked_for_is_in_the_bound_too(tmp_path):
    account = journal_of(
        tmp_path,
        (10.0, heard("lease", "generation 0")),
        (11.0, {"restored": "model.ckpt-5", "in_flight": ["a"]}),
        (12.0, heard(sender="worker:1 other")),
        (15.0, heard(sender="worker:1 other")),
    )

    # A restored session, with what the worker holds; a silence of nothing.
    assert unplanned_repeats([], account, 2.0) == [6, 0]
    fault = Fault(ALL_RESTARTED, "", 5, 0.0)
    stop = Fault(WORKER_STOPPED, "worker:1", 5, 2.5)
    happened = [
        Happened(fault, 10.5, 10.6, ()),
        Happened(stop, 12.1, 14.9, ()),
    ]
    assert unplanned_repeats(happened, account, 2.0) == []
