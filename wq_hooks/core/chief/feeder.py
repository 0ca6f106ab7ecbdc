"""Keeps a mailbox filled and drained: a chief that is asked through one.

    feeder = Feeder(chief, transport, who="chief:0")
    feeder.feed_forever()          # one thread
    feeder.drain_forever()         # another one
    with feeder.freeze_position(): ...        # a Saver is at work

Both threads speak to a ChiefTransport, which is a mailbox seen through a
session. The trap: anybody may write to the mailbox. A row that cannot be read
is counted and dropped. Without TensorFlow.
"""

from __future__ import annotations

import contextlib
import math
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence

from wq_hooks.core.chief.board_writer import BoardWriter
from wq_hooks.core.chief.chief import Chief
from wq_hooks.core.chief.flow_control import FlowControl
from wq_hooks.core.chief.position_writer import PositionKeeper
from wq_hooks.core.chief.rivals import meet_other_chief
from wq_hooks.core.items.works import encoded
from wq_hooks.core.protocol import messages
from wq_hooks.core.protocol.dropped_rows import DroppedRows
from wq_hooks.core.protocol.transports import ChiefTransport
from wq_hooks.errors import TwoChiefsError

_TICK_SECS = 0.5
# If the last one could not tell what is missing.
_MIN_TICK_SECS = 0.2
_POSITION_EVERY_SECS = 1.0
_FEED_EVERY_SECS = 0.2
# To find what was taken and not reported, there must be a moment when all that
# was reported is known.
_LOOK_EVERY_SECS = 2.0


class Feeder:
    """Feeds a mailbox from a chief, and the chief from the reports.

    Args:
      chief: Chief of the queue.
      transport: The mailboxes.
      who: Name of the chief; see `messages.chief_text`.
      clock: Returns seconds; the chief's.

    Attributes:
      chief: The chief.
    """

    def __init__(
        self,
        chief: Chief,
        transport: ChiefTransport,
        *,
        who: str = "",
        clock: Callable[[], float] = time.monotonic,
    ):
        self.chief = chief
        self._ledger = ledger = chief.ledger
        self._changed = chief.changed
        self._who = who
        self._board = BoardWriter(chief.name, ledger, chief.generation, who)
        self._transport = transport
        self._clock = clock
        self._flow_control = FlowControl()
        self._dropped = DroppedRows(chief.name, "a report")
        self._position = PositionKeeper(
            chief.snapshot, transport.write_position
        )
        self._is_closed = False
        # Whether nothing is handed out any more, and whether that was said.
        self._is_withdrawn = self._has_withdrawn = False
        self._end_token = ""
        self._num_marks = 0
        self._last_mark = 0
        self._awaited_mark = 0
        self._last_look = -math.inf
        self._last_tick = -math.inf
        self._next_tick = 0.0
        self._next_position = 0.0

    # Threads.

    def feed_forever(self) -> None:
        """Feeds until `stop`."""
        while not self.chief.is_stopped:
            self.feed()
            with self._changed:
                self._changed.wait_for(
                    lambda: self.chief.is_stopped or self.has_to_feed(),
                    _FEED_EVERY_SECS,
                )

    def drain_forever(self) -> None:
        """Applies reports until `stop`, and the next report after it."""
        while True:
            begin = self._clock()
            rows = self._transport.receive()
            waited_secs = self._clock() - begin
            if self._transport.generation_of_reports() != self.chief.generation:
                self._expect_own_board(rows)
            self.apply(rows, waited_secs=waited_secs)
            if self._is_closed:
                return
            with self._changed:
                self._changed.wait_for(
                    lambda: (
                        self._is_closed or self._last_mark < self._awaited_mark
                    ),
                    self.gather_secs(),
                )

    def wake_to_stop(self) -> None:
        """Lets `feed_forever` return."""
        self.chief.stop()

    def withdraw(self) -> None:
        """Hands out no more, also of what lies ready: the others wait.

        What they hold they go on with, and report.
        """
        with self._changed:
            self._is_withdrawn = True
            self._changed.notify_all()

    def stop(self, *, ends_job: bool, left: str = "") -> None:
        """Lets both threads end.

        Args:
          ends_job: Whether the consumers get the end of data, since nobody
            will feed them any more.
          left: Else: how the chief has left, for the board; "": by an error,
            which says nothing. See `wq_hooks.core.ledger.end_policy`.
        """
        self.wake_to_stop()
        self._is_closed = True
        if not ends_job and not left:
            return
        elements = []
        if ends_job and not self._end_token:
            self._end_token = uuid.uuid4().hex[:12]
            elements.append(_end(self._end_token))
        with self._changed:
            is_end = self._ledger.end_policy.is_end and not self._is_withdrawn
            if not ends_job and not is_end:
                # What the chief has handed back remains; and another one comes
                # for what the others hold, if this one was told to go.
                self._end_token = ""
            board = self._board.last_entries(
                self._end_token,
                self._clock(),
                has_ended=ends_job,
                left=left,
            )
        self._deliver(elements, board)

    # Steps, also for tests.

    def feed(self) -> None:
        """Brings the work mailbox, the board and the position up to date.

        The board is not written for every item.
        """
        now = self._clock()
        if self._is_withdrawn:
            self._withdraw()
            return
        if now >= self._next_tick:
            self._last_tick = now
            self._next_tick = now + _TICK_SECS
            self._tick(now)
        with self._changed:
            self.chief.has_news = False
            self._ledger.plan_backup(now)
            num_left = self._ledger.num_issued
            room = self._flow_control.room(
                num_left, self._ledger.membership.num_there
            )
            elements = [
                (
                    messages.ITEM,
                    self.chief.generation,
                    str(item.ticket),
                    encoded(item.text),
                )
                for item in self._ledger.issue(room, now)
            ]
            number = len(elements)
            self._flow_control.note_issued(
                number, num_left=num_left, now=now, is_short=number < room
            )
            end_token = self._end_token
            if not self._ledger.end_policy.is_end:
                end_token = ""
            elif not end_token:
                end_token = uuid.uuid4().hex[:12]
                elements.append(_end(end_token))
            self._end_token = end_token
            board = self._board.entries(end_token, now)
        changes = self._board.changes(board)
        if elements or (changes and self._board.is_due(changes, now)):
            self._deliver(elements, changes)
            self._board.note_written(changes, now)
        if now >= self._next_position:
            self._next_position = now + _POSITION_EVERY_SECS
            self._position.write_older()

    def apply(
        self,
        rows: Sequence[bytes],
        *,
        waited_secs: float = 0.0,
    ) -> None:
        """Tells the ledger what the reports say.

        Args:
          rows: What came out of the mailbox. What cannot be read is counted,
            logged once and dropped.
          waited_secs: How long there was none before.
        """
        with self._changed:
            now = self._clock()
            self._flow_control.note_waited(waited_secs, now)
            num_issued = self._ledger.num_issued
            for row in rows:
                try:
                    report = messages.parse_report(row)
                except messages.UnreadableError as e:
                    self._dropped.note(row, e)
                    self._ledger.dropped_rows = self._dropped.num
                    continue
                if report.kind != messages.WAKE:
                    self.chief.apply(report, now)
                elif report.mark <= self._num_marks:
                    self._last_mark = max(self._last_mark, report.mark)
            has_news = self.chief.record_changes()
            num_taken = num_issued - self._ledger.num_issued
            self._flow_control.note_taken(num_taken, now)
            # Far from the end they can wait for the next items.
            self.chief.has_news |= has_news or self._ledger.is_near_end
            if now > self._last_look + _LOOK_EVERY_SECS:
                # At no other time are so few reports on their way.
                self._next_tick = min(
                    self._next_tick, self._last_tick + _MIN_TICK_SECS
                )
            self._changed.notify_all()

    def gather_secs(self) -> float:
        """Returns how long reports may gather."""
        ledger = self._ledger
        return self._flow_control.gather_secs(
            ledger.num_issued,
            ledger.membership.num_there,
            is_near_end=ledger.is_near_end,
        )

    def has_to_feed(self) -> bool:
        """Returns whether `feed` has something to do now."""
        if self._is_withdrawn:
            return not self._has_withdrawn
        is_end = self._ledger.end_policy.is_end
        if self.chief.has_news or bool(self._end_token) != is_end:
            return True
        if self._clock() >= self._next_tick:
            return True
        ledger = self._ledger
        room = self._flow_control.room(
            ledger.num_issued, ledger.membership.num_there
        )
        return room > 0 and ledger.has_to_issue()

    # The position.

    @property
    def num_saved(self) -> int | None:
        """Number of items that were completed at the last save, if any."""
        return self._position.num_saved

    @contextlib.contextmanager
    def freeze_position(self, flush_secs: float = 1.0) -> Iterator[None]:
        """Writes the position, and keeps it as it is inside the block.

        Args:
          flush_secs: How long to wait for reports that are on their way;
            what they acknowledge would otherwise be done again.

        Raises:
          TwoChiefsError: If another chief feeds the queue meanwhile: what this
            one knows must not be saved.
        """
        self._expect_own_board()
        self.flush(flush_secs)
        with self._position.held():
            yield
        self.chief.note_save()

    def flush(self, secs: float) -> None:
        """Waits until what was reported before now is known.

        Args:
          secs: Give up after that long.
        """
        # An empty mailbox would not tell: it may just have been emptied.
        with self._changed:
            self._num_marks += 1
            number = self._num_marks
        if not self._transport.mark(number):
            return
        deadline = self._clock() + secs
        with self._changed:
            self._changed.notify_all()
            self._awaited_mark = max(self._awaited_mark, number)
            while (
                self._last_mark < number
                and self._clock() < deadline
                and not self._is_closed
            ):
                self._changed.wait(0.02)

    # Inside.

    def _withdraw(self) -> None:
        if not self._has_withdrawn:
            self._transport.deliver([], {messages.ITEM: messages.NOBODY})
            self._has_withdrawn = True
        with self._changed:
            self._changed.notify_all()

    def _tick(self, now: float) -> None:
        """What has to be done from time to time."""
        num_work = self._transport.num_work()
        # What was reported before the mailbox was measured must be known.
        if self._transport.num_reports() == 0:
            with self._changed:
                self._ledger.find_missing(num_work, now)
                self._last_look = now
        self._expect_own_board()
        if self._end_token and num_work == 0:
            # A taker died while it had the end of data in its hands.
            self._deliver([_end(self._end_token)], {})
        with self._changed:
            self.chief.tick(now)

    def _expect_own_board(self, rows: Sequence[bytes] = ()) -> None:
        """Looks whether another chief feeds the queue meanwhile.

        Args:
          rows: Reports that may be for the other one.

        Raises:
          TwoChiefsError: If it does, and is not to give way.
        """
        generation, chief = self._transport.look_up(
            messages.ITEM, messages.CHIEF
        )
        own = {"", self.chief.generation}
        if self._is_withdrawn:
            # It writes so itself, in another thread.
            own.add(messages.NOBODY)
        if not self._board.is_written or generation in own:
            return
        try:
            meet_other_chief(self.chief.name, self._who, chief)
        except TwoChiefsError:
            self._transport.give_back(rows)
            raise
        self._board.forget()

    def _deliver(
        self,
        elements: Sequence[tuple[int, str, str, bytes]],
        board: Mapping[int, str],
    ) -> None:
        """Delivers, where this chief is still the one that counts."""
        if messages.ITEM not in board:
            own = self.chief.generation
            if self._has_withdrawn:
                own = messages.NOBODY
            board = {messages.FENCE: own, **board}
        self._transport.deliver(elements, board)


def _end(token: str) -> tuple[int, str, str, bytes]:
    return (messages.END, token, "-1", b"")
