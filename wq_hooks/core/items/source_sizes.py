"""How long the works are: asked of their sources, several at a time.

    sizes = measure(works, find_source, num_threads=16)

Only the chief needs them, when its queue starts and cuts works. Counting a
table may take a second, so several are asked at a time.
"""

from __future__ import annotations

import concurrent.futures
import time
from collections.abc import Callable
from typing import Any

from wq_hooks.core import log as logging
from wq_hooks.core.items.works import Works
from wq_hooks.errors import SourceError

_NUM_THREADS = 16
_LOG_EVERY_SECS = 5.0


def measure(
    works: Works,
    find_source: Callable[[int], Any],
    *,
    name: str = "",
    clock: Callable[[], float] = time.monotonic,
) -> list[int | None]:
    """Returns the length of each work; None: it stays whole.

    Args:
      works: The works.
      find_source: Returns the source of the work at an index, or None.
      name: Name of the queue, for the log.
      clock: Returns seconds.

    Raises:
      SourceError: If a source cannot be counted; it names the work.
    """

    def size_of(index: int) -> int | None:
        source = find_source(index)
        if source is None:
            return None
        try:
            size = source.count_records()
        except SourceError:
            raise
        except Exception as e:
            raise SourceError(
                f"Expected to count {works.text(index)!r:.300}: {e}"
            ) from e
        return None if size is None else int(size)

    sizes: list[int | None] = []
    next_log = clock() + _LOG_EVERY_SECS
    with concurrent.futures.ThreadPoolExecutor(_NUM_THREADS) as pool:
        try:
            for size in pool.map(size_of, range(len(works))):
                sizes.append(size)
                if clock() >= next_log:
                    next_log = clock() + _LOG_EVERY_SECS
                    logging.info(
                        "Work queue %s: %d of %d works are measured.",
                        name,
                        len(sizes),
                        len(works),
                    )
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return sizes
