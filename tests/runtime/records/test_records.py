"""records() in a session of its own: what is acknowledged was trained."""

from __future__ import annotations

import itertools
import logging
import time
from collections import Counter
from typing import Any, NamedTuple

import pytest
import tensorflow as tf

from tests.support.queues import chief_of
from tests.support.sessions import decoded, element_of, raw_session, wait_until
from tests.support.text_files import write
from wq_hooks import WorkQueue, WorkQueueHook
from wq_hooks.core.ledger.consumer_state import Consumer
from wq_hooks.core.position.snapshot import Snapshot
from wq_hooks.engines import engine_of
from wq_hooks.runtime.reading.records_port import RecordsPort
from wq_hooks.runtime.transport.mailbox_session import MailboxSession

tf1 = tf.compat.v1

SIZES = (13, 0, 5, 40, 1, 29, 8, 0, 17, 35)


@pytest.fixture(autouse=True)
def log(caplog):
    caplog.set_level(logging.INFO, logger="absl")
    return caplog


@pytest.fixture
def texts(tmp_path):
    """{path: its records}: text files, of which two are empty."""
    return write(tmp_path, SIZES)


def write_tfrecords(directory, sizes):
    files = {}
    for i, size in enumerate(sizes):
        path = str(directory / f"part-{i}.tfrecord")
        files[path] = [f"{i:02d}-{j:05d}" for j in range(size)]
        with tf.io.TFRecordWriter(path) as writer:
            for record in files[path]:
                writer.write(record.encode())
    return files


class Training:
    """Trains, and looks during every step at what is acknowledged.

    Args:
      files: {item: its records}.
      pipeline: Function of the Records; returns what has `to_dataset`.
      reader: See `records`.
      ids: Function of an element of the dataset; returns its records' names.
      num_epochs: See the queue.
      has_hook: Whether there is a WorkQueueHook.
      directory: Directory of the checkpoints.
      last_step: Where to stop.
      before: The Training that this one resumes.
      queue_args: Arguments for the WorkQueue.
      **records_args: **records args for `records`.
    """

    def __init__(
        self,
        files,
        pipeline,
        *,
        reader=tf.data.TextLineDataset,
        ids=lambda element: element,
        num_epochs=1,
        has_hook=True,
        directory=None,
        last_step=None,
        before=None,
        queue_args=None,
        **records_args,
    ):
        self.files = files
        self.trained = Counter()
        self.batches = []
        self.seen_before = set(before.trained) if before else set()
        self.num_looks = 0
        self._directory = directory
        with tf.Graph().as_default():
            step = tf1.train.get_or_create_global_step()
            self.queue = WorkQueue(
                list(files),
                num_epochs=num_epochs,
                shuffle=False,
                **(queue_args or {}),
            )
            records = self.queue.records(reader, **records_args)
            names = ids(element_of(pipeline(records).to_dataset()))
            # Inside of the step, when the batch is there and not yet trained.
            looked = tf1.py_func(self._look, [names], tf.bool)
            with tf.control_dependencies([looked]):
                stepped = step.assign_add(1)
            hooks = [WorkQueueHook()] if has_hook else []
            if last_step is not None:
                hooks.append(tf1.train.StopAtStepHook(last_step=last_step))
            self._run(names, stepped, hooks)

    def _run(self, names, stepped, hooks):
        with tf1.train.MonitoredTrainingSession(
            checkpoint_dir=None
            if not self._directory
            else str(self._directory),
            hooks=hooks,
            save_checkpoint_steps=100_000 if self._directory else None,
            save_checkpoint_secs=None,
            save_summaries_steps=None,
            log_step_count_steps=None,
        ) as session:
            while not session.should_stop():
                batch, _ = session.run([names, stepped])
                batch = [decoded(name) for name in batch.ravel().tolist()]
                self.batches.append(batch)
                self.trained.update(batch)
                self._expect_trained()

    def _look(self, names):
        """What is acknowledged during a step was trained before it."""
        del names
        self.num_looks += 1
        if self.num_looks % 5 == 1:
            engine_of(self.queue)._last_service.flush()
        self._expect_trained()
        return True

    def _expect_trained(self):
        seen = set(self.trained) | self.seen_before
        for item, times in self.acknowledged().items():
            missing = set(self.files[item]) - seen
            assert not missing, f"{item} was acknowledged {times} times"

    def acknowledged(self):
        """Returns {item: how often the ledger has it as completed}."""
        return completed(self.queue, engine_of(self.queue)._last_service.chief)

    def saved(self):
        """Returns the same of the last checkpoint."""
        path = tf.train.latest_checkpoint(str(self._directory))
        position = tf.train.load_variable(path, "work_queue/position")
        return completed_in(position, list(self.files))


def completed(queue, chief):
    return completed_in(chief.snapshot().to_json(), queue.works)


def completed_in(position, works):
    position = Snapshot.from_json(position)
    outstanding = {item.ticket for item in position.outstanding}
    return Counter(
        works[ticket % len(works)]
        for ticket in range(position.next_ticket)
        if ticket not in outstanding
    )


def numbers_of(tracker):
    """Returns the numbers of the batches that wait to be fetched."""
    return set(itertools.chain(*tracker._ready.values()))


def all_of(files):
    return sorted(itertools.chain.from_iterable(files.values()))


def has_text(line):
    return tf.strings.length(line) > 0


def itself(line):
    return tf.identity(line)


def looked_up():
    """Returns a function that needs a table of the graph."""
    table = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(["none"], ["other"]), "there"
    )

    def is_there(line):
        there = tf.equal(table.lookup(line), "there")
        return tf.where(there, line, "")

    return is_there


# Batches that need not be told, record by record, which item each is of.
IN_ORDER = {
    "plain batches": lambda d: d.batch(16),
    "single records": lambda d: d.batch(1),
    "filtered": lambda d: d.filter(has_text).batch(5),
    "mapped in batches": lambda d: (
        d.batch(7)
        .map(lambda lines: lines, num_parallel_calls=4)
        .prefetch(tf.data.AUTOTUNE)
    ),
    "batches shuffled": lambda d: d.batch(3).shuffle(20).prefetch(2),
    "batches in batches": lambda d: d.batch(1).shuffle(30).batch(4),
    "padded": lambda d: d.padded_batch(9),
    "with options": lambda d: d.batch(16).with_options(tf.data.Options()),
}


PIPELINES = {
    "batches made in parallel": lambda d: d.batch(16, num_parallel_calls=2),
    "shuffled within less than all": lambda d: d.shuffle(30).batch(16),
    "shuffled within more than all": lambda d: d.shuffle(20_000).batch(16),
    "shuffled, mapped in parallel": lambda d: (
        d.shuffle(50)
        .map(lambda line: line, num_parallel_calls=4)
        .batch(7)
        .prefetch(3)
    ),
    "mapped in batches, in parallel": lambda d: (
        d.shuffle(50)
        .batch(7)
        .map(lambda lines: lines, num_parallel_calls=4)
        .prefetch(tf.data.AUTOTUNE)
    ),
    "in any order": lambda d: d.map(
        lambda line: line, num_parallel_calls=4, deterministic=False
    ).batch(8),
}


@pytest.mark.parametrize(
    ("name", "has_hook"),
    [
        *[(name, True) for name in (*PIPELINES, *IN_ORDER)],
        ("plain batches", False),
        ("shuffled within less than all", False),
        ("shuffled within more than all", False),
    ],
)
def test_each_record_is_trained_once_and_its_item_completed(
    tmp_path, texts, name, has_hook
):
    pipeline = {**PIPELINES, **IN_ORDER}[name]
    training = Training(
        texts, pipeline, has_hook=has_hook, directory=tmp_path / "model"
    )

    assert sorted(training.trained.elements()) == all_of(texts)
    assert training.num_looks == len(training.batches)
    assert training.saved() == dict.fromkeys(texts, 1)


@pytest.mark.parametrize("name", [*PIPELINES, *IN_ORDER])
def test_only_records_out_of_order_are_told_one_by_one(texts, name):
    with tf.Graph().as_default():
        records = WorkQueue(list(texts)).records(tf.data.TextLineDataset)
        pairs = {**PIPELINES, **IN_ORDER}[name](records).pairs
        inputs = [pairs]
        for dataset in inputs:
            inputs += dataset._inputs()
        specs = [dataset.element_spec for dataset in inputs]
        # Single records, each with its slot.
        of_records = [tf.TensorSpec([], tf.int64), tf.TensorSpec([], tf.string)]
        is_told = any(tf.nest.flatten(spec) == of_records for spec in specs)
        assert is_told == (name in PIPELINES)


def test_items_read_in_turn_are_told_one_by_one(texts):
    with tf.Graph().as_default():
        records = WorkQueue(list(texts)).records(
            tf.data.TextLineDataset, cycle_length=2
        )
        (inputs,) = records.batch(4).pairs._inputs()
        slot, _ = inputs.element_spec
        assert slot == tf.TensorSpec([], tf.int64)


@pytest.mark.parametrize("parallel_batch", [False, True])
def test_batches_of_records_in_order_are_not_made_ahead(texts, parallel_batch):
    """The lane knows by its count which batch is being made."""
    num_read = 0

    def read(line):
        nonlocal num_read
        num_read += 1
        return line

    def reader(path):
        lines = tf.data.TextLineDataset(path)
        return lines.map(
            lambda line: tf.ensure_shape(
                tf.numpy_function(read, [line], tf.string), []
            )
        )

    options = tf.data.Options()
    options.experimental_optimization.parallel_batch = parallel_batch
    with tf.Graph().as_default():
        records = WorkQueue(list(texts), shuffle=False).records(reader)
        batches = records.batch(4).with_options(options)
        lines = element_of(batches.to_dataset())
        with raw_session() as session:
            for number in range(1, 4):
                session.run(lines)
                time.sleep(0.1)
                assert num_read == 4 * number


@pytest.mark.parametrize("shuffle", [None, 1])
@pytest.mark.parametrize("batch_size", [1, 4])
def test_an_item_may_end_with_a_batch(tmp_path, batch_size, shuffle):
    files = write(tmp_path, (8, 8, 8))
    first, second, _ = files

    def after_steps(num):
        directory = tmp_path / f"model-{num}"
        training = Training(
            files,
            lambda d: (d.shuffle(1) if shuffle else d).batch(batch_size),
            last_step=num,
            directory=directory,
        )
        return set(training.saved())

    num_batches = 8 // batch_size
    # The batch of the last step is still in training.
    assert after_steps(num_batches) == set()
    assert after_steps(num_batches + 1) == {first}
    assert after_steps(2 * num_batches + 1) == {first, second}


def test_epochs_are_the_queues(tmp_path, texts):
    training = Training(
        texts,
        lambda d: d.shuffle(20).batch(16),
        num_epochs=3,
        directory=tmp_path / "model",
    )

    assert training.trained == dict.fromkeys(all_of(texts), 3)
    assert training.saved() == dict.fromkeys(texts, 3)


@pytest.mark.parametrize("shuffle", [1, 40])
def test_items_read_in_turn(tmp_path, texts, shuffle):
    training = Training(
        texts,
        lambda d: d.shuffle(shuffle).batch(16),
        cycle_length=3,
        directory=tmp_path / "model",
    )

    assert sorted(training.trained.elements()) == all_of(texts)
    assert training.saved() == dict.fromkeys(texts, 1)


@pytest.mark.parametrize("sizes", [(5000, 1, 5000), (0, 0, 700), (700, 0, 0)])
@pytest.mark.parametrize("cycle_length", [1, 2])
def test_large_and_empty_items(tmp_path, sizes, cycle_length):
    files = write(tmp_path, sizes)

    training = Training(
        files,
        lambda d: d.shuffle(500).batch(300),
        cycle_length=cycle_length,
        directory=tmp_path / "model",
    )

    assert sorted(training.trained.elements()) == all_of(files)
    assert training.saved() == dict.fromkeys(files, 1)


def test_large_items_read_in_turn_are_mixed(tmp_path):
    files = write(tmp_path, (3000, 3000, 3000))

    training = Training(
        files,
        lambda d: d.batch(512),
        cycle_length=3,
        directory=tmp_path / "model",
    )

    assert sorted(training.trained.elements()) == all_of(files)
    assert training.saved() == dict.fromkeys(files, 1)
    first = {name[:2] for batch in training.batches[:6] for name in batch}
    assert first == {"00", "01", "02"}


def test_padded_batches(tmp_path, texts):
    training = Training(
        texts,
        lambda d: (
            d.map(lambda line: (line, tf.range(tf.strings.length(line))))
            .filter(lambda line, _: tf.strings.length(line) > 0)
            .padded_batch(9, ([], [None]), padding_values=("", -1))
        ),
        ids=lambda element: element[0],
        directory=tmp_path / "model",
    )

    assert sorted(training.trained.elements()) == all_of(texts)
    assert training.saved() == dict.fromkeys(texts, 1)


def test_padded_batches_without_arguments(texts):
    training = Training(texts, lambda d: d.shuffle(9).padded_batch(9))

    assert sorted(training.trained.elements()) == all_of(texts)


def test_dict_records(tmp_path, texts):
    def reader(path):
        lines = tf.data.TextLineDataset(path)
        return lines.map(
            lambda line: {
                "name": line,
                "features": {"length": tf.strings.length(line)},
            }
        )

    training = Training(
        texts,
        lambda d: d.shuffle(50).map(lambda x: x, num_parallel_calls=2).batch(7),
        reader=reader,
        ids=lambda element: element["name"],
        directory=tmp_path / "model",
    )

    assert sorted(training.trained.elements()) == all_of(texts)
    assert training.saved() == dict.fromkeys(texts, 1)


def test_tuple_records_are_spread_over_a_functions_arguments(tmp_path, texts):
    def reader(path):
        lines = tf.data.TextLineDataset(path)
        return lines.map(lambda line: (line, tf.strings.length(line)))

    training = Training(
        texts,
        lambda d: (
            d.map(lambda line, length: (length, line))
            .filter(lambda length, line: length > 0)
            .batch(7)
        ),
        reader=reader,
        ids=lambda element: element[1],
        directory=tmp_path / "model",
    )

    assert sorted(training.trained.elements()) == all_of(texts)
    assert training.saved() == dict.fromkeys(texts, 1)


class Pair(NamedTuple):
    line: Any
    length: Any


class Extension(tf.experimental.BatchableExtensionType):
    line: tf.Tensor
    length: tf.Tensor


@pytest.mark.parametrize("shuffle", [None, 50])
@pytest.mark.parametrize(
    "make",
    [
        lambda line: (line,),
        lambda line: ((line,), {"length": tf.strings.length(line)}),
        lambda line: {"none": None, "line": line},
        lambda line: Pair(line, tf.strings.length(line)),
        lambda line: Extension(line, tf.strings.length(line)),
    ],
    ids=["tuple of one", "nested", "with None", "named", "extension type"],
)
def test_elements_are_those_that_tf_data_gives(texts, make, shuffle):
    def reader(path):
        return tf.data.TextLineDataset(path).map(make)

    records = WorkQueue(list(texts)).records(reader)
    plain = reader(next(iter(texts)))
    if shuffle:
        records, plain = records.shuffle(shuffle), plain.shuffle(shuffle)
    dataset = records.batch(4).to_dataset()
    assert dataset.element_spec == plain.batch(4).element_spec


@pytest.mark.parametrize("shuffle", [None, 50])
def test_named_tuples_are_not_spread_over_a_functions_arguments(
    tmp_path, texts, shuffle
):
    training = Training(
        texts,
        lambda d: (
            (d.shuffle(shuffle) if shuffle else d)
            .batch(7)
            .map(lambda pair: pair.line)
        ),
        reader=lambda path: tf.data.TextLineDataset(path).map(
            lambda line: Pair(line, tf.strings.length(line))
        ),
        directory=tmp_path / "model",
    )

    assert sorted(training.trained.elements()) == all_of(texts)
    assert training.saved() == dict.fromkeys(texts, 1)


def test_datasets_of_datasets(texts):
    def reader(path):
        return tf.data.TextLineDataset(path).window(2)

    dataset = WorkQueue(list(texts)).records(reader).batch(3).to_dataset()
    plain = reader(next(iter(texts))).batch(3)
    assert dataset.element_spec == plain.element_spec


@pytest.mark.parametrize("batch_size", [0, -1])
@pytest.mark.parametrize("method", ["batch", "padded_batch"])
def test_a_batch_has_at_least_one_record(texts, method, batch_size):
    records = WorkQueue(list(texts)).records(tf.data.TextLineDataset)
    with pytest.raises(ValueError, match=f"batch_size >= 1; got {batch_size}"):
        getattr(records, method)(batch_size)


@pytest.mark.parametrize("shuffle", [None, 50])
def test_sparse_records(texts, shuffle):
    def reader(path):
        lines = tf.data.TextLineDataset(path)
        return lines.map(
            lambda line: (tf.sparse.from_dense(tf.fill([3], line)), line)
        )

    training = Training(
        texts,
        lambda d: (d.shuffle(shuffle) if shuffle else d).batch(7),
        reader=reader,
        ids=lambda element: element[1],
    )

    assert sorted(training.trained.elements()) == all_of(texts)


@pytest.mark.parametrize("shuffle", [None, 50])
def test_ragged_records(texts, shuffle):
    def reader(path):
        lines = tf.data.TextLineDataset(path).batch(1)
        return lines.map(lambda line: (tf.strings.bytes_split(line), line[0]))

    training = Training(
        texts,
        lambda d: (d.shuffle(shuffle) if shuffle else d).batch(7),
        reader=reader,
        ids=lambda element: element[1],
    )

    assert sorted(training.trained.elements()) == all_of(texts)


def test_tfrecords(tmp_path):
    files = write_tfrecords(tmp_path, SIZES)

    training = Training(
        files,
        lambda d: d.shuffle(50).batch(16),
        reader=tf.data.TFRecordDataset,
        directory=tmp_path / "model",
    )

    assert sorted(training.trained.elements()) == all_of(files)
    assert training.saved() == dict.fromkeys(files, 1)


def test_a_reader_of_ones_own(tmp_path):
    """What it leaves out or makes itself is its own affair."""
    files = {f"{i}": [f"{i}-{j}" for j in range(i)] for i in range(9)}

    def reader(text):
        number = tf.strings.to_number(text, tf.int64)
        return (
            tf.data.Dataset.range(2 * number)
            .filter(lambda j: j < number)
            .map(
                lambda j: tf.strings.join([text, tf.strings.as_string(j)], "-")
            )
        )

    training = Training(
        files,
        lambda d: d.shuffle(8).batch(5),
        reader=reader,
        directory=tmp_path / "model",
    )

    assert sorted(training.trained.elements()) == all_of(files)
    assert training.saved() == dict.fromkeys(files, 1)


@pytest.mark.parametrize(
    ("pipeline", "num_reporting"),
    [
        # As part of the reader.
        (lambda d, keep: d.filter(keep).shuffle(30), 0),
        (lambda d, keep: d.filter(has_text).filter(keep), 0),
        (lambda d, keep: d.map(itself).filter(keep), 0),
        (
            lambda d, keep: (
                d.map(itself, num_parallel_calls=2)
                .filter(has_text)
                .map(looked_up())
                .filter(keep)
                .map(itself)
                .shuffle(30)
            ),
            0,
        ),
        (lambda d, keep: d.shuffle(30).filter(keep), 1),
        (lambda d, keep: d.map(itself).shuffle(30).map(itself).filter(keep), 1),
    ],
)
@pytest.mark.parametrize("cycle_length", [1, 2])
def test_what_a_filter_leaves_out_counts_as_seen(
    tmp_path, texts, log, monkeypatch, pipeline, num_reporting, cycle_length
):
    note = RecordsPort.note_dropped
    noted = []
    monkeypatch.setattr(
        RecordsPort,
        "note_dropped",
        lambda *args: noted.append(args) or note(*args),
    )
    left_out = {name for name in all_of(texts) if name[-1] in "036"}
    # One item loses all that it has.
    left_out |= {name for name in all_of(texts) if name.startswith("03")}

    def keep(line):
        is_left_out = tf.logical_or(
            tf.strings.regex_full_match(line, ".*[036]"),
            tf.strings.regex_full_match(line, "03-.*"),
        )
        return tf.logical_not(is_left_out)

    class FilteredTraining(Training):
        def _expect_trained(self):
            self.seen_before = left_out
            super()._expect_trained()

    training = FilteredTraining(
        texts,
        lambda d: pipeline(d, keep).batch(16),
        directory=tmp_path / "model",
        cycle_length=cycle_length,
    )

    assert set(training.trained) == set(all_of(texts)) - left_out
    assert training.saved() == dict.fromkeys(texts, 1)
    assert len(noted) == num_reporting
    assert "may have been lost" not in log.text


def test_batches_may_be_filtered_too(tmp_path, texts):
    seen = []
    with tf.Graph().as_default():
        queue = WorkQueue(list(texts), shuffle=False)
        dataset = queue.records(tf.data.TextLineDataset).batch(16)
        dataset = dataset.filter(lambda lines: tf.size(lines) < 16)
        lines = element_of(dataset.to_dataset())
        step = tf1.train.get_or_create_global_step()
        with tf.control_dependencies([lines]):
            stepped = step.assign_add(1)
        with tf1.train.MonitoredTrainingSession(
            checkpoint_dir=str(tmp_path / "model"), hooks=[WorkQueueHook()]
        ) as session:
            while not session.should_stop():
                seen.append(session.run([lines, stepped])[0])
    assert [len(batch) for batch in seen] == [sum(SIZES) % 16]
    path = tf.train.latest_checkpoint(str(tmp_path / "model"))
    position = tf.train.load_variable(path, "work_queue/position")
    assert completed_in(position, list(texts)) == dict.fromkeys(texts, 1)


@pytest.mark.parametrize("shuffle", [None, 20])
def test_what_drop_remainder_drops_is_reported_and_completed(
    tmp_path, texts, log, shuffle
):
    total = sum(SIZES)

    training = Training(
        texts,
        lambda d: (d.shuffle(shuffle) if shuffle else d).batch(
            16, drop_remainder=True
        ),
        directory=tmp_path / "model",
    )

    assert sum(training.trained.values()) == total - total % 16
    assert all(len(batch) == 16 for batch in training.batches)
    assert f"{total % 16} records were read and not trained" in log.text
    assert training.saved() == dict.fromkeys(texts, 1)


def test_drop_remainder_makes_the_shapes_static(texts):
    with tf.Graph().as_default():
        records = WorkQueue(list(texts)).records(tf.data.TextLineDataset)
        pairs = records.map(
            lambda line: (line, tf.sparse.from_dense(tf.fill([3], line)))
        )
        dense = records.batch(4, drop_remainder=True).to_dataset()
        padded = records.map(lambda line: tf.strings.bytes_split(line))
        padded = padded.padded_batch(4, drop_remainder=True).to_dataset()
        both = pairs.batch(4, drop_remainder=True).to_dataset()
        assert dense.element_spec.shape.as_list() == [4]
        assert padded.element_spec.shape.as_list() == [4, None]
        assert both.element_spec[1].shape.as_list() == [4, 3]


def test_nothing_is_reported_when_nothing_is_dropped(texts, log):
    Training(texts, lambda d: d.batch(16))

    assert "not trained" not in log.text


@pytest.mark.parametrize("shuffle", [None, 1, 30, 20_000])
@pytest.mark.parametrize("has_hook", [True, False])
def test_a_stop_in_the_middle_leaves_open_what_was_not_trained(
    tmp_path, texts, shuffle, has_hook
):
    def pipeline(dataset):
        if shuffle:
            dataset = dataset.shuffle(shuffle, seed=1)
        return dataset.batch(16).prefetch(2)

    args = {"has_hook": has_hook, "directory": tmp_path / "model"}
    first = Training(texts, pipeline, last_step=5, **args)
    done = first.saved()
    second = Training(texts, pipeline, before=first, **args)

    assert len(first.batches) == 5
    for item in done:
        assert set(texts[item]) <= set(first.trained)
    # All else is trained as a whole, and nothing that was completed is.
    rest = {item: texts[item] for item in texts if item not in done}
    assert sorted(second.trained.elements()) == all_of(rest)
    assert second.saved() == dict.fromkeys(texts, 1)
    if shuffle in (None, 1):
        # Whatever was read to its end before the batch of the last step.
        assert len(done) >= 4


def test_a_save_knows_what_was_fetched_after_the_last_report(tmp_path):
    """All batches were made ahead, so none reports that others were fetched."""
    files = write(tmp_path, (4, 4, 4))

    class PatientTraining(Training):
        def _look(self, names):
            (port,) = engine_of(self.queue)._last_service._group.ports
            if not self.num_looks:
                wait_until(lambda: 3 in numbers_of(port.tracker))
            return super()._look(names)

    training = PatientTraining(
        files,
        lambda d: d.batch(4).prefetch(3),
        last_step=2,
        directory=tmp_path / "model",
    )

    assert training.saved() == {next(iter(files)): 1}


def test_a_missing_file_is_named_and_its_item_stays_open(tmp_path, texts, log):
    missing = str(tmp_path / "missing.txt")
    files = {**texts, missing: ["never"]}

    with pytest.raises(tf.errors.NotFoundError, match=r"missing\.txt"):
        Training(files, lambda d: d.batch(16))

    assert "ends before all records of" in log.text
    assert f"{missing} were trained" in log.text


@pytest.mark.parametrize("tail", ["nothing behind", "prefetch", "shuffle"])
@pytest.mark.parametrize("size", [8, 3000])
def test_a_truncated_file_is_named_and_its_item_stays_open(
    tmp_path, log, tail, size
):
    """TFRecordDataset goes on behind its error as if all were well."""
    files = write_tfrecords(tmp_path, (20, size, 20))
    truncated = list(files)[1]
    with open(truncated, "r+b") as file:
        file.truncate(file.seek(0, 2) - 9)
    queues = []

    def pipeline(dataset):
        if tail == "shuffle":
            dataset = dataset.shuffle(10)
        dataset = dataset.batch(4 + size // 50)
        return dataset.prefetch(50) if tail == "prefetch" else dataset

    class WatchedTraining(Training):
        def _run(self, *args):
            queues.append(self.queue)
            super()._run(*args)

    with pytest.raises(tf.errors.DataLossError, match="truncated record"):
        WatchedTraining(files, pipeline, reader=tf.data.TFRecordDataset)

    (queue,) = queues
    (ended,) = (
        record.getMessage()
        for record in log.records
        if "ends before all records of" in record.getMessage()
    )
    assert truncated in ended
    assert not completed_in(queue.snapshot(), queue.works)[truncated]


def test_an_error_in_a_map_leaves_the_item_open(texts):
    bad = list(texts)[3]
    queues = []

    def parse(line):
        is_good = tf.not_equal(line, texts[bad][7])
        with tf.control_dependencies([tf.debugging.Assert(is_good, ["bad"])]):
            return tf.identity(line)

    class WatchedTraining(Training):
        def _run(self, *args):
            queues.append(self.queue)
            super()._run(*args)

    with pytest.raises(tf.errors.InvalidArgumentError, match="bad"):
        WatchedTraining(texts, lambda d: d.map(parse).batch(4).prefetch(100))

    (queue,) = queues
    assert not completed_in(queue.snapshot(), queue.works)[bad]


def train_through_errors(queue, dataset, error, completes):
    """Trains in a raw session whose user goes on after each error.

    Args:
      queue: Where the items come from.
      dataset: Dataset of its records.
      error: What is caught.
      completes: The items that are to be completed, and no others.

    Returns:
      How many batches were trained and how many errors there were.
    """
    name = element_of(dataset)
    with raw_session() as session:
        num_errors = num_trained = 0
        while True:
            try:
                session.run(name)
                num_trained += 1
            except error:
                num_errors += 1
            except tf.errors.OutOfRangeError:
                break
        engine_of(queue).service(session).flush()
        wait_until(
            lambda: (
                completed(queue, chief_of(queue)) == dict.fromkeys(completes, 1)
            )
        )
    return num_trained, num_errors


def test_an_error_that_is_caught_does_not_complete_what_was_lost(tmp_path, log):
    files = write_tfrecords(tmp_path, (6, 6, 6))
    first, truncated, last = files
    with open(truncated, "r+b") as file:
        file.truncate(file.seek(0, 2) - 9)
    with tf.Graph().as_default():
        queue = WorkQueue(list(files), shuffle=False)
        records = queue.records(tf.data.TFRecordDataset).batch(1)

        assert train_through_errors(
            queue, records.to_dataset(), tf.errors.DataLossError, [first, last]
        ) == (17, 1)
    assert f"Records of {truncated} may have been lost" in log.text


@pytest.mark.parametrize("fails_in", ["map", "filter"])
@pytest.mark.parametrize("num_parallel_calls", [None, 2])
def test_an_error_before_a_filter_that_is_caught_leaves_the_item_open(
    tmp_path, log, fails_in, num_parallel_calls
):
    files = write(tmp_path, (5, 5, 5))
    first, bad, last = files

    def good(line):
        is_good = tf.not_equal(line, files[bad][2])
        with tf.control_dependencies([tf.debugging.Assert(is_good, ["bad"])]):
            return tf.identity(line)

    def keep(line):
        kept = good(line) if fails_in == "filter" else line
        return tf.not_equal(kept, files[first][0])

    with tf.Graph().as_default():
        queue = WorkQueue(list(files), shuffle=False)
        records = queue.records(tf.data.TextLineDataset).map(
            good if fails_in == "map" else itself,
            num_parallel_calls=num_parallel_calls,
        )

        assert train_through_errors(
            queue,
            records.filter(keep).batch(1).to_dataset(),
            tf.errors.InvalidArgumentError,
            [first, last],
        ) == (13, 1)
    assert f"Records of {bad} may have been lost" in log.text


def reader_failing_at(bad):
    """Returns a reader that gives, for one item, no dataset at all."""

    def expect_good(path):
        if path.decode() == bad:
            time.sleep(0.1)  # Until it was told that the item is opened.
            raise ValueError("bad")
        return True

    def reader(path):
        # Nothing that the dataset is made of.
        tf.numpy_function(expect_good, [path], tf.bool)
        return tf.data.TextLineDataset(path)

    return reader


@pytest.mark.parametrize("cycle_length", [1, 2])
def test_an_error_in_a_reader_that_is_caught_leaves_the_item_open(
    tmp_path, log, cycle_length
):
    """To give no dataset is not to give an empty one."""
    files = write(tmp_path, (2, 0, 2, 2))
    first, empty, bad, last = files
    with tf.Graph().as_default():
        queue = WorkQueue(list(files), shuffle=False)
        records = queue.records(
            reader_failing_at(bad), cycle_length=cycle_length
        ).batch(1)

        assert train_through_errors(
            queue,
            records.to_dataset(),
            tf.errors.InvalidArgumentError,
            [first, empty, last],
        ) == (4, 1)
    assert f"Records of {bad} may have been lost" in log.text


@pytest.mark.parametrize(
    ("sizes", "num_trained", "completes"),
    [
        # The last record of the second item is lost with its batch.
        ((1, 4, 2, 0, 3), 4, [0, 3, 4]),
        # It was in a batch before.
        ((1, 3, 0, 2, 4), 4, [0, 1, 2, 4]),
    ],
)
def test_an_error_in_a_reader_is_one_in_a_batch_of_records_in_order(
    tmp_path, log, sizes, num_trained, completes
):
    files = write(tmp_path, sizes)
    names = list(files)
    bad = names[sizes.index(2)]
    with tf.Graph().as_default():
        queue = WorkQueue(names, shuffle=False)
        records = queue.records(reader_failing_at(bad)).batch(2)

        assert train_through_errors(
            queue,
            records.to_dataset(),
            tf.errors.InvalidArgumentError,
            [names[i] for i in completes],
        ) == (num_trained, 1)
    assert f"Records of {bad} may have been lost" in log.text


def test_errors_that_are_caught_do_not_complete_what_waits_to_be_fetched(
    tmp_path,
):
    """The counts of what was made ahead and what was fetched stay in step."""
    files = write(tmp_path, (2, 2, 2, 2, 2, 2))
    bad = {names[1] for names in list(files.values())[:2]}

    def parse(line):
        is_bad = tf.reduce_any(tf.equal(line, sorted(bad)))
        with tf.control_dependencies([tf.debugging.Assert(~is_bad, ["bad"])]):
            return tf.identity(line)

    with tf.Graph().as_default():
        queue = WorkQueue(list(files), shuffle=False)
        records = queue.records(tf.data.TextLineDataset)
        dataset = records.batch(1).map(parse).prefetch(4).to_dataset()
        name = element_of(dataset)
        with raw_session() as session:
            num_errors = 0
            trained = []
            while True:
                try:
                    (fetched,) = session.run(name)
                except tf.errors.InvalidArgumentError:
                    num_errors += 1
                    continue
                except tf.errors.OutOfRangeError:
                    break
                # The one that was just fetched is still in training.
                engine_of(queue).service(session).flush()
                for item in completed(queue, chief_of(queue)):
                    assert set(files[item]) <= set(trained)
                trained.append(decoded(fetched))
            engine_of(queue).service(session).flush()
            assert num_errors == 2
            assert sorted(trained) == sorted(set(all_of(files)) - bad)
            wait_until(
                lambda: (
                    completed(queue, chief_of(queue))
                    == dict.fromkeys(list(files)[2:], 1)
                )
            )


def test_two_lines_more_than_the_plain_pipeline(texts):
    """That is: `records` in the place of a reader, and `to_dataset`."""

    def plain(paths):
        dataset = tf.data.TextLineDataset(paths)
        dataset = dataset.shuffle(50).batch(16).prefetch(1)
        return element_of(dataset)

    def counted(queue):
        dataset = queue.records(tf.data.TextLineDataset)
        dataset = dataset.shuffle(50).batch(16).prefetch(1)
        dataset = dataset.to_dataset()
        return element_of(dataset)

    with tf.Graph().as_default():
        first = plain(list(texts))
        second = counted(WorkQueue(list(texts)))
        assert first.shape.as_list() == second.shape.as_list()
        assert first.dtype == second.dtype


def test_the_dataset_is_one_of_tf_data(texts):
    with tf.Graph().as_default():
        queue = WorkQueue(list(texts))
        records = queue.records(tf.data.TextLineDataset).batch(3)
        assert isinstance(records.to_dataset(), tf.data.Dataset)
        assert records.element_spec == tf.TensorSpec([None], tf.string)
        assert repr(records) == f"Records({records.element_spec!r})"


def test_records_without_to_dataset_say_so(texts):
    with tf.Graph().as_default():
        records = WorkQueue(list(texts)).records(tf.data.TextLineDataset)
        with pytest.raises(TypeError, match="without to_dataset"):
            next(iter(records))
        with pytest.raises(AttributeError, match="without to_dataset"):
            tf1.data.make_initializable_iterator(records)
        with pytest.raises(AttributeError, match="got 'cache'"):
            records.cache()
        assert not hasattr(records, "window")


def test_repeat_is_refused(texts):
    with tf.Graph().as_default():
        records = WorkQueue(list(texts)).records(tf.data.TextLineDataset)
        with pytest.raises(ValueError, match="num_epochs=3"):
            records.repeat(3)


def test_several_clients_train_several_batches_at_a_time(tmp_path, texts):
    training = Training(
        texts,
        lambda d: d.batch(4),
        queue_args={"num_clients": 3},
        directory=tmp_path / "model",
    )

    assert sorted(training.trained.elements()) == all_of(texts)
    assert training.saved() == dict.fromkeys(texts, 1)


def test_a_task_that_trains_longer_than_its_lease_keeps_its_items(texts):
    """It asks for nothing all that time: its heartbeat alone is heard."""
    with tf.Graph().as_default():
        queue = WorkQueue(list(texts), shuffle=False, lease_secs=0.6)
        dataset = queue.records(tf.data.TextLineDataset).batch(4)
        lines = element_of(dataset.to_dataset())
        with tf1.train.MonitoredSession(hooks=[WorkQueueHook()]) as session:
            session.run(lines)
            raw_session = engine_of(queue)._last_service.session
            ledger = chief_of(queue).ledger
            wait_until(lambda: 0 in ledger.leases)
            # Another one takes an item later, and is never heard of again.
            silent = MailboxSession(engine_of(queue).mailbox, raw_session)
            claimed = silent.take(Consumer("worker:9", "first"), []).ticket
            wait_until(lambda: claimed in ledger.leases)
            wait_until(lambda: claimed not in ledger.leases)

            assert ledger.leases[0].consumer.name == engine_of(queue).task.name
            while not session.should_stop():
                session.run(lines)
    assert ledger.repeated == 1
