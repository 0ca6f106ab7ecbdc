"""What a job reports: the AUC, and which records each task has trained.

    train_op = log_records(path, keys, after=train_op)
    report_auc(checkpoint, data_location, labels, scores, step)

The trap: the list of records is written by an operation of TensorFlow, behind
the update, on the task that trains: a line stands for what was trained, also
where that task is killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

tf1 = tf.compat.v1

SIGNAL_FILE = "signal.json"


def log_records(checkpoint: str, task: str, keys: Any, after: Any) -> Any:
    """Returns an operation that lists what a step has trained.

    It appends to `<checkpoint>/trained/<task>.tsv` a line for each different
    key: time in seconds, number of records, key.

    Args:
      checkpoint: Directory of the job.
      task: Name of the task, such as `worker:1`.
      keys: tf.string `[batch_size]`: what each record belongs to, such as its
        file.
      after: Operations or tensors of the step that come first.
    """
    path = os.path.join(
        os.path.abspath(checkpoint), "trained", f"{task.replace(':', '_')}.tsv"
    )
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with tf.control_dependencies(tf.nest.flatten(after)):
        key, _, count = tf.unique_with_counts(keys)
        now = tf.strings.as_string(tf.timestamp(), precision=3)
        now = tf.fill(tf.shape(key), now)
        lines = tf.strings.join([now, tf.strings.as_string(count), key], "\t")
        text = tf.strings.reduce_join(lines, separator="\n")
        return tf.print(text, output_stream=f"file://{path}")


class PadSteps(tf.compat.v1.train.SessionRunHook):
    """Sleeps after each step until it has taken `step_secs`."""

    def __init__(self, step_secs: float) -> None:
        self._step_secs = step_secs
        self._started_at = 0.0

    def before_run(self, run_context: Any) -> None:
        """Notes when the step begins."""
        self._started_at = time.monotonic()

    def after_run(self, run_context: Any, run_values: Any) -> None:
        """Sleeps for what is missing."""
        secs = self._started_at + self._step_secs - time.monotonic()
        time.sleep(max(0.0, secs))


def auc(labels: Any, scores: Any) -> float:
    """Returns the area under the ROC curve, by the Mann-Whitney statistic.

    Args:
      labels: `[num_rows]`, 0 or 1; both occur.
      scores: `[num_rows]`; higher means more likely 1. Equal scores of
        different labels count one half.
    """
    labels = np.asarray(labels) > 0
    _, inverse, counts = np.unique(
        scores, return_inverse=True, return_counts=True
    )
    ranks = (np.cumsum(counts) - (counts - 1) / 2.0)[inverse]
    num_positive = labels.sum()
    above = ranks[labels].sum() - num_positive * (num_positive + 1) / 2.0
    return float(above / (num_positive * (len(labels) - num_positive)))


def evaluate_checkpoint(
    checkpoint: str,
    dataset_fn: Callable[[], tf.data.Dataset],
    build_logits: Callable[[Any], tf.Tensor],
) -> tuple[Any, Any, int]:
    """Runs the model of the newest checkpoint, in a session of its own.

    No cluster is needed: the variables are read into this process.

    Args:
      checkpoint: Directory of the checkpoints.
      dataset_fn: Makes the dataset of features and labels.
      build_logits: Makes the outputs of the model, `[batch_size]`, of features.

    Returns:
      Labels and logits, `[num_rows]` each, and the global step.
    """
    with tf.Graph().as_default():
        iterator = tf1.data.make_initializable_iterator(dataset_fn())
        features, labels = iterator.get_next()
        batch = labels, build_logits(features)
        step = tf1.train.get_or_create_global_step()
        saver = tf1.train.Saver()
        batches = []
        with tf1.Session() as session:
            session.run(iterator.initializer)
            saver.restore(session, tf.train.latest_checkpoint(checkpoint))
            with contextlib.suppress(tf.errors.OutOfRangeError):
                while True:
                    batches.append(session.run(batch))
            labels, logits = map(np.concatenate, zip(*batches))
            return labels, logits, int(session.run(step))


def report_auc(
    checkpoint: str, data_location: str, labels: Any, scores: Any, step: int
) -> dict[str, Any]:
    """Prints the AUC, and writes it to `<checkpoint>/result.json`.

    Beside it stands the best AUC that any model can reach, which generators
    write to `signal.json`, and how much of the way from chance (0.5) to there
    was gone.

    Args:
      checkpoint: Directory of the job.
      data_location: Directory of the data.
      labels: `[num_rows]`, 0 or 1.
      scores: `[num_rows]`, the outputs of the model.
      step: The global step of the model.

    Returns:
      What was written.
    """
    result = {"auc": auc(labels, scores), "rows": len(labels), "step": step}
    text = f"{len(labels)} rows, step {step}"
    path = os.path.join(data_location, SIGNAL_FILE)
    if os.path.exists(path):
        with open(path, encoding="utf-8") as f:
            best = json.load(f)["optimal_auc"]
        reached = (result["auc"] - 0.5) / (best - 0.5)
        result.update(optimal_auc=best, reached=reached)
        text = (
            f"optimal {best:.4f}, {reached:.1%} of the way from chance, {text}"
        )
    write_json(os.path.join(checkpoint, "result.json"), result)
    print(f"AUC {result['auc']:.4f} ({text})", flush=True)
    return result


def write_signal(
    data_location: str, seed: int, labels: Any, logits: Any
) -> float:
    """Writes the best AUC of generated data, and returns it.

    Written last: where it stands, the files beside it are complete.
    """
    optimal_auc = round(auc(labels, logits), 6)
    write_json(
        os.path.join(data_location, SIGNAL_FILE),
        {"seed": seed, "optimal_auc": optimal_auc},
    )
    return optimal_auc


def write_json(path: str, value: Any) -> None:
    """Writes a JSON file."""
    with open(path, "w", encoding="utf-8") as f:
        json.dump(value, f, indent=2)
        f.write("\n")
