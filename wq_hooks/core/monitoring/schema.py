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


# Where a number is shown.
SUMMARY = "summary"  # a curve in Scalars, tagged <queue>/<name>
CHART = "chart"  # a curve that the tab draws
CARD = "card"  # a tile, a row or a sentence in the tab
STATUS = "status"
LOG = "log"
BAR = "bar"  # on a terminal


@dataclass(frozen=True)
class Number:
    """One number, or text.

    Attributes:
      name: Name in the state, and tag of the curve.
      unit: "items", "records", "epochs", "s", "items/s", "records/s" or "".
      kind: What the value is.
      places: Where it is shown.
      words: What a line says of it, of the texts of all numbers; "": nothing.
      is_always: Whether a line says so of nothing, too.
    """

    name: str
    unit: str
    kind: Kind
    places: Collection[str] = ()
    words: str = ""
    is_always: bool = False


_ALL = (SUMMARY, CHART, CARD, STATUS)
QUEUE = (
    Number(
        "completed",
        "items",
        Kind.COUNT,
        (*_ALL, LOG),
        "{completed} of {total} items completed",
        is_always=True,
    ),
    Number(
        "in_flight",
        "items",
        Kind.COUNT,
        (*_ALL, LOG, BAR),
        "{in_flight} in flight",
        is_always=True,
    ),
    Number("remaining", "items", Kind.OPTIONAL_COUNT, _ALL),
    Number("total", "items", Kind.OPTIONAL_COUNT, (CARD, STATUS, LOG)),
    Number(
        "level",
        "epochs",
        Kind.NUMBER,
        # As DeepRec's tag, `fraction_of_<items_per_epoch>_full`.
        (LOG,),
        "level {level}",
        is_always=True,
    ),
    Number("items_per_epoch", "items", Kind.COUNT, (CARD,)),
    Number("low_watermark", "items", Kind.COUNT, _ALL),
    Number("epoch", "epochs", Kind.NUMBER, _ALL),
    # Since the last summary.
    Number("items_per_sec", "items/s", Kind.NUMBER, (SUMMARY, CHART)),
    Number("records_per_sec", "records/s", Kind.NUMBER, (SUMMARY, CHART)),
    # Over the last minutes.
    Number(
        "recent_items_per_sec",
        "items/s",
        Kind.NUMBER,
        (CARD, STATUS, LOG, BAR),
        "{recent_items_per_sec} items/s",
    ),
    Number(
        "recent_records_per_sec",
        "records/s",
        Kind.NUMBER,
        (CARD, STATUS, LOG),
        "{recent_records_per_sec} records/s",
    ),
    Number(
        "eta_secs",
        "s",
        Kind.OPTIONAL_NUMBER,
        (CARD, STATUS, LOG, BAR),
        "{eta_secs} to go",
    ),
    Number(
        "oldest_in_flight_secs",
        "s",
        Kind.NUMBER,
        (SUMMARY, CHART, CARD, LOG),
    ),
    Number(
        "oldest_holder",
        "",
        Kind.TEXT,
        (CARD, LOG),
        "oldest lease {oldest_in_flight_secs} ({oldest_holder})",
    ),
    Number("item_secs", "s", Kind.QUANTILES, (SUMMARY, CARD)),
    Number("records", "records", Kind.COUNT, (CARD, STATUS)),
    Number(
        "repeated",
        "items",
        Kind.COUNT,
        (SUMMARY, CARD, STATUS, LOG),
        "{repeated} handed out again",
    ),
    Number(
        "given_up",
        "items",
        Kind.COUNT,
        (SUMMARY, CARD, STATUS, LOG),
        "{given_up} GIVEN UP",
    ),
    # What could not be read in the mailboxes.
    Number(
        "dropped_rows",
        "rows",
        Kind.COUNT,
        (LOG,),
        "{dropped_rows} unreadable rows dropped",
    ),
    Number("given_up_names", "", Kind.TEXTS, (CARD,)),
    Number("lease_secs", "s", Kind.NUMBER, (CARD,)),
    Number("num_workers", "workers", Kind.COUNT, (CARD, STATUS)),
)
WORKER = (
    Number("name", "", Kind.TEXT, (CARD, STATUS)),
    Number("incarnation", "", Kind.TEXT, (CARD,)),
    Number("lives", "lives", Kind.COUNT, (CARD,)),
    Number("taken", "items", Kind.COUNT),
    Number("completed", "items", Kind.COUNT, (CARD, STATUS)),
    Number("records", "records", Kind.COUNT),
    Number("records_per_sec", "records/s", Kind.OPTIONAL_NUMBER, (CARD,)),
    Number("item_secs", "s", Kind.OPTIONAL_NUMBER, (CARD, STATUS)),
    Number("in_hand", "items", Kind.COUNT, (CARD,)),
    Number("last_heard_secs", "s", Kind.NUMBER, (CARD, STATUS)),
    Number("has_left", "", Kind.FLAG, (CARD, STATUS)),
)
PERCENTILES = ("p10", "p50", "p90")


def shown_in(place: str, numbers: Collection[Number] = QUEUE) -> list[str]:
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


def line_of(values: Mapping[str, Any], place: str = LOG) -> str:
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
    if number.kind is Kind.NUMBER:
        return f"{value:.3g}"
    return str(value)


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
