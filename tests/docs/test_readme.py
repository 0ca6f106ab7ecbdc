"""Runs the README's Python blocks as they stand."""

from __future__ import annotations

import re

import pytest
import tensorflow as tf

from tests.support.paths import ROOT
from wq_hooks.engines import engine_of

README = ROOT / "README.md"
# What the others need, then the others.
PREAMBLE, *BLOCKS = re.findall(
    r"^```python\n(.*?)^```", README.read_text(), re.M | re.S
)


def parse_xy(lines):
    x = tf.cast(tf.strings.length(lines), tf.float32)
    return x[:, tf.newaxis], x[:, tf.newaxis]


def new_keras_model():
    model = tf.keras.Sequential(
        [tf.keras.layers.Input((1,)), tf.keras.layers.Dense(1)]
    )
    model.compile("sgd", "mse")
    return model


def test_the_readme_has_its_blocks():
    assert len(BLOCKS) == 9


@pytest.mark.filterwarnings(
    "ignore:.*input ran out of data:UserWarning",
    "ignore:`shuffle=True` was passed:UserWarning",
)
@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_block(number, tmp_path):
    block = BLOCKS[number]
    if "# needs tf.estimator" in block and not hasattr(tf, "estimator"):
        pytest.skip(f"TensorFlow {tf.__version__} has no tf.estimator")
    paths = [tmp_path / f"{i}.csv" for i in range(5)]
    for path in paths:
        path.write_text("".join(f"{path.name},{i}\n" for i in range(70)))
    checkpoint_dir = tmp_path / "model"
    namespace = {"parse_xy": parse_xy, "new_keras_model": new_keras_model}
    exec(compile(PREAMBLE, "README.md preamble", "exec"), namespace)

    def model_fn(features, mode):
        train_op = namespace["model"](features)
        return tf.estimator.EstimatorSpec(
            mode, loss=tf.constant(0.0), train_op=train_op
        )

    namespace |= {
        "model_fn": model_fn,
        "paths": [str(path) for path in paths],
        "checkpoint_dir": str(checkpoint_dir),
    }

    exec(compile(block, f"README.md block {number}", "exec"), namespace)

    if "WorkQueueCheckpoint" in block:
        # It is done: started again, it trains nothing.
        assert engine_of(namespace["queue"]).is_done
        steps = namespace["model"].optimizer.iterations.numpy()
        namespace["queue"].close()
        exec(compile(block, f"README.md block {number}", "exec"), namespace)
        assert engine_of(namespace["queue"]).is_done
        assert namespace["model"].optimizer.iterations.numpy() == steps
        namespace["queue"].close()
    elif "checkpoint_dir" in block:
        latest = tf.train.latest_checkpoint(str(checkpoint_dir))
        steps = tf.train.load_variable(latest, "global_step")
        num_epochs = 2 if "num_epochs=2" in block else 1
        batch_size = 512 if "512" in block else 32
        assert steps == -(-5 * 70 * num_epochs // batch_size)
