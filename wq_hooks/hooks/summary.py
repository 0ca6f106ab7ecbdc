"""What is written of a queue for TensorBoard.

    view = work_queue.view(viewer)
    write_v1(writer, view, step)          # a tf.compat.v1 FileWriter
    write_v2(writer, view, step)          # a tf.summary writer

Pure functions make the protos: what is so at a step, and what has happened.
Tags begin with the queue's name, so that TensorBoard shows each queue as one
group. The trap: one writer for each directory, and steps that go forward, or
TensorBoard drops points.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import tensorflow as tf
import tensorflow.compat.v1 as tf1

from wq_hooks.core.monitoring.view import View
from wq_hooks.tensorboard_plugin import metadata

# TensorBoard's DATA_CLASS_TENSOR. Without it the series does not exist.
_DATA_CLASS_TENSOR = 2
_LAYOUT_TAG = "custom_scalars__config__"
_LAYOUT_PLUGIN_NAME = "custom_scalars"


def view_pb(
    view: View, *, with_level: bool = True, with_layout: bool = False
) -> tf1.Summary:
    """Returns all that is written of a queue at one step.

    Args:
      view: View of the queue.
      with_level: Whether to write DeepRec's tag
        `<name>/fraction_of_<items of an epoch>_full`; False where
        `add_summary` does.
      with_layout: Whether to write charts for the Custom Scalars tab of a
        TensorBoard without the plugin. Once for each writer.
    """
    name = view.name
    values = view.scalars()
    if with_level:
        num_works = view.state["items_per_epoch"]
        values[f"fraction_of_{num_works}_full"] = view.progress.level
    summary = _scalars_pb(name, values)
    _add_json(
        summary,
        metadata.tag_of(name, metadata.STATE_TAG),
        metadata.PLUGIN_NAME,
        view.state,
    )
    layout = layout_bytes(name) if with_layout else None
    if layout is not None:
        _add_tensor(summary, _LAYOUT_TAG, _LAYOUT_PLUGIN_NAME, layout)
    return summary


def history_pb(view: View) -> tf1.Summary:
    """Returns what has happened since the last look.

    It is written at a step of its own: see `metadata.history_step`.
    """
    summary = tf1.Summary()
    for tag, plugin_name, value, is_told in (
        (
            metadata.TAKES_TAG,
            metadata.TAKES_PLUGIN_NAME,
            view.takes,
            view.takes["num"] or view.takes["open"],
        ),
        (
            metadata.EVENTS_TAG,
            metadata.EVENTS_PLUGIN_NAME,
            view.events,
            view.events["events"],
        ),
    ):
        if is_told:
            full_tag = metadata.tag_of(view.name, tag)
            _add_json(summary, full_tag, plugin_name, value)
    return summary


def write_v1(
    writer: tf1.summary.FileWriter,
    view: View,
    step: int,
    *,
    with_level: bool = True,
    with_layout: bool = False,
) -> None:
    """Writes all of a view with a writer of TensorFlow 1; see `write_v2`."""
    summary = view_pb(view, with_level=with_level, with_layout=with_layout)
    writer.add_summary(summary, step)
    writer.add_summary(history_pb(view), metadata.history_step(view.wall_time))
    writer.flush()


def write_v2(
    writer: Any,
    view: View,
    step: int,
    *,
    with_level: bool = True,
    with_layout: bool = False,
) -> None:
    """Writes what `view_pb` returns with a writer of `tf.summary`.

    Args:
      writer: A tf.summary.SummaryWriter that nobody else writes with.
      view: View of the queue.
      step: Must not go backwards.
      with_level: See `view_pb`.
      with_layout: See `view_pb`.
    """
    summary = view_pb(view, with_level=with_level, with_layout=with_layout)
    history_step = metadata.history_step(view.wall_time)
    with writer.as_default():
        for pb, at in ((summary, step), (history_pb(view), history_step)):
            tf.summary.experimental.write_raw_pb(
                pb.SerializeToString(), step=at
            )
    writer.flush()


def layout_bytes(name: str) -> bytes | None:
    """Returns the charts of a queue as TensorBoard's `Layout` proto.

    Args:
      name: Name of the queue.

    Returns:
      None where TensorBoard is not installed: a chief need not have it.
    """
    try:
        from tensorboard.plugins.custom_scalar import layout_pb2 as pb
    except ImportError:
        return None
    prefix = re.escape(f"{name}/")

    def lines(title: str, *tags: str) -> Any:
        content = pb.MultilineChartContent(tag=[f"{prefix}{t}$" for t in tags])
        return pb.Chart(title=title, multiline=content)

    series = pb.MarginChartContent.Series(
        value=f"{name}/item_secs/p50",
        lower=f"{name}/item_secs/p10",
        upper=f"{name}/item_secs/p90",
    )
    charts = [
        lines("Items", "completed", "in_flight", "remaining", "low_watermark"),
        lines("Items per second", "items_per_sec"),
        lines("Records per second", "records_per_sec"),
        lines("Oldest item in flight (s)", "oldest_in_flight_secs"),
        pb.Chart(
            title="Seconds for an item: median, p10 to p90",
            margin=pb.MarginChartContent(series=[series]),
        ),
        lines("Repeated and given up", "repeated", "given_up"),
    ]
    category = pb.Category(title=f"Work queue {name}", chart=charts)
    return bytes(pb.Layout(category=[category]).SerializeToString())


def _scalars_pb(name: str, values: Mapping[str, float]) -> tf1.Summary:
    return tf1.Summary(
        value=[
            tf1.Summary.Value(
                tag=metadata.tag_of(name, tag), simple_value=value
            )
            for tag, value in sorted(values.items())
        ]
    )


def _add_json(
    summary: tf1.Summary, tag: str, plugin_name: str, value: Any
) -> None:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    _add_tensor(summary, tag, plugin_name, text.encode())


def _add_tensor(
    summary: tf1.Summary, tag: str, plugin_name: str, value: bytes
) -> None:
    summary.value.add(
        tag=tag,
        tensor=tf.make_tensor_proto(value, dtype=tf.string, shape=[]),
        metadata=tf1.SummaryMetadata(
            plugin_data=tf1.SummaryMetadata.PluginData(plugin_name=plugin_name),
            data_class=_DATA_CLASS_TENSOR,
        ),
    )
