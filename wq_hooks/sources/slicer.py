"""Cuts the works of a queue: finds their sources and sizes when it starts.

slicer = Slicer(works, num_slices=100, source=TextLines, name="train")
slicing = slicer.slice_works()    # on the chief: asks the sources
"""

from __future__ import annotations

import collections
from collections.abc import Callable

from wq_hooks.core import log as logging
from wq_hooks.core.items.factoring import factor, typical_num
from wq_hooks.core.items.plan import Plan
from wq_hooks.core.items.slicing import Slicing
from wq_hooks.core.items.source_sizes import measure
from wq_hooks.core.items.works import Works
from wq_hooks.sources.registry import TableSource, find_source

# Where TF_CONFIG does not say how many: rather too many, which makes slices
# shorter than they need be, than too few, which would leave a tail.
_NUM_WORKERS = 64


class Slicer:
    """How a queue's works are to be cut.

    Args:
      works: The works.
      num_slices: Number of items wanted of those that can be cut; "auto": see
        `wq_hooks.core.items.factoring`; None: all stay whole.
      source: Returns the source of a work, from its text; None: the registry
        knows.
      name: Name of the queue, for the log.
      num_workers: How many tasks share the works; None: not known.
      in_order: Whether works are handed out as they are listed.
    """

    def __init__(
        self,
        works: Works,
        num_slices: int | str | None,
        source: Callable[[str], TableSource | None] | None,
        name: str,
        num_workers: int | None = None,
        *,
        in_order: bool = False,
    ):
        if source is not None and not callable(source):
            raise TypeError(
                "Expected source to be a function of a work's text, such as "
                f"wq_hooks.sources.TextLines; got {source!r:.200}."
            )
        self._works = works
        self._num_slices = num_slices
        self._find = find_source if source is None else source
        self._name = name
        # How many items are asked for in one epoch.
        self.num_items = len(works)
        # Whether the lengths of all slices count the same: one kind of source
        # counts records, another bytes.
        self.is_one_unit = True
        # Whether the lengths of slices are numbers of records.
        self.counts_records = True
        self._is_cut = False
        self._num_workers = num_workers or _NUM_WORKERS
        self._in_order = in_order
        if num_slices is not None:
            sources = map(self._source_of, range(len(works)))
            kinds = collections.Counter(map(type, sources))
            num_whole = kinds.pop(type(None), 0)
            self._is_cut = num_whole < len(works)
            self.is_one_unit = len(kinds) <= 1
            units = {getattr(kind, "unit", "records") for kind in kinds}
            self.counts_records = units <= {"records"}
            if self._is_cut:
                self.num_items = num_whole + (
                    num_slices
                    if isinstance(num_slices, int)
                    else typical_num(self._num_workers)
                )
            else:
                logging.warning(
                    "Work queue %s: num_slices=%r has no effect, since none of "
                    "%d works can be cut. Plain files need a source, such as "
                    "source=wq_hooks.sources.TextLines.",
                    name,
                    num_slices,
                    len(works),
                )

    def slice_works(self) -> Slicing | None:
        """Returns how the works are cut; None: all stay whole.

        Raises:
          SourceError: If a source cannot be counted.
        """
        if not self._is_cut or self._num_slices is None:
            return None
        sizes = measure(self._works, self._source_of, name=self._name)
        if isinstance(self._num_slices, int):
            return Slicing.share(sizes, self._num_slices)
        least = [
            getattr(self._source_of(index), "least_slice", 1)
            for index in range(len(self._works))
        ]
        return factor(
            sizes,
            self._num_workers,
            least=max(least),
            in_order=self._in_order,
        )

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
