"""A bar on the terminal: how far the queue is.

    bar = new_bar("train")           # None where there is no terminal
    if bar is not None:
        bar.update(progress)
        bar.close()

Needs tqdm.
"""

from __future__ import annotations

import sys
from typing import Any

from wq_hooks.core import log as logging
from wq_hooks.core.monitoring.progress import Progress
from wq_hooks.core.monitoring.schema import BAR, line_of

_FORMAT = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt}{postfix}"
_ENDLESS_FORMAT = "{desc}: {n_fmt} items{postfix}"


def new_bar(name: str) -> Bar | None:
    """Returns a bar, or None where there is no terminal or no tqdm.

    Args:
      name: Name of the queue.
    """
    if not sys.stderr.isatty():
        return None
    try:
        import tqdm
    except ImportError:
        logging.warning(
            "Work queue %s: no progress bar without tqdm (pip install tqdm).",
            name,
        )
        return None
    return Bar(name, tqdm.tqdm)


class Bar:
    """The bar of one queue.

    Args:
      name: Name of the queue.
      make: tqdm.tqdm.
    """

    def __init__(self, name: str, make: Any):
        self._name = name
        self._make = make
        self._bar: Any = None

    def update(self, progress: Progress) -> None:
        """Shows how far the queue is."""
        if self._bar is None:
            is_endless = progress.total is None
            self._bar = self._make(
                desc=self._name,
                total=progress.total,
                unit="items",
                bar_format=_ENDLESS_FORMAT if is_endless else _FORMAT,
                dynamic_ncols=True,
            )
        self._bar.n = progress.completed
        self._bar.set_postfix_str(line_of(vars(progress), BAR))

    def close(self) -> None:
        """Leaves the bar as it is and ends its line."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
