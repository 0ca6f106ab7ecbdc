"""Merges a position into another list of works.

Works that are done stay done, new ones join the epoch that was interrupted,
and those no longer listed are dropped. A work that is still listed keeps, for
that epoch, the slices that it had; a whole work is one slice. From the next
epoch on the new slicing applies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wq_hooks.core.items.plan import Epochs, Listed, Masked, Plan, Segment
from wq_hooks.core.items.slicing import Slicing
from wq_hooks.core.items.works import Works
from wq_hooks.core.position.snapshot import Snapshot

_DROPPED = -1


@dataclass(frozen=True)
class Merged:
    """The plan over the new works.

    Attributes:
      segments: Segments in the order of their tickets.
      slicings: Slicings that the segments point into.
      next_ticket: The first ticket that was never issued.
      attempts: {ticket: times leased} of what was in flight, in the front.
    """

    segments: list[Segment]
    slicings: tuple[Slicing | None, ...]
    next_ticket: int
    attempts: dict[int, int]


@dataclass(frozen=True)
class _Carried:
    """An old slicing, for the places that the works have now.

    Attributes:
      number: Number of the slicing in the new plan.
      slicing: The slicing; None: all works are whole.
      places: Place of each old item now, or _DROPPED.
    """

    number: int
    slicing: Slicing | None
    places: npt.NDArray[np.int64]


def merge(
    works: Works,
    old_plan: Plan,
    snapshot: Snapshot,
    *,
    interrupted: int,
    order: Epochs | Masked,
    last: Epochs,
    slicing: Slicing | None,
) -> Merged:
    """Returns the plan that goes on with these works.

    Args:
      works: The works listed now.
      old_plan: The plan of the snapshot.
      snapshot: The position to continue from.
      interrupted: The newest epoch that was begun.
      order: The segment that it is in.
      last: The last segment, with the number of epochs.
      slicing: Slicing of the works listed now; None: they are whole.
    """
    is_done = _done(old_plan, snapshot, interrupted, order)
    old_slicing = old_plan.slicings[order.slicing]
    before, now = _pairs(old_plan.works, works, _left(old_slicing, is_done))
    # First the slicing of the interrupted epoch, then those that only items in
    # flight still have, and the new one at the end.
    pairs = len(old_plan.works), before, now, len(works)
    current = _carry(0, old_slicing, *pairs, slicing)
    carried = {id(old_slicing): current}
    is_kept = current.places != _DROPPED
    num_items = current.slicing.num_items if current.slicing else len(works)
    mask = np.ones(num_items, dtype=np.bool_)
    mask[current.places[is_kept]] = ~is_done[is_kept]

    groups: dict[int, list[tuple[int, int, int]]] = {}
    used: set[tuple[int, int, int]] = set()
    copies = _copies(works, old_plan, snapshot)
    for open_item in sorted(snapshot.outstanding, key=lambda i: i.ticket):
        item = old_plan.item_at(open_item.ticket)
        old = old_plan.slicings[old_plan.segment_of(item.ticket).slicing]
        if id(old) not in carried:
            carried[id(old)] = _carry(len(carried), old, *pairs, None)
        moved = carried[id(old)]
        candidates = [int(moved.places[item.index])]
        if moved.slicing is None:
            # Each copy of a whole work may stand for another one.
            candidates += copies.get(old_plan.works[item.index], [])
        is_masked = item.epoch == interrupted and old is old_slicing
        place = next(
            (
                place
                for place in candidates
                if place != _DROPPED
                and (moved.number, item.epoch, place) not in used
                and (not is_masked or mask[place])
            ),
            _DROPPED,
        )
        if place == _DROPPED:
            continue
        used.add((moved.number, item.epoch, place))
        if is_masked:
            mask[place] = False
        groups.setdefault(moved.number, []).append(
            (item.epoch, place, open_item.attempts)
        )

    segments: list[Segment] = []
    attempts: dict[int, int] = {}
    ticket = snapshot.completed
    for number, entries in groups.items():
        listed = tuple((epoch, place) for epoch, place, _ in entries)
        segments.append(Listed(ticket, listed, number))
        for _, _, count in entries:
            attempts[ticket] = count
            ticket += 1
    next_ticket = ticket
    # Also when it is empty: it says which epoch was begun, and that all works
    # listed now are done in it; the next merge needs to know.
    segments.append(
        Masked(ticket, interrupted, order.shuffle, order.seed, mask)
    )
    ticket += int(mask.sum())
    slicings = [c.slicing for c in carried.values()]
    if slicing is not None or slicings != [None]:
        slicings.append(slicing)
    segments.append(_rest_of(last, ticket, interrupted, len(slicings) - 1))
    return Merged(segments, tuple(slicings), next_ticket, attempts)


def _done(
    plan: Plan, snapshot: Snapshot, epoch: int, order: Epochs | Masked
) -> npt.NDArray[np.bool_]:
    """Returns a bit for each old item of the interrupted epoch: completed."""
    is_done = np.zeros(plan.items_in(order), dtype=np.bool_)
    for segment in snapshot.segments:
        if isinstance(segment, Masked) and segment.epoch == epoch:
            # What an earlier merge had already left out.
            is_done = ~segment.mask
    is_done[plan.begun(epoch, snapshot.next_ticket)] = True
    slicing = plan.slicings[order.slicing]
    for open_item in snapshot.outstanding:
        item = plan.item_at(open_item.ticket)
        segment = plan.segment_of(open_item.ticket)
        is_same = plan.slicings[segment.slicing] is slicing
        if item.epoch == epoch and is_same:
            is_done[item.index] = False
    return is_done


def _left(
    slicing: Slicing | None, is_done: npt.NDArray[np.bool_]
) -> npt.NDArray[np.int64]:
    """Returns how many items of each old work are not done."""
    if slicing is None:
        return (~is_done).astype(np.int64)
    works = slicing.works_of(np.flatnonzero(~is_done))
    return np.bincount(works, minlength=slicing.num_works).astype(np.int64)


def _pairs(
    old: Sequence[str], new: Sequence[str], left: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Returns old and new indices of the works that are still listed.

    Of a work that is listed several times, the copies with the least left to
    do are kept first.
    """
    places: dict[str, list[int]] = {}
    for index in reversed(range(len(new))):
        places.setdefault(new[index], []).append(index)
    pairs = [
        (index, places[old[index]].pop())
        for index in np.argsort(left, kind="stable").tolist()
        if places.get(old[index])
    ]
    before, now = np.array(pairs, np.int64).reshape(-1, 2).T
    return before, now


def _copies(
    works: Works, old_plan: Plan, snapshot: Snapshot
) -> dict[str, list[int]]:
    """Returns where works are listed that are in flight as whole ones."""
    copies: dict[str, list[int]] = {}
    for open_item in snapshot.outstanding:
        segment = old_plan.segment_of(open_item.ticket)
        if old_plan.slicings[segment.slicing] is None:
            index = old_plan.item_at(open_item.ticket).index
            copies[old_plan.works[index]] = []
    for index, name in enumerate(works):
        if name in copies:
            copies[name].append(index)
    return copies


def _carry(
    number: int,
    old: Slicing | None,
    num_old: int,
    before: npt.NDArray[np.int64],
    now: npt.NDArray[np.int64],
    num_now: int,
    others: Slicing | None,
) -> _Carried:
    """Returns an old slicing for the places that the works have now.

    Works that are new are cut as in `others`; None: not at all.
    """
    if old is None and others is None:
        places = np.full(num_old, _DROPPED, np.int64)
        places[before] = now
        return _Carried(number, None, places)
    others = others or Slicing.whole(num_now)
    sizes = [others.size_of(work) for work in range(num_now)]
    counts = [len(others.items_of(work)) for work in range(num_now)]
    edges = {work: others.edges_of(work) for work in range(num_now)}
    pairs = list(zip(before.tolist(), now.tolist()))
    for was, work in pairs:
        sizes[work] = None if old is None else old.size_of(was)
        counts[work] = 1 if old is None else len(old.items_of(was))
        edges[work] = None if old is None else old.edges_of(was)
    slicing = Slicing(sizes, counts, {w: e for w, e in edges.items() if e})
    places = np.full(old.num_items if old else num_old, _DROPPED, np.int64)
    for was, work in pairs:
        items = old.items_of(was) if old else range(was, was + 1)
        places[items.start : items.stop] = slicing.items_of(work)
    return _Carried(number, slicing, places)


def _rest_of(
    last: Epochs, first_ticket: int, interrupted: int, slicing: int
) -> Epochs:
    """Returns the epochs after the one that was interrupted."""
    num_epochs = None
    if last.num_epochs is not None:
        end = last.first_epoch + last.num_epochs
        num_epochs = max(end - interrupted - 1, 0)
    return Epochs(
        first_ticket,
        interrupted + 1,
        num_epochs,
        last.shuffle,
        last.seed,
        slicing,
    )
