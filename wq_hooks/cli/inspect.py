"""Tell what a checkpoint says of its work queues.

    wq-hooks inspect /model
    wq-hooks inspect /model/model.ckpt-1200 --works today.txt --format=json

Exits with 0, or with 1 where there is nothing to read: no checkpoint, one
without a queue, or a damaged one. Needs TensorFlow.
"""

from __future__ import annotations

import argparse
import json
import os
from typing import TYPE_CHECKING, Any

from wq_hooks.cli import text
from wq_hooks.cli.arguments import number
from wq_hooks.core.items.added_works import AddedLog
from wq_hooks.core.items.plan import Epochs
from wq_hooks.core.items.slicing import Slicing
from wq_hooks.core.items.works import Works
from wq_hooks.core.position.resume_added_works import resume_with_added
from wq_hooks.core.position.snapshot import Snapshot
from wq_hooks.errors import SnapshotError, WorkQueueError

if TYPE_CHECKING:
    from wq_hooks.cli.positions import Position

_NUM_FIRST = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `wq-hooks inspect`."""
    parser.add_argument(
        "path",
        metavar="CHECKPOINT|DIR|FILE",
        help="a checkpoint, weights with a position beside them, a file with "
        "what WorkQueue.snapshot() returned, or a directory of any of these "
        "(its latest counts)",
    )
    parser.add_argument("--name", help="tell of the queue of this name alone")
    parser.add_argument(
        "--works",
        metavar="FILE",
        help="tell what a resume with these works would do: one to a line",
    )
    parser.add_argument(
        "--num_epochs",
        type=number(int, least=1),
        metavar="N",
        help="with --works: as it would be asked for; default: as before",
    )
    parser.add_argument(
        "--limit",
        type=number(int),
        default=20,
        metavar="N",
        help="how many items to list (default: %(default)s)",
    )
    parser.add_argument(
        "--format",
        choices=("text", "json"),
        default="text",
        help="JSON holds all items (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Prints what was found; returns the exit code."""
    if args.num_epochs is not None and args.works is None:
        raise argparse.ArgumentTypeError(
            "Expected --works with --num_epochs; got --num_epochs alone."
        )
    # TensorFlow, which is slow to import, tells of its beginning.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from wq_hooks.cli.positions import find_positions

    try:
        works = None if args.works is None else _works_of(args.works)
        reports = [
            report_of(position, works, args.num_epochs)
            for position in find_positions(args.path)
        ]
        if args.name is not None:
            names = [report["name"] for report in reports]
            reports = [r for r in reports if r["name"] == args.name]
            if not reports:
                raise WorkQueueError(
                    f"Expected a queue named {args.name!r}; got {names}."
                )
    except (WorkQueueError, OSError, ValueError) as e:
        text.complain("inspect", e)
        return 1
    if args.format == "json":
        text.write(json.dumps(reports, indent=2))
    else:
        for report in reports:
            text.write(in_words(report, args.limit))
    return 0


def report_of(
    position: Position, works: Works | None, num_epochs: int | None
) -> dict[str, Any]:
    """Returns what a position says, as a value that json can write.

    Args:
      position: The position.
      works: Tell what a resume with these would do; None: do not.
      num_epochs: Number of epochs that would be asked for; None:
        as before.

    Raises:
      SnapshotError: If it is damaged, of another format, or cannot be merged
        with the works.
    """
    report: dict[str, Any] = {
        "checkpoint": position.source,
        "tensor": position.key,
        "name": position.key.rpartition("/")[0],
    }
    if not position.text:
        return {**report, "is_empty": True}
    try:
        snapshot = Snapshot.from_json(position.text)
    except SnapshotError as e:
        where = f"tensor {position.key!r} of " if position.key else ""
        raise SnapshotError(f"In {where}{position.source!r}: {e}") from e
    last = snapshot.segments[-1] if snapshot.segments else None
    epochs = total = None
    items_per_epoch = _items_per_epoch(snapshot)
    if isinstance(last, Epochs) and last.num_epochs is not None:
        epochs = last.first_epoch + last.num_epochs
        total = last.first_ticket + last.num_epochs * items_per_epoch
    if snapshot.added is not None:
        # As many as were added by then.
        total = snapshot.added.first_ticket + len(snapshot.added.names)
    from wq_hooks.runtime.saving import sidecar_files

    kept_at = sidecar_files.find(snapshot, position.directory)
    report.update(
        name=snapshot.name,
        is_empty=False,
        completed=snapshot.completed,
        total=total,
        remaining=None if total is None else total - snapshot.completed,
        epoch=snapshot.completed / max(items_per_epoch, 1),
        num_epochs=epochs,
        low_watermark=snapshot.low_watermark,
        next_ticket=snapshot.next_ticket,
        outstanding=[
            {
                "ticket": item.ticket,
                "item": item.text,
                "holder": item.holder,
                "attempts": item.attempts,
            }
            for item in snapshot.outstanding
        ],
        given_up=[name for _, name in snapshot.given_up],
        num_works=snapshot.num_works,
        fingerprint=snapshot.fingerprint,
        works=kept_at
        or ("in the position" if snapshot.packed_works else "not kept"),
    )
    if works is not None:
        if any(snapshot.slicings):
            raise SnapshotError(
                f"Expected a queue of whole works with --works; those of "
                f"{snapshot.name!r} are cut, and it takes the works "
                "themselves to tell how."
            )
        asked = epochs if num_epochs is None else num_epochs
        report["resume"] = _resume_of(works, snapshot, asked, last, position)
    return report


def _items_per_epoch(snapshot: Snapshot) -> int:
    """Returns the items of an epoch; the works if it is not told."""
    last = snapshot.slicings[-1] if snapshot.slicings else None
    if isinstance(last, Slicing):
        return last.num_items
    return snapshot.num_works


def _resume_of(
    works: Works,
    snapshot: Snapshot,
    num_epochs: int | None,
    last: Any,
    position: Position,
) -> dict[str, Any]:
    from wq_hooks.runtime.saving.sidecar_files import SidecarFiles

    sidecars = SidecarFiles(snapshot)
    sidecars.directory = position.directory
    log = AddedLog()
    log.close()
    resumption = resume_with_added(
        works,
        snapshot,
        log=log,
        num_epochs=num_epochs,
        shuffle=last.shuffle,
        seed=None,
        read_works=sidecars.works_of,
    )
    plan, total = resumption.plan, resumption.plan.total
    if plan.added is not None:
        total = plan.added.end
    completed = resumption.next_ticket - len(resumption.attempts)
    first = sorted(resumption.attempts)[:_NUM_FIRST]
    ticket = resumption.next_ticket
    while len(first) < _NUM_FIRST and (total is None or ticket < total):
        first.append(ticket)
        ticket += 1
    return {
        "kept": resumption.kept,
        "added": resumption.added,
        "dropped": resumption.dropped,
        "notes": list(resumption.notes),
        "to_do": None if total is None else total - completed,
        "repeated": sum(n > 0 for n in resumption.attempts.values()),
        "first": [plan.item_at(t).text for t in first],
    }


def _works_of(path: str) -> Works:
    try:
        with open(path, "rb") as file:
            names = [line for line in file.read().splitlines() if line.strip()]
    except OSError as e:
        raise WorkQueueError(
            f"Expected --works to be a file with one work to a line; got "
            f"{path!r}: {e.strerror}."
        ) from e
    if not names:
        raise WorkQueueError(f"Expected one work to a line; {path!r} has none.")
    return Works(names)


def in_words(report: dict[str, Any], limit: int) -> str:
    """Returns a report for a person.

    Args:
      report: See `report_of`.
      limit: How many items to list.
    """
    title = f"Queue {report['name']!r} in {report['checkpoint']}"
    if report["is_empty"]:
        return f"{text.printable(title)}: nothing was written yet.\n"
    total, epochs = report["total"], report["num_epochs"]
    of_total = "items, without end" if total is None else f"of {total:,} items"
    of_epochs = "" if epochs is None else f" of {epochs}"
    held = [i for i in report["outstanding"] if i["holder"] is not None]
    lines = [
        text.printable(title),
        f"  completed      {report['completed']:,} {of_total}",
        f"  epoch          {report['epoch']:.2f}{of_epochs}",
        f"  low watermark  {report['low_watermark']:,}",
        "  outstanding    none: the job is through, and a resume with the same "
        "works and epochs has nothing to do"
        if report["remaining"] == 0 and not report["outstanding"]
        else f"  outstanding    {len(report['outstanding']):,}, of which "
        f"{len(held):,} were in flight; they come first after a restore",
        f"  given up       {len(report['given_up']):,}",
        f"  works          {report['num_works']:,}, fingerprint "
        f"{report['fingerprint'][:12]}; {text.printable(report['works'])}",
    ]
    rows = [
        (
            str(item["ticket"]),
            item["holder"] or "nobody",
            str(item["attempts"]),
            item["item"],
        )
        for item in report["outstanding"][:limit]
    ]
    if rows:
        listed = text.table(("TICKET", "HELD BY", "ATTEMPTS", "ITEM"), rows)
        lines += ["", *(f"  {line}" for line in listed.splitlines())]
        if len(report["outstanding"]) > limit:
            lines.append(f"  ... {len(report['outstanding']) - limit:,} more")
    lines += [
        f"  GIVEN UP: {text.printable(name)}"
        for name in report["given_up"][:limit]
    ]
    if "resume" in report:
        lines += ["", *_resume_in_words(report["resume"])]
    return "\n".join([*lines, ""])


def _resume_in_words(plan: dict[str, Any]) -> list[str]:
    to_do = "without end" if plan["to_do"] is None else f"{plan['to_do']:,}"
    return [
        "  A resume with these works:",
        f"  works          {plan['kept']:,} kept, {plan['added']:,} added, "
        f"{plan['dropped']:,} dropped",
        f"  items to do    {to_do}, of which {plan['repeated']:,} once more",
        f"  first          {text.printable(', '.join(plan['first']))}",
        *(f"  note           {note}" for note in plan["notes"]),
    ]
