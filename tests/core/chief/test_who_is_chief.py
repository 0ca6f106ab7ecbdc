"""Who is the chief: by TF_CONFIG, by the session's creator, by convention.

Parameter server and tasks are in this process, each task with a graph and a
session of its own; TF_CONFIG is set while a task builds its graph.
"""

from __future__ import annotations

import contextlib
import json
import logging
import threading
import uuid
from collections import Counter

import pytest
import tensorflow as tf

from tests.support.in_process_cluster import Background, InProcessCluster
from tests.support.sessions import draw, initializers, wait_until
from tests.support.trainers import WORKS, Trainer, bare
from wq_hooks import WorkQueue, WorkQueueHook
from wq_hooks.engines import engine_of
from wq_hooks.errors import TwoChiefsError
from wq_hooks.runtime.threads import session_chief, session_service

tf1 = tf.compat.v1

WITH_CHIEF = {"chief": ["a:1"], "worker": ["b:1"], "ps": ["c:1"]}
WITHOUT_CHIEF = {"worker": ["b:1"], "ps": ["c:1"]}


@pytest.fixture(scope="module")
def cluster():
    return InProcessCluster(num_workers=2)


@pytest.fixture(scope="module")
def others():
    """A cluster whose jobs have names of their own."""
    return InProcessCluster(num_workers=2, job="trainer", ps_job="params")


@pytest.fixture
def container():
    return uuid.uuid4().hex


@contextlib.contextmanager
def tf_config(monkeypatch, cluster=None, job=None, index=0):
    with monkeypatch.context() as patch:
        if cluster is not None:
            task = {"type": job, "index": index}
            config = json.dumps({"cluster": cluster, "task": task})
            patch.setenv("TF_CONFIG", config)
        yield


def train_both(chief, worker, *, with_hook=False):
    """Returns what the two have trained, who began one after the other."""
    has_begun, is_there = threading.Event(), threading.Event()
    hooks = [[WorkQueueHook()] if with_hook else [] for _ in range(2)]
    first = Background(
        lambda: chief.train(
            is_chief=True,
            is_ready=has_begun,
            may_train=is_there,
            hooks=hooks[0],
        )
    )
    wait_until(lambda: has_begun.is_set() or first.is_done)
    second = Background(
        lambda: worker.train(
            is_chief=False,
            is_ready=is_there,
            may_train=is_there,
            hooks=hooks[1],
        )
    )
    return first.result(), second.result()


@pytest.mark.parametrize("with_hook", [False, True])
def test_the_chief_of_tf_config_is_worker_0_of_the_servers(
    cluster, container, monkeypatch, with_hook
):
    with tf_config(monkeypatch, WITH_CHIEF, "chief"):
        chief = Trainer(cluster, 0, container)
    with tf_config(monkeypatch, WITH_CHIEF, "worker"):
        worker = Trainer(cluster, 1, container)
    assert (
        engine_of(chief.queue).task.name,
        engine_of(worker.queue).task.name,
    ) == (
        "chief:0",
        "worker:0",
    )
    assert (
        engine_of(chief.queue).role.is_chief,
        engine_of(worker.queue).role.is_chief,
    ) == (True, False)
    trained = train_both(chief, worker, with_hook=with_hook)
    assert Counter(trained[0] + trained[1]) == Counter(WORKS)


def test_in_bare_sessions_tf_config_is_enough(cluster, container, monkeypatch):
    def play(trainer, is_chief):
        session_args = {"config": trainer.task.config, "graph": trainer.graph}
        with (
            trainer.graph.as_default(),
            tf1.Session(trainer.task.target, **session_args) as session,
        ):
            if is_chief:
                session.run(init)
            coord = tf1.train.Coordinator()
            threads = tf1.train.start_queue_runners(session, coord)
            names = draw(session, trainer.item)
            coord.request_stop()
            coord.join(threads)
            return names

    with tf_config(monkeypatch, WITH_CHIEF, "chief"):
        chief = Trainer(cluster, 0, container)
    with tf_config(monkeypatch, WITH_CHIEF, "worker"):
        worker = Trainer(cluster, 1, container)
    with chief.graph.as_default():
        init = initializers()
    tasks = [Background(play, chief, True), Background(play, worker, False)]
    drawn = [task.result() for task in tasks]
    assert Counter(drawn[0] + drawn[1]) == Counter(WORKS)


@pytest.mark.parametrize("with_hook", [False, True])
@pytest.mark.parametrize("chief_index", [0, 1])
@pytest.mark.parametrize("device", [None, "/job:params/task:0"])
def test_jobs_of_ones_own_names(
    others, container, with_hook, chief_index, device
):
    """`is_chief` of MonitoredTrainingSession counts, whatever the index."""
    chief = Trainer(others, chief_index, container, device)
    worker = Trainer(others, 1 - chief_index, container, device)
    trained = train_both(chief, worker, with_hook=with_hook)
    assert Counter(trained[0] + trained[1]) == Counter(WORKS)
    assert engine_of(chief.queue).role.is_chief
    assert not engine_of(worker.queue).role.is_chief


def test_what_is_local_is_not_put_on_parameter_servers_of_any_name(others):
    with others.task(0) as _, tf1.device(None):
        with tf1.device("/job:params/task:0"):
            queue = WorkQueue(WORKS)
            queue.take()
        devices = {
            op.device
            for op in tf1.get_default_graph().get_operations()
            if any(w in op.name for w in ("demand", "proxy", "arrivals"))
            and op.type == "FIFOQueueV2"
        }
    assert devices == {"/device:CPU:0"}


@pytest.mark.parametrize("with_hook", [False, True])
def test_what_is_given_is_stronger_than_the_creator(
    cluster, container, with_hook
):
    """The ledger is kept where the argument says, not where models are."""
    chief = Trainer(cluster, 0, container, is_chief=False)
    worker = Trainer(cluster, 1, container, is_chief=True)
    trained = train_both(chief, worker, with_hook=with_hook)
    assert Counter(trained[0] + trained[1]) == Counter(WORKS)
    assert engine_of(worker.queue).role.is_chief
    assert not engine_of(chief.queue).role.is_chief


def test_a_supervisor_says_who_is_the_chief(others, container):
    trainer = Trainer(others, 1, container)
    with trainer.graph.as_default():
        supervisor = tf1.train.Supervisor(
            is_chief=True, summary_op=None, saver=None
        )
        with supervisor.managed_session(
            trainer.task.target, config=trainer.task.config
        ) as session:
            assert draw(session, trainer.item, 3) == WORKS[:3]
            assert engine_of(trainer.queue).role.is_chief


def test_a_session_of_another_graph_is_none_of_the_creators(container):
    """It is made inside a hook, while the first is being created."""

    class Hook(tf1.train.SessionRunHook):
        def after_create_session(self, session, coord):
            del session, coord
            with tf.Graph().as_default(), tf1.Session() as other:
                queue = WorkQueue(WORKS, shuffle=False, name="other")
                other.run(initializers())
                tf1.train.start_queue_runners(other)
                roles.append(engine_of(queue).role.origin)

    roles = []
    with (
        tf.Graph().as_default(),
        tf1.train.MonitoredTrainingSession(hooks=[Hook()]),
    ):
        pass
    assert roles == [None]


class TestAWorkerWhoseClusterLacksTheChief:
    """It is worker 0, so by convention it would be the chief."""

    @pytest.fixture
    def tasks(self, cluster, container, monkeypatch):
        with tf_config(monkeypatch, WITH_CHIEF, "chief"):
            chief = Trainer(cluster, 0, container)
        with tf_config(monkeypatch, WITHOUT_CHIEF, "worker"):
            worker = Trainer(cluster, 1, container)
        assert engine_of(worker.queue).role.is_chief
        return chief, worker

    @pytest.mark.parametrize("with_hook", [False, True])
    def test_the_creator_knows_better(self, tasks, with_hook):
        chief, worker = tasks
        trained = train_both(chief, worker, with_hook=with_hook)
        assert Counter(trained[0] + trained[1]) == Counter(WORKS)
        assert not engine_of(worker.queue).role.is_chief

    def test_it_takes_from_the_chief_that_is_there(self, tasks, caplog):
        chief, worker = tasks
        with (
            caplog.at_level(logging.WARNING, logger="absl"),
            bare(chief, init=True) as (session, _),
        ):
            assert draw(session, chief.item, 1) == WORKS[:1]
            with bare(worker) as (other, _):
                assert not engine_of(worker.queue).role.is_chief
                assert draw(other, worker.item, 2) == WORKS[1:3]
            assert Counter(draw(session, chief.item)) == Counter(WORKS[2:])
        assert "worker:0) would be the chief" in caplog.text
        assert "chief:0 feeds the queue" in caplog.text

    def test_it_gives_way_to_a_chief_that_comes_later(self, tasks, caplog):
        chief, worker = tasks
        with (
            caplog.at_level(logging.WARNING, logger="absl"),
            bare(worker, init=True, fails=True) as (other, coord),
        ):
            assert draw(other, worker.item, 1) == WORKS[:1]
            with bare(chief) as (session, _):
                assert coord.wait_for_stop(60)
                with pytest.raises(TwoChiefsError, match="chief:0"):
                    coord.join([], stop_grace_period_secs=60)
                # What the other one has received meanwhile may come twice.
                assert set(draw(session, chief.item)) == set(WORKS)

    def test_a_chief_whose_board_it_has_overwritten_goes_on(
        self, tasks, caplog, monkeypatch
    ):
        """Both began at once, and the one by convention wrote last."""
        chief, worker = tasks
        with (
            caplog.at_level(logging.WARNING, logger="absl"),
            bare(chief, init=True) as (session, _),
        ):
            assert draw(session, chief.item, 1) == WORKS[:1]
            monkeypatch.setattr(
                session_service, "is_another_chief_there", see_nobody
            )
            monkeypatch.setattr(session_chief, "expect_no_chief", see_nobody)
            with bare(worker, fails=True) as (_, coord):
                assert coord.wait_for_stop(60)
                with pytest.raises(TwoChiefsError):
                    coord.join([], stop_grace_period_secs=60)
            assert set(draw(session, chief.item)) >= set(WORKS[1:])
        assert "the chief is chief:0, and goes on" in caplog.text


def see_nobody(*args):
    del args
    return ""
