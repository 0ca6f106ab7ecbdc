"""Each method of records() against the plain dataset, and the account."""

from __future__ import annotations

import inspect
from collections import Counter

import numpy as np
import pytest
import tensorflow as tf

from tests.support.queues import chief_of, state_of
from tests.support.sessions import decoded, element_of, raw_session, wait_until
from wq_hooks import WorkQueue
from wq_hooks.core.position.snapshot import Snapshot
from wq_hooks.engines import engine_of

tf1 = tf.compat.v1
READER = tf.data.TextLineDataset
SIZES = (7, 0, 4, 9, 1)


@pytest.fixture
def files(tmp_path):
    """Text files of lines such as "3:2", of which one is empty."""
    paths = []
    for i, size in enumerate(SIZES):
        paths.append(tmp_path / f"{i}.txt")
        paths[-1].write_text("".join(f"{i}:{k}\n" for k in range(size)))
    return [str(path) for path in paths]


@pytest.fixture
def queue(files):
    queue = WorkQueue(files, shuffle=False)
    yield queue
    queue.close()


def number(line):
    return tf.strings.to_number(tf.strings.substr(line, 2, 1), tf.int64)


def repeated(line):
    """A dataset of as many as the line says, down to none."""
    return tf.data.Dataset.from_tensors(line).repeat(number(line))


def sequence(line):
    return tf.repeat(line, number(line))


def length(line):
    return tf.shape(line)[0]


def parsed_but_one(line):
    return line, tf.strings.to_number(tf.where(line == "3:2", "x", "1"))


PIPELINES = {
    # Batches of batches.
    "of one shape": lambda d: (
        d.batch(5).map(lambda x: (x[0], [tf.size(x), 2])).batch(3)
    ),
    "full ones": lambda d: d.batch(5).batch(3, drop_remainder=True),
    "full ones twice": lambda d: (
        d.batch(5, drop_remainder=True)
        .map(lambda x: x)
        .batch(2, drop_remainder=True)
    ),
    "shuffled full ones": lambda d: (
        d.shuffle(4, seed=1)
        .batch(4)
        .shuffle(2, seed=2)
        .padded_batch(2, drop_remainder=True)
        .padded_batch(2)
    ),
    "ragged batches": lambda d: (
        d.map(tf.strings.bytes_split)
        .ragged_batch(4)
        .map(lambda x: x)
        .ragged_batch(2)
        .batch(2)
    ),
    "full ragged ones": lambda d: d.map(sequence).ragged_batch(
        4, drop_remainder=True
    ),
    "padded batches": lambda d: d.batch(5).padded_batch(3),
    "padded batches of a function's": lambda d: (
        d.shuffle(3, seed=1)
        .batch(5)
        .map(lambda x: (x, tf.shape(x)))
        .padded_batch(3, ([7], [None]), ("none", 7))
    ),
    "filtered batches": lambda d: (
        d.batch(3).filter(lambda x: x[0] != "3:0").padded_batch(2)
    ),
    # Parts.
    "take": lambda d: d.batch(3).take(4),
    "take none": lambda d: d.take(0),
    "take all": lambda d: d.take(-1).batch(2),
    "take records": lambda d: d.shuffle(3, seed=1).take(9).batch(2),
    "skip": lambda d: d.skip(3).batch(2),
    "skip batches": lambda d: d.batch(4).skip(2).prefetch(1),
    "skip all": lambda d: d.skip(-1),
    "take_while": lambda d: d.batch(2).take_while(
        lambda x: tf.reduce_all(x != "3:2")
    ),
    "enumerate": lambda d: d.enumerate(5).batch(3),
    "enumerate batches": lambda d: (
        d.batch(4).enumerate().map(lambda i, x: (x, i))
    ),
    # Rows.
    "unbatch": lambda d: d.batch(4).unbatch().batch(3),
    "unbatch pairs": lambda d: (
        d.batch(4).map(lambda x: (x, x)).unbatch().batch(3)
    ),
    "unbatch fewer": lambda d: (
        d.shuffle(5, seed=2).batch(4).map(lambda x: x[:2]).unbatch().batch(3)
    ),
    "unbatch more": lambda d: (
        d.batch(4)
        .map(lambda x: tf.concat([x, x], 0))
        .unbatch()
        .shuffle(5, seed=3)
        .batch(3)
    ),
    "unbatch nothing": lambda d: d.batch(4).map(lambda x: x[:0]).unbatch(),
    "unbatch batches": lambda d: d.batch(1).batch(3).unbatch().prefetch(2),
    "rebatch": lambda d: d.batch(4).rebatch(3),
    "rebatch full ones": lambda d: (
        d.batch(4).map(lambda x: x).rebatch(5, drop_remainder=True)
    ),
    "rebatch sizes": lambda d: d.batch(4).rebatch([2, 3], drop_remainder=True),
    # Many or none of one.
    "flat_map": lambda d: d.flat_map(repeated).batch(3),
    "flat_map shuffled": lambda d: (
        d.shuffle(5, seed=1)
        .flat_map(repeated)
        .shuffle(7, seed=2)
        .batch(3)
        .prefetch(1)
    ),
    "flat_map batches": lambda d: d.batch(4).flat_map(
        lambda x: tf.data.Dataset.from_tensor_slices((x, x)).skip(1)
    ),
    "interleave": lambda d: d.interleave(repeated, cycle_length=3).batch(3),
    "interleave in parallel": lambda d: d.shuffle(3, seed=4).interleave(
        repeated, 3, 2, num_parallel_calls=2, deterministic=True
    ),
    "group_by_window": lambda d: d.group_by_window(
        lambda x: number(x) % 2, lambda _, w: w.batch(3), window_size=3
    ),
    "group_by_window of a size": lambda d: (
        d.shuffle(2, seed=1)
        .group_by_window(
            lambda x: number(x) % 2,
            lambda k, w: w.map(lambda x: (k, x)).filter(
                lambda _, x: x != "3:2"
            ),
            window_size_func=lambda k: k + 2,
        )
        .prefetch(1)
    ),
    "buckets": lambda d: d.map(sequence).bucket_by_sequence_length(
        length, [2, 5], [3, 2, 2]
    ),
    "full buckets": lambda d: d.map(
        lambda x: {"line": x, "long": sequence(x)}
    ).bucket_by_sequence_length(
        lambda x: length(x["long"]),
        [2, 5],
        [3, 2, 2],
        padded_shapes={"line": [], "long": [None]},
        padding_values={"line": "", "long": "-"},
        drop_remainder=True,
    ),
    # Errors.
    "ignore_errors": lambda d: d.map(parsed_but_one).ignore_errors().batch(2),
    "ignore_errors of shuffled ones": lambda d: (
        d.shuffle(3, seed=1)
        .map(parsed_but_one, 2)
        .filter(lambda x, _: x != "0:1")
        .ignore_errors(log_warning=False)
        .batch(2)
        .prefetch(1)
    ),
    # Functions that return lists, names, and what is called with the dataset.
    "apply": lambda d: d.apply(tf.data.experimental.dense_to_ragged_batch(3)),
    "apply a function": lambda d: d.apply(lambda x: x.batch(2).map(tf.size)),
    "decode_csv": lambda d: (
        d.map(lambda x: tf.io.decode_csv(x + ",2", [[""], [0.0]]))
        .filter(lambda x, _: x != "3:3")
        .shuffle(2, seed=1)
        .batch(4, drop_remainder=True)
    ),
    "numpy_function": lambda d: d.map(
        lambda x: tf.numpy_function(
            lambda y: (y, np.float32(1)), [x], [tf.string, tf.float32]
        )
    ).batch(4, drop_remainder=True),
    "named": lambda d: (
        d.shuffle(2, seed=1, name="a")
        .map(lambda x: [x, x], num_parallel_calls=2, name="b")
        .filter(lambda x, _: x != "0:0", name="c")
        .batch(2, name="d")
        .unbatch(name="e")
        .take(20, name="f")
        .skip(1, name="g")
        .enumerate(name="h")
        .prefetch(1, name="i")
    ),
}


def shown(element):
    return repr(
        tf.nest.map_structure(
            lambda x: (
                x.to_list()
                if isinstance(x, tf.RaggedTensor)
                else x.numpy().tolist()
                if x.shape.rank
                else x.numpy()
            ),
            element,
        )
    )


def lines_in(element):
    """Returns the lines of an element, as often as they are in it."""
    flat = tf.nest.flatten(element, expand_composites=True)
    texts = [x for part in flat for x in np.ravel(part).tolist()]
    return Counter(x for x in texts if isinstance(x, bytes) and b":" in x)


def completed(queue):
    """Returns the indices of the works that are completed."""
    position = Snapshot.from_json(queue.snapshot())
    outstanding = {item.ticket for item in position.outstanding}
    return set(range(position.next_ticket)) - outstanding


def open_items(queue):
    return [
        item["text"]
        for worker in state_of(queue)["workers"]
        for item in worker["items"]
    ]


def expect_account(queue, records, plain):
    """Expects the elements of `plain`, and items completed just in time."""
    dataset = records.to_dataset()
    assert records.element_spec == plain.element_spec
    assert dataset.element_spec == plain.element_spec
    expected = list(plain)
    waits = sum((lines_in(element) for element in expected), Counter())
    found = []
    for element in dataset:
        engine_of(queue).service.flush()
        for ticket in completed(queue):
            prefix = f"{ticket}:".encode()
            assert not [x for x in waits if x.startswith(prefix)]
        waits -= lines_in(element)
        found.append(shown(element))
    assert found == [shown(element) for element in expected]
    engine_of(queue).service.flush()
    assert not open_items(queue)
    assert completed(queue) == set(range(len(SIZES)))


@pytest.mark.parametrize("name", PIPELINES)
def test_elements_are_those_of_tf_data_and_all_are_accounted_for(
    queue, files, name, caplog
):
    pipeline = PIPELINES[name]
    plain = tf.data.Dataset.from_tensor_slices(files).flat_map(READER)

    expect_account(queue, pipeline(queue.records(READER)), pipeline(plain))

    assert "may have been lost" not in caplog.text


@pytest.mark.skipif(
    "synchronous" not in inspect.signature(tf.data.Dataset.map).parameters,
    reason="tf.data's map has no `synchronous`",
)
def test_a_map_may_be_in_the_thread_that_asks(queue, files):
    plain = tf.data.Dataset.from_tensor_slices(files)
    plain = plain.flat_map(tf.data.TextLineDataset)
    expect_account(
        queue,
        *(
            lines.batch(4).map(lambda x: x, synchronous=True)
            for lines in (queue.records(tf.data.TextLineDataset), plain)
        ),
    )


def test_what_is_left_out_is_reported(queue, caplog):
    list(queue.records(READER).batch(3).skip(1).take(2).to_dataset())
    engine_of(queue).service.flush()
    assert f"{sum(SIZES) - 6} records were read and not trained" in caplog.text


def test_a_reader_of_batches_is_taken_apart_by_itself(queue, files):
    """Its rows are the records then, which need no report."""
    records = queue.records(lambda path: READER(path).batch(4)).unbatch()
    assert records.pairs.element_spec[0] == tf.TensorSpec([], tf.int64)
    plain = tf.data.Dataset.from_tensor_slices(files).flat_map(READER)
    expect_account(queue, records.batch(3), plain.batch(3))


def test_an_error_in_what_a_function_has_made_leaves_the_item_open(
    queue, files, caplog
):
    def checked(line):
        bad = tf.logical_and(number(line) == 3, line == "3:3")
        with tf.control_dependencies([tf.debugging.Assert(~bad, ["bad"])]):
            return tf.identity(line)

    records = queue.records(READER).shuffle(1)
    records = records.flat_map(lambda x: repeated(x).map(checked))
    iterator = iter(records.to_dataset())
    num_errors = num_trained = 0
    while True:
        try:
            next(iterator)
            num_trained += 1
        except tf.errors.InvalidArgumentError:
            num_errors += 1
        except StopIteration:
            break
    engine_of(queue).service.flush()

    assert num_errors == 3
    assert num_trained == sum(sum(range(size)) for size in SIZES) - 3
    assert open_items(queue) == [files[3]]
    assert "may have been lost" in caplog.text


BEHIND = {
    "filter": lambda d: d.filter(lambda line: tf.not_equal(line, "2:1")).batch(
        2
    ),
    "batch": lambda d: d.batch(2),
    "drop_remainder": lambda d: d.batch(2, drop_remainder=True),
    "padded_batch": lambda d: d.padded_batch(2),
    "shuffle": lambda d: d.shuffle(3).prefetch(1).batch(2),
}


@pytest.mark.parametrize("mode", ["eager", "graph"])
@pytest.mark.parametrize("behind", BEHIND)
def test_functions_are_traced_once_when_they_are_given(files, behind, mode):
    calls = []

    def traced(name, result):
        def function(x):
            calls.append(name)
            return result(x)

        return function

    graph = tf.Graph() if mode == "graph" else tf.init_scope()
    with graph.as_default() if mode == "graph" else graph:
        queue = WorkQueue(files, shuffle=False)
        dataset = queue.records(traced("reader", READER))
        assert calls == ["reader"]
        dataset = dataset.map(traced("map", tf.identity))
        assert calls == ["reader", "map"]
        for word in ("0:1", "2:2", "3:8"):
            keep = traced(
                "filter",
                lambda line: tf.not_equal(line, word),  # noqa: B023
            )
            dataset = dataset.filter(keep)
        dataset = dataset.map(traced("map", tf.identity))
        assert calls == ["reader", "map", *["filter"] * 3, "map"]
        dataset = BEHIND[behind](dataset).unbatch().to_dataset()
        assert len(calls) == 6
        left_out = {"0:1", "2:2", "3:8"}
        if behind == "filter":
            left_out.add("2:1")
        if mode == "eager":
            found = {decoded(x) for x in dataset.as_numpy_iterator()}
            queue.close()
        else:
            line = element_of(dataset)
            found = set()
            with raw_session() as session:
                while True:
                    try:
                        found.add(decoded(session.run(line)))
                    except tf.errors.OutOfRangeError:
                        break
    every = {f"{i}:{k}" for i, size in enumerate(SIZES) for k in range(size)}
    if behind == "drop_remainder":
        # 18 are left.
        assert len(found) == 18
    assert found == every - left_out
    assert len(calls) == 6


def test_batches_of_batches_end_in_a_session_too(files):
    with tf.Graph().as_default():
        queue = WorkQueue(files, shuffle=False)
        records = queue.records(READER).batch(5).padded_batch(3)
        batches = element_of(records.to_dataset())
        with raw_session() as session:
            shapes = []
            while True:
                try:
                    shapes.append(session.run(batches).shape)
                except tf.errors.OutOfRangeError:
                    break
            wait_until(
                lambda: chief_of(queue).ledger.is_done,
            )
    assert shapes == [(3, 5), (2, 5)]


def test_a_queue_without_end_has_no_rest_to_read(files):
    queue = WorkQueue(files, num_epochs=None)
    try:
        records = queue.records(READER).batch(2)
        with pytest.raises(ValueError, match=r"to_dataset\(\)\.take\(3\)"):
            records.take(3)
        with pytest.raises(ValueError, match="num_epochs=None"):
            records.take_while(lambda x: True)
        assert len(list(records.to_dataset().take(3))) == 3
    finally:
        queue.close()


def test_errors_are_ignored_where_it_is_known_what_they_lose(queue):
    records = queue.records(READER)
    with pytest.raises(ValueError, match="right after the map or filter"):
        records.shuffle(3).batch(2).ignore_errors()
    with pytest.raises(ValueError, match=r"Call unbatch\(\) in the reader"):
        records.map(tf.data.Dataset.from_tensors).batch(2).unbatch()


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("cache", r"TextLineDataset\(path\)\.cache"),
        ("window", r"TextLineDataset\(path\)\.window"),
        ("scan", r"TextLineDataset\(path\)\.scan"),
        ("unique", r"TextLineDataset\(path\)\.unique"),
        ("shard", "items of its own"),
        ("snapshot", "into the reader"),
        ("concatenate", r"to_dataset\(\)\.concatenate"),
        ("as_numpy_iterator", r"to_dataset\(\)\.as_numpy_iterator"),
        ("zip", r"tf\.data\.Dataset\.zip"),
    ],
)
def test_what_cannot_keep_the_account_names_its_place(queue, name, place):
    records = queue.records(READER)
    with pytest.raises(AttributeError, match=f"got '{name}'.*{place}"):
        getattr(records, name)
    assert not hasattr(records, name)


def fails(line):
    raise ValueError("a bad function")


def test_errors_of_tf_data_come_when_the_method_is_called(queue):
    records = queue.records(READER)
    with pytest.raises((TypeError, ValueError), match="predicate"):
        records.filter(lambda line: line)
    with pytest.raises(ValueError, match="a bad function"):
        records.map(fails)
    # In TensorFlow 2.21 tf.data fails at the text of its TypeError.
    with pytest.raises((TypeError, AttributeError)):
        records.flat_map(lambda line: line)
    with pytest.raises(TypeError, match="transformation_func"):
        records.apply(lambda _: None)
    assert records.cardinality() == tf.data.UNKNOWN_CARDINALITY
    assert isinstance(records.options(), tf.data.Options)
