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
from wq_hooks.core.monitoring.progress import Progress, duration_in_words

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
        words = [f"{progress.in_flight} in flight"]
        if progress.items_per_sec:
            words.append(f"{progress.items_per_sec:.3g} items/s")
        if progress.eta_secs is not None:
            words.append(f"{duration_in_words(progress.eta_secs)} to go")
        self._bar.n = progress.completed
        self._bar.set_postfix_str(", ".join(words))

    def close(self) -> None:
        """Leaves the bar as it is and ends its line."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
