"""Merges a position into another list of works, where works are cut.

What is done is done slice by slice: a work that is still listed keeps, for the
epoch that was interrupted, the slices that it had. New works join that epoch
with slices of their own, and from the next epoch on the new slicing applies.
`resume` calls this; whole works go a simpler way there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wq_hooks.core.items.plan import Epochs, Item, Listed, Masked, Plan, Segment
from wq_hooks.core.items.slicing import Slicing
from wq_hooks.core.items.works import Works
from wq_hooks.core.position.merge_works import Merged, rest_of
from wq_hooks.core.position.snapshot import Snapshot


def merge_slices(
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
    new_of_old = _pairs(old_plan.works, works)
    # Slicings over the new works: first that of the interrupted epoch, then
    # those that only items in flight still have, and the new one at the end.
    carried = {
        order.slicing: _carry(
            old_plan.slicing_of(order), new_of_old, len(works), slicing
        )
    }
    numbers = {order.slicing: 0}
    slicings: list[Slicing | None] = [carried[order.slicing]]
    mask = _to_do(old_plan, snapshot, interrupted, order, carried, new_of_old)
    groups: dict[int, list[tuple[int, int, int]]] = {}
    for open_item in sorted(snapshot.outstanding, key=lambda i: i.ticket):
        item = old_plan.item_at(open_item.ticket)
        old = old_plan.segment_of(item.ticket)
        if old.slicing not in carried:
            carried[old.slicing] = _carry(
                old_plan.slicing_of(old), new_of_old, len(works), None
            )
            numbers[old.slicing] = len(slicings)
            slicings.append(carried[old.slicing])
        index = _moved(
            item, old_plan.slicing_of(old), carried[old.slicing], new_of_old
        )
        if index is None:
            continue
        if item.epoch == interrupted and old.slicing == order.slicing:
            mask[index] = False
        groups.setdefault(numbers[old.slicing], []).append(
            (item.epoch, index, open_item.attempts)
        )
    segments: list[Segment] = []
    attempts: dict[int, int] = {}
    first = snapshot.completed
    for number, entries in groups.items():
        listed = tuple((epoch, index) for epoch, index, _ in entries)
        segments.append(Listed(first, listed, number))
        for _, _, count in entries:
            attempts[first] = count
            first += 1
    next_ticket = first
    segments.append(
        Masked(first, interrupted, order.shuffle, order.seed, mask, 0)
    )
    first += int(mask.sum())
    segments.append(rest_of(last, first, interrupted, len(slicings)))
    slicings.append(slicing)
    return Merged(segments, tuple(slicings), next_ticket, attempts)


def _pairs(old: Sequence[str], new: Sequence[str]) -> dict[int, int]:
    """Returns {old index: new index} of the works that are still listed."""
    places: dict[str, list[int]] = {}
    for index in reversed(range(len(new))):
        places.setdefault(new[index], []).append(index)
    pairs = {}
    for index, name in enumerate(old):
        if places.get(name):
            pairs[index] = places[name].pop()
    return pairs


def _carry(
    old: Slicing,
    new_of_old: dict[int, int],
    num_works: int,
    others: Slicing | None,
) -> Slicing:
    """Returns an old slicing, for the places that the works have now.

    Works that are new are cut as in `others`.
    """
    others = others or Slicing.whole(num_works)
    sizes = [others.size_of(work) for work in range(num_works)]
    counts = [len(others.items_of(work)) for work in range(num_works)]
    edges = {work: others.edges_of(work) for work in range(num_works)}
    for before, now in new_of_old.items():
        sizes[now] = old.size_of(before)
        counts[now] = len(old.items_of(before))
        edges[now] = old.edges_of(before)
    return Slicing(
        sizes,
        counts,
        {work: places for work, places in edges.items() if places},
    )


def _moved(
    item: Item, old: Slicing, new: Slicing, new_of_old: dict[int, int]
) -> int | None:
    """Returns the place of an item now; None: it is no longer listed."""
    work = old.locate(item.index).work
    if work not in new_of_old:
        return None
    offset = item.index - old.items_of(work).start
    return new.items_of(new_of_old[work]).start + offset


def _to_do(
    old_plan: Plan,
    snapshot: Snapshot,
    epoch: int,
    order: Epochs | Masked,
    carried: dict[int, Slicing],
    new_of_old: dict[int, int],
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Returns a bit for each item of the interrupted epoch: not completed."""
    old, new = old_plan.slicing_of(order), carried[order.slicing]
    is_done = np.zeros(old.num_items, dtype=np.bool_)
    for segment in snapshot.segments:
        if isinstance(segment, Masked) and segment.epoch == epoch:
            # What an earlier merge had already left out.
            is_done = ~segment.mask
    is_done[old_plan.begun(epoch, snapshot.next_ticket)] = True
    for open_item in snapshot.outstanding:
        item = old_plan.item_at(open_item.ticket)
        segment = old_plan.segment_of(open_item.ticket)
        if item.epoch == epoch and segment.slicing == order.slicing:
            is_done[item.index] = False
    mask = np.ones(new.num_items, dtype=np.bool_)
    for before, now in new_of_old.items():
        was, is_now = old.items_of(before), new.items_of(now)
        mask[is_now.start : is_now.stop] = ~is_done[was.start : was.stop]
    return mask
