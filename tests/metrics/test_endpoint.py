"""The metrics port: as Prometheus and `wq-hooks status` ask it."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.request

import pytest
import tensorflow as tf
from prometheus_client.parser import text_string_to_metric_families

from tests.core.monitoring.test_progress import A, B, make_ledger, take
from tests.support.sessions import draw, tf1
from wq_hooks import WorkQueue, WorkQueueCallback, WorkQueueHook
from wq_hooks.cli import command_line
from wq_hooks.core.chief.chief import Chief
from wq_hooks.core.monitoring.metrics import METRICS, PREFIX
from wq_hooks.core.monitoring.view import Viewer
from wq_hooks.errors import WorkQueueError
from wq_hooks.metrics.endpoint import MetricsEndpoint
from wq_hooks.metrics.prometheus import text_of


def state_of_a_job():
    ledger = make_ledger("abcdefghij")
    for now in (0.0, 2.0, 4.0):
        take(ledger, A, 1, now)
        ledger.acknowledge(A, next(iter(ledger.leases)), now + 2.0)
    take(ledger, A, 1, now=6.0)
    take(ledger, B, 1, now=1.0)
    return Viewer("train").look(ledger, 10.0, 1010.0).state


def values_in(text):
    return {
        (sample.name, sample.labels.get("worker")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture
def endpoint():
    served = MetricsEndpoint(0, lambda: [state_of_a_job()])
    yield served
    served.close()


def read(port, path="/metrics"):
    url = f"http://127.0.0.1:{port}{path}"
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


def test_the_values_are_those_of_the_state():
    values = values_in(text_of([state_of_a_job()]))
    assert values["wq_hooks_items_completed_total", None] == 3
    assert values["wq_hooks_items_in_flight", None] == 2
    assert values["wq_hooks_items_remaining", None] == 5
    assert values["wq_hooks_items_planned", None] == 10
    assert values["wq_hooks_oldest_lease_seconds", None] == 9
    assert values["wq_hooks_idle_seconds", None] == 4
    assert values["wq_hooks_worker_items_completed_total", A.name] == 3
    assert values["wq_hooks_worker_items_in_flight", B.name] == 1
    assert values["wq_hooks_state_timestamp_seconds", None] == 1010


def test_all_metrics_are_there_with_a_help():
    families = {
        family.name: family
        for family in text_string_to_metric_families(
            text_of([state_of_a_job()])
        )
    }
    assert set(families) == {PREFIX + metric.name for metric in METRICS}
    assert all(family.documentation for family in families.values())


def test_the_last_save():
    ledger = make_ledger("abc")
    name = "wq_hooks_last_save_age_seconds", None

    def values():
        state = Viewer("train").look(ledger, 10.0, 1010.0).state
        return values_in(text_of([state]))

    assert name not in values()
    chief = Chief("train", ledger, clock=lambda: 7.0)
    chief.note_save()
    assert values()[name] == 3


def test_an_endless_queue_has_no_number_of_what_remains():
    ledger = make_ledger(num_epochs=None)
    state = Viewer("train").look(ledger, 10.0, 1010.0).state
    assert ("wq_hooks_items_remaining", None) not in values_in(text_of([state]))


def test_any_name_is_a_label():
    state = {**state_of_a_job(), "name": 'a"b\\c\nd'}
    (family,) = (
        family
        for family in text_string_to_metric_families(text_of([state]))
        if family.name == "wq_hooks_items_in_flight"
    )
    assert family.samples[0].labels["queue"] == 'a"b\\c\nd'


class TestPort:
    def test_prometheus_and_status_ask_it(self, endpoint, capsys):
        assert values_in(read(endpoint.port))["wq_hooks_items_in_flight", None]
        (state,) = json.loads(read(endpoint.port, "/status"))
        assert state["name"] == "train"
        target = f"http://127.0.0.1:{endpoint.port}"
        args = ["status", "--target", target, "--name", "train"]
        assert command_line.main([*args, "--format=prometheus"]) == 0
        assert values_in(capsys.readouterr().out)[
            "wq_hooks_items_in_flight", None
        ]
        assert command_line.main(args) == 0
        assert "completed      3 of 10" in capsys.readouterr().out

    def test_status_knows_the_names(self, endpoint, capsys):
        target = f"http://127.0.0.1:{endpoint.port}"
        assert command_line.main(["status", "--target", target]) == 1
        assert "there are: train" in capsys.readouterr().err

    def test_status_checks(self, capsys):
        state = state_of_a_job()
        stalled = {**state, "name": "stalled", "idle_secs": 1e4}
        fine = {**state, "name": "fine", "workers": []}
        served = MetricsEndpoint(0, lambda: [state, stalled, fine])
        args = ["status", "--target", f"http://127.0.0.1:{served.port}"]
        for name, code in (("train", 4), ("stalled", 3), ("fine", 0)):
            assert command_line.main([*args, "--name", name]) == 0
            assert command_line.main([*args, "--name", name, "--check"]) == code
        served.close()

    def test_status_needs_no_tensorflow(self, endpoint):
        code = (
            "import sys\n"
            "from wq_hooks.cli import command_line\n"
            "code = command_line.main(sys.argv[1:])\n"
            "assert 'tensorflow' not in sys.modules\n"
            "sys.exit(code)"
        )
        target = f"http://127.0.0.1:{endpoint.port}"
        args = ["status", "--target", target, "--name", "train"]
        subprocess.run([sys.executable, "-c", code, *args], check=True)

    def test_nobody_answers(self, capsys):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            target = f"http://127.0.0.1:{taken.getsockname()[1]}"
            code = command_line.main(["status", "--target", target])
        assert code == 1
        assert target in capsys.readouterr().err

    def test_a_port_that_is_taken(self, endpoint):
        with pytest.raises(WorkQueueError, match="metrics_port"):
            MetricsEndpoint(endpoint.port, list)


class TestChief:
    def test_a_session_serves_its_queues_until_its_end(self, tmp_path):
        hook = WorkQueueHook(metrics_port=0)
        with tf.Graph().as_default():
            tf1.train.get_or_create_global_step()
            item = WorkQueue(list("abcdef"), name="train").take()
            with tf1.train.MonitoredTrainingSession(
                hooks=[hook], checkpoint_dir=str(tmp_path)
            ) as session:
                session.run(item)
                session.run(item)
                port = hook._metrics.endpoint.port

                def value():
                    return values_in(read(port))[
                        "wq_hooks_items_completed_total", None
                    ]

                deadline = time.monotonic() + 60
                while value() < 1:
                    assert time.monotonic() < deadline
                name = "wq_hooks_last_save_age_seconds", None
                assert name in values_in(read(port))
                draw(session, item)
        with pytest.raises(OSError, match="refused"):
            read(port)

    @pytest.mark.filterwarnings("ignore:.*ran out of data:UserWarning")
    def test_fit_serves_its_queue(self):
        queue = WorkQueue([str(i) for i in range(8)], name="train")
        ports = []

        class Look(tf.keras.callbacks.Callback):
            def on_train_batch_end(self, batch, logs=None):
                del batch, logs
                port = callback._metrics.endpoint.port
                ports.append(port)
                assert (
                    values_in(read(port))["wq_hooks_items_planned", None] == 8
                )

        callback = WorkQueueCallback(queue, metrics_port=0)
        model = tf.keras.Sequential(
            [tf.keras.layers.Input((1,)), tf.keras.layers.Dense(1)]
        )
        model.compile("sgd", "mse")
        dataset = (
            queue.input_dataset()
            .map(lambda item: tf.strings.to_number(item))
            .map(lambda x: (x[tf.newaxis], x[tf.newaxis]))
            .batch(2)
        )
        model.fit(
            dataset, shuffle=False, verbose=0, callbacks=[callback, Look()]
        )
        assert ports
        with pytest.raises(OSError, match="refused"):
            read(ports[0])

    @pytest.mark.parametrize(
        ("port", "error"),
        [("9100", TypeError), (True, TypeError), (70_000, ValueError)],
    )
    def test_what_is_no_port(self, port, error):
        with pytest.raises(error, match="metrics_port"):
            WorkQueueHook(metrics_port=port)

    def test_a_failed_training_leaves_the_port_to_the_next(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        for _ in range(2):
            hook = WorkQueueHook(metrics_port=port)
            with tf.Graph().as_default():
                tf1.train.get_or_create_global_step()
                WorkQueue(list("ab"), name="train").take()
                with pytest.raises(RuntimeError, match="failed"):
                    fail(hook)
        hook._metrics.close()


def fail(hook):
    with tf1.train.MonitoredTrainingSession(hooks=[hook]):
        raise RuntimeError("failed")
