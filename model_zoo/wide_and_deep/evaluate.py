"""Computes the AUC of the newest checkpoint, in a graph and session of its own.

    outcome = evaluate("checkpoints", "data", config, batch_size=1000)
    print(report.format_result(outcome))

No cluster is needed: the variables are read from the checkpoint into this
process. The trap: `config` has to be that of the training, number of partitions
included or not, but sizes the same.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from model_zoo.wide_and_deep import criteo, data, model, report

tf1 = tf.compat.v1

BATCH_SIZE = 1000


def evaluate(
    checkpoint: str,
    data_location: str,
    config: model.ModelConfig,
    *,
    batch_size: int = BATCH_SIZE,
) -> dict[str, Any] | None:
    """Evaluates the newest checkpoint on all eval files.

    Args:
      checkpoint: Directory of the checkpoints.
      data_location: Directory of the data.
      config: The model that was trained.
      batch_size: Rows in a batch; does not change the outcome.

    Returns:
      As of `report.result`; None if there are no eval files.

    Raises:
      FileNotFoundError: If there is no checkpoint.
    """
    paths = criteo.find_files(data_location, "eval")
    if not paths:
        return None
    newest = tf1.train.latest_checkpoint(checkpoint)
    if newest is None:
        raise FileNotFoundError(
            f"Expected a checkpoint in {checkpoint!r}; found none."
        )
    with tf.Graph().as_default():
        dataset = data.eval_batches(paths, batch_size=batch_size)
        iterator = tf1.data.make_initializable_iterator(dataset)
        features, labels = iterator.get_next()
        logits = model.build_logits(features, config)
        metrics = model.build_metrics(logits, labels)
        updates = [update for _, update in metrics.values()]
        global_step = tf1.train.get_or_create_global_step()
        saver = tf1.train.Saver()
        with tf1.Session() as session:
            session.run(
                [tf1.local_variables_initializer(), iterator.initializer]
            )
            saver.restore(session, newest)
            try:
                while True:
                    session.run(updates)
            except tf.errors.OutOfRangeError:
                pass
            values, step = session.run(
                [{k: value for k, (value, _) in metrics.items()}, global_step]
            )
    return make_result(data_location, {**values, "global_step": step})


def make_result(data_location: str, values: dict[str, Any]) -> dict[str, Any]:
    """Puts evaluated values beside the optimum, if that is known."""
    signal = criteo.read_signal(data_location) or {}
    return report.result(
        auc=float(values["auc"]),
        num_rows=int(values["rows"]),
        global_step=int(values["global_step"]),
        optimal_auc=signal.get("optimal_auc"),
    )
