"""A plan as it travels in a snapshot: short, with its long lists kept beside.

    encoding = PlanEncoding(plan)
    encoding.works                # a string, or None for a long list
    encoding.long_lists(low)      # {fingerprint: how to make such a list}

A snapshot is written at each save, so what grows with the works is written
once, into a file of its own, and named by its fingerprint from then on.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace

from wq_hooks.core.items.plan import (
    Masked,
    Plan,
    Segment,
    live_segments,
    mask_lines,
)
from wq_hooks.core.items.slicing import Slicing
from wq_hooks.core.items.works import fingerprint_of, pack_names

# A list of works travels in the snapshot as long as it is this short, packed.
_MAX_PACKED_CHARS = 64 * 1024
# So does a mask of so many bits, which hardly pack.
_MAX_BITS = 6 * _MAX_PACKED_CHARS
# And the sizes of so many works.
_MAX_PACKED_SIZES = 8192


class PlanEncoding:
    """What a snapshot says of a plan; each list is packed once.

    Args:
      plan: The plan, which does not change but for works that are added.
    """

    def __init__(self, plan: Plan):
        self._plan = plan
        self._kept_masks: dict[int, str] = {}

    @functools.cached_property
    def works(self) -> str | None:
        """The list of works, packed; None if it is a long one."""
        names = self._plan.works
        if len(names) > _MAX_PACKED_CHARS:
            return None
        packed = pack_names(names)
        return packed if len(packed) <= _MAX_PACKED_CHARS else None

    @functools.cached_property
    def slicings(self) -> tuple[Slicing | str | None, ...]:
        """The plan's slicings, a fingerprint for each long one."""
        return tuple(
            fingerprint_of(slicing.to_list())
            if slicing is not None and slicing.num_works > _MAX_PACKED_SIZES
            else slicing
            for slicing in self._plan.slicings
        )

    def segments(self, low: int) -> tuple[Segment, ...]:
        """Returns the segments from a ticket on, without their long masks.

        Args:
          low: All tickets before are completed.
        """
        return tuple(
            replace(segment, mask=segment.mask[:0], kept=self._kept(segment))
            if isinstance(segment, Masked) and _is_long(segment)
            else segment
            for segment in live_segments(self._plan, low)
        )

    def long_lists(self, low: int) -> dict[str, Callable[[], Sequence[str]]]:
        """Returns what is too long for the snapshot, to be kept beside it.

        Args:
          low: See `segments`.

        Returns:
          {fingerprint: function that returns the list}.
        """
        lists: dict[str, Callable[[], Sequence[str]]] = {}
        if self.works is None:
            works = self._plan.works
            lists[works.fingerprint] = lambda: works
        for whole, short in zip(self._plan.slicings, self.slicings):
            if whole is not None and isinstance(short, str):
                lists[short] = whole.to_list
        for segment in live_segments(self._plan, low):
            if isinstance(segment, Masked) and _is_long(segment):
                lines = functools.partial(mask_lines, segment.mask)
                lists[self._kept(segment)] = lines
        return lists

    def _kept(self, segment: Masked) -> str:
        """Returns the fingerprint of a long mask."""
        first = segment.first_ticket
        if first not in self._kept_masks:
            self._kept_masks[first] = fingerprint_of(mask_lines(segment.mask))
        return self._kept_masks[first]


def _is_long(segment: Masked) -> bool:
    return len(segment.mask) > _MAX_BITS
