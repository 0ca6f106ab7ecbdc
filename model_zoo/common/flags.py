"""The flags of all trainers; a trainer adds those of its model.

flags.define()                       # at import, before absl's app.run
flags.FLAGS.data_location
"""

from __future__ import annotations

from typing import Any

from absl import flags

FLAGS = flags.FLAGS


def define(**defaults: Any) -> None:
    """Defines the flags.

    Args:
      **defaults: What a trainer has other defaults for, such as
        `batch_size=512`.
    """
    flags.DEFINE_string(
        "data_location", None, "Directory of the data.", required=True
    )
    flags.DEFINE_string(
        "checkpoint",
        None,
        "Directory for checkpoints, summaries and results. Training resumes "
        "from the newest checkpoint in it.",
        required=True,
    )
    for name, default, lowest, text in (
        ("num_epochs", 1, 1, "How often to read the data."),
        ("batch_size", 128, 1, "Records in a batch."),
        ("shuffle_buffer", 10_000, 1, "Records to shuffle among; 1: none."),
        ("steps", 0, 0, "Stop at this global step; 0: at the end of the data."),
        ("save_secs", 60, 1, "Save every so many seconds, and at the end."),
        ("hash_buckets", 1000, 1, "Rows in the table of each column."),
    ):
        flags.DEFINE_integer(
            name, defaults.get(name, default), text, lower_bound=lowest
        )
    flags.DEFINE_integer(
        "seed",
        None,
        "Seed of the order of the data and of the initial model; none: another "
        "in each run.",
        lower_bound=0,
    )
    flags.DEFINE_float(
        "learning_rate", defaults.get("learning_rate", 0.05), "Learning rate."
    )
    flags.DEFINE_float(
        "report_secs",
        60.0,
        "Report the state of the work queue every so many seconds, in the log "
        "and the summaries.",
        lower_bound=0.0,
    )
    flags.DEFINE_boolean("eval", True, "Compute the AUC after the training.")
    flags.DEFINE_boolean(
        "log_records",
        False,
        "List in <checkpoint>/trained which records each step has trained.",
    )
    flags.DEFINE_string(
        "num_slices",
        defaults.get("num_slices", ""),
        "Into how many slices to cut all files together, or `auto`; empty: "
        "files are whole.",
    )


def define_comparison() -> None:
    """Defines what compares a work queue with a static split."""
    flags.DEFINE_boolean(
        "workqueue",
        True,
        "Take the data from the work queue; --noworkqueue: each task has a "
        "fixed share of the files, to compare.",
    )
    define_padding()


def define_padding() -> None:
    """Defines how long steps take; see `step_secs`."""
    flags.DEFINE_float(
        "step_secs",
        0.0,
        "Pad each step to so many seconds, as if the model were larger.",
        lower_bound=0.0,
    )
    flags.DEFINE_string(
        "slow_task", None, "Task that is padded four times as long."
    )


def step_secs(task: str) -> float:
    """How long a step of a task takes at least, in seconds."""
    return FLAGS.step_secs * (4.0 if task == FLAGS.slow_task else 1.0)


def num_slices() -> int | str | None:
    """The flag, as WorkQueue takes it."""
    text = FLAGS.num_slices
    return text if text == "auto" else int(text) if text else None
