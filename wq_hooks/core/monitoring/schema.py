"""Each number that is told of a queue, once: name, unit, kind, where it is.

    for number in shown_in(SUMMARY): ...
    texts_of(state)["eta_secs"]      # "3 min 20 s"
    line_of(state)                   # "3 of 8 items completed, 2 in flight"

Summaries, the tab in TensorBoard, `wq-hooks status` and the log read this
table. A number that is not in it cannot be shown.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

# A worker is slow that takes more than so many times the median: as in DLRover
# (Spark: 1.5 times).
SLOW_FACTOR = 2.0
_DAY_SECS = 86_400


class Kind(enum.Enum):
    """What a value is, and so how it is checked and written."""

    COUNT = "a whole number"
    OPTIONAL_COUNT = "a whole number, or None: without end"
    NUMBER = "a number that is not negative"
    OPTIONAL_NUMBER = "a number, or None: not known"
    QUANTILES = "[p10, p50, p90], or None: not known"
    TEXT = "a text"
    TEXTS = "a list of texts"
    FLAG = "true or false"


class Place(enum.Flag):
    """Where a number is shown."""

    NOWHERE = 0
    SUMMARY = enum.auto()  # a curve in Scalars, tagged <queue>/<name>
    CHART = enum.auto()  # a curve that the tab draws
    CARD = enum.auto()  # a tile, a row or a sentence in the tab
    STATUS = enum.auto()
    LOG = enum.auto()
    BAR = enum.auto()  # on a terminal


SUMMARY, CHART, CARD = Place.SUMMARY, Place.CHART, Place.CARD
STATUS, LOG, BAR = Place.STATUS, Place.LOG, Place.BAR


@dataclass(frozen=True)
class Number:
    """One number, or text.

    Attributes:
      name: Name in the state, and tag of the curve.
      unit: "items", "records", "epochs", "s", "items/s", "records/s", "time"
        (in seconds since 1970), "id" or "".
      kind: Kind of the value.
      places: Places that show it.
      words: What a line says of it, of the texts of all numbers; "": nothing.
      is_always: Whether a line says so of nothing, too.
    """

    name: str
    unit: str
    kind: Kind
    places: Place = Place.NOWHERE
    words: str = ""
    is_always: bool = False


_CURVE = SUMMARY | CHART | CARD | STATUS
_LINE = CARD | STATUS | LOG
_COUNT, _NUMBER, _MAYBE = Kind.COUNT, Kind.NUMBER, Kind.OPTIONAL_NUMBER
_COMPLETED = "{completed} of {total} items completed"
_IN_FLIGHT = "{in_flight} in flight"
_ITEMS = "{recent_items_per_sec} items/s"
_RECORDS = "{recent_records_per_sec} records/s"
_OLDEST = "oldest lease {oldest_in_flight_secs} ({oldest_holder})"
_AGAIN = "{repeated} handed out again"
_DROPPED = "{dropped_rows} unreadable rows dropped"
QUEUE = (
    Number("completed", "items", _COUNT, _CURVE | LOG, _COMPLETED, True),
    Number("in_flight", "items", _COUNT, _CURVE | LOG | BAR, _IN_FLIGHT, True),
    Number("remaining", "items", Kind.OPTIONAL_COUNT, _CURVE),
    Number("total", "items", Kind.OPTIONAL_COUNT, _LINE),
    # In a summary as DeepRec's tag, `fraction_of_<items_per_epoch>_full`.
    Number("level", "epochs", _NUMBER, LOG, "level {level} epochs", True),
    Number("items_per_epoch", "items", _COUNT, CARD),
    Number("low_watermark", "items", _COUNT, _CURVE),
    Number("epoch", "epochs", _NUMBER, _CURVE),
    # Since the last summary.
    Number("items_per_sec", "items/s", _NUMBER, SUMMARY | CHART),
    Number("records_per_sec", "records/s", _NUMBER, SUMMARY | CHART),
    # Over the last minutes.
    Number("recent_items_per_sec", "items/s", _NUMBER, _LINE | BAR, _ITEMS),
    Number("recent_records_per_sec", "records/s", _MAYBE, _LINE, _RECORDS),
    Number("eta_secs", "s", _MAYBE, _LINE | BAR, "{eta_secs} to go"),
    Number("oldest_in_flight_secs", "s", _NUMBER, SUMMARY | CHART | CARD | LOG),
    Number("oldest_holder", "", Kind.TEXT, CARD | LOG, _OLDEST),
    # Since an item was taken or completed.
    Number("idle_secs", "s", _NUMBER, STATUS),
    Number("item_secs", "s", Kind.QUANTILES, SUMMARY | CARD),
    # None where nobody counts them.
    Number("records", "records", _MAYBE, CARD | STATUS),
    Number("repeated", "items", _COUNT, SUMMARY | _LINE, _AGAIN),
    Number("given_up", "items", _COUNT, SUMMARY | _LINE, "{given_up} GIVEN UP"),
    Number("given_up_names", "", Kind.TEXTS, CARD),
    # When the job began, before all resumes; when it was done.
    Number("started", "time", _MAYBE, CARD | STATUS),
    Number("ended", "time", _MAYBE, CARD | STATUS),
    # Between these, or so far; pauses included.
    Number("elapsed_secs", "s", _MAYBE, CARD | STATUS),
    # When this chief began; what was completed by then.
    Number("since", "time", _MAYBE, CARD | STATUS),
    Number("completed_before", "items", _COUNT, CARD | STATUS),
    # What could not be read in the mailboxes.
    Number("dropped_rows", "rows", _COUNT, LOG, _DROPPED),
    Number("lease_secs", "s", _NUMBER, CARD),
    Number("num_workers", "workers", _COUNT, CARD | STATUS),
    # Since the position was saved, by this process.
    Number("last_save_secs", "s", _MAYBE, STATUS),
    # How often a worker was lost with what it held.
    Number("num_lost", "workers", _COUNT, STATUS),
)
WORKER = (
    Number("name", "", Kind.TEXT, CARD | STATUS),
    Number("incarnation", "", Kind.TEXT, CARD),
    Number("host", "", Kind.TEXT, CARD | STATUS),
    Number("pid", "id", _MAYBE, CARD | STATUS),
    Number("num_starts", "starts", _COUNT, CARD),
    Number("taken", "items", _COUNT),
    Number("completed", "items", _COUNT, CARD | STATUS),
    Number("records", "records", _MAYBE, CARD),
    Number("records_per_sec", "records/s", _MAYBE, CARD),
    Number("item_secs", "s", _MAYBE, CARD | STATUS),
    Number("item_quantiles", "s", Kind.QUANTILES, CARD),
    # Means for one of its last items.
    Number("records_per_item", "records", _MAYBE, CARD),
    Number("train_secs", "s", _MAYBE, CARD),
    Number("wait_secs", "s", _MAYBE, CARD),
    Number("in_hand", "items", _COUNT, CARD),
    Number("last_heard_secs", "s", _NUMBER, CARD | STATUS),
    Number("has_left", "", Kind.FLAG, CARD | STATUS),
    # It was not heard of, and what it held went to the others.
    Number("is_lost", "", Kind.FLAG, CARD | STATUS),
)
PERCENTILES = ("p10", "p50", "p90")
# What an event of the list is; see `event_list.py`.
EVENT_KINDS = (
    "began",
    "resumed",
    "changed",
    "joined",
    "back",
    "left",
    "lost",
    "missing",
    "given up",
    "slow",
    "done",
)


def shown_in(place: Place, numbers: Collection[Number] = QUEUE) -> list[str]:
    """Returns the names of the numbers that are shown in a place."""
    return [number.name for number in numbers if place in number.places]


def scalars_of(values: Mapping[str, Any]) -> dict[str, float]:
    """Returns {tag: value} of the numbers that make curves.

    Args:
      values: Values by name; what is not known has none.
    """
    scalars: dict[str, float] = {}
    for number in QUEUE:
        value = values.get(number.name)
        if SUMMARY not in number.places or value is None:
            continue
        if number.kind is Kind.QUANTILES:
            for percentile, part in zip(PERCENTILES, value):
                scalars[f"{number.name}/{percentile}"] = float(part)
        else:
            scalars[number.name] = float(value)
    return scalars


def texts_of(values: Mapping[str, Any]) -> dict[str, str]:
    """Returns the values of a queue as a person reads them, by name."""
    return {
        number.name: _text_of(number, values[number.name])
        for number in QUEUE
        if number.name in values
    }


def line_of(values: Mapping[str, Any], place: Place = LOG) -> str:
    """Returns what is said of a queue in one line.

    Args:
      values: Values by name.
      place: LOG or BAR.
    """
    phrases = phrases_of(values)
    return ", ".join(
        phrases[number.name]
        for number in QUEUE
        if place in number.places
        and number.name in phrases
        and (number.is_always or values.get(number.name))
    )


def phrases_of(values: Mapping[str, Any]) -> dict[str, str]:
    """Returns what a line says of each number of a queue, by name."""
    texts = texts_of(values)
    return {
        number.name: number.words.format(**texts)
        for number in QUEUE
        if number.words and number.name in values
    }


def _text_of(number: Number, value: Any) -> str:
    if number.kind is Kind.OPTIONAL_COUNT and value is None:
        return "endless"
    if value is None:
        return ""
    if number.kind in (Kind.COUNT, Kind.OPTIONAL_COUNT):
        return f"{value:,}"
    if number.unit == "epochs":
        return f"{value:.2f}"
    if number.unit == "s" and number.kind is not Kind.QUANTILES:
        return secs_in_words(value)
    if number.unit == "records":
        return f"{value:,.0f}"
    if number.kind in (Kind.NUMBER, Kind.OPTIONAL_NUMBER):
        return f"{value:.3g}"
    return str(value)


def done_in_words(state: Mapping[str, Any]) -> str:
    """Returns the sentence of a job that is done.

    Args:
      state: State of the queue, checked.
    """
    number = state["completed"]
    verb = "was" if number == 1 else "were"
    text = f"All {items_in_words(number)} {verb} completed"
    if state["ended"] is None or state["elapsed_secs"] is None:
        return f"{text}."
    return f"{text} in {secs_in_words(state['elapsed_secs'])}."


def items_in_words(number: int) -> str:
    """Returns such as "1 item", "2,000 items"."""
    return f"{number:,} item" if number == 1 else f"{number:,} items"


def secs_in_words(secs: float) -> str:
    """Returns such as "0.4 s", "45 s", "3 min 20 s", "2 h 5 min", "2 d 5 h"."""
    if secs < 9.5:
        return f"{max(secs, 0):.2g} s"
    secs = round(secs)
    if secs < 60:
        return f"{secs} s"
    if secs < 3600:
        return f"{secs // 60} min {secs % 60} s"
    if secs < 2 * _DAY_SECS:
        return f"{secs // 3600} h {secs % 3600 // 60} min"
    return f"{secs // _DAY_SECS} d {secs % _DAY_SECS // 3600} h"
