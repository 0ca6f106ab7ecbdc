"""Continues from a snapshot, also when the arguments have changed since.

    resumption = resume(works, snapshot, num_epochs=3, shuffle=True, seed=None)
    ledger = Ledger(resumption.plan, ...)

Works done stay done, new works join the epoch that was interrupted, works no
longer listed are dropped, a higher num_epochs adds epochs, another order or
num_slices applies from the next epoch. What was in flight comes first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from wq_hooks.core.items.plan import Epochs, Listed, Masked, Plan, Segment
from wq_hooks.core.items.slicing import Slicing
from wq_hooks.core.items.works import Works
from wq_hooks.core.position.merge import Merged, merge
from wq_hooks.core.position.origin import Origin
from wq_hooks.core.position.plausibility import expect_possible
from wq_hooks.core.position.sidecar_lists import (
    read_names,
    read_slicings,
    with_masks,
)
from wq_hooks.core.position.snapshot import Snapshot
from wq_hooks.errors import SnapshotError


@dataclass(frozen=True)
class Resumption:
    """Where a ledger starts.

    Attributes:
      plan: Plan of the items to hand out.
      next_ticket: The first ticket that was never issued.
      attempts: {ticket: times leased} of the items that come first.
      given_up: [(ticket, name), ...] as in the snapshot.
      kept: Number of listed works that the snapshot knew.
      added: Number of works that are new.
      dropped: Number of works that are no longer listed.
      notes: Other changes, in words.
      origin: Says when the job began, and so on.
    """

    plan: Plan
    next_ticket: int = 0
    attempts: dict[int, int] = field(default_factory=dict)
    given_up: tuple[tuple[int, str], ...] = ()
    kept: int = 0
    added: int = 0
    dropped: int = 0
    notes: tuple[str, ...] = ()
    origin: Origin = field(default_factory=Origin)

    @property
    def changes(self) -> tuple[str, ...]:
        """What has changed of the arguments, in words."""
        if not self.added and not self.dropped:
            return self.notes
        works = (
            f"{self.kept} works kept, {self.added} added, "
            f"{self.dropped} dropped"
        )
        return works, *self.notes


def resume(
    works: Works,
    snapshot: Snapshot,
    *,
    num_epochs: int | None,
    shuffle: bool,
    seed: int | None,
    read_works: Callable[[Snapshot], list[str] | None] = lambda _: None,
    num_slices: int | str | None = None,
    slice_works: Callable[[], Slicing | None] = lambda: None,
    listed_end: int | None = None,
) -> Resumption:
    """Returns where a run with these arguments continues.

    Args:
      works: The works listed now.
      snapshot: The position to continue from.
      num_epochs: Number of epochs as asked for now.
      shuffle: Whether to shuffle, as asked for now.
      seed: Seed as asked for now, or None to go on with the snapshot's.
      read_works: Returns the list of works of a snapshot that does not hold
        it (a long one), or None where it cannot be found.
      num_slices: Number of slices as asked for now.
      slice_works: Returns how the works are to be cut now, or None: not at
        all. Called only if the works or `num_slices` have changed.

      listed_end: End of the snapshot's listed works, if it says so.

    Raises:
      SnapshotError: If the works have changed and the list that the snapshot
        was made of cannot be found, or does not fit the snapshot; or its
        numbers do not fit together.
    """
    snapshot = with_masks(snapshot, read_works)
    old_slicings = read_slicings(snapshot, read_works)
    expect_possible(snapshot, old_slicings, listed_end)
    if works.fingerprint == snapshot.fingerprint:
        if len(works) != snapshot.num_works:
            raise SnapshotError(
                f"Expected {snapshot.num_works} works; got {len(works)}."
            )
        segments = list(snapshot.segments)
        slicings = old_slicings
        next_ticket = snapshot.next_ticket
        attempts = {i.ticket: i.attempts for i in snapshot.outstanding}
        counts = (len(works), 0, 0)
        if snapshot.num_slices != num_slices:
            slicings = (*slicings, slice_works())
    else:
        old = Works(read_names(snapshot, read_works))
        slicing = slice_works()
        merged = _merge(works, old, snapshot, old_slicings, slicing)
        segments, slicings = merged.segments, merged.slicings
        next_ticket, attempts = merged.next_ticket, merged.attempts
        counts = _counts(works, old)
    notes: list[str] = []
    plan = Plan(works, segments, slicings, num_slices)
    _change_order(segments, plan, next_ticket, shuffle, seed, notes)
    _change_epochs(segments, plan, next_ticket, num_epochs, notes)
    return Resumption(
        Plan(works, segments, slicings, num_slices),
        next_ticket,
        attempts,
        snapshot.given_up,
        *counts,
        notes=tuple(notes),
    )


def _merge(
    works: Works,
    old: Works,
    snapshot: Snapshot,
    slicings: tuple[Slicing | None, ...],
    slicing: Slicing | None,
) -> Merged:
    """Returns the plan over other works."""
    last = _last_epochs(snapshot.segments)
    if snapshot.next_ticket == 0 and len(snapshot.segments) == 1:
        # Nothing has begun.
        return Merged([replace(last, slicing=0)], (slicing,), 0, {})
    old_plan = Plan(old, snapshot.segments, slicings)
    interrupted = _interrupted_epoch(old_plan, snapshot.next_ticket)
    return merge(
        works,
        old_plan,
        snapshot,
        interrupted=interrupted,
        order=_order_of(old_plan, snapshot.next_ticket),
        last=last,
        slicing=slicing,
    )


def _counts(works: Works, old: Works) -> tuple[int, int, int]:
    now, before = Counter(works), Counter(old)
    kept = sum((now & before).values())
    return kept, len(works) - kept, len(old) - kept


def _interrupted_epoch(plan: Plan, next_ticket: int) -> int:
    """Returns the newest epoch that was begun."""
    for segment in reversed(plan.segments):
        if isinstance(segment, Masked):
            return segment.epoch
        if isinstance(segment, Epochs) and segment.first_ticket < next_ticket:
            offset = next_ticket - 1 - segment.first_ticket
            n = max(1, plan.items_in(segment))
            return segment.first_epoch + offset // n
    return 0


def _last_epochs(segments: Sequence[Segment]) -> Epochs:
    if not segments or not isinstance(segments[-1], Epochs):
        raise SnapshotError("Expected a plan that ends in whole epochs.")
    return segments[-1]


def _order_of(plan: Plan, next_ticket: int) -> Epochs | Masked:
    """Returns the segment whose order the newest item handed out was in."""
    ordered = [s for s in plan.segments if not isinstance(s, Listed)]
    begun = [s for s in ordered if s.first_ticket < next_ticket]
    return begun[-1] if begun else ordered[0]


def _change_order(
    segments: list[Segment],
    plan: Plan,
    next_ticket: int,
    shuffle: bool,
    seed: int | None,
    notes: list[str],
) -> None:
    """Lets another order or slicing apply from the next epoch on."""
    last = _last_epochs(segments)
    seed = last.seed if seed is None else seed
    slicing = len(plan.slicings) - 1
    is_recut = plan.slicings[slicing] != plan.slicings[last.slicing]
    if (last.shuffle, last.seed) != (shuffle, seed):
        notes.append("the new order applies from the next epoch")
    elif not is_recut:
        return
    if is_recut:
        notes.append("the new num_slices applies from the next epoch")
    else:
        slicing = last.slicing
    num_items = plan.items_in(last)
    begun = _begun_epochs(last, num_items, next_ticket)
    rest = None if last.num_epochs is None else last.num_epochs - begun
    if begun:
        segments[-1] = replace(last, num_epochs=begun)
    else:
        segments.pop()
    segments.append(
        Epochs(
            last.first_ticket + begun * num_items,
            last.first_epoch + begun,
            rest,
            shuffle,
            seed,
            slicing,
        )
    )


def _change_epochs(
    segments: list[Segment],
    plan: Plan,
    next_ticket: int,
    num_epochs: int | None,
    notes: list[str],
) -> None:
    """Gives the last segment the number of epochs that is asked for now."""
    last = _last_epochs(segments)
    before = (
        None if last.num_epochs is None else last.first_epoch + last.num_epochs
    )
    if before == num_epochs:
        return
    wanted = None
    if num_epochs is not None:
        # An epoch that is begun is finished.
        begun = _begun_epochs(last, plan.items_in(last), next_ticket)
        wanted = max(num_epochs - last.first_epoch, begun, 0)
    if wanted != last.num_epochs:
        notes.append(f"num_epochs is now {num_epochs}, was {before}")
        segments[-1] = replace(last, num_epochs=wanted)


def _begun_epochs(segment: Epochs, num_items: int, next_ticket: int) -> int:
    issued = max(next_ticket - segment.first_ticket, 0)
    return -(-issued // max(1, num_items))
