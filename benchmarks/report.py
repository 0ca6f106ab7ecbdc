"""The page that tells what the benchmarks have found."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.results import Result

_INTRODUCTION = """\
# Performance

How close the work queue is to what is possible, and how it compares to what
people would use instead: a figure of each benchmark, then all of them.
"""

_HOW = """\
All figures come from

```sh
python -m benchmarks --report=docs/performance.md  # all, and this page
python -m benchmarks take scale                    # some
```

which takes about 18 minutes. Do not edit this page: its text is in
`benchmarks/report.py`. Results are kept as JSON in `benchmark_results`; to run
one benchmark again refreshes its section.

Absolute times depend on the machine. What is compared was run side by side, in
turn, so ratios are what counts; they are medians, with least and greatest
beside them. Each benchmark is held to bars, and a bar that is missed says so.
Where a section says that the machine was busy with other things before it, or
that other machines took more than a few percent of its time, its figures are to
be taken again. Clients, servers and chief share the cores of one machine, so
they also wait for each other where a cluster would not.
"""

_QUESTIONS = {
    "ledger": "How many events (issue, lease, acknowledge) per second does the "
    "ledger bear, as works and consumers grow?",
    "take": "What does one item cost its consumer, against a bare FIFOQueue "
    "and an empty step on the same parameter server?",
    "dispatch": "Do a thousand consumers get their items evenly, and what does "
    "that cost the chief?",
    "overhead": "How many records per second come from the queue, against a "
    "plain list of files?",
    "prefetch": "How long does a train step wait for its batch, against a "
    "plain list of files?",
    "slices": "What does it cost to read a file in slices?",
    "makespan": "How long does a job with a slow worker take, against the "
    "limit: work divided by the sum of speeds?",
    "recovery": "What is lost when a worker is killed, and when are its files "
    "trained?",
    "scale": "What do ten million works cost in time, memory and checkpoint?",
    "memory": "How much does a process grow with each item that it draws, "
    "against a plain list?",
}

# The bar that answers the question best, where it is not the first one.
_HEADLINES = {
    "overhead": "train, queue, records(), of plain",
    "makespan": "equal files, static split / work queue",
}


def _found(result: Result) -> str:
    """Returns the figure that is shown at the top of the page."""
    wanted = _HEADLINES.get(result.name)
    bars = [bar for bar in result.bars if bar.text == wanted] or result.bars
    return str(bars[0]) if bars else "see below"


def page_of(
    results: Sequence[Result], plot: str | None, failed: Sequence[str]
) -> str:
    """Returns the page, as Markdown.

    Args:
      results: Results in the order in which they are told.
      plot: Name of the picture beside the page that shows growth, if any.
      failed: Names of benchmarks that could not be run.
    """
    num_bars = sum(len(result.bars) for result in results)
    missed = [
        f"* {result.name}: {bar}"
        for result in results
        for bar in result.bars
        if not bar.holds
    ]
    lines = [
        _INTRODUCTION,
        "| benchmark | what is asked | found |",
        "| --- | --- | --- |",
        *(
            f"| [{result.name}](#{result.name}) "
            f"| {_QUESTIONS.get(result.name, result.title)} "
            f"| {_found(result)} |"
            for result in results
        ),
        "",
        f"Of {num_bars} bars {num_bars - len(missed)} hold. All together took "
        f"{sum(result.secs for result in results) / 60:.1f} minutes.",
    ]
    if missed:
        lines += ["Missed are:", "", *missed]
    if failed:
        lines += ["", f"Could not be run: {', '.join(failed)}."]
    lines += ["", _HOW]
    if plot is not None:
        lines += [
            "How cost grows, on logarithmic axes:",
            "",
            f"![Cost as works and consumers grow]({plot})",
            "",
        ]
    return "\n".join(lines) + "\n" + "\n".join(r.to_text() for r in results)
