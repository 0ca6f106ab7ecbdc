"""How many records each fault may repeat; run.py states the rules."""

from __future__ import annotations

from tests.chaos import schedule as schedules

_OF_A_SESSION = (
    schedules.CHIEF_RESTARTED,
    schedules.CHIEF_PREEMPTED,
    schedules.DISK_FULL,
)


def cost_of(happened, account, signs, schedule):
    """Returns how many records a fault may repeat, and secs to recovery."""
    fault, secs = happened.fault, happened.secs
    if fault.kind == schedules.LINK_CUT and fault.task not in schedules.WORKERS:
        # What comes of it is found by `unplanned_repeats`.
        after = [s for times in signs.values() for s in times if s > secs]
        return 0, min(
            (s for s in after if s > happened.until), default=secs
        ) - secs
    if fault.task:
        held = account.held(fault.task, secs, _until(happened, signs))
        size = account.size(map(account.work_of, held))
        if fault.kind == schedules.WORKER_PREEMPTED and schedule.has_hook:
            size = min(size, schedule.shuffle)
        return size, account.leased_again(held, secs) - secs
    restored = _restored_after(secs, account)
    size, back = 0, secs
    if restored is not None:
        size += account.size(restored.in_flight)
        back = restored.secs
    concerned = ["chief:0"]
    if fault.kind in _OF_A_SESSION:
        if restored is not None:
            held = account.held_beyond(secs, happened.others)
            size += account.size(map(account.work_of, held))
    else:
        concerned += happened.others
    first = [
        min((s for s in signs[task] if s > back), default=back)
        for task in concerned
    ]
    return size, max(first) - secs


def _until(happened, signs):
    """Returns when a worker stopped to take what is repeated as a whole."""
    fault = happened.fault
    if fault.kind == schedules.WORKER_STOPPED:
        return happened.until
    if fault.kind == schedules.LINK_CUT:
        # A connection needs some seconds to notice that its link is back.
        return min(
            (s for s in signs[fault.task] if s > happened.until),
            default=float("inf"),
        )
    # Of a dead worker, whenever the chief has heard of it.
    return float("inf")


def _restored_after(secs, account):
    return min(
        (r for r in account.restored if r.secs > secs),
        key=lambda r: r.secs,
        default=None,
    )


def unplanned_repeats(happened, account, lease_secs):
    """Returns how many records may be repeated by each thing unasked for."""
    sizes = []
    planned = [
        _restored_after(h.secs, account) for h in happened if not h.fault.task
    ]
    for restored in account.restored:
        if restored not in planned:
            # The workers live on, as when the chief alone is restarted.
            held = account.held_beyond(restored.secs, schedules.WORKERS)
            works = [*restored.in_flight, *map(account.work_of, held)]
            sizes.append(account.size(works))
    stops = [
        h
        for h in happened
        if h.fault.kind in (schedules.WORKER_STOPPED, schedules.LINK_CUT)
    ]
    for task, since, until in account.silences(lease_secs):
        if not any(
            stop.fault.task == task and stop.secs < until and since < stop.until
            for stop in stops
        ):
            held = account.held(task, since, until)
            sizes.append(account.size(map(account.work_of, held)))
    return sizes
