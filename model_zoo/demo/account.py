"""What was trained, counted from the lists that the trainers write.

    batches = read("checkpoints")
    resume = Resume.of(before, after, checkpoint_at, rows)

The lists know nothing of the queue's own account. An item is a file that is
read once (one epoch): of two, one could not tell what was skipped and what was
repeated.
"""

from __future__ import annotations

import collections
import dataclasses
import pathlib
from collections.abc import Iterable, Mapping


@dataclasses.dataclass(frozen=True, order=True)
class Batch:
    """Records of a file that a task has trained in one step.

    Attributes:
      at: When, in seconds since the epoch.
      task: Name, such as `worker:1`.
      file: Where its records are from.
      records: How many these are.
    """

    at: float
    task: str
    file: str
    records: int


def read(checkpoint: str) -> list[Batch]:
    """Reads the lists of all tasks, which may still be growing, in order."""
    batches = []
    for path in pathlib.Path(checkpoint, "trained").glob("*.tsv"):
        task = path.stem.replace("_", ":")
        for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
            if line.endswith("\n"):  # or else it is being written
                at, records, file = line.rstrip("\n").split("\t", 2)
                batches.append(Batch(float(at), task, file, int(records)))
    return sorted(batches)


def records_of_files(batches: Iterable[Batch]) -> collections.Counter[str]:
    """Returns how many records of each file were trained."""
    records: collections.Counter[str] = collections.Counter()
    for batch in batches:
        records[batch.file] += batch.records
    return records


def finished(batches: Iterable[Batch], rows: Mapping[str, int]) -> set[str]:
    """Returns the files that were trained to their end.

    Args:
      batches: What was trained.
      rows: How many records each file has.
    """
    trained = records_of_files(batches)
    return {file for file, records in trained.items() if records >= rows[file]}


@dataclasses.dataclass(frozen=True)
class Share:
    """What some batches, those of a task or all, amount to.

    Attributes:
      items: Different files.
      records: Records.
      secs: Seconds from the first batch to the last one.
    """

    items: int
    records: int
    secs: float

    @classmethod
    def of(cls, batches: Iterable[Batch]) -> Share:
        """Counts."""
        times = [batch.at for batch in batches] or [0.0]
        trained = records_of_files(batches)
        secs = max(times) - min(times)
        return cls(len(trained), sum(trained.values()), secs)


def lost_and_repeated(
    batches: Iterable[Batch], rows: Mapping[str, int]
) -> tuple[int, int]:
    """Returns how many records were not trained, and how many once more."""
    trained = records_of_files(batches)
    differences = [trained[file] - number for file, number in rows.items()]
    return (
        sum(max(0, -difference) for difference in differences),
        sum(max(0, difference) for difference in differences),
    )


@dataclasses.dataclass(frozen=True)
class Resume:
    """What came of a job that was killed and resumed: records of each file.

    An item is in the checkpoint if the resumed job did not train it again: so
    all of its records have to have been trained before the checkpoint.

    Attributes:
      finished: What was trained to its end before the kill.
      begun: What was begun, but not finished, when the kill came.
      kept: What was not trained again.
      after: What was trained after the resume.
      repeated: What was trained before the kill and after it.
      lost: What is in the model neither by the checkpoint nor by the resume.
    """

    finished: Mapping[str, int]
    begun: Mapping[str, int]
    kept: Mapping[str, int]
    after: Mapping[str, int]
    repeated: Mapping[str, int]
    lost: Mapping[str, int]

    @classmethod
    def of(
        cls,
        before: Iterable[Batch],
        after: Iterable[Batch],
        checkpoint_at: float,
        rows: Mapping[str, int],
    ) -> Resume:
        """Counts.

        Args:
          before: What was trained before the kill.
          after: What was trained after it.
          checkpoint_at: When the checkpoint was written from which the job
            was resumed. What was trained later was lost with the kill.
          rows: How many records each file has.
        """
        trained, again = records_of_files(before), records_of_files(after)
        saved = records_of_files(b for b in before if b.at <= checkpoint_at)
        kept = {f: n for f, n in saved.items() if f not in again}
        in_model = {**kept, **again}
        return cls(
            finished={f: n for f, n in trained.items() if n >= rows[f]},
            begun={f: n for f, n in trained.items() if n < rows[f]},
            kept=kept,
            after=again,
            # Also what the resumed job should have trained once, and did twice.
            repeated={
                f: trained[f] + n - rows[f]
                for f, n in again.items()
                if f in trained or n > rows[f]
            },
            lost={
                f: n - in_model.get(f, 0)
                for f, n in rows.items()
                if n > in_model.get(f, 0)
            },
        )
