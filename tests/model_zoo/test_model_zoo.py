"""Runs every trainer of the model zoo with tiny steps; none is forgotten."""

import importlib
import json
import os
import sys

import pytest
import tensorflow as tf
from absl import app
from absl import flags as absl_flags

from tests.support import forked
from tests.support.paths import ROOT

TRAINERS = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in ROOT.glob("model_zoo/wide_and_deep/train_*.py")
)
NUM_STEPS = 3


def run_module(module, *args):
    environ = {k: v for k, v in os.environ.items() if k != "TF_CONFIG"}
    return forked.run(
        [sys.executable, "-m", module, *args],
        cwd=ROOT,
        env=environ,
        timeout=120,
    )


@pytest.fixture(scope="module")
def data_of(tmp_path_factory):
    """Generates data with each model's own generator, once."""
    directories = {}

    def generate(package):
        if package not in directories:
            directory = tmp_path_factory.mktemp("data") / package
            done = run_module(
                f"{package}.generate",
                f"--output_dir={directory}",
                "--num_files=3",
                "--rows_per_file=100",
                "--eval_rows=200",
            )
            assert done.returncode == 0, done.stderr
            directories[package] = directory
        return directories[package]

    return generate


def test_all_trainers_are_found():
    assert TRAINERS == [
        "model_zoo.wide_and_deep.train_estimator",
        "model_zoo.wide_and_deep.train_keras",
        "model_zoo.wide_and_deep.train_monitored_session",
    ]


@pytest.mark.parametrize("workqueue", [True, False])
@pytest.mark.parametrize("trainer", TRAINERS)
def test_trains_and_evaluates(trainer, workqueue, data_of, tmp_path):
    data = data_of(trainer.rpartition(".")[0])
    done = run_module(
        trainer,
        f"--data_location={data}",
        f"--checkpoint={tmp_path}",
        f"--workqueue={workqueue}",
        f"--steps={NUM_STEPS}",
        "--batch_size=16",
    )
    if trainer.endswith("_estimator") and not hasattr(tf, "estimator"):
        assert done.returncode == 1
        reason = done.stderr.strip().splitlines()[-1]
        assert "has no tf.estimator" in reason
        assert "train_monitored_session" in reason
        pytest.skip(reason)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("AUC 0.")
    assert done.stdout.endswith(f"200 rows, step {NUM_STEPS})\n")
    task = json.loads((tmp_path / "tasks" / "chief_0.json").read_text())
    assert (task["steps"], task["records"]) == (NUM_STEPS, 16 * NUM_STEPS)
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["global_step"] == NUM_STEPS
    name = "ckpt" if trainer.endswith("_keras") else "model.ckpt"
    assert (tmp_path / f"{name}-{NUM_STEPS}.index").exists()


@pytest.mark.parametrize("trainer", TRAINERS)
def test_says_what_is_wrong_with_its_flags(trainer, tmp_path, monkeypatch):
    if trainer.endswith("_estimator") and not hasattr(tf, "estimator"):
        pytest.skip("the message about tf.estimator comes first")
    monkeypatch.delenv("TF_CONFIG", raising=False)
    module = importlib.import_module(trainer)
    flag_values = absl_flags.FlagValues()
    getattr(module, "define_flags", module.flags.define)(flag_values)
    flag_values(
        ["train", f"--data_location={tmp_path}", f"--checkpoint={tmp_path}"]
    )
    monkeypatch.setattr(module, "FLAGS", flag_values)
    with pytest.raises(app.UsageError, match=r"Expected files train/\*"):
        module.main(["train"])
    with pytest.raises(app.UsageError, match=r"flags only; got .'surplus'"):
        module.main(["train", "surplus"])
    monkeypatch.setenv("TF_CONFIG", "{")
    with pytest.raises(app.UsageError, match="Expected TF_CONFIG to be JSON"):
        module.main(["train"])
