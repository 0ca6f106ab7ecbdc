"""Compares the models on the same small cluster, and writes a page of it.

    python -m model_zoo.demo.compare --output=model_zoo/COMPARISON.md

Each model trains three times on parameter server, chief and two workers, of
which one is four times slower: from the queue; by a static split, if it has
one; and from the queue with a worker that is killed and started again. All is
counted from the lists that the trainers write.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence

from model_zoo.demo import account, job
from model_zoo.demo.account import Batch

# Model -> whether it can be trained by a static split.
MODELS = {"wide_and_deep": True, "din": True, "multi_task": False}
NUM_FILES, NUM_ROWS = 24, 1000
BATCH_SIZE, STEP_SECS = 100, 0.1
TIMEOUT_SECS = 600.0

_HEAD = f"""\
# The models compared

Written by `python -m model_zoo.demo.compare`; do not edit.

Each model trained {NUM_FILES * NUM_ROWS} records on a parameter server, the
chief and two workers, on {{machine}}. A step of {BATCH_SIZE} records takes
{STEP_SECS} s at least, one of {job.SLOW_TASK} four times as long. In the last
columns `worker:0` was killed with SIGKILL half-way, and started again.

"""


_COLUMNS = (
    "model",
    "records/s",
    "share of chief:0, worker:0, worker:1",
    "secs from the queue",
    "by a static split",
    "lost after the kill",
    "repeated",
)


def compare(model: str, directory: str) -> str:
    """Trains a model; returns its row of the table."""
    data = os.path.join(directory, "data")
    sizes = [f"--num_files={NUM_FILES}", f"--rows_per_file={NUM_ROWS}"]
    generate = [sys.executable, "-m", f"model_zoo.{model}.generate"]
    job.output([*generate, f"--output_dir={data}", *sizes])

    def train(
        name: str,
        *flags: str,
        watch: Callable[[str], signal.Signals | None] = lambda _: None,
    ) -> list[Batch]:
        checkpoint = os.path.join(directory, name)
        command = [
            *(
                sys.executable,
                "-m",
                f"model_zoo.{model}.train_monitored_session",
            ),
            *(f"--data_location={data}", f"--checkpoint={checkpoint}"),
            *(f"--batch_size={BATCH_SIZE}", f"--step_secs={STEP_SECS}"),
            *(f"--slow_task={job.SLOW_TASK}", "--shuffle_buffer=1"),
            *("--log_records", "--noeval", "--verbosity=0", *flags),
        ]
        log_dir = os.path.join(directory, f"{name}_logs")
        job.run(
            *(command, log_dir, lambda: watch(checkpoint), TIMEOUT_SECS),
            is_restarted=name == "killed",
        )
        return account.read(checkpoint)

    queue = train("queue")
    # What there is: a run without a failure trains each record once.
    rows = account.records_of_files(queue)
    if sum(rows.values()) != NUM_FILES * NUM_ROWS:
        raise job.JobFailedError(f"{model} has not trained each record once.")

    def end_when_trained(checkpoint: str) -> signal.Signals | None:
        is_trained = account.finished(account.read(checkpoint), rows) == {*rows}
        return signal.SIGTERM if is_trained else None

    killed: list[int] = []

    def kill_half_way(checkpoint: str) -> None:
        batches = account.read(checkpoint)
        has_begun = any(batch.task == "worker:0" for batch in batches)
        num_trained = sum(batch.records for batch in batches)
        if not killed and has_begun and 2 * num_trained > NUM_FILES * NUM_ROWS:
            log = os.path.join(directory, "killed_logs", "launch.log")
            with open(log, encoding="utf-8") as f:
                found = re.search(r"worker:0 \(pid (\d+)\)", f.read())
            if found:
                killed.append(int(found[1]))
                os.kill(killed[0], signal.SIGKILL)

    static = "-"
    if MODELS[model]:
        batches = train("static", "--noworkqueue", watch=end_when_trained)
        static = f"{account.Share.of(batches).secs:.1f}"
    lost, repeated = account.lost_and_repeated(
        train("killed", watch=kill_half_way), rows
    )
    if not killed:
        raise job.JobFailedError(f"No worker of {model} could be killed.")
    together = account.Share.of(queue)
    shares = [
        account.Share.of([b for b in queue if b.task == task]).records
        for task in ("chief:0", "worker:0", "worker:1")
    ]
    cells = (
        f"[{model}]({model}/README.md)",
        f"{together.records / together.secs:.0f}",
        ", ".join(f"{share / together.records:.0%}" for share in shares),
        f"{together.secs:.1f}",
        static,
        f"{lost}",
        f"{repeated}",
    )
    return table_row(cells)


def table_row(cells: Sequence[str]) -> str:
    """A line of a Markdown table."""
    return f"| {' | '.join(cells)} |\n"


def main() -> int:
    """Runs the command; returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", default="model_zoo/COMPARISON.md")
    parser.add_argument("models", nargs="*", default=list(MODELS))
    args = parser.parse_args()
    machine = f"{os.cpu_count()} cores ({platform.machine()})"
    page = _HEAD.format(machine=machine)
    page += table_row(_COLUMNS) + table_row(["---"] * len(_COLUMNS))
    for model in args.models:
        with tempfile.TemporaryDirectory() as directory:
            page += compare(model, directory)
        print(page.splitlines()[-1], flush=True)
    with open(args.output, "w", encoding="utf-8") as f:
        f.write(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
