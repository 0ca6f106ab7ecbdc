"""Continues from a snapshot that may hold works added while the queue ran.

    resumption = resume_with_added(works, snapshot, log=log, num_epochs=1, ...)

The listed works go on as `resume.py` says. Added works that are not done come
after them; those that are done only count.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from wq_hooks.core.items.added_works import Added, AddedLog, AddedWorks
from wq_hooks.core.items.plan import Plan
from wq_hooks.core.items.works import Works
from wq_hooks.core.position.resume import Resumption, resume
from wq_hooks.core.position.snapshot import Snapshot
from wq_hooks.errors import SnapshotError


def resume_with_added(
    works: Works, snapshot: Snapshot, *, log: AddedLog, **asked: Any
) -> Resumption:
    """Returns where a run with these arguments continues.

    Args:
      works: The works listed now.
      snapshot: The position to continue from.
      log: Works that this process has added, and whether more may come.
      **asked: See `wq_hooks.core.position.resume.resume`.

    Raises:
      SnapshotError: If the snapshot does not fit, or holds added works and
        the listed ones are to be handed out without end.
    """
    added = snapshot.added
    if added is None:
        resumption = resume(works, snapshot, **asked)
        total = resumption.plan.total
        if not log.is_closed and total is not None:
            resumption.plan.added = AddedWorks(total, log)
        return resumption
    listed = replace(
        snapshot,
        next_ticket=min(snapshot.next_ticket, added.begin),
        outstanding=tuple(
            i for i in snapshot.outstanding if i.ticket < added.begin
        ),
        added=None,
    )
    resumption = resume(works, listed, listed_end=added.begin, **asked)
    _expect_possible(snapshot, added)
    if resumption.plan.total is None:
        raise SnapshotError(
            f"Expected a number of epochs: works were added to queue "
            f"{snapshot.name!r} before it was saved, and they come after the "
            "last epoch; got num_epochs=None."
        )
    return _with_added(resumption, snapshot, added, log)


def _expect_possible(snapshot: Snapshot, added: Added) -> None:
    """Sees that the added works fit to the listed ones.

    Raises:
      SnapshotError: If they do not.
    """
    tickets = [item.ticket for item in snapshot.outstanding]
    if (
        len(set(tickets)) != len(tickets)
        or max(tickets, default=-1) >= snapshot.next_ticket
        or not added.begin
        <= added.first_ticket
        <= max(snapshot.next_ticket, added.begin)
        or added.num_added < len(added.names)
    ):
        raise SnapshotError(
            f"Expected a position of queue {snapshot.name!r:.80} whose numbers "
            "fit together; those of its added works do not. Ask to start "
            "over, or restore an older checkpoint."
        )


def _with_added(
    resumption: Resumption, snapshot: Snapshot, added: Added, log: AddedLog
) -> Resumption:
    attempts = {
        item.ticket: item.attempts
        for item in snapshot.outstanding
        if item.ticket >= added.begin
    }
    end = added.first_ticket + len(added.names)
    first_new = max(snapshot.next_ticket, added.begin)
    to_do = [*sorted(attempts), *range(first_new, end)]
    if (
        first_new > end
        or (to_do and to_do[0] < added.first_ticket)
        or len(added.priorities) not in (0, len(added.names))
    ):
        raise SnapshotError(
            f"Expected the works that were added to queue {snapshot.name!r}; "
            "some are missing in the snapshot."
        )
    # What is done is counted by tickets that come before all others.
    num_done = first_new - added.begin - len(attempts)
    old = resumption.plan
    plan = Plan(
        old.works,
        [
            replace(s, first_ticket=s.first_ticket + num_done)
            for s in old.segments
        ],
        old.slicings,
        old.num_slices,
    )
    begin = int(plan.total or 0)
    plan.added = AddedWorks(
        begin,
        log,
        [added.names[ticket - added.first_ticket] for ticket in to_do],
        added.num_added,
        added.num_logged if added.log == log.token else 0,
        priorities=[
            added.priorities[ticket - added.first_ticket] for ticket in to_do
        ]
        if added.priorities
        else (),
        num_begun=len(attempts),
    )
    next_ticket = resumption.next_ticket + num_done
    merged = {t + num_done: n for t, n in resumption.attempts.items()}
    if next_ticket == begin:
        # Else the arguments have brought listed works that come before them.
        next_ticket += len(attempts)
        for place, ticket in enumerate(sorted(attempts)):
            merged[begin + place] = attempts[ticket]
    return replace(
        resumption, plan=plan, next_ticket=next_ticket, attempts=merged
    )
