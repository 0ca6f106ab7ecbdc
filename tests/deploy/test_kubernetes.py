"""The manifests: valid, and their commands train on this machine."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from kubeflow.training import models

from tests.support.environment import environment
from tests.support.paths import ROOT
from tests.support.sessions import wait_until
from wq_hooks.cli import command_line
from wq_hooks.launcher.ports import ReservedPorts

KUBERNETES = ROOT / "deploy" / "kubernetes"
# The newest that the package knows would change what is tested by itself.
VERSION = "1.30"
DEADLINE_SECS = 200
NUM_FILES, NUM_LINES, NUM_EPOCHS = 6, 40, 2


def documents(name):
    return list(yaml.safe_load_all((KUBERNETES / name).read_text()))


def expect_model(value, kind):
    """Fails if a value is not what the operator's own client knows.

    The types are those of the TFJob's custom resource definition, from which
    that client is generated.
    """
    if kind.startswith("dict(str, "):
        for each in value.values():
            expect_model(each, kind[len("dict(str, ") : -1])
    elif kind == "V1PodTemplateSpec":
        pod = {"metadata": {"name": "x"}, "spec": value["spec"]}
        pod["metadata"].update(value.get("metadata", {}))
        kubernetes_validate.validate(
            {"apiVersion": "v1", "kind": "Pod", **pod}, VERSION, strict=True
        )
    elif hasattr(models, kind) and not kind.startswith("V1"):
        model = getattr(models, kind)
        types = {
            key: model.openapi_types[name]
            for name, key in model.attribute_map.items()
        }
        assert set(value) <= set(types), kind
        for key, each in value.items():
            expect_model(each, types[key])
    elif kind in ("int", "str"):
        assert isinstance(value, {"int": int, "str": str}[kind])


class TestSchemas:
    @pytest.mark.parametrize("name", ["jobs.yaml", "storage.yaml"])
    def test_of_kubernetes(self, name):
        for document in documents(name):
            kubernetes_validate.validate(document, VERSION, strict=True)

    def test_of_the_operator(self):
        (job,) = documents("tfjob.yaml")
        assert job["apiVersion"] == "kubeflow.org/v1"
        expect_model(job, "KubeflowOrgV1TFJob")

    def test_a_mistake_is_found(self):
        (job,) = documents("tfjob.yaml")
        job["spec"]["runPolicy"]["cleanPods"] = "Running"
        with pytest.raises(AssertionError, match="RunPolicy"):
            expect_model(job, "KubeflowOrgV1TFJob")

    def test_a_mistake_in_a_pod_is_found(self):
        (job,) = documents("tfjob.yaml")
        spec = job["spec"]["tfReplicaSpecs"]["PS"]["template"]["spec"]
        spec["containers"][0]["imagee"] = "x"
        with pytest.raises(kubernetes_validate.ValidationError):
            expect_model(job, "KubeflowOrgV1TFJob")


def pods_of_tfjob():
    """Yields (task, pod) of each task."""
    (job,) = documents("tfjob.yaml")
    for kind, replica in job["spec"]["tfReplicaSpecs"].items():
        yield kind.lower(), replica["template"]["spec"]


def pods_of_jobs():
    for document in documents("jobs.yaml"):
        if "template" in document.get("spec", {}):
            template = document["spec"]["template"]
            yield template["metadata"]["labels"]["task"], template["spec"]


def test_every_pod_has_time_for_a_save():
    for _, pod in [*pods_of_tfjob(), *pods_of_jobs()]:
        assert pod["terminationGracePeriodSeconds"] > 25


def test_every_pod_can_write_checkpoints():
    for _, pod in [*pods_of_tfjob(), *pods_of_jobs()]:
        (container,) = pod["containers"]
        mounts = {m["name"]: m for m in container["volumeMounts"]}
        assert not mounts["model"].get("readOnly")
    claims = {c["metadata"]["name"]: c for c in documents("storage.yaml")}
    modes = claims["train-model"]["spec"]["accessModes"]
    assert modes == ["ReadWriteMany"]


def command_of(pod, mounts):
    """Returns what a pod runs, with the paths of this machine."""
    (container,) = pod["containers"]
    # What the image has as its entry point.
    command = container.get("command", ["python", "train.py"])
    words = [*command, *container["args"]]
    for there, here in mounts.items():
        words = [word.replace(f"={there}", f"={here}") for word in words]
    # The port of the chief is one of this machine, too.
    return [word.replace("=9100", "=0") for word in words]


@pytest.mark.cluster
@pytest.mark.timeout(600)
@pytest.mark.parametrize("pods", [pods_of_tfjob, pods_of_jobs])
def test_the_commands_train_all_data(pods, tmp_path, capsys):
    """With one parameter server and one worker, on addresses of its own."""
    data, model = tmp_path / "data", tmp_path / "model"
    data.mkdir()
    rng = random.Random(1)
    for i in range(NUM_FILES):
        lines = (f"{x + y},{x},{y}\n" for x, y in points(rng))
        (data / f"part-{i}.csv").write_text("".join(lines))
    tasks = {task: pod for task, pod in pods() if task != "evaluator"}
    ports = ReservedPorts(len(tasks))
    addresses = {
        task: [f"127.0.0.1:{port}"] for task, port in zip(tasks, ports.numbers)
    }
    mounts = {"/data": data, "/model": model}
    processes = {}
    try:
        for task, pod in tasks.items():
            with (tmp_path / task).open("w") as log:
                processes[task] = subprocess.Popen(
                    command_of(pod, mounts),
                    cwd=KUBERNETES,
                    env=environment_of(task, addresses),
                    stdout=log,
                    stderr=log,
                )
        for task in ("chief", "worker"):
            code = processes[task].wait(timeout=DEADLINE_SECS)
            assert code == 0, (tmp_path / task).read_text()[-3000:]
        # Parameter servers are ended by whoever ends the job.
        assert processes["ps"].poll() is None
        if "evaluator" in tasks:
            log = tmp_path / "evaluator"
            wait_until(lambda: ": loss " in log.read_text(), secs=DEADLINE_SECS)
    finally:
        for process in processes.values():
            process.kill()
            process.wait()
    capsys.readouterr()
    assert command_line.main(["inspect", str(model), "--format=json"]) == 0
    (report,) = json.loads(capsys.readouterr().out)
    assert report["completed"] == NUM_FILES * NUM_EPOCHS
    assert report["remaining"] == 0


def points(rng):
    return [(rng.random(), rng.random()) for _ in range(NUM_LINES)]


def environment_of(task, addresses):
    """Returns what the operator sets, and what the plain manifests say."""
    config = {
        "cluster": addresses,
        "task": {"type": task, "index": 0},
        "environment": "cloud",
    }
    return {
        **os.environ,
        **environment(),
        # `python` is that of the image.
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "TF_CONFIG": json.dumps(config),
        "CLUSTER": json.dumps(addresses),
        "POD_NAME": f"train-{task}-0",
        "JOB_COMPLETION_INDEX": "0",
    }
