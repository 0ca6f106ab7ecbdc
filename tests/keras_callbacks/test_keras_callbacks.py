from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest
import tensorflow as tf

from tests.support import forked
from tests.support.environment import environment
from tests.support.keras_version import has_keras_2
from tests.support.paths import PROGRAMS
from tests.support.queues import chief_of
from wq_hooks import WorkQueue, WorkQueueCallback, WorkQueueCheckpoint
from wq_hooks.core.monitoring.progress import ProgressMeter
from wq_hooks.engines import engine_of

PROGRAM = PROGRAMS / "keras_fit.py"
NUM_FILES = 6
NUM_LINES = 8
# Where steps_per_epoch is not given, Keras 3 says so at the end of the data.
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*input ran out of data:UserWarning",
    "ignore:`shuffle=True` was passed:UserWarning",
)

keras = tf.keras


@pytest.fixture
def files(tmp_path):
    paths = []
    for i in range(NUM_FILES):
        path = tmp_path / f"{i}.txt"
        path.write_text("".join(f"{i}\n" for _ in range(NUM_LINES)))
        paths.append(str(path))
    return paths


@pytest.fixture
def queue(files):
    with WorkQueue(files, shuffle=False) as queue:
        yield queue


class Steps(keras.callbacks.Callback):
    """Notes the steps of each epoch, and what was completed at its end."""

    def __init__(self, queue):
        super().__init__()
        self.queue = queue
        self.epochs = []
        self.completed = []

    def on_epoch_begin(self, epoch, logs=None):
        del epoch, logs
        self.epochs.append(0)

    def on_train_batch_end(self, batch, logs=None):
        del logs
        self.epochs[-1] = batch + 1

    def on_train_end(self, logs=None):
        del logs
        self.completed.append(completed(self.queue))


def completed(queue):
    queue.snapshot()  # Waits until all is counted.
    return chief_of(queue).progress(ProgressMeter()).completed


def new_model(**options):
    model = keras.Sequential(
        [
            keras.layers.Input(shape=(1,)),
            keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros"),
        ]
    )
    model.compile(optimizer=keras.optimizers.SGD(0.01), loss="mse", **options)
    return model


def parse(lines):
    x = tf.reshape(tf.strings.to_number(lines), [-1, 1])
    return x, x


def new_dataset(queue, batch_size=4):
    records = queue.records(tf.data.TextLineDataset).batch(batch_size)
    return records.map(parse).to_dataset()


def fit(queue, dataset=None, *, model=None, callbacks=None, **options):
    steps = Steps(queue)
    if callbacks is None:
        callbacks = [WorkQueueCallback(queue)]
    (model or new_model()).fit(
        new_dataset(queue) if dataset is None else dataset,
        callbacks=[*callbacks, steps],
        verbose=0,
        **options,
    )
    return steps


# How fit ends


def test_fit_ends_with_the_data(queue):
    steps = fit(queue)
    assert steps.epochs == [12]
    assert engine_of(queue).is_done


def test_a_plain_dataset_ends_with_the_data_without_a_callback(files):
    with WorkQueue(files, num_clients=2) as queue:
        dataset = queue.input_dataset().interleave(
            tf.data.TextLineDataset, cycle_length=2
        )
        new_model().fit(dataset.batch(4).map(parse), verbose=0)
    assert engine_of(queue).is_done


def test_all_epochs_of_the_queue_come_in_one_epoch_of_keras(files):
    with WorkQueue(files, num_epochs=3) as queue:
        steps = fit(queue, epochs=3)
        assert steps.epochs == [36]
        assert engine_of(queue).is_done


def test_epochs_of_keras_are_of_steps_per_epoch(files):
    with WorkQueue(files, num_epochs=3) as queue:
        steps = fit(queue, epochs=100, steps_per_epoch=10)
        assert steps.epochs[:4] == [10, 10, 10, 6]
        assert len(steps.epochs) == 4
        assert engine_of(queue).is_done


def test_steps_per_execution(queue):
    saved = []

    class Save(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            queue.mark_trained()
            saved.append((batch, completed(queue)))

    model = new_model(steps_per_execution=4)
    # Nothing is read ahead.
    records = queue.records(tf.data.TextLineDataset).batch(4)
    fit(
        queue,
        records.map(parse, num_parallel_calls=None).to_dataset(),
        model=model,
        callbacks=[WorkQueueCallback(queue), Save()],
        steps_per_epoch=12,
    )

    # Four batches of four are two files.
    assert saved[0] == (3, 2)
    assert saved[1] == (7, 4)
    # Nobody has asked whether there is more.
    assert completed(queue) == NUM_FILES


def test_several_fits_share_one_queue(queue):
    model = new_model()
    dataset = new_dataset(queue)
    callback = WorkQueueCallback(queue)

    def once(**options):
        return fit(queue, dataset, model=model, callbacks=[callback], **options)

    first = once(steps_per_epoch=5)
    assert first.epochs == [5]
    # Two files and a half: the half comes again.
    assert first.completed == [2]
    second = once(steps_per_epoch=2, epochs=2)
    assert second.epochs == [2, 2]
    third = once(initial_epoch=2, epochs=3)
    assert sum(third.epochs) in (4, 6)
    assert engine_of(queue).is_done
    # Nothing is left: no epoch, and no error.
    assert once(epochs=5).epochs == []
    assert once(epochs=5, initial_epoch=2).epochs == []


def test_a_fit_that_fails_gives_back_what_it_had(queue):
    class Fail(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 4:
                raise ZeroDivisionError

    dataset = new_dataset(queue)
    with pytest.raises(ZeroDivisionError):
        fit(queue, dataset, callbacks=[WorkQueueCallback(queue), Fail()])
    assert completed(queue) == 2
    steps = fit(queue, dataset)
    assert steps.epochs == [8]
    assert engine_of(queue).is_done


# What is saved and written


def test_checkpoints_are_saved_and_restored(files, tmp_path):
    directory = tmp_path / "model"
    with WorkQueue(files, shuffle=False) as queue:
        model = new_model()
        fit(
            queue,
            model=model,
            callbacks=[
                WorkQueueCheckpoint(
                    queue, directory, every_n_steps=2, max_to_keep=3
                )
            ],
            steps_per_epoch=5,
        )
        weights = model.get_weights()[0]
    manager = tf.train.latest_checkpoint(str(directory))
    assert manager.endswith("-5")
    assert len(list(directory.glob("*.index"))) == 3

    with WorkQueue(files, shuffle=False) as queue:
        model = new_model()
        steps = Steps(queue)
        callback = WorkQueueCheckpoint(queue, directory)

        class Look(keras.callbacks.Callback):
            def on_train_begin(self, logs=None):
                assert (model.get_weights()[0] == weights).all()
                assert completed(queue) == 2

        fit(queue, model=model, callbacks=[callback, Look(), steps])
        assert steps.epochs == [8]
        # A later fit goes on with what is in memory.
        model.set_weights([weights * 0])
        fit(queue, model=model, callbacks=[callback])
        assert (model.get_weights()[0] == 0).all()

    with WorkQueue(files) as queue:
        steps = fit(queue, callbacks=[WorkQueueCheckpoint(queue, directory)])
        assert steps.epochs == []


def test_checkpoints_by_epochs_and_by_seconds(files, tmp_path):
    with WorkQueue(files) as queue:
        fit(
            queue,
            callbacks=[WorkQueueCheckpoint(queue, tmp_path / "epochs")],
            steps_per_epoch=5,
            epochs=2,
        )
    with WorkQueue(files) as queue:
        callback = WorkQueueCheckpoint(
            queue,
            tmp_path / "seconds",
            every_n_secs=1e-6,
            max_to_keep=None,
        )
        fit(queue, callbacks=[callback])
    names = {
        folder: len(list((tmp_path / folder).glob("*.index")))
        for folder in ("epochs", "seconds")
    }
    assert names["epochs"] == 2
    assert names["seconds"] >= 12


def test_summaries_are_written(queue, tmp_path):
    fit(
        queue,
        callbacks=[
            WorkQueueCallback(queue, log_dir=tmp_path / "logs", every_n_steps=4)
        ],
    )
    (path,) = (tmp_path / "logs" / "work_queue").iterdir()
    values, tags = {}, set()
    for event in tf.compat.v1.train.summary_iterator(str(path)):
        for value in event.summary.value:
            tags.add(value.tag)
            if value.tag == "work_queue/completed":
                values[event.step] = value.simple_value
    assert {4, 8, 12} <= set(values)
    # What the tab in TensorBoard and the Custom Scalars show.
    assert {"work_queue/state", "custom_scalars__config__"} <= tags
    # Keras 2 counts the step that has met the end of data as well.
    assert values[max(values)] == NUM_FILES


def test_under_a_strategy_that_prefetches_nothing_is_completed_early(files):
    trained = []
    with WorkQueue(files, shuffle=False, num_clients=4) as queue:

        class Look(keras.callbacks.Callback):
            def on_train_batch_end(self, batch, logs=None):
                # Two batches are a file.
                trained.append((batch + 1) // 2 - completed(queue))

        with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
            model = new_model()
        callback = WorkQueueCallback(queue, every_n_steps=1)
        fit(queue, model=model, callbacks=[callback, Look()])
        assert engine_of(queue).is_done
    assert min(trained) >= 0


class TwoOptimizers(keras.Model):
    """Trains its halves by optimizers of its own, as a GAN does."""

    def __init__(self):
        super().__init__()
        self.halves = [
            keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")
            for _ in range(2)
        ]
        self.first = keras.optimizers.Adam(0.01)
        self.second = keras.optimizers.SGD(0.01)
        for half, optimizer in zip(self.halves, (self.first, self.second)):
            half.build((None, 1))
            optimizer.build(half.trainable_variables)

    def call(self, x):
        return self.halves[0](x) + self.halves[1](x)

    def train_step(self, data):
        x, y = data
        for half, optimizer in zip(self.halves, (self.first, self.second)):
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean((self(x) - y) ** 2)
            variables = half.trainable_variables
            gradients = tape.gradient(loss, variables)
            optimizer.apply_gradients(zip(gradients, variables))
        return {"loss": loss}


def events_of(directory):
    (path,) = directory.iterdir()
    return [
        event.step
        for event in tf.compat.v1.train.summary_iterator(str(path))
        for value in event.summary.value
        if value.tag == "work_queue/completed"
    ]


# Keras 2 compiles no model without one.
@pytest.mark.parametrize(
    "compiled", [{}] if has_keras_2 else [{}, {"optimizer": None}]
)
def test_steps_are_counted_whatever_the_model_trains_with(
    files, tmp_path, compiled
):
    model_dir = tmp_path / "model"
    for run, last in enumerate((5, 13), 1):
        log_dir = tmp_path / f"logs-{run}"
        with WorkQueue(files, shuffle=False) as queue:
            model = TwoOptimizers()
            model.compile(**compiled)
            callback = WorkQueueCheckpoint(
                queue, model_dir, every_n_steps=2, log_dir=log_dir
            )
            options = {"steps_per_epoch": 5} if run == 1 else {}
            fit(queue, model=model, callbacks=[callback], **options)
            # The first five, and what followed: two batches were a file.
            assert callback.step == last
            # Keras 2 counts the step that has met the end of data as well.
            assert int(model.first.iterations.numpy()) - last in (0, 1)
        assert tf.train.latest_checkpoint(str(model_dir)).endswith(f"-{last}")
        assert events_of(log_dir / "work_queue")[-1] == last


@pytest.mark.parametrize("name", ["w.weights.h5", "w-{epoch:02d}.weights.h5"])
def test_steps_go_on_beside_weights_in_a_path_with_brackets(
    files, tmp_path, name
):
    folder = tmp_path / "run[lr=0.1]"
    folder.mkdir()
    path = str(folder / name)
    for number, last in enumerate((5, 13)):
        with WorkQueue(files, shuffle=False) as queue:
            model = new_model()
            callback = WorkQueueCallback(queue, beside=path)
            save = keras.callbacks.ModelCheckpoint(path, save_weights_only=True)
            options = {} if number else {"steps_per_epoch": 5}
            fit(queue, model=model, callbacks=[save, callback], **options)
            assert callback.step == last
            assert engine_of(queue).is_done == bool(number)
    assert len(list(folder.glob("*.work_queue.json"))) == 1


# What is refused


def test_wrong_arguments():
    with tf.Graph().as_default():
        graph_queue = WorkQueue(["a"])
    for wrong in (graph_queue, "queue", None):
        with pytest.raises(TypeError, match="made in eager mode"):
            WorkQueueCallback(wrong)
        with pytest.raises(TypeError, match="made in eager mode"):
            WorkQueueCheckpoint(wrong, "model")
    with WorkQueue(["a"]) as queue:
        with pytest.raises(ValueError, match="every_n_secs or every_n_steps"):
            WorkQueueCallback(queue, every_n_secs=None)
        for path in ("run[lr=0.1]/model", "a\\b"):
            with pytest.raises(ValueError, match="without brackets"):
                WorkQueueCheckpoint(queue, path)
        for key in ("every_n_steps", "every_n_secs", "max_to_keep"):
            with pytest.raises(ValueError, match=f"Expected {key} > 0"):
                WorkQueueCheckpoint(queue, "model", **{key: 0})


# Killed, and started again


def run(mode, directory, kill_at):
    return forked.popen(
        [sys.executable, str(PROGRAM), mode, str(directory), str(kill_at)],
        env={**os.environ, **environment(has_keras=True)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


# How it saves; when it is killed; how many steps the rest may take.
KILLS = {
    "checkpoint": (17, 20),
    "callback": (15, 20),
    "backup": (14, 20),
    "weights": (15, 20),
}


@pytest.mark.parametrize(
    "modes", [("checkpoint", "callback"), ("backup", "weights")]
)
def test_killed_and_started_again(modes, tmp_path):
    for mode in modes:
        (tmp_path / mode).mkdir()
    killed = [run(mode, tmp_path / mode, KILLS[mode][0]) for mode in modes]
    for process in killed:
        _, err = process.communicate(timeout=250)
        assert process.returncode == -signal.SIGKILL, err
    again = [run(mode, tmp_path / mode, 0) for mode in modes]
    for mode, process in zip(modes, again):
        out, err = process.communicate(timeout=250)
        assert process.returncode == 0, err
        result = json.loads(out.splitlines()[-1])
        assert result["missing"] == 0
        assert result["is_done"]
        assert result["most"] <= 2
        assert result["num_steps"] <= KILLS[mode][1], mode
