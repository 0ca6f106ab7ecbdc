"""Multi-gate mixture of experts: click and conversion from shared experts.

    variables = new_variables(config)              # in a graph
    logits = new_logits(columns, variables)        # {"click": ..., ...}
    loss = new_loss(columns, logits)

After Ma et al., "Modeling Task Relationships in Multi-task Learning with
Multi-gate Mixture-of-Experts" (KDD 2018,
https://doi.org/10.1145/3219819.3220007): all tasks share the experts, each has
a gate that weighs them, and a tower.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from model_zoo.common import report
from model_zoo.multi_task import data

tf1 = tf.compat.v1

EMBEDDING = "embedding_"


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """What the model is made of.

    Attributes:
      embedding_size: Length of the vector of each categorical value.
      num_experts: How many experts the tasks share.
      expert_units: Outputs of an expert.
      tower_units: Hidden units of a task's tower.
      num_partitions: Into how many parts the embeddings are cut, in general
        the number of parameter servers.
    """

    embedding_size: int = 8
    num_experts: int = 4
    expert_units: int = 32
    tower_units: int = 16
    num_partitions: int = 1


def shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Returns the shape of each variable by its name."""
    size = config.embedding_size
    width = size * len(data.CATEGORIES) + data.NUM_DENSE
    experts = (config.num_experts, config.expert_units)
    named: dict[str, tuple[int, ...]] = {
        f"{EMBEDDING}{name}": (rows, size)
        for name, rows in data.CATEGORIES.items()
    }
    named["experts"] = (width, *experts)
    named["experts_bias"] = experts
    for task in data.TASKS:
        named[f"{task}_gate"] = (width, config.num_experts)
        named[f"{task}_tower"] = (config.expert_units, config.tower_units)
        named[f"{task}_tower_bias"] = (config.tower_units,)
        named[f"{task}_out"] = (config.tower_units, 1)
        named[f"{task}_out_bias"] = (1,)
    return named


def new_variables(config: ModelConfig) -> dict[str, Any]:
    """Makes the variables in the current graph, once."""
    partitioner = tf1.fixed_size_partitioner(config.num_partitions)
    variables = {}
    for name, shape in shapes(config).items():
        is_embedding = name.startswith(EMBEDDING)
        scale = 0.05 if is_embedding else shape[0] ** -0.5
        variables[name] = tf1.get_variable(
            f"mmoe/{name}",
            shape,
            initializer=tf1.random_normal_initializer(
                stddev=0.0 if name.endswith("_bias") else scale
            ),
            partitioner=partitioner if is_embedding else None,
        )
    return variables


def new_logits(
    columns: Mapping[str, tf.Tensor], variables: Mapping[str, Any]
) -> dict[str, tf.Tensor]:
    """Returns tf.float32 `[batch_size]` for each task."""
    v = variables
    embedded = [
        tf1.nn.embedding_lookup(
            v[f"{EMBEDDING}{name}"], columns[name], partition_strategy="div"
        )
        for name in data.CATEGORIES
    ]
    inputs = tf.concat([*embedded, columns["dense"]], axis=1)
    experts = tf.nn.relu(
        tf.einsum("bi,ieu->beu", inputs, v["experts"]) + v["experts_bias"]
    )
    logits = {}
    for task in data.TASKS:
        gate = tf.nn.softmax(tf.matmul(inputs, v[f"{task}_gate"]))
        mixed = tf.einsum("be,beu->bu", gate, experts)
        hidden = tf.nn.relu(
            tf.matmul(mixed, v[f"{task}_tower"]) + v[f"{task}_tower_bias"]
        )
        out = tf.matmul(hidden, v[f"{task}_out"]) + v[f"{task}_out_bias"]
        logits[task] = out[:, 0]
    return logits


def new_loss(
    columns: Mapping[str, tf.Tensor], logits: Mapping[str, tf.Tensor]
) -> tf.Tensor:
    """Returns the sum of the tasks' mean cross-entropies, a scalar."""
    entropy = tf.nn.sigmoid_cross_entropy_with_logits
    losses = [entropy(columns[task], logits[task]) for task in data.TASKS]
    return tf.add_n([tf.reduce_mean(loss) for loss in losses])


def evaluate(
    checkpoint: str, paths: Sequence[str], config: ModelConfig
) -> dict[str, Any]:
    """Returns the AUC of each task on files, by the newest checkpoint.

    Args:
      checkpoint: Directory of the checkpoints.
      paths: TFRecord files.
      config: As it was trained.

    Returns:
      `rows`, `step`, and for each task `auc`. Where the files have the
      probabilities that labels were drawn with, also their AUC, `optimal_auc`,
      and `reached`, the part of the way from chance (0.5) to there.
    """
    names = [*data.TASKS, *data.PROBABILITIES]

    def new_batches() -> tf.data.Dataset:
        batches = tf.data.TFRecordDataset(list(paths)).batch(1000)
        return batches.map(data.parse).map(lambda c: (c, stacked(c, names)))

    def stacked(columns: Mapping[str, Any], names: Sequence[str]) -> tf.Tensor:
        return tf.stack([columns[name] for name in names], axis=1)

    labels, logits, step = report.evaluate_checkpoint(
        checkpoint,
        new_batches,
        lambda columns: stacked(
            new_logits(columns, new_variables(config)), data.TASKS
        ),
    )
    outcome: dict[str, Any] = {"rows": len(logits), "step": step}
    columns = dict(zip(names, labels.T))
    for task, scores in zip(data.TASKS, logits.T):
        outcome[task] = {"auc": report.auc(columns[task], scores)}
        ideal = columns[f"{task}_probability"]
        if ideal.min() >= 0:
            best = report.auc(columns[task], ideal)
            reached = (outcome[task]["auc"] - 0.5) / (best - 0.5)
            outcome[task].update(optimal_auc=best, reached=reached)
    return outcome


def in_words(outcome: Mapping[str, Any]) -> str:
    """Returns what `evaluate` has found as text."""
    texts = []
    for task in data.TASKS:
        text = f"{task} {outcome[task]['auc']:.4f}"
        if "reached" in outcome[task]:
            text += f" ({outcome[task]['reached']:.1%} of the way)"
        texts.append(text)
    return f"{', '.join(texts)}; {outcome['rows']} rows, step {outcome['step']}"
