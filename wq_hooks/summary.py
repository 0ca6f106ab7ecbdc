"""The state of a queue as a TensorFlow Summary.

    writer.add_summary(progress_pb("work_queue", 1000, progress), step)

One pure function makes the proto; whoever has a writer writes it. Tags begin
with the queue's name, so that TensorBoard shows each queue as one group.
"""

from __future__ import annotations

import tensorflow.compat.v1 as tf1

from wq_hooks.core.progress import Progress


def progress_pb(
    name: str,
    num_works: int,
    progress: Progress,
    *,
    with_level: bool = True,
) -> tf1.Summary:
    """Returns the scalars of a queue.

    Args:
      name: Of the queue.
      num_works: Items of one epoch.
      progress: Its state.
      with_level: Whether to write DeepRec's tag
        `<name>/fraction_of_<num_works>_full`; False where `add_summary` does.
    """
    values: dict[str, float] = {
        "in_flight": progress.in_flight,
        "completed": progress.completed,
        "low_watermark": progress.low_watermark,
        "epoch": progress.epoch,
        "items_per_sec": progress.items_per_sec,
        "oldest_in_flight_secs": progress.oldest_lease_secs,
        "repeated": progress.repeated,
        "given_up": progress.given_up,
    }
    if progress.remaining is not None:
        values["remaining"] = progress.remaining
    if with_level:
        values[f"fraction_of_{num_works}_full"] = progress.level
    return tf1.Summary(
        value=[
            tf1.Summary.Value(tag=f"{name}/{tag}", simple_value=value)
            for tag, value in sorted(values.items())
        ]
    )
