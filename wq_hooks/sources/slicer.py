"""Cuts the works of a queue: finds their sources and sizes when it starts.

slicer = Slicer(works, num_slices=100, source=TextLines, name="train")
slicing = slicer.slice_works()    # on the chief: asks the sources
"""

from __future__ import annotations

from collections.abc import Callable

from wq_hooks.core.measure import measure
from wq_hooks.core.plan import Plan
from wq_hooks.core.slicing import Slicing
from wq_hooks.core.works import Works
from wq_hooks.sources.registry import TableSource, find_source


class Slicer:
    """How a queue's works are to be cut.

    Args:
      works: The works.
      num_slices: Number of items wanted of those that can be cut; None: all
        stay whole.
      source: Returns the source of a work, from its text; None: the registry
        knows.
      name: Of the queue, for the log.
    """

    def __init__(
        self,
        works: Works,
        num_slices: int | None,
        source: Callable[[str], TableSource | None] | None,
        name: str,
    ):
        self._works = works
        self._num_slices = num_slices
        self._find = find_source if source is None else source
        self._name = name
        self._num_items = len(works)
        self._is_cut = False
        if num_slices is not None:
            num_whole = sum(
                self._source_of(index) is None for index in range(len(works))
            )
            self._is_cut = num_whole < len(works)
            if self._is_cut:
                self._num_items = num_whole + num_slices

    @property
    def num_items(self) -> int:
        """Number of items that is asked for in one epoch."""
        return self._num_items

    def slice_works(self) -> Slicing | None:
        """Returns how the works are cut; None: all stay whole.

        Raises:
          SourceError: If a source cannot be counted.
        """
        if not self._is_cut or self._num_slices is None:
            return None
        sizes = measure(self._works, self._source_of, name=self._name)
        return Slicing.share(sizes, self._num_slices)

    def in_words(self, plan: Plan) -> str:
        """Returns how many items an epoch has, for the log."""
        if plan.slicings[plan.segments[-1].slicing] is None:
            return ""
        return f"cut into {plan.items_per_epoch} items, "

    def _source_of(self, index: int) -> TableSource | None:
        if index in self._works.sources:
            source: TableSource = self._works.sources[index]
            return source
        return self._find(self._works.text(index))
