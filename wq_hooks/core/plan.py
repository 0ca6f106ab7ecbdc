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
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Union

import numpy as np
import numpy.typing as npt

from wq_hooks.core.order import EpochOrder
from wq_hooks.core.works import Works
from wq_hooks.errors import SnapshotError


@dataclass(frozen=True)
class Item:
    """One work in one epoch: the unit that is handed out.

    Attributes:
      ticket: Its number in the order of issue, from 0.
      epoch: Number of its epoch, from 0.
      index: Its work's place in the list of works.
      text: What the reader gets: the work with the prefix joined in front.
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


@dataclass(frozen=True)
class Listed:
    """Items named one by one: [(epoch, index), ...]."""

    first_ticket: int
    entries: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Masked:
    """One epoch without the works that are done: a bit for each work."""

    first_ticket: int
    epoch: int
    shuffle: bool
    seed: int
    mask: npt.NDArray[np.bool_]


Segment = Union[Epochs, Listed, Masked]


class Plan:
    """The row of segments, and what is computed from it.

    Args:
      works: The works that the segments' indices point into.
      segments: In the order of their tickets, without gaps.
    """

    def __init__(self, works: Works, segments: Sequence[Segment]):
        self.works = works
        self.segments = tuple(segments)
        self._counts = [self._count(segment) for segment in self.segments]
        # What was computed last: items come in the order of their tickets.
        self._order: EpochOrder | None = None
        self._order_key: tuple[int, int, bool] | None = None
        self._masked: dict[int, list[int]] = {}

    @classmethod
    def fresh(
        cls,
        works: Works,
        *,
        num_epochs: int | None,
        shuffle: bool,
        seed: int,
    ) -> Plan:
        """Returns the plan of a run that starts at the beginning."""
        return cls(works, [Epochs(0, 0, num_epochs, shuffle, seed)])

    @property
    def items_per_epoch(self) -> int:
        """Number of items in one whole epoch."""
        return len(self.works)

    @property
    def total(self) -> int | None:
        """Number of tickets, those done before the plan included.

        None: without end.
        """
        last, count = self.segments[-1], self._counts[-1]
        return None if count is None else last.first_ticket + count

    def item_at(self, ticket: int) -> Item:
        """Returns the item of a ticket.

        Raises:
          IndexError: If the plan has no such ticket.
        """
        for segment, count in zip(self.segments, self._counts):
            offset = ticket - segment.first_ticket
            if offset >= 0 and (count is None or offset < count):
                epoch, index = self._locate(segment, offset)
                return Item(ticket, epoch, index, self.works.text(index))
        raise IndexError(f"Expected a ticket of the plan; got {ticket}.")

    def epoch_end(self, ticket: int) -> int:
        """Returns the first ticket after the epoch that holds `ticket`."""
        for segment, count in zip(self.segments, self._counts):
            offset = ticket - segment.first_ticket
            if offset < 0 or (count is not None and offset >= count):
                continue
            if isinstance(segment, Epochs):
                n = self.items_per_epoch
                return segment.first_ticket + (offset // n + 1) * n
            return segment.first_ticket + int(count or 0)
        return ticket

    def begun(self, epoch: int, next_ticket: int) -> npt.NDArray[np.int64]:
        """Returns the works of `epoch` with tickets below `next_ticket`.

        Those of a `Listed` segment are left out.
        """
        n = self.items_per_epoch
        for segment in self.segments:
            count = next_ticket - segment.first_ticket
            if isinstance(segment, Masked) and segment.epoch == epoch:
                order = self._masked_order(segment)
                return np.array(order[: max(count, 0)], dtype=np.int64)
            if isinstance(segment, Epochs):
                number = epoch - segment.first_epoch
                if number >= 0 and (
                    segment.num_epochs is None or number < segment.num_epochs
                ):
                    stop = min(max(count - number * n, 0), n)
                    return self._epoch_order(segment, epoch).range(0, stop)
        return np.zeros(0, dtype=np.int64)

    def _count(self, segment: Segment) -> int | None:
        if isinstance(segment, Epochs):
            if segment.num_epochs is None:
                return None
            return segment.num_epochs * self.items_per_epoch
        if isinstance(segment, Listed):
            return len(segment.entries)
        return int(segment.mask.sum())

    def _locate(self, segment: Segment, offset: int) -> tuple[int, int]:
        if isinstance(segment, Listed):
            return segment.entries[offset]
        if isinstance(segment, Masked):
            return segment.epoch, self._masked_order(segment)[offset]
        number, place = divmod(offset, self.items_per_epoch)
        epoch = segment.first_epoch + number
        return epoch, self._epoch_order(segment, epoch)[place]

    def _epoch_order(self, segment: Epochs | Masked, epoch: int) -> EpochOrder:
        key = (epoch, segment.seed, segment.shuffle)
        if self._order is None or key != self._order_key:
            self._order = EpochOrder(
                self.items_per_epoch,
                shuffle=segment.shuffle,
                seed=segment.seed,
                epoch=epoch,
            )
            self._order_key = key
        return self._order

    def _masked_order(self, segment: Masked) -> list[int]:
        if segment.first_ticket not in self._masked:
            order = self._epoch_order(segment, segment.epoch)
            whole = order.range(0, self.items_per_epoch)
            self._masked[segment.first_ticket] = whole[
                segment.mask[whole]
            ].tolist()
        return self._masked[segment.first_ticket]


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
    if isinstance(segment, Epochs):
        return {"kind": "epochs", **vars(segment)}
    if isinstance(segment, Listed):
        return {
            "kind": "listed",
            "first_ticket": segment.first_ticket,
            "entries": [list(entry) for entry in segment.entries],
        }
    bits = zlib.compress(np.packbits(segment.mask).tobytes(), 6)
    return {
        "kind": "masked",
        **vars(replace(segment)),
        "mask": base64.b64encode(bits).decode("ascii"),
        "num_works": len(segment.mask),
    }


def segment_from_json(value: dict[str, Any]) -> Segment:
    """Returns the segment that `segment_to_json` wrote.

    Raises:
      SnapshotError: If it is damaged.
    """
    try:
        fields = dict(value)
        kind = fields.pop("kind")
        if kind == "epochs":
            return Epochs(**fields)
        if kind == "listed":
            entries = tuple((int(e), int(i)) for e, i in fields["entries"])
            return Listed(int(fields["first_ticket"]), entries)
        if kind == "masked":
            num_works = fields.pop("num_works")
            bits = zlib.decompress(base64.b64decode(fields.pop("mask")))
            if len(bits) != (num_works + 7) // 8:
                raise ValueError(f"{len(bits)} bytes for {num_works} works")
            mask = np.unpackbits(
                np.frombuffer(bits, dtype=np.uint8), count=num_works
            )
            return Masked(mask=mask.astype(bool), **fields)
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
    raise SnapshotError(f"Expected a known kind of segment; got {kind!r:.80}.")
