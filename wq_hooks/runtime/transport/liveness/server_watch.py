"""Says that heartbeats are not answered, and gives up in the end.

    watch = ServerWatch(queue_name, "worker:1", device, target, unanswered, ...)
    watch.watch(session_is_over.wait)          # in a thread of its own

A heartbeat is a step on the parameter server. Where that is gone, TensorFlow
waits for its answer for a quarter of an hour; where it is stopped, for ever. A
step that is aborted may have been done, and what it has said would be lost or
said twice. So none is: the thread that sends them waits, and this one, which
asks no server, counts the time.
"""

from __future__ import annotations

from collections.abc import Callable

from wq_hooks.core import log as logging
from wq_hooks.core import waits
from wq_hooks.core.waits import Unanswered

_LOOK_SECS = 1.0


class ServerWatch:
    """Watches the heartbeats of one task.

    Args:
      name: Name of the queue.
      task: Name of this process.
      device: Device of the queue.
      target: Target of the session.
      unanswered: Counts the time.
      lease_secs: After so many seconds the chief gives to others what this task
        holds.
      give_up_secs: After so many seconds `give_up` is called; 0: never.
      give_up: Ends the process; gets the reason.
    """

    def __init__(
        self,
        name: str,
        task: str,
        device: str,
        target: str,
        *,
        unanswered: Unanswered,
        lease_secs: float,
        give_up_secs: float,
        give_up: Callable[[str], None],
    ):
        self._name = name
        self._task = task
        self._unanswered = unanswered
        self._server = f"{device or 'this process'} (session on {target})"
        self._lease_secs = lease_secs
        self._give_up_secs = give_up_secs
        self._give_up = give_up

    def note_answer(self) -> None:
        """Notes that a heartbeat was answered, or that none was sent."""
        self._unanswered.note_answer()

    def watch(self, pause: Callable[[float], bool]) -> None:
        """Watches until the session is over, or it has given up.

        Args:
          pause: Waits for that many seconds; returns whether it is over.
        """
        num_said = 0
        first_secs = min(waits.FIRST_SECS, self._lease_secs)
        # The next heartbeat comes a little later than the last answer.
        beat_secs = min(_LOOK_SECS, waits.FIRST_SECS / 2)
        while not pause(min(_LOOK_SECS, waits.FIRST_SECS / 4)):
            secs = max(0.0, self._unanswered.look() - beat_secs)
            if 0 < self._give_up_secs <= secs:
                self._give_up(
                    f"the parameter server on {self._server} has not answered "
                    f"for {secs:.0f} s (give_up_secs={self._give_up_secs:g})"
                )
                return
            if secs < first_secs + num_said * waits.AGAIN_SECS:
                num_said = 0 if secs < first_secs else num_said
                continue
            num_said += 1
            logging.warning(
                "Work queue %s: %s waits for the parameter server: %s has not "
                "answered its heartbeat for %d s. %s",
                self._name,
                self._task,
                self._server,
                secs,
                self._prospect(secs),
            )

    def _prospect(self, secs: float) -> str:
        """Returns what comes of it."""
        if secs < self._lease_secs:
            held = (
                f"After lease_secs ({self._lease_secs:g}) the chief gives to "
                "others what it holds."
            )
        else:
            held = "By now the chief has given to others what it held."
        end = (
            f"ends with an error {self._give_up_secs - secs:.0f} s from now "
            f"(give_up_secs={self._give_up_secs:g})"
            if self._give_up_secs
            else "never ends by itself (give_up_secs=0)"
        )
        return f"{held} It goes on trying, and {end}."
