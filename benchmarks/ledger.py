"""Ledger: issue, lease and acknowledge, in pure Python on one core."""

from __future__ import annotations

import functools
import gc
import statistics
import time
from collections.abc import Callable

from benchmarks.results import Bar, Curve, Result, spread
from wq_hooks.core.items.plan import Plan
from wq_hooks.core.items.works import Works
from wq_hooks.core.ledger.consumer_state import Consumer
from wq_hooks.core.ledger.ledger import Ledger

_BATCH = 100


def run(*, quick: bool) -> Result:
    """Measures events per second, as works and as consumers grow."""
    num_runs = 2 if quick else 3
    num_items = 1_000 if quick else 30_000
    works = (10**3, 10**4) if quick else (10**3, 10**4, 10**5, 10**6, 10**7)
    consumers = (10, 100) if quick else (10, 100, 1_000, 10_000)
    result = Result(
        "ledger",
        "Events (issue, lease, acknowledge) per second of the ledger.",
        ("works", "consumers", "events/s", "min to max", "of dicts alone"),
        curve_axes=("works, or consumers", "microseconds per event"),
    )
    by_works = _measure_all(
        result, [(n, 1_000) for n in works], num_items, num_runs
    )
    by_consumers = _measure_all(
        result, [(10**5, n) for n in consumers], num_items, num_runs
    )
    result.curves.append(
        Curve("works", works, tuple(1e6 / rate for rate in by_works))
    )
    result.curves.append(
        Curve("consumers", consumers, tuple(1e6 / r for r in by_consumers))
    )
    result.bars.append(
        Bar("events/s, 1,000 consumers", min(by_works), ">=", 200_000)
    )
    for curve in result.curves:
        result.bars.append(
            Bar(f"exponent in {curve.label}", abs(curve.exponent), "<=", 0.1)
        )
    result.notes.append(
        "Of dicts alone: against the same number of insertions and deletions "
        "in a dict, which is about what one core of Python can do."
    )
    return result


def _measure_all(
    result: Result,
    cases: list[tuple[int, int]],
    num_items: int,
    num_runs: int,
) -> list[float]:
    # All cases in turn, several times over: what disturbs one run of them
    # disturbs a run of each.
    runs: dict[tuple[int, int], list[tuple[float, float]]] = {}
    plans = {n: _plan(n) for n, _ in cases}
    for _ in range(num_runs):
        for num_works, num_consumers in cases:
            events = functools.partial(
                _events, Ledger(plans[num_works]), num_consumers=num_consumers
            )
            rate = _rate(events, num_items)
            runs.setdefault((num_works, num_consumers), []).append(
                (rate, _rate(_dict_events, num_items))
            )
    medians = []
    for (num_works, num_consumers), pairs in runs.items():
        rates = [rate for rate, _ in pairs]
        ratio = statistics.median(rate / bare for rate, bare in pairs)
        medians.append(statistics.median(rates))
        result.rows.append(
            (num_works, num_consumers, medians[-1], spread(rates), ratio)
        )
    return medians


def _plan(num_works: int) -> Plan:
    works = Works([f"part-{i}" for i in range(num_works)], None)
    return Plan.fresh(works, num_epochs=None, shuffle=True, seed=1)


def _rate(run_events: Callable[[int], None], num_items: int) -> float:
    gc.collect()
    begin = time.perf_counter()
    run_events(num_items)
    return 3 * num_items / (time.perf_counter() - begin)


def _events(ledger: Ledger, num_items: int, num_consumers: int) -> None:
    consumers = [Consumer(f"worker:{i}", "life") for i in range(num_consumers)]
    now = 0.0
    for first in range(0, num_items, _BATCH):
        now += 0.01
        for i, item in enumerate(ledger.issue(_BATCH, now)):
            consumer = consumers[(first + i) % num_consumers]
            ledger.lease(consumer, item.ticket, now)
            ledger.acknowledge(consumer, item.ticket, now)


def _dict_events(num_items: int) -> None:
    issued, leased = {}, {}
    for i in range(num_items):
        issued[i] = f"part-{i}"
        leased[i] = issued.pop(i)
        del leased[i]
