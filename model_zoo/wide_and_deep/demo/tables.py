"""What the demo tells at its end, and what it holds itself to; pure functions.

print(tables.shares(queue, static, slow={"worker:1": 4.0}))
for check in tables.checks(...): print(check)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from model_zoo.wide_and_deep.demo.account import ResumeAccount, RunAccount
from model_zoo.wide_and_deep.demo.console import format_table


@dataclasses.dataclass(frozen=True)
class Check:
    """Something that has to be so.

    Attributes:
      holds: Whether it is.
      text: What it is about, with its numbers.
    """

    holds: bool
    text: str

    def __str__(self) -> str:
        return f"  {'ok    ' if self.holds else 'FAILED'}  {self.text}"


def shares(
    queue: RunAccount, static: RunAccount, slow: Mapping[str, float]
) -> str:
    """Returns who has trained what, from the queue and by a static split."""
    accounts = [
        *(
            (task, part, static.tasks[task])
            for task, part in queue.tasks.items()
        ),
        ("together", queue.job, static.job),
    ]
    rows = [
        ["", "items", "records", "share", "secs", "items", "records", "secs"]
    ]
    for name, ours, theirs in accounts:
        what = f"{name}, {slow[name]:g}x slower" if name in slow else name
        share = ours.records / max(1, queue.job.records)
        cells = (
            *(ours.items, ours.records, f"{share:.1%}", f"{ours.secs:.1f}"),
            *(theirs.items, theirs.records, f"{theirs.secs:.1f}"),
        )
        rows.append([what, *map(str, cells)])
    table = format_table(rows, gaps=[2, 3, 2, 2, 2, 6, 2, 2])
    # The columns are aligned to the right: each heading ends where its
    # columns end.
    columns = table.splitlines()[0]
    middle = columns.index("secs") + len("secs")
    heading = "from the work queue".rjust(middle)
    heading += "by a static split".rjust(len(columns) - middle)
    return f"{heading}\n{table}"


def times(queue: RunAccount, static: RunAccount) -> str:
    """Returns how long each took."""
    factor = static.job.secs / max(queue.job.secs, 1e-3)
    return (
        f"{queue.job.secs:.1f} s from the queue, {static.job.secs:.1f} s by "
        f"the static split: {factor:.1f} times as fast"
    )


def levels(history: Sequence[tuple[float, float]]) -> str:
    """Returns when the level came down to some marks.

    Args:
      history: Seconds since the first batch, and the level then.
    """
    words = []
    for mark in (1.0, 0.75, 0.5, 0.25, 0.0):
        for secs, level in history:
            if level <= mark:
                words.append(f"{level:.2f} at {max(0.0, secs):.0f} s")
                break
    return ", ".join(dict.fromkeys(words))


def auc(result: Mapping[str, Any]) -> str:
    """Returns the AUC against the optimum."""
    return (
        f"{result['auc']:.4f} of at most {result['optimal_auc']:.4f}: "
        f"{result['reached']:.1%} of the way from chance"
    )


def resume(account: ResumeAccount, checkpoint_age_secs: float) -> str:
    """Returns what was trained before the kill and after it."""
    rows = [["killed half-way, and resumed", "items", "records"]]
    for name, count in (
        ("in all", account.total),
        ("finished before the kill", account.finished),
        ("begun, but not finished", account.begun),
        (f"in the checkpoint, {checkpoint_age_secs:.1f} s old", account.kept),
        ("trained after the resume", account.after),
        ("trained twice", account.repeated),
        ("lost", account.lost),
    ):
        rows.append([name, str(count.items), str(count.records)])
    return format_table(rows)


def run_checks(
    queue: RunAccount, static: RunAccount, slow: Mapping[str, float]
) -> list[Check]:
    """Returns what has to be so of the two runs without a failure."""
    checks = [
        Check(
            run.lost == run.repeated == 0,
            f"{name}: each record once, {run.lost} lost, "
            f"{run.repeated} repeated",
        )
        for name, run in (("work queue", queue), ("static split", static))
    ]
    for task in slow:
        others = [p.items for t, p in queue.tasks.items() if t not in slow]
        items = queue.tasks[task].items
        checks.append(
            Check(
                items < min(others),
                f"{task} trained fewer items than the others: {items} against "
                + " and ".join(map(str, others)),
            )
        )
    checks.append(
        Check(
            queue.job.secs < static.job.secs,
            f"the queue is faster than the static split: "
            f"{queue.job.secs:.1f} s against {static.job.secs:.1f} s",
        )
    )
    return checks


def resume_checks(
    account: ResumeAccount, *, completed_at_start: int, num_trainers: int
) -> list[Check]:
    """Returns what has to be so of the job that was killed.

    Args:
      account: What was trained.
      completed_at_start: Items that are completed by the queue's own account
        in the checkpoint.
      num_trainers: How many tasks train, each of which holds one item.
    """
    total, after = account.total.items, account.after.items
    since = account.finished_since_checkpoint
    bound = since + num_trainers
    return [
        Check(
            account.lost.items == 0,
            f"killed and resumed: {account.lost.items} items lost",
        ),
        Check(
            after == total - completed_at_start,
            "the rest and only the rest was trained: "
            f"{total} - {completed_at_start} in the checkpoint = {after}",
        ),
        Check(
            account.repeated.items <= bound,
            f"trained twice: {account.repeated.items} items; at most {since} "
            f"since the checkpoint + {num_trainers} in flight",
        ),
    ]


def auc_checks(
    results: Sequence[Mapping[str, Any]], min_reached: float | None
) -> list[Check]:
    """Returns what has to be so of the models.

    Args:
      results: Those of the queue's job and of the resumed one.
      min_reached: The part of the way to the optimum that is asked for; None:
        any.
    """
    if min_reached is None:
        return []
    reached = [result["reached"] for result in results]
    return [
        Check(
            all(min_reached <= part < 1.0 for part in reached),
            f"at least {min_reached:.0%} of the way to the best AUC: "
            + ", resumed ".join(f"{part:.1%}" for part in reached),
        )
    ]
