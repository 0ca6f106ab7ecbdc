"""Looks whether a task waits in vain, and says for whom.

    lookout = Lookout(queue_name, "worker:1", board, gates, ...)
    while not coord.wait_for_stop(lookout.pause_secs):
        lookout.look()

A reader waits inside a step of TensorFlow, where nobody sees it. So each task
looks from time to time at what the chief has left on the board: who asks for
an item, who holds some, whether the chief lives. Another thread looks whether
the parameter server answers at all (`liveness/server_watch.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from wq_hooks.core import log as logging
from wq_hooks.core import waits
from wq_hooks.core.monitoring.board_status import pause_secs
from wq_hooks.core.protocol import messages
from wq_hooks.core.waits import Patience
from wq_hooks.runtime.host.session_origin import SessionOrigin
from wq_hooks.runtime.transport.meeting import Board

# How soon a task that waits leaves, when its own last step is reached.
_STOP_LOOK_SECS = 1.0
_NUM_BEATS = 2.5


class Lookout:
    """Says what the consumers of one task wait for.

    Args:
      name: Name of the queue.
      task: Name of this process, such as "worker:1".
      board: Board that the chief writes to.
      gates: Returns the entries that let the consumers of this task in or not.
      is_chief: Whether this task is the chief, which says by itself what it
        waits for at the end of data.
      origin: Origin of the session, if known.
      read_step: Returns the global step, None if there is none.
      end: Gives the readers of this task the end of data.
    """

    def __init__(
        self,
        name: str,
        task: str,
        board: Board,
        gates: Callable[[], Sequence[int]] = tuple,
        *,
        is_chief: bool = False,
        origin: SessionOrigin | None = None,
        read_step: Callable[[], int | None] = lambda: None,
        end: Callable[[], None] = lambda: None,
    ):
        self._name = name
        self._task = task
        self._board = board
        self._gates = gates
        self._is_chief = is_chief
        self._origin = origin
        self._read_step = read_step
        self._end = end
        self._has_ended = False
        self._next_look = 0.0
        self._beat = ""
        self._silence = Patience()
        self._left: Patience | None = None
        self._wait: Patience | None = None

    @property
    def pause_secs(self) -> float:
        """How long to wait from one look to the next."""
        secs = waits.FIRST_SECS / 2
        return min(secs, _STOP_LOOK_SECS) if self._stops_at_step else secs

    @property
    def _stops_at_step(self) -> bool:
        origin = self._origin
        return not self._is_chief and origin is not None and bool(origin.stops)

    def look(self) -> None:
        """Looks, if it is time, and says what there is to be said."""
        if self._has_ended:
            return
        if self._stops_at_step:
            self._end_if_over()
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + waits.FIRST_SECS / 2
        chief, beat, generation, end, left, status, *gates = (
            self._board.look_up(
                messages.CHIEF,
                messages.BEAT,
                messages.ITEM,
                messages.END,
                messages.LEFT,
                messages.STATUS,
                *self._gates(),
            )
        )
        if end:
            self._wait = self._left = None
            return
        chief, _ = messages.parse_chief(chief)
        if self._is_chief_away(chief, f"{generation} {beat}", left):
            return
        state = messages.parse_status(status)
        is_waiting = self._task in state.get("waiting", ())
        if not is_waiting or (self._is_chief and state.get("remaining") == 0):
            self._wait = None
            return
        if self._wait is None:
            # The chief says so of those that have waited as long.
            self._wait = Patience(waited_secs=waits.FIRST_SECS)
        if self._wait.is_over():
            logging.warning(
                "Work queue %s: %s has waited %d s for an item: %s.",
                self._name,
                self._task,
                self._wait.secs,
                waits.reason_in_words(
                    state,
                    self._task,
                    chief=chief,
                    is_held_back=generation in gates,
                ),
            )

    def _is_chief_away(self, chief: str, beat: str, left: str) -> bool:
        """Returns whether the chief does not live; says so after a while."""
        if beat != self._beat:
            self._beat = beat
            self._silence = Patience()
        stop = messages.parse_stop(left)
        if stop is not None:
            self._left = self._left or Patience()
            if self._left.is_over():
                logging.warning(
                    "Work queue %s: %s waits for the chief (%s), which left "
                    "%d s ago%s, before the end of data. No items come until "
                    "it is started again.",
                    self._name,
                    self._task,
                    stop.task,
                    self._left.secs,
                    "" if stop.step is None else f" at global step {stop.step}",
                )
            return True
        self._left = None
        # Its beats come less often where there are many consumers.
        if self._silence.secs < _NUM_BEATS * pause_secs(0):
            return False
        if self._silence.is_over():
            logging.warning(
                "Work queue %s: %s has heard nothing of the chief (%s) for "
                "%d s. No items come until it is back.",
                self._name,
                self._task,
                chief or "none has begun",
                self._silence.secs,
            )
        return True

    def _end_if_over(self) -> None:
        (left,) = self._board.look_up(messages.LEFT)
        stop = messages.parse_stop(left)
        if stop is None or self._origin is None:
            return
        if stop.is_over(
            last_step=self._origin.last_step,
            num_steps=self._origin.num_steps,
            step=self._read_step(),
        ):
            self._has_ended = True
            logging.info(
                "Work queue %s: the chief has left and the last step is "
                "reached; %s gets the end of data.",
                self._name,
                self._task,
            )
            self._end()
