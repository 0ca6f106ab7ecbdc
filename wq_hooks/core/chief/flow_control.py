"""How fast items go, and what follows from it for the mailboxes.

    flow = FlowControl()
    number = flow.room(num_issued, num_consumers)      # items to issue now
    flow.note_issued(number, num_left=num_issued, now=t, is_short=False)
    flow.note_waited(secs, now=t)                      # for a report
    flow.note_taken(number, now=t)                     # as reports say
    flow.gather_secs(num_issued, num_consumers, is_near_end=False)

The work mailbox holds as many items as may be taken before the chief looks
again. Reports gather before it does, since to receive costs as much as to apply
dozens of them, but not until items run out. Without TensorFlow.
"""

from __future__ import annotations

import math

# How many items are put into the mailbox, at least: more where they are taken
# so fast that the chief would come too late, or would have to come too often.
_MIN_DEPTH = 32
_AHEAD_SECS = 0.2
_MAX_AHEAD = 512
# How long reports gather, if nobody waits for them.
_MIN_GATHER_SECS = 0.02
_MAX_GATHER_SECS = 0.25
# Near the end somebody waits for each question; for each consumer that may ask.
_LAST_GATHER_SECS = 0.0005
# If nothing was reported for so long, nobody knows how fast items go now.
_QUIET_SECS = 0.1


class FlowControl:
    """Knows how fast items went; see the module. Not for several threads."""

    def __init__(self) -> None:
        # How many go in `_AHEAD_SECS`.
        self._ahead = 0
        self._last_issue = -math.inf
        # What lay in the mailbox then, and whether there were no more items.
        self._num_there = 0
        self._was_short = False
        # How many were taken in a second, when reports came last.
        self._rate = 0.0
        self._last_taken = -math.inf
        self._max_gather_secs = _MIN_GATHER_SECS

    def room(self, num_issued: int, num_consumers: int) -> int:
        """Returns how many items to issue: none before half have gone.

        Args:
          num_issued: How many are in the mailbox, as far as is known.
          num_consumers: Number of those who may take.
        """
        depth = max(_MIN_DEPTH, 2 * num_consumers) + self._ahead
        return depth - num_issued if num_issued <= depth // 2 else 0

    def note_issued(
        self, number: int, *, num_left: int, now: float, is_short: bool = False
    ) -> None:
        """Notes that items were issued.

        Args:
          number: Number of items.
          num_left: How many were in the mailbox before.
          now: Time in seconds.
          is_short: Whether there was room for more.
        """
        secs = now - self._last_issue
        if not number or secs <= 0:
            return
        # Works that are added one by one fill a mailbox from which none go.
        num_gone = min(number, max(self._num_there - num_left, 0))
        ahead = int(num_gone * _AHEAD_SECS / secs)
        if not num_left and math.isfinite(secs) and not self._was_short:
            # They would have gone faster, had there been more.
            ahead = max(ahead, 2 * self._ahead, _MIN_DEPTH)
        self._ahead = min(ahead, _MAX_AHEAD)
        self._last_issue = now
        self._num_there = num_left + number
        self._was_short = is_short

    def note_waited(self, secs: float, now: float) -> None:
        """Notes how long no report came, before those that came now.

        Args:
          secs: Duration in seconds.
          now: Time in seconds.
        """
        if secs <= _QUIET_SECS:
            self._max_gather_secs = min(
                2 * self._max_gather_secs, _MAX_GATHER_SECS
            )
            return
        self._max_gather_secs = _MIN_GATHER_SECS
        # Nothing was taken meanwhile: it says nothing of how fast they go. What
        # was issued in the midst of it lay untouched until its end.
        self._last_issue = min(self._last_issue + secs, now)

    def note_taken(self, number: int, now: float) -> None:
        """Notes how many items were taken since this was called last.

        Args:
          number: Number, as far as reports tell.
          now: Time in seconds.
        """
        secs = now - self._last_taken
        self._last_taken = now
        if secs > 0:
            self._rate = max(number, 0) / secs

    def gather_secs(
        self, num_issued: int, num_consumers: int, *, is_near_end: bool
    ) -> float:
        """Returns how long reports may gather.

        Args:
          num_issued: See `room`.
          num_consumers: Number of those who may ask.
          is_near_end: Whether they wait for the chief when they do.
        """
        if is_near_end:
            return min(_LAST_GATHER_SECS * num_consumers, _MIN_GATHER_SECS)
        # Half of what is there by then may go meanwhile, as fast as items go
        # now, or went when the mailbox was filled last: where it has run empty,
        # only the latter knows that they would go faster.
        num_left = num_issued + self.room(num_issued, num_consumers)
        rate = max(self._rate, self._ahead / _AHEAD_SECS)
        secs = num_left / 2 / rate if rate else _MAX_GATHER_SECS
        return min(max(secs, _MIN_GATHER_SECS), self._max_gather_secs)
