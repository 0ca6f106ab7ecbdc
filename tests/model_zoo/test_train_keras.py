import json
import sys

import numpy as np
import pytest
import tensorflow as tf
from absl import flags as absl_flags

from model_zoo.wide_and_deep import (
    criteo,
    data,
    keras_model,
    model,
    report,
    train_keras,
)
from tests.support.criteo_data import BAR, NUM_RECORDS, ROWS_PER_FILE
from tests.support.keras_version import has_keras_2
from tests.support.paths import ROOT
from wq_hooks.launcher.local_cluster import Cluster

DEADLINE_SECS = 200.0

pytestmark = [
    # Keras 2 draws its seeds so, on Python 3.11.
    pytest.mark.filterwarnings(
        "ignore:.*non-integer arguments to randrange:DeprecationWarning"
    ),
    # Keras 3 says so at the end of data of unknown size.
    pytest.mark.filterwarnings("ignore:Your input ran out of data"),
    pytest.mark.filterwarnings("ignore:.*shuffle=True. was passed"),
]


def parse_flags(*args):
    flag_values = absl_flags.FlagValues()
    train_keras.define_flags(flag_values)
    flag_values(["train", *args])
    return flag_values


def task_report(checkpoint):
    with open(report.task_report_path(str(checkpoint), "chief:0")) as f:
        return json.load(f)


def test_learns_what_can_be_learnt_and_resumes(
    data_location, tmp_path, monkeypatch
):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    args = [
        f"--data_location={data_location}",
        f"--checkpoint={tmp_path}",
        "--seed=1",
    ]
    train_keras.train(parse_flags(*args, "--steps=150"))
    first = task_report(tmp_path)
    assert (first["steps"], first["records"]) == (150, 150 * 128)

    # Already there: what is saved is what is evaluated, and nothing is trained.
    again = train_keras.train(parse_flags(*args, "--steps=150"))
    assert again.optimizer.iterations.numpy() == 150
    assert task_report(tmp_path) == first

    flag_values = parse_flags(*args)
    trained = train_keras.train(flag_values)
    second = task_report(tmp_path)
    steps = first["steps"] + second["steps"]
    # 150 steps were nine files and a part of the tenth, which begins anew.
    assert second["records"] == NUM_RECORDS - 9 * ROWS_PER_FILE
    outcome = train_keras.final_evaluation(trained, flag_values)
    assert outcome["rows"] == 10_000
    assert outcome["global_step"] == steps
    assert BAR <= outcome["reached"] < 1.0

    # All is done: nothing is trained, and the same model is evaluated.
    done = train_keras.train(flag_values)
    assert train_keras.final_evaluation(done, flag_values) == outcome


def test_both_optimizers_are_restored(tmp_path):
    config = model.ModelConfig(hash_buckets=5, hidden_units=(3,))
    lines = ["1" + "\t7" * 13 + "\t68fd1e64" * 26] * 4
    batch = keras_model.parser(config)(tf.constant(lines))

    def train(wide_and_deep):
        dataset = tf.data.Dataset.from_tensors(batch)
        wide_and_deep.fit(dataset, verbose=0)
        return wide_and_deep

    def outputs(wide_and_deep):
        return wide_and_deep(batch[0]).numpy()

    first = train(keras_model.new_model(config))
    path = tf.train.Checkpoint(model=first, optimizer=first.optimizer).save(
        str(tmp_path / "ckpt")
    )
    second = keras_model.new_model(config)
    tf.train.Checkpoint(model=second, optimizer=second.optimizer).restore(
        path
    ).assert_existing_objects_matched()
    np.testing.assert_array_equal(outputs(first), outputs(second))
    assert second.wide_optimizer.iterations.numpy() == 1
    # The next step depends on what the optimizers have accumulated.
    np.testing.assert_allclose(
        outputs(train(first)), outputs(train(second)), rtol=1e-6
    )


def test_is_the_model_of_the_graph():
    config = model.ModelConfig(hash_buckets=7, hidden_units=(4, 3))
    wide_and_deep = keras_model.new_model(config)
    shapes = [tuple(v.shape) for v in wide_and_deep.trainable_variables]
    with tf.Graph().as_default():
        features, _ = data.parse_lines(tf.constant(["1" + "\t" * 39]))
        model.build_logits(features, config)
        expected = [tuple(v.shape) for v in tf.compat.v1.trainable_variables()]
    assert sorted(shapes) == sorted(expected)
    assert len(criteo.CATEGORICAL_COLUMNS) * 7 in {s[0] for s in shapes}


@pytest.mark.cluster
@pytest.mark.skipif(not has_keras_2, reason="Keras 3 has no such strategy")
def test_learns_on_a_cluster(data_location, tmp_path):
    command = [sys.executable, "-m", "model_zoo.wide_and_deep.train_keras"]
    command += [
        f"--data_location={data_location}",
        f"--checkpoint={tmp_path}",
        "--seed=1",
        "--strategy=parameter_server",
    ]
    root = str(ROOT)
    env = {"PYTHONPATH": root, "CUDA_VISIBLE_DEVICES": ""}
    with Cluster(command, num_ps=1, num_workers=2, env=env) as cluster:
        cluster.start("ps:0", "worker:0", "worker:1", "chief:0")
        assert cluster.wait("chief:0", timeout_secs=DEADLINE_SECS) == 0
    outcome = json.loads((tmp_path / "result.json").read_text())
    assert outcome["rows"] == 10_000
    assert outcome["global_step"] >= NUM_RECORDS // 128
    assert BAR <= outcome["reached"] < 1.0


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--strategy=parameter_server"], "Expected a cluster"),
        (["--log_batches"], "may span files"),
        (
            [
                "--ps_hosts=p:1",
                "--worker_hosts=w:1",
                "--job_name=worker",
            ],
            "Expected one process; got the task chief:0",
        ),
    ],
)
def test_refuses_what_it_does_not_do(
    data_location, tmp_path, monkeypatch, args, message
):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    flag_values = parse_flags(
        f"--data_location={data_location}", f"--checkpoint={tmp_path}", *args
    )
    with pytest.raises(ValueError, match=message):
        train_keras.check_flags(flag_values)
