"""How a task finds the chief, and a chief another one.

    meet_chief(queue, "worker:1", mailbox, coord.wait_for_stop)
    is_another_chief_there("worker:0", mailbox, coord.wait_for_stop)

The board outlives those who write to it. So what it says of a chief may be of
one that was killed: a chief lives if its beat rises.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Protocol

from wq_hooks._version import __version__
from wq_hooks.core import log as logging
from wq_hooks.core.monitoring.board_status import pause_secs
from wq_hooks.core.protocol import messages
from wq_hooks.core.protocol.format import FORMAT, other_format
from wq_hooks.core.waits import Patience
from wq_hooks.errors import WorkQueueError
from wq_hooks.runtime.host.session_queue import SessionQueue

_MIN_POLL_SECS = 0.01
_MAX_POLL_SECS = 0.1
# A chief that is alive beats at least once in this many periods.
_NUM_BEATS = 2.5


class Board(Protocol):
    """What the chief has left for everybody; see `MailboxSession`."""

    def look_up(self, *keys: int) -> list[str]:
        """Returns entries, "" where there is none."""


def meet_chief(
    queue: SessionQueue, task: str, board: Board, pause: Callable[[float], bool]
) -> None:
    """Waits, as a worker, until a chief has said which works it hands out.

    Where they differ from those that this task lists, a queue with a name
    warns: the chief's count. A queue that has its name by the order of making
    may be another one there.

    Args:
      queue: The queue.
      task: The name of this task.
      board: Board that the chief writes to.
      pause: Waits for that many seconds; returns whether to give up.

    Raises:
      WorkQueueError: If the chief's queue of this name is another one, or it
        writes in another format.
    """
    patience = Patience()
    poll_secs = _MIN_POLL_SECS
    former = None
    while True:
        works, end, generation, chief, beat, text = board.look_up(
            messages.WORKS,
            messages.END,
            messages.ITEM,
            messages.CHIEF,
            messages.BEAT,
            messages.FORMAT,
        )
        its_format = other_format(text)
        is_read = bool(works) and its_format is None
        if is_read and works == queue.works_text:
            return
        if is_read and queue.is_named:
            logging.warning(
                "Work queue %s: this task lists %s works, the chief %s "
                "others; the chief's are handed out.",
                queue.name,
                _number_in(queue.works_text),
                _number_in(works),
            )
            return
        if is_read and end:
            # Nothing is handed out any more.
            return
        # An earlier job on the same servers may have left it.
        is_alive = former is not None and former != (generation, beat)
        if works and generation != messages.NOBODY:
            if is_alive and its_format is not None:
                raise _writes_otherwise(queue, task, its_format, chief)
            if is_alive:
                raise _is_another(queue, task, works, chief)
            former = (generation, beat)
        if patience.is_over():
            logging.warning(
                "Work queue %s: %s has waited %d s for a chief that feeds a "
                "queue of this name%s on %s. %s Does the chief's process run, "
                "and does it make the queue under the same name, device and "
                "container? is_chief=True says who it is.",
                queue.name,
                task,
                patience.secs,
                f" and of the same {_number_in(queue.works_text)} works"
                if works
                else "",
                queue.mailbox.device or "this process",
                _what_is_known(queue),
            )
        if pause(poll_secs):
            return
        poll_secs = min(2 * poll_secs, _MAX_POLL_SECS)


def is_another_chief_there(
    task: str, board: Board, pause: Callable[[float], bool]
) -> str:
    """Returns the name of another task that feeds the queue, or "".

    Waits for its next beat, if there has been one.

    Args:
      task: Name of this task. What its earlier process has said does
        not count.
      board: Board that a chief writes to.
      pause: Waits for that many seconds; returns whether to give up.
    """
    keys = (messages.CHIEF, messages.END, messages.ITEM, messages.BEAT)
    first = board.look_up(*keys)
    secs = 0.0
    while True:
        found = board.look_up(*keys)
        name, _ = messages.parse_chief(found[0])
        if not name or name == task or found[1]:
            return ""
        if found != first and found[2] not in ("", messages.NOBODY):
            return name
        if secs > _NUM_BEATS * pause_secs(0) or pause(_MAX_POLL_SECS):
            return ""
        secs += _MAX_POLL_SECS


def _writes_otherwise(
    queue: SessionQueue, task: str, its_format: str, chief: str
) -> WorkQueueError:
    return WorkQueueError(
        f"Expected the chief ({messages.parse_chief(chief)[0]}) of work queue "
        f"{queue.name!r} to write in format {FORMAT}, that of wq-hooks "
        f"{__version__} in this task ({task}); it writes in {its_format}. "
        "Install one version of wq-hooks in all tasks."
    )


def _is_another(
    queue: SessionQueue, task: str, works: str, chief: str
) -> WorkQueueError:
    return WorkQueueError(
        f"Expected the chief ({messages.parse_chief(chief)[0]}) to list the "
        f"works of this task ({task}) in work queue {queue.name!r}, which has "
        "its name from the order of making; this task lists "
        f"{_number_in(queue.works_text)} works, the chief "
        f"{_number_in(works)} others. Either the tasks make their queues in "
        "different order or number, or their lists differ. Give each queue a "
        "name, such as name='train'; where lists may differ, the chief's then "
        "counts."
    )


def _number_in(works: str) -> str:
    return works.partition(" ")[0]


def _what_is_known(queue: SessionQueue) -> str:
    """Returns why this task takes itself for none."""
    origin = queue.role.origin
    if origin is not None and origin.is_chief is not None:
        return "The session's creator says that this task is not the chief."
    if os.environ.get("TF_CONFIG"):
        return f"By TF_CONFIG this task is {queue.task.name}."
    return f"By its device this task is {queue.task.name}."
