from __future__ import annotations

import json

import pytest

from wq_hooks.core.chief.tasks import Task, is_of_servers, num_workers

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


@pytest.mark.parametrize("device", ["/job:worker/task:0", "/job:worker/task:7"])
@pytest.mark.parametrize(
    ("cluster", "job", "index", "is_chief"),
    [
        (WITH_CHIEF, "chief", 0, True),
        (WITH_MASTER, "master", 0, True),
        (WITH_CHIEF, "worker", 0, False),
        (WITHOUT_CHIEF, "worker", 0, True),
        (WITHOUT_CHIEF, "worker", 1, False),
        (WITH_CHIEF, "evaluator", 0, True),
    ],
)
def test_tf_config_is_stronger_than_the_device(
    device, cluster, job, index, is_chief
):
    task = find(device, config(cluster, job, index))
    assert task == Task(job, index, is_chief)


def test_names_stay_apart_where_the_chief_is_worker_0_of_the_servers():
    tasks = [("chief", 0), ("worker", 0), ("worker", 1)]
    found = [
        find(f"/job:worker/task:{number}", config(WITH_CHIEF, *task))
        for number, task in enumerate(tasks)
    ]
    assert len({task.name for task in found}) == 3
    assert [task.is_chief for task in found] == [True, False, False]


@pytest.mark.parametrize("index", [0, 1])
def test_a_job_of_another_name(index):
    device = f"/job:trainer/task:{index}"
    assert find(device) == Task("trainer", index, is_chief=index == 0)
    cluster = {"trainer": ["a:1", "b:1"], "params": ["c:1"]}
    task = find("", config(cluster, "trainer", index))
    assert task == Task("trainer", index, is_chief=index == 0)


def test_a_job_beside_workers_has_no_chief():
    cluster = {"worker": ["a:1"], "helper": ["b:1"]}
    assert not find("", config(cluster, "helper")).is_chief


@pytest.mark.parametrize(
    ("task", "is_presumed"),
    [
        (find("", config(WITHOUT_CHIEF, "worker")), True),
        (find("/job:worker/task:0"), True),
        (find("/job:trainer/task:0"), True),
        (find(), True),
        (find("", config(WITHOUT_CHIEF, "worker", 1)), False),
        (find("", config(WITH_CHIEF, "chief")), False),
        (find("", config(WITH_CHIEF, "evaluator")), False),
        (find("/job:chief/task:0"), False),
    ],
)
def test_who_is_the_chief_by_convention_alone(task, is_presumed):
    assert task.is_presumed == is_presumed


@pytest.mark.parametrize(
    ("op", "variable", "own_job", "expected"),
    [
        ("/job:ps/task:0", "/job:ps/task:0", None, True),
        # Of a replica_device_setter.
        ("/job:trainer/task:1", "/job:params/task:0", None, False),
        ("/job:params/task:0", "/job:params/task:0", None, True),
        ("/job:params/task:0", "/job:params/task:0", "trainer", True),
        ("/job:trainer/task:0", "/job:trainer/task:0", "trainer", False),
        ("/job:worker/task:0", "/job:worker/task:0", "chief", False),
        ("/device:CPU:0", "/job:params/task:0", None, False),
        ("", "", None, False),
    ],
)
def test_parameter_servers_of_any_name(op, variable, own_job, expected):
    environ = {}
    if own_job is not None:
        environ["TF_CONFIG"] = json.dumps(config(WITHOUT_CHIEF, own_job))
    assert is_of_servers(op, variable, environ) == expected


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
    # Others may come of whom nobody but the parameter servers knows.
    config["cluster"] = {"ps": ["a"], "chief": ["b"]}
    assert num_workers({"TF_CONFIG": json.dumps(config)}) is None
