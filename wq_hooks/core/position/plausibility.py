"""Whether the numbers of a position can be: they have to fit together.

    expect_possible(snapshot, slicings)

A checksum tells what was damaged, not what another program has written. A
ledger that began from numbers that contradict each other would lose items,
hand them out twice, or count for ever.
"""

from __future__ import annotations

from collections.abc import Sequence

from wq_hooks.core.items.plan import Epochs, Listed, Masked, Segment
from wq_hooks.core.items.slicing import Slicing
from wq_hooks.core.position.snapshot import Snapshot
from wq_hooks.errors import SnapshotError


def expect_possible(
    snapshot: Snapshot,
    slicings: Sequence[Slicing | None],
    listed_end: int | None = None,
) -> None:
    """Sees that a position is one that a queue may have been at.

    Args:
      snapshot: The position, with its masks; without added works.
      slicings: Slicings of the snapshot.
      listed_end: The first ticket after its listed works, if it says so.

    Raises:
      SnapshotError: If it is not.
    """
    reason = _reason(snapshot, slicings, listed_end)
    if reason:
        raise SnapshotError(
            f"Expected a position of queue {snapshot.name!r:.80} whose "
            f"numbers fit together; {reason}. It was not written by a queue, "
            "or was changed since: ask to start over, or restore an older "
            "checkpoint."
        )


def _reason(
    snapshot: Snapshot,
    slicings: Sequence[Slicing | None],
    listed_end: int | None,
) -> str | None:
    """Returns what cannot be, or None."""
    segments = snapshot.segments
    if snapshot.num_works < 1:
        return "it has no works"
    if not segments or not isinstance(segments[-1], Epochs):
        return "its plan does not end in whole epochs"
    for slicing in slicings:
        if slicing is not None and slicing.num_works != snapshot.num_works:
            return f"it has not the sizes of {snapshot.num_works} works"
    if any(segment.slicing >= len(slicings) for segment in segments):
        return "it lacks the sizes of its works"
    ticket, epoch = segments[0].first_ticket, None
    for segment in segments:
        slicing = slicings[segment.slicing]
        size = snapshot.num_works if slicing is None else slicing.num_items
        if segment.first_ticket != ticket:
            return f"ticket {ticket} is missing, or there twice"
        if isinstance(segment, Listed):
            if any(index >= size for _, index in segment.entries):
                return f"it names an item beyond {size}"
        else:
            first = (
                segment.epoch
                if isinstance(segment, Masked)
                else (segment.first_epoch)
            )
            if epoch not in (None, first):
                return f"epoch {epoch} is missing, or there twice"
            epoch = _end_of_epochs(segment)
        if isinstance(segment, Masked) and len(segment.mask) != size:
            return f"it says of other than {size} items whether they are done"
        end = _end_of_tickets(segment, size)
        if end is None and segment is not segments[-1]:
            return "epochs follow those without end"
        ticket = end if end is not None else ticket
    if listed_end not in (None, end):
        return f"its listed works end at {end}, the others begin elsewhere"
    return _reason_of_entries(segments) or _reason_of_tickets(snapshot, end)


def _reason_of_entries(segments: Sequence[Segment]) -> str | None:
    """Returns which item would be handed out twice, or None."""
    seen: set[tuple[int, int, int]] = set()
    for listed in segments:
        if not isinstance(listed, Listed):
            continue
        for epoch, index in listed.entries:
            key = (listed.slicing, epoch, index)
            if key in seen or any(
                _holds(segment, *key) for segment in segments
            ):
                return f"item {index} of epoch {epoch} is there twice"
            seen.add(key)
    return None


def _holds(segment: Segment, slicing: int, epoch: int, index: int) -> bool:
    """Whether an item of the list would be handed out in a segment, too."""
    if isinstance(segment, Masked):
        return (segment.slicing, segment.epoch) == (slicing, epoch) and bool(
            segment.mask[index]
        )
    if isinstance(segment, Epochs):
        end = _end_of_epochs(segment)
        return epoch >= segment.first_epoch and (end is None or epoch < end)
    return False


def _reason_of_tickets(snapshot: Snapshot, end: int | None) -> str | None:
    tickets = [item.ticket for item in snapshot.outstanding]
    if len(set(tickets)) != len(tickets):
        return "an item is outstanding twice"
    if max(tickets, default=-1) >= snapshot.next_ticket:
        return "an item is outstanding that was never handed out"
    if snapshot.low_watermark < snapshot.segments[0].first_ticket:
        return "an item is outstanding that its plan does not know"
    if end is not None and snapshot.next_ticket > end:
        return f"{snapshot.next_ticket} of {end} items were handed out"
    return None


def _end_of_epochs(segment: Epochs | Masked) -> int | None:
    if isinstance(segment, Masked):
        return segment.epoch + 1
    if segment.num_epochs is None:
        return None
    return segment.first_epoch + segment.num_epochs


def _end_of_tickets(segment: Segment, size: int) -> int | None:
    if isinstance(segment, Listed):
        return segment.first_ticket + len(segment.entries)
    if isinstance(segment, Masked):
        return segment.first_ticket + int(segment.mask.sum())
    if segment.num_epochs is None:
        return None if size else segment.first_ticket
    return segment.first_ticket + segment.num_epochs * size
