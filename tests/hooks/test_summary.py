from __future__ import annotations

import dataclasses
import json
import sys

import pytest
import tensorflow as tf

from tests.core.monitoring.test_progress import A, B, make_ledger, take, train
from wq_hooks.core.ledger.consumer_state import Consumer
from wq_hooks.core.monitoring.view import Viewer
from wq_hooks.hooks import summary
from wq_hooks.tensorboard_plugin import metadata

tf1 = tf.compat.v1


def make_view(name="train", *, lose=False, **kwargs):
    ledger = make_ledger("abcdefgh", **kwargs)
    viewer = Viewer(name)
    viewer.look(ledger, 0.0, 100.0)
    train(ledger, A, 2, now=4.0)
    take(ledger, B, 1, now=6.0)
    if lose:
        ledger.heard(Consumer(B.name, "b2"), 7.0)
    return viewer.look(ledger, 10.0, 110.0)


def values_of(pb):
    return {value.tag: value for value in pb.value}


def text_of(value):
    return tf.make_ndarray(value.tensor).item()


class TestSummary:
    def test_scalars_stand_under_the_name_of_the_queue(self):
        values = values_of(summary.view_pb(make_view()))
        assert values["train/remaining"].simple_value == 5
        assert values["train/in_flight"].simple_value == 1
        assert values["train/completed"].simple_value == 2
        assert values["train/fraction_of_8_full"].simple_value == 0.625

    def test_the_level_can_be_left_to_add_summary(self):
        values = values_of(summary.view_pb(make_view(), with_level=False))
        assert "train/fraction_of_8_full" not in values

    @pytest.mark.parametrize(
        ("tag", "plugin_name"),
        [
            (metadata.STATE_TAG, metadata.PLUGIN_NAME),
            (metadata.TAKES_TAG, metadata.TAKES_PLUGIN_NAME),
            (metadata.EVENTS_TAG, metadata.EVENTS_PLUGIN_NAME),
        ],
    )
    def test_what_the_plugin_reads_is_json_in_a_tensor(self, tag, plugin_name):
        view = make_view(max_attempts=1, lose=True)
        values = values_of(summary.view_pb(view))
        values.update(values_of(summary.history_pb(view)))
        value = values[f"train/{tag}"]
        assert value.metadata.plugin_data.plugin_name == plugin_name
        assert value.metadata.data_class == 2
        assert json.loads(text_of(value)) == json.loads(
            json.dumps(getattr(view, tag))
        )

    def test_nothing_is_said_of_nothing(self):
        ledger = make_ledger()
        view = Viewer("train").look(ledger, 0.0, 0.0)
        assert values_of(summary.history_pb(view)) == {}


class TestLayout:
    def test_is_what_tensorboard_would_write(self):
        layout_pb2 = pytest.importorskip(
            "tensorboard.plugins.custom_scalar.layout_pb2"
        )
        layout = layout_pb2.Layout.FromString(summary.layout_bytes("a.b"))
        (category,) = layout.category
        assert category.title == "Work queue a.b"
        first = category.chart[0]
        assert first.title == "Items"
        assert first.multiline.tag[0] == r"a\.b/completed$"
        (band,) = [c for c in category.chart if c.HasField("margin")]
        (series,) = band.margin.series
        assert (series.value, series.lower, series.upper) == (
            "a.b/item_secs/p50",
            "a.b/item_secs/p10",
            "a.b/item_secs/p90",
        )

    def test_is_left_out_without_tensorboard(self, monkeypatch):
        monkeypatch.setitem(
            sys.modules, "tensorboard.plugins.custom_scalar", None
        )
        pb = summary.view_pb(make_view(), with_layout=True)
        assert summary._LAYOUT_TAG not in values_of(pb)
        assert "train/completed" in values_of(pb)

    def test_is_written_when_asked_for(self):
        assert summary._LAYOUT_TAG not in values_of(
            summary.view_pb(make_view())
        )
        pb = summary.view_pb(make_view(), with_layout=True)
        value = values_of(pb)[summary._LAYOUT_TAG]
        assert value.metadata.plugin_data.plugin_name == "custom_scalars"
        assert text_of(value) == summary.layout_bytes("train")


def test_a_writer_of_tensorflow_2(tmp_path):
    writer = tf.summary.create_file_writer(str(tmp_path))
    for step in (3, 7):
        summary.write_v2(writer, make_view(), step, with_layout=step == 3)
    writer.close()
    (path,) = tmp_path.glob("events.*")
    events = [e for e in tf1.train.summary_iterator(str(path)) if e.step]
    assert {e.step for e in events if e.step > 0} == {3, 7}
    tags = [value.tag for event in events for value in event.summary.value]
    assert tags.count("train/state") == 2
    assert tags.count(summary._LAYOUT_TAG) == 1


def test_a_resume_leaves_what_has_happened_where_it_is(tmp_path):
    mux = pytest.importorskip(
        "tensorboard.backend.event_processing.plugin_event_multiplexer"
    )
    view = make_view(max_attempts=1, lose=True)
    later = dataclasses.replace(view, wall_time=view.wall_time + 60)
    with tf.Graph().as_default():
        writer = tf1.summary.FileWriter(str(tmp_path))
    start = tf1.SessionLog(status=tf1.SessionLog.START)
    writer.add_session_log(start, 0)
    summary.write_v1(writer, view, 100)
    # As a hook does whose session went back to a checkpoint.
    writer.add_session_log(start, 50)
    summary.write_v1(writer, later, 50)
    writer.close()
    log = mux.EventMultiplexer(tensor_size_guidance=metadata.KEPT_SAMPLES)
    log.AddRun(str(tmp_path), "run")
    log.Reload()
    states, takes, events = (
        [point.step for point in log.Tensors("run", f"train/{tag}")]
        for tag in (metadata.STATE_TAG, metadata.TAKES_TAG, metadata.EVENTS_TAG)
    )
    assert states == [50]
    assert takes == events == sorted(takes)
    assert len(takes) == 2
