"""Writes the pages of docs/ that are read off the code.

python tools/reference_pages.py           # writes them
python tools/reference_pages.py --check   # fails where they are old

The commands come from their `--help`, the methods of `records()` from their
docstrings, the numbers from `wq_hooks/core/monitoring`. Needs no TensorFlow.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import io
import os
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
RECORDS = ROOT / "wq_hooks" / "runtime" / "records"

_NOTE = "Written by `make docs`; do not edit.\n"
_SUBCOMMANDS = ("launch", "status", "inspect")


def commands() -> str:
    """Returns the page about the commands."""
    parts = ["# The command `wq-hooks`\n", _NOTE]
    for words in ([], *([name] for name in _SUBCOMMANDS)):
        title = " ".join(["wq-hooks", *words])
        parts.append(f"## `{title}`\n\n```\n{_help_of(words)}```\n")
    return "\n".join(parts)


def _help_of(words: list[str]) -> str:
    from wq_hooks.cli.command_line import main

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        main([*words, "--help"])
    # As Python 3.10 and later say it.
    return printed.getvalue().replace("\noptional arguments:", "\noptions:")


def records() -> str:
    """Returns the page about the methods of `records()`."""
    rows = sorted(
        row
        for path in ("records.py", "record_batches.py")
        for row in _methods_of(RECORDS / path)
    )
    in_reader, after = _refused()
    return "\n".join(
        [
            "# The methods of `records()`\n",
            _NOTE,
            "`queue.records(reader)` returns a pipeline with these methods of "
            "[`tf.data.Dataset`](https://www.tensorflow.org/api_docs/python/tf/"
            "data/Dataset). Each takes the arguments, and gives the elements, "
            "that it takes and gives there. `to_dataset()` ends the "
            "pipeline.\n",
            *_table(("method", "what is special"), rows),
            "\n## What it has not\n",
            "The error of each says where it goes.\n",
            *_table(
                ("method", "where it goes"),
                [
                    (f"`{name}`", "after `to_dataset()`, with the batches")
                    for name in after
                ]
                + [
                    (f"`{name}`", "into the reader, for each item")
                    for name in in_reader
                ]
                + [
                    ("`zip`", "`tf.data.Dataset.zip` of `to_dataset()`"),
                    (
                        "all others (`window`, `scan`, ...)",
                        "into the reader, for each item",
                    ),
                ],
            ),
            "",
        ]
    )


def _methods_of(path: Path) -> Iterator[tuple[str, str]]:
    for item in ast.parse(path.read_text(encoding="utf-8")).body:
        if not isinstance(item, ast.ClassDef):
            continue
        for method in item.body:
            if not isinstance(method, ast.FunctionDef):
                continue
            text = ast.get_docstring(method)
            if method.name.startswith("_") or not text or method.name in _INNER:
                continue
            said = text.partition("\nRaises:")[0]
            said = re.sub(r"As tf\.data\.Dataset\.\w+[.;:]?\s*", "", said)
            said = " ".join(said.split())
            yield f"`{method.name}`", said[:1].upper() + said[1:]


_INNER = {"pairs"}


def _refused() -> tuple[list[str], list[str]]:
    from wq_hooks.runtime.records import refused_methods

    fixes = refused_methods._OF_ALL
    after = [n for n, fix in fixes.items() if fix is refused_methods._BEHIND]
    in_reader = [n for n in fixes if n not in after and n != "zip"]
    return in_reader, after


def numbers() -> str:
    """Returns the page about summaries, the state and the metrics."""
    from wq_hooks.core.monitoring.metrics import METRICS, PREFIX
    from wq_hooks.core.monitoring.schema import QUEUE, SUMMARY, WORKER, Place

    of_queue = {m.number: m.help for m in METRICS if not m.of_worker}
    of_worker = {m.number: m.help for m in METRICS if m.of_worker}
    places = {
        Place.SUMMARY: "summary",
        Place.CARD: "tab",
        Place.STATUS: "status",
        Place.LOG: "log",
    }

    def rows(numbers: Iterable, helps: dict[str, str]) -> list[tuple[str, ...]]:
        return [
            (
                f"`{number.name}`",
                number.unit,
                number.kind.value,
                helps.get(number.name, ""),
                ", ".join(
                    word for p, word in places.items() if p in number.places
                ),
            )
            for number in numbers
        ]

    head = ("name", "unit", "value", "meaning", "shown in")
    summaries = [n for n in QUEUE if SUMMARY in n.places]
    return "\n".join(
        [
            "# Summaries, the JSON of `status`, and metrics\n",
            _NOTE,
            "One table in the code, `wq_hooks/core/monitoring/schema.py`, has "
            "each number once.\n",
            "## Summaries\n",
            "Each is a scalar `<queue>/<name>` of the event files. The level "
            "is `<queue>/fraction_of_<len>_full`, as in DeepRec. `item_secs` "
            "is three scalars: `p10`, `p50` and `p90`.\n",
            *_table(head, rows(summaries, of_queue)),
            "\n## The JSON of `wq-hooks status`\n",
            "`wq-hooks status --format=json` prints one object.\n",
            *_table(head, rows(QUEUE, of_queue)),
            "\nBeside these it has `version` (of the format), `name`, `time` "
            "(seconds since 1970), `has_ended` (whether the chief has left) "
            "and `workers`, a list of objects:\n",
            *_table(head, rows(WORKER, of_worker)),
            "\nA worker's `items` are what it holds: `ticket`, `text` and "
            "`held_secs` of each.\n",
            "## Metrics\n",
            "`wq-hooks status --format=prometheus` and the port of the chief "
            "give them; see [monitoring](monitoring.md).\n",
            *_table(
                ("metric", "labels", "meaning"),
                [
                    (
                        f"`{PREFIX}{m.name}{'_total' if m.is_counter else ''}`",
                        ", ".join(m.labels),
                        m.help,
                    )
                    for m in METRICS
                ],
            ),
            "",
        ]
    )


def _table(
    head: tuple[str, ...], rows: Iterable[tuple[str, ...]]
) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', '&#124;') for cell in row)} |"


PAGES = {"cli.md": commands, "records.md": records, "summaries.md": numbers}


def old_pages() -> list[str]:
    """Returns the pages that say other words than the code does."""

    def words_of(text: str) -> str:
        # Versions of Python break the lines of a usage in other places.
        return re.sub(r"\s+", "", text)

    return [
        name
        for name, page in PAGES.items()
        if not (DOCS / name).exists()
        or words_of((DOCS / name).read_text(encoding="utf-8"))
        != words_of(page())
    ]


def main() -> int:
    """Writes the pages, or checks them; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    args = parser.parse_args()
    old = old_pages()
    if args.check and old:
        print(f"Expected what the code says in {', '.join(old)}: `make docs`.")
        return 1
    for name in old:
        (DOCS / name).write_text(PAGES[name](), encoding="utf-8")
        print(f"Wrote docs/{name}.")
    return 0


# The width of the texts of --help.
os.environ["COLUMNS"] = "80"
sys.path.insert(0, str(ROOT))

if __name__ == "__main__":
    sys.exit(main())
