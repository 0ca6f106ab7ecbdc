"""What happened to items and consumers, for the log and the view.

    events = EventLog()
    events.note("completed", now=t, consumer="worker:1", item=item, secs=2.5)
    for event in events.take_news():
        ...

A job has millions of events; the latest are kept. Those that are rare and that
a person wants to know of (`notable`) have a place of their own, where the many
do not push them out.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from wq_hooks.core.items.plan import Item
from wq_hooks.core.ledger.consumer_state import Measure

_KEPT = 10_000
_KEPT_NOTABLE = 500
_NOTABLE = ("joined", "back", "left", "lost", "missing", "given_up")


@dataclass(frozen=True)
class Event:
    """Something that a person or the view wants to know of.

    Attributes:
      kind: "joined", "back" (joined again), "left", "lost", "returned",
        "missing", "completed", "repeated" or "given_up".
      now: Time of the event, in seconds.
      consumer: Name of the consumer that did it, or "".
      item: The item that it was about, or None.
      secs: How long the consumer held the item, or 0.
      attempt: How often the item had been leased by then, or 0.
      num_items: How many items the consumer held, if it left or was lost.
      measure: What the item has cost; None: nobody has measured it.
    """

    kind: str
    now: float
    consumer: str = ""
    item: Item | None = None
    secs: float = 0.0
    attempt: int = 0
    num_items: int = 0
    measure: Measure | None = None


class EventLog:
    """The events of a ledger.

    Attributes:
      latest: The latest events, as many as are kept, the oldest first; not to
        be changed by others.
      total: How many there ever were.
      notable: The latest of those that are rare, likewise.
      num_notable: How many of these there ever were.
      num_lost: How often a consumer was lost with what it held.
      last_save: Time of the last save of the position, in seconds, or None.
      last_completed: Time of the last completion, likewise.
    """

    def __init__(self) -> None:
        self.latest: deque[Event] = deque(maxlen=_KEPT)
        self.total = 0
        self.notable: deque[Event] = deque(maxlen=_KEPT_NOTABLE)
        self.num_notable = 0
        self.num_lost = 0
        self.last_save: float | None = None
        self.last_completed: float | None = None
        self._news: deque[Event] = deque(maxlen=_KEPT)
        self._known: set[str] = set()

    def note(
        self,
        kind: str,
        now: float,
        consumer: str = "",
        item: Item | None = None,
        secs: float = 0.0,
        attempt: int = 0,
        num_items: int = 0,
        measure: Measure | None = None,
        *,
        is_rare: bool = True,
    ) -> None:
        """Notes that something happened; see Event.

        What is not rare, such as that all leave at the end, is not notable.
        """
        if kind == "joined":
            if consumer in self._known:
                kind = "back"
            self._known.add(consumer)
        event = Event(
            kind, now, consumer, item, secs, attempt, num_items, measure
        )
        self.latest.append(event)
        self.total += 1
        self.num_lost += kind == "lost"
        # Completions are the rule.
        if kind == "completed":
            self.last_completed = now
            return
        self._news.append(event)
        # At first all join.
        is_first = kind == "joined" and self.last_completed is None
        if kind in _NOTABLE and is_rare and not is_first:
            self.notable.append(event)
            self.num_notable += 1

    def take_news(self) -> list[Event]:
        """Returns what happened since the last call, completions left out."""
        news = list(self._news)
        self._news.clear()
        return news
