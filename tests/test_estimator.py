"""The queue inside an Estimator's input_fn, in this process."""

from __future__ import annotations

import json
import logging

import pytest
import tensorflow as tf
from sessions import decoded

from wq_hooks import WorkQueue, WorkQueueHook

tf1 = tf.compat.v1

pytestmark = [
    pytest.mark.estimator,
    pytest.mark.skipif(
        not hasattr(tf, "estimator"),
        reason="tf.estimator ended with TensorFlow 2.15; this is "
        f"{tf.__version__}",
    ),
]

WORKS = [f"part-{i}" for i in range(6)]
ITEMS = "items_of_this_test"


def model_fn(features, labels, mode):
    del labels
    tf1.add_to_collection(ITEMS, features)
    weight = tf1.get_variable("weight", [], initializer=tf1.ones_initializer())
    step = tf1.train.get_global_step()
    with tf.control_dependencies([features]):
        train_op = tf.group(step.assign_add(1), weight.assign_add(0.5))
    return tf.estimator.EstimatorSpec(
        mode, loss=tf.square(weight), train_op=train_op
    )


def input_fn(works=WORKS, source="dataset", **queue_args):
    def with_queue():
        queue = WorkQueue(works, shuffle=False, **queue_args)
        if source == "dataset":
            return queue.input_dataset()
        return tf.reshape(queue.input_producer().dequeue(), []), None

    return with_queue


def input_fn_without_queue():
    return tf.data.Dataset.from_tensor_slices(["plain"] * 3)


class Recorder(tf1.train.SessionRunHook):
    """Keeps the items that were trained."""

    def __init__(self):
        self.items = []

    def before_run(self, run_context):
        (item,) = run_context.session.graph.get_collection(ITEMS)
        return tf1.train.SessionRunArgs(item)

    def after_run(self, run_context, run_values):
        self.items.append(decoded(run_values.results))


def estimator(directory, **config):
    config = {"save_checkpoints_steps": 100, "tf_random_seed": 1, **config}
    return tf.estimator.Estimator(
        model_fn, str(directory), tf.estimator.RunConfig(**config)
    )


def train(directory, make_input=None, *, hook=True, config=None, **args):
    """Returns the items that Estimator.train has trained."""
    recorder = Recorder()
    hooks = [recorder, WorkQueueHook()] if hook else [recorder]
    estimator(directory, **(config or {})).train(
        make_input or input_fn(), hooks=hooks, **args
    )
    return recorder.items


def position_of(directory):
    path = tf.train.latest_checkpoint(str(directory))
    reader = tf.train.load_checkpoint(path)
    position = json.loads(reader.get_tensor("work_queue/position"))["body"]
    outstanding = [ticket for ticket, *_ in position["outstanding"]]
    return (
        reader.get_tensor("global_step"),
        position["next_ticket"],
        outstanding,
    )


@pytest.mark.parametrize("hook", [False, True])
@pytest.mark.parametrize("source", ["dataset", "producer"])
def test_trains_all_then_has_nothing_left(tmp_path, hook, source):
    make_input = input_fn(source=source, num_epochs=2)
    assert train(tmp_path, make_input, hook=hook) == WORKS * 2
    step, next_ticket, outstanding = position_of(tmp_path)
    assert (step, next_ticket) == (12, 12)
    # A Reader does not say that it is through with the last one.
    assert outstanding in ([[]] if source == "dataset" else [[], [11]])
    rest = train(tmp_path, make_input, hook=hook)
    assert rest == (WORKS * 2)[12 - len(outstanding) :]


@pytest.mark.parametrize("hook", [False, True])
def test_max_steps_and_resume(tmp_path, hook):
    assert train(tmp_path, hook=hook, max_steps=4) == WORKS[:4]
    step, _, outstanding = position_of(tmp_path)
    # The fourth was in flight; those behind it wait in the mailbox.
    assert (step, outstanding[0]) == (4, 3)
    assert train(tmp_path, hook=hook, max_steps=4) == []
    assert train(tmp_path, hook=hook, steps=2) == WORKS[3:5]
    assert train(tmp_path, hook=hook) == WORKS[4:]
    assert position_of(tmp_path) == (8, 6, [])


@pytest.mark.parametrize("hook", [False, True])
def test_train_and_evaluate(tmp_path, hook):
    def run(max_steps):
        recorder = Recorder()
        hooks = [recorder, WorkQueueHook()] if hook else [recorder]
        metrics, _ = tf.estimator.train_and_evaluate(
            estimator(tmp_path, save_checkpoints_steps=2),
            tf.estimator.TrainSpec(input_fn(), max_steps, hooks=hooks),
            tf.estimator.EvalSpec(
                input_fn_without_queue, steps=1, throttle_secs=0
            ),
        )
        return recorder.items, metrics["global_step"]

    assert run(3) == (WORKS[:3], 3)
    assert run(100) == (WORKS[2:], 7)
    # The last step was a saved one, and TensorFlow does not save it again at
    # the end; the queue does, since only then its item is completed.
    assert position_of(tmp_path) == (7, 6, [])


def test_the_number_of_checkpoints_is_that_of_the_run_config(tmp_path):
    config = {"save_checkpoints_steps": 1, "keep_checkpoint_max": 2}
    train(tmp_path, config=config)
    state = tf.train.get_checkpoint_state(str(tmp_path))
    assert len(state.all_model_checkpoint_paths) == 2
    assert len(list(tmp_path.glob("model.ckpt-*.index"))) == 2


def test_a_checkpoint_from_before_the_queue_was_added(tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="absl")
    estimator(tmp_path).train(input_fn_without_queue)
    assert train(tmp_path, max_steps=5) == WORKS[:2]
    assert "before the queue was added" in caplog.text
    caplog.clear()
    assert train(tmp_path) == WORKS[1:]
    assert "before the queue was added" not in caplog.text


def test_a_user_s_saver_in_the_scaffold_of_the_model(tmp_path):
    """Where the hook is made in the model_fn, it can be told of it."""

    def model(features, labels, mode):
        spec = model_fn(features, labels, mode)
        saver = tf1.train.Saver(max_to_keep=1)
        scaffold = tf1.train.Scaffold(saver=saver)
        return spec._replace(
            scaffold=scaffold,
            training_hooks=[WorkQueueHook(scaffold=scaffold), recorder],
        )

    drawn = []
    for max_steps in (4, None):
        recorder = Recorder()
        tf.estimator.Estimator(model, str(tmp_path)).train(
            input_fn(), max_steps=max_steps
        )
        drawn.append(recorder.items)
    assert drawn == [WORKS[:4], WORKS[3:]]


def test_a_queue_from_outside_the_input_fn_is_refused(tmp_path):
    with tf.Graph().as_default():
        queue = WorkQueue(WORKS)
    with pytest.raises(ValueError, match="input_fn"):
        estimator(tmp_path).train(input_fn(), hooks=[WorkQueueHook(queue)])
