"""How works are cut into slices: by arithmetic, from their sizes alone.

    slicing = Slicing.share([3, 1000, None], num_slices=10)
    slicing.num_items                # 10 slices and 1 whole work
    slicing.locate(0)                # Cut(work=0, start=0, end=3)

Nothing is listed but one size and one count for each work: ten million slices
of a thousand tables take a thousand numbers. The trap: the arithmetic below is
part of the checkpoint format; do not "improve" it.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from wq_hooks.core.items.slice_text import slice_text

_WHOLE = -1


class Cut(NamedTuple):
    """One item: slice [start, end) of a work; None: all of it."""

    work: int
    start: int | None
    end: int | None

    @property
    def length(self) -> int | None:
        """Length of the slice; that of a whole work is not known."""
        if self.start is None or self.end is None:
            return None
        return self.end - self.start


class Slicing:
    """Into how many slices each work is cut.

    Args:
      sizes: Length of each work, in records or bytes; None: it stays whole.
      counts: Number of slices of each work; 1 for one that stays whole.
      edges: {work: [0, ..., size]} of works whose slices are not of about the
        same length; see `wq_hooks.core.items.factoring`.

    Raises:
      ValueError: If a work would have an empty slice, or none though it is
        not empty.
    """

    def __init__(
        self,
        sizes: Sequence[int | None],
        counts: Sequence[int],
        edges: Mapping[int, Sequence[int]] | None = None,
    ):
        self._sizes = np.array(
            [_WHOLE if size is None else size for size in sizes], np.int64
        )
        self._counts = np.array(counts, np.int64)
        self._offsets = np.concatenate([[0], np.cumsum(self._counts)])
        most = np.where(self._sizes == _WHOLE, 1, self._sizes)
        if (
            len(self._sizes) != len(self._counts)
            or ((self._counts < 0) | (self._counts > most)).any()
        ):
            raise ValueError(
                "Expected 0 to `size` slices of each work, and whole works in "
                f"one; got sizes={sizes!r:.200}, counts={counts!r:.200}."
            )
        self._edges = {work: list(e) for work, e in (edges or {}).items()}
        for work, places in self._edges.items():
            if (
                len(places) != len(self.items_of(work)) + 1
                or (places[0], places[-1]) != (0, self.size_of(work))
                or sorted(set(places)) != places
            ):
                raise ValueError(
                    "Expected edges from 0 to the size, one more than slices; "
                    f"got {places!r:.200} of work {work}."
                )

    @classmethod
    def share(cls, sizes: Sequence[int | None], num_slices: int) -> Slicing:
        """Shares slices out by size: each has about the same length.

        No slice is empty, and each work that is not empty has one at least,
        so the total may be less or more than `num_slices`. Whole works are
        not counted in it.
        """
        total = sum(size for size in sizes if size)
        counts = [1 if size is None else 0 for size in sizes]
        cuttable = [i for i, size in enumerate(sizes) if size]
        for i in cuttable:
            counts[i] = max(1, num_slices * _size(sizes, i) // total)
        missing = min(num_slices, total) - sum(counts[i] for i in cuttable)
        # Rounding has left some over: to those with the longest slices. Or
        # the small ones got too many: from those with the shortest.
        sign = 1 if missing > 0 else -1
        heap = [
            (-sign * _size(sizes, i) / counts[i], i)
            for i in cuttable
            if missing > 0 or counts[i] > 1
        ]
        heapq.heapify(heap)
        for _ in range(abs(missing)):
            if not heap:
                break  # More works than slices are wanted.
            _, i = heapq.heappop(heap)
            counts[i] += sign
            if (counts[i] < _size(sizes, i)) if sign > 0 else counts[i] > 1:
                heapq.heappush(heap, (-sign * _size(sizes, i) / counts[i], i))
        return cls(sizes, counts)

    @classmethod
    def whole(cls, num_works: int) -> Slicing:
        """Returns the slicing that leaves all works whole."""
        return cls([None] * num_works, [1] * num_works)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Slicing) and self.to_list() == other.to_list()

    def __hash__(self) -> int:
        return hash(tuple(self.to_list()))

    def __repr__(self) -> str:
        return f"Slicing({self.num_items} items of {self.num_works} works)"

    @property
    def num_works(self) -> int:
        """Number of works."""
        return len(self._sizes)

    @property
    def num_items(self) -> int:
        """Number of items in one epoch."""
        return int(self._offsets[-1])

    def items_of(self, work: int) -> range:
        """Returns the items that a work is cut into."""
        return range(int(self._offsets[work]), int(self._offsets[work + 1]))

    def works_of(self, items: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Returns the work of each item."""
        return np.searchsorted(self._offsets, items, side="right") - 1

    def size_of(self, work: int) -> int | None:
        """Returns the length of a work; None: it stays whole."""
        size = int(self._sizes[work])
        return None if size == _WHOLE else size

    def edges_of(self, work: int) -> list[int] | None:
        """Returns where a work's slices begin and end, if not evenly."""
        return self._edges.get(work)

    @property
    def is_uneven(self) -> bool:
        """Whether slices differ in length, and long ones are to come first."""
        return bool(self._edges)

    def lengths(self) -> npt.NDArray[np.int64]:
        """Returns the length of each item; a whole work is the longest."""
        lengths = [self.locate(item).length for item in range(self.num_items)]
        longest = np.iinfo(np.int64).max
        return np.array(
            [longest if length is None else length for length in lengths],
            np.int64,
        )

    def locate(self, item: int) -> Cut:
        """Returns what an item is."""
        work = int(np.searchsorted(self._offsets, item, side="right")) - 1
        size = self.size_of(work)
        if size is None:
            return Cut(work, None, None)
        number, count = item - int(self._offsets[work]), int(self._counts[work])
        edges = self._edges.get(work)
        if edges is not None:
            return Cut(work, edges[number], edges[number + 1])
        return Cut(work, number * size // count, (number + 1) * size // count)

    def text(self, item: int, work_text: Callable[[int], str]) -> str:
        """Returns what the reader gets for an item of a work of that text."""
        cut = self.locate(item)
        text = work_text(cut.work)
        if cut.start is None:
            # As listed: what the user wrote is what the user gets.
            return text
        return slice_text(text, cut.start, cut.end)

    def to_list(self) -> list[str]:
        """Returns the slicing as text: `size:count[:edge,...]` of a work."""
        lines = [
            f"{'' if size == _WHOLE else size}:{count}"
            for size, count in zip(self._sizes.tolist(), self._counts.tolist())
        ]
        for work, edges in self._edges.items():
            lines[work] += ":" + ",".join(map(str, edges))
        return lines

    @classmethod
    def from_list(cls, lines: Sequence[str]) -> Slicing:
        """Returns what `to_list` wrote; raises ValueError if it is damaged."""
        fields = [(*line.split(":"), "", "")[:3] for line in lines]
        return cls(
            [int(size) if size else None for size, _, _ in fields],
            [int(count) for _, count, _ in fields],
            {
                work: [int(edge) for edge in edges.split(",")]
                for work, (_, _, edges) in enumerate(fields)
                if edges
            },
        )


def _size(sizes: Sequence[int | None], index: int) -> int:
    size = sizes[index]
    return 0 if size is None else size
