"""Event files of queues that never were: written without TensorFlow.

log = Log(directory, "train", begin=1.7e9)
log.write(ledger, now=12.0)
log.close()
"""

from __future__ import annotations

import json
import os
import urllib.parse
from typing import Any

from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2
from tensorboard.compat.proto.types_pb2 import DT_STRING
from tensorboard.summary.writer.record_writer import RecordWriter

from wq_hooks.core.ledger.ledger import Ledger
from wq_hooks.core.monitoring.view import View, Viewer
from wq_hooks.tensorboard_plugin import metadata

_STEPS_PER_SEC = 20


class Log:
    """Writes views to an event file, as `wq_hooks.hooks.summary` would.

    The log begins at a time in seconds since 1970.
    """

    def __init__(self, directory: str, queue: str, begin: float):
        os.makedirs(directory, exist_ok=True)
        host = urllib.parse.quote(f"demo.{queue}", safe="")
        name = f"events.out.tfevents.{int(begin)}.{host}"
        self._file = open(  # noqa: SIM115 (closed by close)
            os.path.join(directory, name), "wb"
        )
        self._writer = RecordWriter(self._file)
        self._queue = queue
        self._begin = begin
        self._viewer = Viewer(queue)
        self._add(begin, file_version="brain.Event:2")

    def write(self, ledger: Ledger, now: float) -> None:
        """Writes one step, `now` seconds after the beginning."""
        wall_time = self._begin + now
        view = self._viewer.look(ledger, now, wall_time)
        self._add(
            wall_time,
            step=int(now * _STEPS_PER_SEC),
            summary=_summary_of(self._queue, view),
        )
        self._add(
            wall_time,
            step=metadata.history_step(wall_time),
            summary=_history_of(self._queue, view),
        )

    def _add(self, wall_time: float, **fields: Any) -> None:
        event = event_pb2.Event(wall_time=wall_time, **fields)
        self._writer.write(event.SerializeToString())

    def close(self) -> None:
        """Ends the file."""
        self._file.close()


def _summary_of(queue: str, view: View) -> summary_pb2.Summary:
    values = [
        summary_pb2.Summary.Value(
            tag=metadata.tag_of(queue, tag), simple_value=value
        )
        for tag, value in view.scalars().items()
    ]
    values.append(
        _json_value(queue, metadata.STATE_TAG, metadata.PLUGIN_NAME, view.state)
    )
    return summary_pb2.Summary(value=values)


def _history_of(queue: str, view: View) -> summary_pb2.Summary:
    takes, events = metadata.TAKES_TAG, metadata.EVENTS_TAG
    values = [_json_value(queue, takes, metadata.TAKES_PLUGIN_NAME, view.takes)]
    if view.events["events"]:
        values.append(
            _json_value(queue, events, metadata.EVENTS_PLUGIN_NAME, view.events)
        )
    return summary_pb2.Summary(value=values)


def _json_value(queue: str, tag: str, plugin_name: str, value: Any) -> Any:
    text = json.dumps(value)
    return summary_pb2.Summary.Value(
        tag=metadata.tag_of(queue, tag),
        tensor=tensor_pb2.TensorProto(
            dtype=DT_STRING, string_val=[text.encode()]
        ),
        metadata=summary_pb2.SummaryMetadata(
            plugin_data=summary_pb2.SummaryMetadata.PluginData(
                plugin_name=plugin_name
            ),
            data_class=summary_pb2.DATA_CLASS_TENSOR,
        ),
    )
