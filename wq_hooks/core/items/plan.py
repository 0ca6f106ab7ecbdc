"""Which item each ticket stands for: the epochs, their order, what is left.

    plan = Plan.fresh(Works(["a", "b"]), num_epochs=2, shuffle=False, seed=0)
    [plan.item_at(ticket).text for ticket in range(plan.total)]  # a b a b

A plan is a row of segments. A fresh one has a single segment of whole epochs;
a resumed one may begin with what was left of the epoch that a checkpoint
interrupted. A segment says its items by arithmetic or by one bit per work, so
that it can travel in a snapshot.
"""

from __future__ import annotations

import base64
import binascii
import functools
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Union

import numpy as np
import numpy.typing as npt

from wq_hooks.core.items.added_works import AddedWorks
from wq_hooks.core.items.order import EpochOrder, LongestFirst
from wq_hooks.core.items.slicing import Slicing
from wq_hooks.core.items.works import Works
from wq_hooks.errors import SnapshotError

# Greater than any number in a position; a sum of some fits int64.
MAX_NUMBER = 1 << 60
_NUMBERS = frozenset(
    ("first_ticket", "first_epoch", "num_epochs", "epoch", "slicing")
)


@dataclass(frozen=True)
class Item:
    """One work, or one slice of it, in one epoch: what is handed out.

    Attributes:
      ticket: Number of the item in the order of issue, from 0.
      epoch: Number of its epoch, from 0.
      index: Place of its work in the list of works; where works are cut, the
        place among all slices.
      text: Text for the reader: the work, with the prefix in front.
    """

    ticket: int
    epoch: int
    index: int
    text: str


@dataclass(frozen=True)
class Epochs:
    """Whole epochs from `first_epoch` on; num_epochs=None is without end."""

    first_ticket: int
    first_epoch: int
    num_epochs: int | None
    shuffle: bool
    seed: int
    slicing: int = 0


@dataclass(frozen=True)
class Listed:
    """Items named one by one: [(epoch, index), ...]."""

    first_ticket: int
    entries: tuple[tuple[int, int], ...]
    slicing: int = 0


@dataclass(frozen=True)
class Masked:
    """One epoch without the items that are done: a bit for each item.

    A snapshot may leave out a long mask: `kept` is then the fingerprint of its
    `mask_lines`, which are kept beside the checkpoints.
    """

    first_ticket: int
    epoch: int
    shuffle: bool
    seed: int
    mask: npt.NDArray[np.bool_]
    slicing: int = 0
    kept: str | None = None


Segment = Union[Epochs, Listed, Masked]
_KINDS: dict[str, Any] = {"epochs": Epochs, "listed": Listed, "masked": Masked}


class Plan:
    """The row of segments, and what is computed from it.

    Args:
      works: The works that the segments' indices point into.
      segments: Segments in the order of their tickets, without gaps.
      slicings: What the segments' `slicing` points into: how the works are
        cut; None: they are whole.
      num_slices: Number of slices that the last slicing was made for.
    """

    def __init__(
        self,
        works: Works,
        segments: Sequence[Segment],
        slicings: Sequence[Slicing | None] = (None,),
        num_slices: int | str | None = None,
    ):
        self.works = works
        self.segments = tuple(segments)
        self.slicings = tuple(slicings)
        self.num_slices = num_slices
        # Works that are added while the queue runs come after all segments.
        self.added: AddedWorks | None = None
        self._counts = [self._count(segment) for segment in self.segments]
        # What was computed last: items come in the order of their tickets.
        self._epoch_order = functools.lru_cache(maxsize=1)(self._new_order)
        self._masked: dict[int, list[int]] = {}

    @classmethod
    def fresh(
        cls,
        works: Works,
        *,
        num_epochs: int | None,
        shuffle: bool,
        seed: int,
        slicing: Slicing | None = None,
        num_slices: int | str | None = None,
    ) -> Plan:
        """Returns the plan of a run that starts at the beginning."""
        segments = [Epochs(0, 0, num_epochs, shuffle, seed)]
        return cls(works, segments, [slicing], num_slices)

    @property
    def items_per_epoch(self) -> int:
        """Number of items in one whole epoch, the last; at least 1."""
        return max(1, self.items_in(self.segments[-1]))

    def items_in(self, segment: Segment) -> int:
        """Returns the number of items in a whole epoch of a segment."""
        slicing = self.slicings[segment.slicing]
        return len(self.works) if slicing is None else slicing.num_items

    def segment_of(self, ticket: int) -> Segment:
        """Returns the segment of a ticket; IndexError: there is none."""
        segment = self._find(ticket)
        if segment is None:
            raise IndexError(f"Expected a ticket of the plan; got {ticket}.")
        return segment

    @property
    def total(self) -> int | None:
        """Number of tickets, with those done before the plan; None: no end.

        Works that are added while the queue runs are not among them.
        """
        last, count = self.segments[-1], self._counts[-1]
        return None if count is None else last.first_ticket + count

    def item_at(self, ticket: int) -> Item:
        """Returns the item of a ticket; raises IndexError if there is none."""
        if self.added is not None and ticket >= self.added.begin:
            text = self.works.joined(self.added.name_at(ticket))
            # As if they were one more epoch.
            last = self.segments[-1]
            epoch = 0
            if isinstance(last, Epochs):
                epoch = last.first_epoch + int(last.num_epochs or 0)
            return Item(ticket, epoch, ticket - self.added.begin, text)
        segment = self.segment_of(ticket)
        epoch, index = self._locate(segment, ticket - segment.first_ticket)
        slicing = self.slicings[segment.slicing]
        if slicing is None:
            text = self.works.text(index)
        else:
            text = slicing.text(index, self.works.text)
        return Item(ticket, epoch, index, text)

    def length_of(self, item: Item) -> int | None:
        """Returns the length of a slice in the unit of its source, or None."""
        if self.added is not None and item.ticket >= self.added.begin:
            return None
        slicing = self.slicings[self.segment_of(item.ticket).slicing]
        return None if slicing is None else slicing.locate(item.index).length

    def epoch_end(self, ticket: int) -> int:
        """Returns the first ticket after the epoch that holds `ticket`."""
        segment = self._find(ticket)
        if segment is None:
            return ticket
        first = segment.first_ticket
        if isinstance(segment, Epochs):
            n = self.items_in(segment)
            return first + ((ticket - first) // n + 1) * n
        return first + int(self._count(segment) or 0)

    def begun(self, epoch: int, next_ticket: int) -> npt.NDArray[np.int64]:
        """Returns the works of `epoch` with tickets below `next_ticket`.

        Those of a `Listed` segment are left out.
        """
        for segment in self.segments:
            n = self.items_in(segment)
            count = next_ticket - segment.first_ticket
            if isinstance(segment, Masked) and segment.epoch == epoch:
                order = self._masked_order(segment)
                return np.array(order[: max(count, 0)], dtype=np.int64)
            if isinstance(segment, Epochs):
                number = epoch - segment.first_epoch
                if (n and number >= 0) and (
                    segment.num_epochs is None or number < segment.num_epochs
                ):
                    stop = min(max(count - number * n, 0), n)
                    return self._order_of(segment, epoch).range(0, stop)
        return np.zeros(0, dtype=np.int64)

    def _find(self, ticket: int) -> Segment | None:
        for segment, count in zip(self.segments, self._counts):
            offset = ticket - segment.first_ticket
            if offset >= 0 and (count is None or offset < count):
                return segment
        return None

    def _count(self, segment: Segment) -> int | None:
        if isinstance(segment, Epochs):
            n = self.items_in(segment)
            if segment.num_epochs is None:
                # Nothing but empty tables, for ever, is the end at once.
                return None if n else 0
            return segment.num_epochs * n
        if isinstance(segment, Listed):
            return len(segment.entries)
        return int(segment.mask.sum())

    def _locate(self, segment: Segment, offset: int) -> tuple[int, int]:
        if isinstance(segment, Listed):
            return segment.entries[offset]
        if isinstance(segment, Masked):
            return segment.epoch, self._masked_order(segment)[offset]
        number, place = divmod(offset, self.items_in(segment))
        epoch = segment.first_epoch + number
        return epoch, self._order_of(segment, epoch)[place]

    def _order_of(
        self, segment: Epochs | Masked, epoch: int
    ) -> EpochOrder | LongestFirst:
        return self._epoch_order(
            epoch, segment.seed, segment.shuffle, segment.slicing
        )

    def _new_order(
        self, epoch: int, seed: int, shuffle: bool, number: int
    ) -> EpochOrder | LongestFirst:
        slicing = self.slicings[number]
        num_items = len(self.works) if slicing is None else slicing.num_items
        order = EpochOrder(num_items, shuffle=shuffle, seed=seed, epoch=epoch)
        if slicing is not None and slicing.is_uneven and shuffle:
            return LongestFirst(order, slicing.lengths())
        return order

    def _masked_order(self, segment: Masked) -> list[int]:
        first = segment.first_ticket
        if first not in self._masked:
            order = self._order_of(segment, segment.epoch)
            whole = order.range(0, len(segment.mask))
            self._masked[first] = whole[segment.mask[whole]].tolist()
        return self._masked[first]


def live_segments(plan: Plan, low_watermark: int) -> list[Segment]:
    """Returns the segments that hold tickets from just below the watermark on.

    The last one always stays, for its order and number of epochs.
    """
    ends = [segment.first_ticket for segment in plan.segments[1:]]
    return [
        segment
        for segment, end in zip(plan.segments, [*ends, None])
        if end is None or end >= low_watermark
    ]


def segment_to_json(segment: Segment) -> dict[str, Any]:
    """Returns the segment as a value that json can write."""
    fields = {"kind": type(segment).__name__.lower(), **vars(segment)}
    if isinstance(segment, Masked):
        fields["mask"], length = mask_lines(segment.mask)
        fields["num_works"] = int(length)
    return fields


def mask_lines(mask: npt.NDArray[np.bool_]) -> list[str]:
    """Returns a mask as two lines of text: its packed bits, its length."""
    bits = zlib.compress(np.packbits(mask).tobytes(), 6)
    return [base64.b64encode(bits).decode("ascii"), str(len(mask))]


def mask_of_lines(lines: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Returns the mask of `mask_lines`; ValueError, zlib.error: damaged."""
    packed, length = lines
    bits = zlib.decompress(base64.b64decode(packed))
    if len(bits) != (int(length) + 7) // 8:
        raise ValueError(f"{len(bits)} bytes for a mask of {length}")
    return np.unpackbits(
        np.frombuffer(bits, dtype=np.uint8), count=int(length)
    ).astype(bool)


def whole(value: Any, least: int = 0) -> int:
    """Returns a number of a position; raises ValueError if it cannot be one."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"no integer: {value!r:.80}")
    if not least <= value <= MAX_NUMBER:
        raise ValueError(f"out of range: {value!r:.80}")
    return value


def segment_from_json(value: dict[str, Any]) -> Segment:
    """Returns the segment of a value; raises SnapshotError if it is damaged."""
    try:
        fields = dict(value)
        kind = _KINDS[fields.pop("kind")]
        if kind is Masked:
            lines = [fields["mask"], str(fields.pop("num_works"))]
            fields["mask"] = mask_of_lines(lines)
        if kind is Listed:
            entries = fields["entries"]
            fields["entries"] = tuple((whole(e), whole(i)) for e, i in entries)
        elif not isinstance(fields["shuffle"], bool):
            raise ValueError(f"no bool: {fields['shuffle']!r:.80}")
        elif type(fields["seed"]) is not int:
            raise ValueError(f"no seed: {fields['seed']!r:.80}")
        for key in _NUMBERS.intersection(fields):
            if key != "num_epochs" or fields[key] is not None:
                whole(fields[key])
        segment: Segment = kind(**fields)
    except (
        KeyError,
        TypeError,
        ValueError,
        OverflowError,
        binascii.Error,
        zlib.error,
    ) as e:
        raise SnapshotError(
            f"Expected a segment of a plan; got {value!r:.200}."
        ) from e
    return segment
