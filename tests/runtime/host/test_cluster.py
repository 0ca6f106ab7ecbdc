from __future__ import annotations

import json
import threading

import pytest
import tensorflow as tf

from tests.support.in_process_cluster import Background, InProcessCluster
from wq_hooks.runtime.host.cluster import addresses_of_tasks

tf1 = tf.compat.v1


@pytest.fixture(scope="module")
def cluster():
    return InProcessCluster(num_workers=2)


@pytest.fixture
def session(cluster):
    with cluster.task(0) as task, tf1.Session(task.target) as session:
        yield session


def test_the_server_of_the_session_tells(cluster, session):
    assert addresses_of_tasks(session, {}) == {
        "ps:0": cluster.spec["ps"][0],
        "worker:0": cluster.spec["worker"][0],
        "worker:1": cluster.spec["worker"][1],
    }


def test_threads_that_build_tuples_go_on(session):
    is_over = threading.Event()

    def build():
        num_built = 0
        while not is_over.is_set():
            # The tuple grows while it is filled from what has no length.
            assert len(tuple(list(range(20)) for _ in range(200))) == 200
            num_built += 1
        return num_built

    building = Background(build)
    for _ in range(50):
        assert addresses_of_tasks(session, {})
    is_over.set()
    assert building.result()


def test_tf_config_comes_first(session):
    config = {
        "cluster": {"chief": ["a:1"], "worker": ["b:1", "c:1"]},
        "task": {"type": "chief", "index": 0},
    }
    assert addresses_of_tasks(session, {"TF_CONFIG": json.dumps(config)}) == {
        "chief:0": "a:1",
        "worker:0": "b:1",
        "worker:1": "c:1",
    }


def test_without_a_cluster_nobody_tells():
    with tf.Graph().as_default(), tf1.Session() as session:
        assert addresses_of_tasks(session, {}) == {}
