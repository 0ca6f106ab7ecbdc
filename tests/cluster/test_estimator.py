"""The queue inside an Estimator's input_fn, in this process."""

from __future__ import annotations

import json
import logging

import pytest
import tensorflow as tf

from tests.support.sessions import decoded
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
        mode,
        loss=tf.square(weight),
        train_op=train_op,
        predictions={"item": tf.reshape(features, [1])},
    )


def model_fn_by_mode(features, labels, mode):
    """Makes what a mode needs, and no more."""
    if mode == tf.estimator.ModeKeys.TRAIN:
        return model_fn(features, labels, mode)
    tf1.add_to_collection(ITEMS, features)
    weight = tf1.get_variable("weight", [])
    with tf.control_dependencies([features]):
        loss = tf.square(weight)
    item = {"item": tf.reshape(features, [1])}
    return tf.estimator.EstimatorSpec(mode, loss=loss, predictions=item)


def model_fn_with_saver(features, labels, mode):
    spec = model_fn(features, labels, mode)
    saver = tf1.train.Saver(sharded=True)
    return spec._replace(scaffold=tf1.train.Scaffold(saver=saver))


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


def estimator(directory, model=model_fn, warm_start_from=None, **config):
    config = {"save_checkpoints_steps": 100, "tf_random_seed": 1, **config}
    return tf.estimator.Estimator(
        model,
        str(directory),
        tf.estimator.RunConfig(**config),
        warm_start_from=warm_start_from,
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


@pytest.mark.parametrize("hook", [False, True])
def test_a_user_s_saver_in_the_scaffold_of_the_model(tmp_path, hook):
    def model(features, labels, mode):
        spec = model_fn(features, labels, mode)
        saver = tf1.train.Saver(max_to_keep=1)
        scaffold = tf1.train.Scaffold(saver=saver)
        return spec._replace(
            scaffold=scaffold,
            training_hooks=[recorder, *([WorkQueueHook()] if hook else [])],
        )

    drawn = []
    for max_steps in (4, None):
        recorder = Recorder()
        tf.estimator.Estimator(model, str(tmp_path)).train(
            input_fn(), max_steps=max_steps
        )
        drawn.append(recorder.items)
    assert drawn == [WORKS[:4], WORKS[3:]]


@pytest.mark.parametrize("every", [1, 5, 12, 100])
def test_a_saver_in_the_scaffold_is_exact_without_a_hook(tmp_path, every):
    recorder = Recorder()
    trained = estimator(
        tmp_path, model_fn_with_saver, save_checkpoints_steps=every
    )
    trained.train(input_fn(num_epochs=2), hooks=[recorder])
    assert recorder.items == WORKS * 2
    assert position_of(tmp_path) == (12, 12, [])
    trained.train(input_fn(num_epochs=2), hooks=[recorder])
    assert recorder.items == WORKS * 2


def seen_by_evaluate(trained, make_input, hooks=()):
    recorder = Recorder()
    trained.evaluate(make_input, hooks=[recorder, *hooks])
    return recorder.items


def seen_by_predict(trained, make_input, hooks=()):
    return [
        decoded(prediction["item"])
        for prediction in trained.predict(make_input, hooks=list(hooks))
    ]


class TestEvaluation:
    """A queue that is not trained from has no position."""

    @pytest.mark.parametrize(
        ("model", "hook"),
        [
            (model_fn, False),
            (model_fn_by_mode, True),
            (model_fn_with_saver, False),
        ],
    )
    def test_the_input_of_the_training_gives_all(self, tmp_path, model, hook):
        hooks = [WorkQueueHook()] if hook else []
        trained = estimator(tmp_path, model)
        for max_steps in (3, None):
            trained.train(input_fn(), max_steps=max_steps)
            assert seen_by_evaluate(trained, input_fn(), hooks) == WORKS
            assert seen_by_predict(trained, input_fn(), hooks) == WORKS
        assert position_of(tmp_path) == (7, 6, [])

    def test_a_queue_that_the_checkpoint_lacks(self, tmp_path):
        trained = estimator(tmp_path)
        trained.train(input_fn(), max_steps=3)
        other = input_fn(name="eval")
        assert seen_by_evaluate(trained, other) == WORKS
        assert seen_by_predict(trained, other) == WORKS

    def test_a_training_without_a_queue(self, tmp_path):
        trained = estimator(tmp_path)
        trained.train(input_fn_without_queue)
        assert seen_by_evaluate(trained, input_fn()) == WORKS
        assert seen_by_predict(trained, input_fn()) == WORKS

    @pytest.mark.parametrize("name", ["work_queue", "eval"])
    def test_in_train_and_evaluate(self, tmp_path, name):
        recorder, evaluated = Recorder(), Recorder()
        tf.estimator.train_and_evaluate(
            estimator(tmp_path, save_checkpoints_steps=2),
            tf.estimator.TrainSpec(
                input_fn(), 100, hooks=[recorder, WorkQueueHook()]
            ),
            tf.estimator.EvalSpec(
                input_fn(name=name),
                steps=None,
                throttle_secs=0,
                hooks=[evaluated],
            ),
        )
        assert recorder.items == WORKS
        assert len(evaluated.items) >= len(WORKS)
        assert evaluated.items[: len(WORKS)] == WORKS
        assert position_of(tmp_path)[1:] == (6, [])


class TestRestoresByName:
    """What knows variables alone does not know the position."""

    @pytest.mark.parametrize("with_queue", [False, True])
    @pytest.mark.parametrize("variables", [".*", [".*"]])
    def test_a_warm_start_trains_all(self, tmp_path, with_queue, variables):
        before = input_fn() if with_queue else input_fn_without_queue
        estimator(tmp_path / "before").train(before)
        settings = tf.estimator.WarmStartSettings(
            str(tmp_path / "before"), vars_to_warm_start=variables
        )
        recorder = Recorder()
        started = estimator(tmp_path / "after", warm_start_from=settings)
        started.train(input_fn(), max_steps=None, hooks=[recorder])
        assert recorder.items == WORKS
        recorder = Recorder()
        started.train(input_fn(num_epochs=2), hooks=[recorder])
        assert recorder.items == WORKS

    @pytest.mark.parametrize("with_queue", [False, True])
    def test_init_from_checkpoint(self, tmp_path, with_queue):
        before = input_fn() if with_queue else input_fn_without_queue
        estimator(tmp_path / "before").train(before)

        def model(features, labels, mode):
            spec = model_fn(features, labels, mode)
            tf1.train.init_from_checkpoint(str(tmp_path / "before"), {"/": "/"})
            return spec

        recorder = Recorder()
        estimator(tmp_path / "after", model).train(input_fn(), hooks=[recorder])
        assert recorder.items == WORKS

    @pytest.mark.filterwarnings("ignore:.*set_learning_phase")
    @pytest.mark.parametrize("checkpoint_format", ["saver", "checkpoint"])
    def test_a_keras_model_trains_and_trains_on(
        self, tmp_path, checkpoint_format
    ):
        model = tf.keras.Sequential([tf.keras.layers.Dense(1, input_shape=[1])])
        model.compile(tf.keras.optimizers.legacy.SGD(0.1), "mse")
        trained = tf.keras.estimator.model_to_estimator(
            model,
            model_dir=str(tmp_path),
            checkpoint_format=checkpoint_format,
        )
        queues = []

        def numbers():
            queues.append(WorkQueue([str(i) for i in range(6)], shuffle=False))
            dataset = queues[-1].input_dataset()
            return dataset.map(
                lambda item: (tf.strings.to_number([[item]]), [[1.0]])
            )

        def steps():
            return int(trained.latest_checkpoint().rpartition("-")[2])

        trained.train(numbers, steps=4)
        assert steps() == 4
        trained.train(numbers)
        # A Saver over a list does not know the position: nothing is skipped.
        assert steps() == (7 if checkpoint_format == "saver" else 10)


def test_a_queue_from_outside_the_input_fn_is_refused(tmp_path):
    with tf.Graph().as_default():
        queue = WorkQueue(WORKS)
    with pytest.raises(ValueError, match="input_fn"):
        estimator(tmp_path).train(input_fn(), hooks=[WorkQueueHook(queue)])
