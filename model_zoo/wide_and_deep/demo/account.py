"""What was trained, counted from the lists of batches that the tasks wrote.

    batches = read_batches("checkpoints", ["chief:0", "worker:0"])
    account = RunAccount.of(batches)

The lists are a witness that knows nothing of the queue's own account: a line is
written by the task that has trained the batch, when it has.

The trap: a file is read once here (one epoch); of two epochs one could not tell
a file that was skipped and one that was repeated.
"""

from __future__ import annotations

import collections
import dataclasses
import os
import re
from collections.abc import Iterable, Mapping, Sequence

CHECKPOINT_FILE = "checkpoint"

_CHECKPOINT_PATH = re.compile(r'^model_checkpoint_path: "(.*)"$', re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class TrainedBatch:
    """A batch that a task has trained.

    Attributes:
      task: Name, such as `worker:1`.
      at: When, in seconds since the epoch.
      file: Where its records are from.
      records: How many these are.
    """

    task: str
    at: float
    file: str
    records: int


def read_batches(
    checkpoint: str, tasks: Iterable[str]
) -> dict[str, list[TrainedBatch]]:
    """Reads the lists of batches, which may still be growing.

    Args:
      checkpoint: Directory of the job.
      tasks: Tasks whose lists to read.

    Returns:
      The batches of each task, in order; none for a task without a list.
    """
    batches: dict[str, list[TrainedBatch]] = {}
    for task in tasks:
        # As in report.py, which imports TensorFlow.
        name = f"{task.replace(':', '_')}.batches.tsv"
        path = os.path.join(checkpoint, "tasks", name)
        batches[task] = []
        if not os.path.exists(path):
            continue
        with open(path, encoding="utf-8") as f:
            for line in f:
                if not line.endswith("\n"):
                    break  # It is being written.
                at, _, records, file = line.rstrip("\n").split("\t", 3)
                batches[task].append(
                    TrainedBatch(task, float(at), file, int(records))
                )
    return batches


def checkpoint_at(checkpoint: str) -> float:
    """Returns when the newest checkpoint was written; 0.0 if there is none."""
    path = os.path.join(checkpoint, CHECKPOINT_FILE)
    try:
        with open(path, encoding="utf-8") as f:
            match = _CHECKPOINT_PATH.search(f.read())
        if match is None:
            return 0.0
        index = os.path.join(checkpoint, f"{match.group(1)}.index")
        return os.path.getmtime(index)
    except FileNotFoundError:
        return 0.0


def records_of_files(batches: Iterable[TrainedBatch]) -> dict[str, int]:
    """Returns how many records of each file were trained."""
    records: collections.Counter[str] = collections.Counter()
    for batch in batches:
        records[batch.file] += batch.records
    return dict(records)


def num_finished(
    batches: Iterable[TrainedBatch], rows_of_files: Mapping[str, int]
) -> int:
    """Returns how many files were trained to their end."""
    return sum(
        records >= rows_of_files[file]
        for file, records in records_of_files(batches).items()
    )


@dataclasses.dataclass(frozen=True)
class TaskAccount:
    """What one task, or all together, have trained.

    Attributes:
      items: Different files.
      records: Records.
      secs: Seconds from the first batch to the last one.
    """

    items: int
    records: int
    secs: float

    @classmethod
    def of(cls, batches: Sequence[TrainedBatch]) -> TaskAccount:
        """Counts batches, which come in any order."""
        times = [batch.at for batch in batches]
        return cls(
            len({batch.file for batch in batches}),
            sum(batch.records for batch in batches),
            max(times) - min(times) if times else 0.0,
        )


@dataclasses.dataclass(frozen=True)
class RunAccount:
    """What came of a run without a failure.

    Attributes:
      tasks: What each task has trained.
      job: All of them together.
      lost: Records that were not trained.
      repeated: Records that were trained once more.
    """

    tasks: Mapping[str, TaskAccount]
    job: TaskAccount
    lost: int
    repeated: int

    @classmethod
    def of(
        cls,
        batches: Mapping[str, Sequence[TrainedBatch]],
        rows_of_files: Mapping[str, int],
    ) -> RunAccount:
        """Counts.

        Args:
          batches: Those of each task.
          rows_of_files: How many records each file has.
        """
        together = [batch for part in batches.values() for batch in part]
        trained = records_of_files(together)
        return cls(
            {task: TaskAccount.of(part) for task, part in batches.items()},
            TaskAccount.of(together),
            lost=sum(
                max(0, rows - trained.get(file, 0))
                for file, rows in rows_of_files.items()
            ),
            repeated=sum(
                max(0, records - rows_of_files[file])
                for file, records in trained.items()
            ),
        )


@dataclasses.dataclass(frozen=True)
class Count:
    """Items and the records that were trained of them."""

    items: int
    records: int


@dataclasses.dataclass(frozen=True)
class ResumeAccount:
    """What came of a job that was killed and resumed.

    An item is in the checkpoint if the resumed job did not train it again: so
    all of its records have to have been trained before the checkpoint.

    Attributes:
      total: What there is.
      finished: Items of which all records were trained before the kill.
      begun: Items that were begun, but not finished, when the kill came.
      kept: What was not trained again.
      after: What was trained after the resume.
      lost: What is in the model neither by the checkpoint nor by the resume.
      repeated: What was trained before the kill and after it.
    """

    total: Count
    finished: Count
    begun: Count
    kept: Count
    after: Count
    lost: Count
    repeated: Count

    @classmethod
    def of(
        cls,
        before: Sequence[TrainedBatch],
        after: Sequence[TrainedBatch],
        *,
        checkpoint_at: float,
        rows_of_files: Mapping[str, int],
    ) -> ResumeAccount:
        """Counts.

        Args:
          before: What was trained before the kill.
          after: What was trained after it.
          checkpoint_at: When the checkpoint was written from which the job
            was resumed. What was trained later was lost with the kill.
          rows_of_files: How many records each file has.
        """
        trained = records_of_files(before)
        saved = records_of_files(b for b in before if b.at <= checkpoint_at)
        again = records_of_files(after)
        begun = {f: n for f, n in trained.items() if n < rows_of_files[f]}
        finished = {f: n for f, n in trained.items() if f not in begun}
        kept = {f: n for f, n in saved.items() if f not in again}
        lost = {
            file: rows - again.get(file, kept.get(file, 0))
            for file, rows in rows_of_files.items()
            if rows > again.get(file, kept.get(file, 0))
        }
        # Also what the resumed job should have trained once, and did twice.
        repeated = {
            file: trained.get(file, 0) + records - rows_of_files[file]
            for file, records in again.items()
            if file in trained or records > rows_of_files[file]
        }
        return cls(
            *map(
                _count,
                (
                    rows_of_files,
                    finished,
                    begun,
                    kept,
                    again,
                    lost,
                    repeated,
                ),
            )
        )

    @property
    def finished_since_checkpoint(self) -> int:
        """Items that were finished, but are not in the checkpoint."""
        return self.finished.items - self.kept.items


def _count(records_of_files: Mapping[str, int]) -> Count:
    return Count(len(records_of_files), sum(records_of_files.values()))
