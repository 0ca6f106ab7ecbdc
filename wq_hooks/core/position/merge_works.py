"""Merges a position into another list of works, where works are whole.

Works that are done stay done, new ones join the epoch that was interrupted,
and those no longer listed are dropped. `resume` calls this; where works are cut
into slices, `merge_slices` does the same slice by slice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wq_hooks.core.items.plan import Epochs, Listed, Masked, Plan, Segment
from wq_hooks.core.items.slicing import Slicing
from wq_hooks.core.items.works import Works
from wq_hooks.core.position.snapshot import Snapshot


@dataclass(frozen=True)
class Merged:
    """The plan over the new works.

    Attributes:
      segments: Segments in the order of their tickets.
      slicings: What the segments' slicing points into.
      next_ticket: The first ticket that was never issued.
      attempts: {ticket: times leased} of what was in flight, in the front.
    """

    segments: list[Segment]
    slicings: tuple[Slicing | None, ...]
    next_ticket: int
    attempts: dict[int, int]


def merge_works(
    works: Works,
    old_plan: Plan,
    snapshot: Snapshot,
    *,
    interrupted: int,
    order: Epochs | Masked,
    last: Epochs,
) -> Merged:
    """Returns the plan that goes on with these works.

    Args:
      works: The works listed now.
      old_plan: The plan of the snapshot; its works are whole.
      snapshot: The position to continue from.
      interrupted: The newest epoch that was begun.
      order: The segment that it is in.
      last: The last segment, with the number of epochs.
    """
    mask = _to_do(works, old_plan, snapshot, interrupted)
    entries, attempts = _in_flight(works, old_plan, snapshot, interrupted, mask)
    for epoch, index in entries:
        if epoch == interrupted:
            mask[index] = False
    segments: list[Segment] = []
    first = snapshot.completed
    if entries:
        segments.append(Listed(first, tuple(entries)))
    # Also when it is empty: it says which epoch was begun, and that all works
    # listed now are done in it; the next merge needs to know.
    first += len(entries)
    next_ticket = first
    segments.append(Masked(first, interrupted, order.shuffle, order.seed, mask))
    first += int(mask.sum())
    segments.append(rest_of(last, first, interrupted))
    return Merged(
        segments,
        old_plan.slicings,
        next_ticket,
        dict(enumerate(attempts, snapshot.completed)),
    )


def rest_of(
    last: Epochs, first_ticket: int, interrupted: int, slicing: int = 0
) -> Epochs:
    """Returns the epochs behind the one that was interrupted.

    Args:
      last: The last segment of the snapshot.
      first_ticket: First ticket of these epochs.
      interrupted: The newest epoch that was begun.
      slicing: Which of the plan's slicings they have.
    """
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


def _in_flight(
    works: Works,
    old_plan: Plan,
    snapshot: Snapshot,
    interrupted: int,
    mask: npt.NDArray[np.bool_],
) -> tuple[list[tuple[int, int]], list[int]]:
    """Returns [(epoch, index)] and attempts of what is in flight and listed."""
    items = [
        (old_plan.item_at(item.ticket), item.attempts)
        for item in sorted(snapshot.outstanding, key=lambda i: i.ticket)
    ]
    listed: dict[str, list[int]] = {
        old_plan.works[item.index]: [] for item, _ in items
    }
    for index, name in enumerate(works):
        if name in listed:
            listed[name].append(index)
    # Of a work that is listed several times, each copy is done once.
    free: dict[tuple[int, str], Iterator[int]] = {}
    entries, attempts = [], []
    for item, count in items:
        name = old_plan.works[item.index]
        key = item.epoch, name
        if key not in free:
            is_interrupted = item.epoch == interrupted
            free[key] = iter(
                [i for i in listed[name] if mask[i] or not is_interrupted]
            )
        index = next(free[key], -1)
        if index >= 0:
            entries.append((item.epoch, index))
            attempts.append(count)
    return entries, attempts


def _to_do(
    works: Works,
    old_plan: Plan,
    snapshot: Snapshot,
    epoch: int,
) -> npt.NDArray[np.bool_]:
    """Returns a bit for each of `works`: not completed in `epoch`."""
    old = old_plan.works
    is_done = np.zeros(len(old), dtype=np.bool_)
    for segment in snapshot.segments:
        if isinstance(segment, Masked) and segment.epoch == epoch:
            # Works that an earlier merge had already left out.
            is_done = ~segment.mask
    is_done[old_plan.begun(epoch, snapshot.next_ticket)] = True
    for open_item in snapshot.outstanding:
        item = old_plan.item_at(open_item.ticket)
        if item.epoch == epoch:
            is_done[item.index] = False
    done = Counter(old[index] for index in np.flatnonzero(is_done).tolist())
    mask = np.ones(len(works), dtype=np.bool_)
    for index, name in enumerate(works):
        if done[name] > 0:
            done[name] -= 1
            mask[index] = False
    return mask
