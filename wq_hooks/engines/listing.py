"""What a queue was made of: its works, its options, and works added later.

listing = Listing(Works(paths), options, is_named=True)
listing.add(["c.csv"], priority=1)
ledger = listing.factory.begin("")
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from wq_hooks.core.chief.tasks import num_workers
from wq_hooks.core.items.added_works import AddedLog
from wq_hooks.core.items.works import Works
from wq_hooks.core.options import Options
from wq_hooks.core.values import as_int
from wq_hooks.errors import WorkQueueError
from wq_hooks.runtime.saving.ledger_factory import LedgerFactory
from wq_hooks.sources.passwords import expect_no_password
from wq_hooks.sources.registry import TableSource
from wq_hooks.sources.slicer import Slicer


class Listing:
    """The works of a queue that this process keeps the ledger of.

    Args:
      works: The works, as listed.
      options: Options of the queue, with its name.
      is_named: Whether the user has given the name.
      source: Returns the source of a work; see WorkQueue.
      attempts_directory: See `LedgerFactory`.

    Attributes:
      factory: Makes the ledgers.
    """

    def __init__(
        self,
        works: Works,
        options: Options,
        *,
        is_named: bool,
        source: Callable[[str], TableSource | None] | None,
        attempts_directory: str | None,
    ):
        self.works = works
        self.options = options
        self.is_named = is_named
        self.name = str(options.name)
        self._added = AddedLog()
        if not options.is_open:
            self._added.close()
        slicer = Slicer(
            works,
            options.num_slices,
            source,
            self.name,
            num_workers(os.environ),
            in_order=not options.shuffle,
        )
        self.factory = LedgerFactory(
            works, options, slicer, self._added, attempts_directory
        )

    def __repr__(self) -> str:
        return f"{self.works!r}, name={self.name!r}"

    def add(self, works: Sequence[Any], priority: int) -> None:
        """Adds works; see WorkQueue.add_works."""
        priority = as_int("priority", priority)
        if hasattr(works, "__len__") and len(works) == 0:
            return
        added = Works(works)
        for name in added:
            expect_no_password(self.works.joined(name), "an added work")
        if added.sources:
            raise ValueError(
                "Expected added works to be str or bytes, which are handed "
                f"out whole; got the source {added[min(added.sources)]!r}."
            )
        if not self._added.add(list(added), priority):
            raise WorkQueueError(
                f"Expected an open queue; {self.name!r} "
                + (
                    "was closed with close_works()."
                    if self.options.is_open
                    else "was made without is_open=True."
                )
            )

    def end(self) -> None:
        """Notes that no more works will be added."""
        self._added.close()
