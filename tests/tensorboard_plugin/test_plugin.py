"""The tab's routes, without a server; and that it cannot break TensorBoard."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.paths import ROOT

pytest.importorskip("tensorboard")
from tensorboard.backend import application
from tensorboard.backend.event_processing import data_provider
from tensorboard.backend.event_processing import plugin_event_multiplexer as mux
from tensorboard.plugins import base_plugin
from werkzeug import test as werkzeug_test

from wq_hooks.tensorboard_plugin import demo, metadata, plugin
from wq_hooks.tensorboard_plugin.loader import WorkQueueLoader
from wq_hooks.tensorboard_plugin.reading import parse

PREFIX = "/data/plugin/work_queue"
STATIC = Path(plugin.__file__).parent / "static"


def client_of(logdir):
    multiplexer = mux.EventMultiplexer(
        tensor_size_guidance=metadata.KEPT_SAMPLES
    )
    multiplexer.AddRunsFromDirectory(str(logdir))
    multiplexer.Reload()
    provider = data_provider.MultiplexerDataProvider(multiplexer, str(logdir))
    context = base_plugin.TBContext(data_provider=provider, logdir=str(logdir))
    app = application.TensorBoardWSGI(
        [WorkQueueLoader().load(context)], data_provider=provider
    )
    return werkzeug_test.Client(app)


@pytest.fixture(scope="module")
def logdir(tmp_path_factory):
    directory = tmp_path_factory.mktemp("logs")
    # Ahead of time: a busy machine must not let the running jobs grow old.
    demo.write_all(str(directory), time.time() + 3600)
    return directory


@pytest.fixture(scope="module")
def client(logdir):
    return client_of(logdir)


def get(client, path, **query):
    response = client.get(f"{PREFIX}/{path}", query_string=query)
    assert response.status_code == 200, response.data
    return json.loads(response.data)


class TestRoutes:
    def test_queues_are_listed_the_latest_first(self, client):
        queues = get(client, "queues")
        assert {(q["run"], q["queue"]) for q in queues} == {
            ("running", "train"),
            ("running", "validation"),
            ("resumed", "train"),
            ("slow disk, slow machine", "train"),
            ("done, days ago", "train"),
            ("broken off, days ago", "train"),
            ("one worker", "train"),
            ("hostile <b>names", "ads/train"),
        }
        times = [queue["time"] for queue in queues]
        assert times == sorted(times, reverse=True)

    @pytest.mark.parametrize(
        ("run", "queue", "status"),
        [
            ("running", "train", "straggler"),
            ("running", "validation", "ok"),
            ("done, days ago", "train", "done"),
            ("broken off, days ago", "train", "no data"),
            ("one worker", "train", "ok"),
            ("resumed", "train", "ok"),
        ],
    )
    def test_a_card(self, client, run, queue, status):
        card = get(client, "card", run=run, queue=queue)
        assert (card["run"], card["queue"]) == (run, queue)
        assert card["status"] == status
        assert len(card["series"]["time"]) > 5
        assert len(card["timeline"]["bars"]) > 10

    def test_a_job_that_was_killed_and_resumed(self, client):
        card = get(client, "card", run="resumed", queue="train")
        what = [event["what"] for event in card["events"]]
        assert what == ["resumed", "lost", "back", "began"]
        (gap,) = card["gaps"]
        assert gap[2] == "dead"
        assert gap[1] == pytest.approx(card["since"], abs=0.1)
        assert card["elapsed_secs"] == 900.0
        assert card["completed_before"] == 43
        shares = sum(worker["share"] for worker in card["workers"])
        assert shares == pytest.approx(1.0)
        timeline = card["timeline"]
        lost = [bar for bar in timeline["bars"] if bar[4] == "lost"]
        # Two with their worker, and what all had when they were killed.
        assert [round(bar[3]) for bar in lost] == [120] * 2 + [300] * 4
        assert [gap[1:] for gap in timeline["gaps"]] == [[600.0, "dead"]]

    def test_hostile_names_stay_what_they_are(self, client):
        card = get(client, "card", run="hostile <b>names", queue="ads/train")
        texts = {bar[1] for bar in card["timeline"]["bars"]}
        assert demo.HOSTILE_WORKS[0] in texts
        assert demo.HOSTILE_WORKS[1] in texts
        assert max(map(len, texts)) == 120

    @pytest.mark.parametrize("query", [{}, {"run": "running"}, {"queue": "q"}])
    def test_arguments_are_missing(self, client, query):
        response = client.get(f"{PREFIX}/card", query_string=query)
        assert response.status_code == 400

    @pytest.mark.parametrize("run", ["nowhere", "../running", "", "\0"])
    def test_a_run_that_is_not_there(self, client, run):
        query = {"run": run, "queue": "train"}
        response = client.get(f"{PREFIX}/card", query_string=query)
        assert response.status_code == 404

    def test_each_asset_has_a_route_and_a_type(self, client):
        names = {path.name for path in STATIC.iterdir()}
        assert names == set(plugin._TYPE_OF_ASSET)
        for name in names:
            response = client.get(f"{PREFIX}/{name}")
            assert response.status_code == 200
            assert response.data == (STATIC / name).read_bytes()
            kind = "text/css" if name.endswith(".css") else "text/javascript"
            assert response.headers["Content-Type"].startswith(kind)

    @pytest.mark.parametrize(
        "path",
        [
            "../plugin.py",
            "/../../../../../../etc/passwd",
            "%2e%2e/plugin.py",
            "..%2fplugin.py",
            "static/index.js",
            "/etc/passwd",
            "index.js/../../plugin.py",
        ],
    )
    def test_no_path_from_a_request_is_opened(self, client, path):
        response = client.get(f"{PREFIX}/{path}")
        assert response.status_code == 404

    def test_the_tab_is_shown_where_there_is_a_queue(self, client, tmp_path):
        def listing(client):
            response = client.get("/data/plugins_listing")
            return json.loads(response.data)["work_queue"]["enabled"]

        assert listing(client) is True
        assert listing(client_of(tmp_path)) is False


def test_a_thousand_workers_make_less_than_a_megabyte(tmp_path):
    demo.write_many(str(tmp_path), time.time())
    client = client_of(tmp_path)
    response = client.get(
        f"{PREFIX}/card", query_string={"run": "many", "queue": "train"}
    )
    assert len(response.data) < 1_000_000
    card = json.loads(response.data)
    assert card["num_workers"] == len(card["workers"]) == 1000
    assert "worker:7" in card["verdict"]


class TestLoader:
    def test_asks_for_more_points_of_its_tensors(self):
        flags = argparse.Namespace(samples_per_plugin={"work_queue": 5})
        WorkQueueLoader().fix_flags(flags)
        # What the user has said stays.
        assert flags.samples_per_plugin == {
            "work_queue": 5,
            "work_queue_takes": 1000,
            "work_queue_events": 1000,
        }

    def test_flags_of_another_tensorboard(self):
        WorkQueueLoader().fix_flags(argparse.Namespace())

    def test_is_the_entry_point(self):
        text = (ROOT / "setup.cfg").read_text()
        assert re.search(
            r"tensorboard_plugins =\n    work_queue = "
            r"wq_hooks\.tensorboard_plugin\.loader:WorkQueueLoader\n",
            text,
        )

    def test_leaves_tensorflow_and_the_rest_of_the_package_out(self):
        code = (
            "import sys, wq_hooks.tensorboard_plugin.loader\n"
            "print([m for m in sys.modules if m.startswith('wq_hooks.')\n"
            "    or m.partition('.')[0] in ('tensorflow', 'numpy', 'absl')\n"
            "    and not m.startswith('absl')])"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            timeout=120,
        )
        loaded = done.stdout
        assert "tensorflow" not in loaded, done.stderr
        assert "numpy" not in loaded
        assert set(re.findall(r"wq_hooks\.core\.\w+\.\w+", loaded)) == {
            "wq_hooks.core.monitoring.schema"
        }
        assert "wq_hooks.tensorboard_plugin.loader" in loaded

    def test_the_plugin_does_without_tensorflow(self):
        code = (
            "import sys; sys.modules['tensorflow'] = None\n"
            "import wq_hooks.tensorboard_plugin.plugin\n"
            "import wq_hooks.tensorboard_plugin.demo\n"
        )
        subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"[1]",
        b"{",
        b'{"version": 2}',
        b"[" * 100_000,
        b"\xff\xfe",
        7,
        "x" * 5_000_000,
    ],
)
def test_what_is_no_state_is_left_out(value):
    numpy = pytest.importorskip("numpy")
    assert parse(numpy.array(value, dtype=object)) is None
    assert parse(numpy.array([value, value], dtype=object)) is None
    assert parse(None) is None


def test_the_demo_says_what_to_do_next(tmp_path, capsys):
    assert demo.main([str(tmp_path / "logs")]) == 0
    assert "tensorboard --logdir" in capsys.readouterr().out
