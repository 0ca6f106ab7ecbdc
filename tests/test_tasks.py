from __future__ import annotations

import json

import pytest

from wq_hooks.core.tasks import Task, num_workers

LOCAL = Task("local", 0, is_chief=True)
WITH_CHIEF = {"chief": ["a:1"], "worker": ["b:1", "c:1"], "ps": ["d:1"]}
WITHOUT_CHIEF = {"worker": ["b:1", "c:1"], "ps": ["d:1"]}
WITH_MASTER = {"master": ["a:1"], "worker": ["b:1"]}


def find(device="", tf_config=None):
    environ = {}
    if tf_config is not None:
        environ["TF_CONFIG"] = (
            tf_config if isinstance(tf_config, str) else json.dumps(tf_config)
        )
    return Task.find(device=device, environ=environ)


def config(cluster, job, index=0):
    return {"cluster": cluster, "task": {"type": job, "index": index}}


def test_without_any_sign_the_process_is_its_own_chief():
    assert find() == LOCAL
    assert find(tf_config="") == LOCAL
    assert find(tf_config=" \n") == LOCAL
    assert find(tf_config={}) == LOCAL
    assert find(tf_config={"cluster": {}, "task": {}}) == LOCAL
    assert LOCAL.name == "local:0"


@pytest.mark.parametrize(
    ("cluster", "job", "index", "is_chief"),
    [
        (WITH_CHIEF, "chief", 0, True),
        (WITH_CHIEF, "worker", 0, False),
        (WITH_CHIEF, "worker", 1, False),
        (WITH_MASTER, "master", 0, True),
        (WITH_MASTER, "worker", 0, False),
        (WITHOUT_CHIEF, "worker", 0, True),
        (WITHOUT_CHIEF, "worker", 1, False),
        (WITH_CHIEF, "evaluator", 0, True),
    ],
)
def test_tf_config_tells_the_task_and_the_chief(cluster, job, index, is_chief):
    task = find(tf_config=config(cluster, job, index))
    assert task == Task(job, index, is_chief=is_chief)
    assert task.name == f"{job}:{index}"


def test_an_index_may_be_a_string_or_missing():
    assert find(tf_config=config(WITHOUT_CHIEF, "worker", "1")).index == 1
    only_type = {"cluster": WITHOUT_CHIEF, "task": {"type": "worker"}}
    assert find(tf_config=only_type).index == 0


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        ("/job:worker/task:0", Task("worker", 0, is_chief=True)),
        ("/job:worker/task:3", Task("worker", 3, is_chief=False)),
        (
            "/job:worker/replica:0/task:12/device:GPU:0",
            Task("worker", 12, False),
        ),
        ("/job:chief/task:0/device:CPU:0", Task("chief", 0, is_chief=True)),
        ("/job:worker", Task("worker", 0, is_chief=True)),
        ("/device:CPU:0", LOCAL),
        ("/cpu:0", LOCAL),
        # A session without a cluster; a queue pinned to a parameter server.
        ("/job:localhost/replica:0/task:0/device:CPU:0", LOCAL),
        ("/job:ps/task:0", LOCAL),
    ],
)
def test_the_device_tells_the_task(device, expected):
    assert find(device) == expected


def test_the_device_is_stronger_and_tf_config_knows_the_chief():
    chief = config(WITH_CHIEF, "chief")
    assert find("/job:worker/task:0", chief) == Task("worker", 0, False)
    assert find("/job:worker/task:1", chief) == Task("worker", 1, False)
    worker = config(WITHOUT_CHIEF, "worker", 1)
    assert find("/job:worker/task:0", worker) == Task("worker", 0, True)


def test_a_parameter_server_device_leaves_it_to_tf_config():
    worker = config(WITH_CHIEF, "worker", 1)
    assert find("/job:ps/task:0", worker) == Task("worker", 1, False)


@pytest.mark.parametrize(
    "text",
    [
        "no json",
        "[]",
        "5",
        '{"task": 5}',
        '{"task": ["worker"]}',
        '{"task": {"type": "worker", "index": "x"}}',
        '{"task": {"type": "worker", "index": null}}',
        '{"task": {"type": 5, "index": 0}}',
        '{"cluster": 5}',
    ],
)
def test_a_damaged_tf_config_is_refused(text):
    with pytest.raises(ValueError, match="Expected TF_CONFIG to be JSON"):
        find(tf_config=text)


def test_the_number_of_workers():
    cluster = {"ps": ["a"], "chief": ["b"], "worker": ["c", "d"]}
    config = {"cluster": cluster, "task": {"type": "worker", "index": 0}}
    assert num_workers({"TF_CONFIG": json.dumps(config)}) == 3
    assert num_workers({}) is None
    assert num_workers({"TF_CONFIG": "{}"}) is None
