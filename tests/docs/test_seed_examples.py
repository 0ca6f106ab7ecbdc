"""Scripts written for DeepRec run after changing the import alone.

And what its users ask: in which order do several threads read?
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections import Counter

import pytest
import tensorflow as tf

from tests.support.sessions import draw, element_of, raw_session
from wq_hooks import TableRecordReader, WorkQueue

tf1 = tf.compat.v1

DEEPREC_IMPORT = "from tensorflow.python.ops.work_queue import WorkQueue"
IMPORT = "from wq_hooks import WorkQueue"

# After the examples in DeepRec's documentation of the class.
DATASET = f"""
{DEEPREC_IMPORT}

work_queue = WorkQueue([filename, filename1, filename2, filename3])
f_data = work_queue.input_dataset()
dataset = tf.data.TextLineDataset(f_data)
dataset = dataset.shuffle(buffer_size=20000, seed=2021)
dataset = dataset.repeat(num_epochs)
dataset = dataset.prefetch(batch_size)
dataset = dataset.batch(batch_size)
dataset = dataset.prefetch(1)
"""
READER = f"""
{DEEPREC_IMPORT}

work_queue = WorkQueue([path1, path2, path3], shuffle=True)
work_queue.add_summary()
reader = tf.TextLineReader()
keys, values = reader.read_up_to(work_queue.input_producer(), num_records=2)
with tf.train.MonitoredTrainingSession() as sess:
  while not sess.should_stop():
    batches.append(sess.run([keys, values]))
"""
TABLE_READER = f"""
{DEEPREC_IMPORT}

work_queue = WorkQueue(
  [odps_path1, odps_path2, odps_path3], shuffle=True,
  num_slices=num_workers * 10)
reader = TableRecordReader()
keys, values = reader.read_up_to(work_queue.input_producer(), num_records=2)
with tf.train.MonitoredTrainingSession() as sess:
  while not sess.should_stop():
    batches.append(sess.run([keys, values]))
"""


@pytest.fixture(autouse=True)
def graph():
    with tf.Graph().as_default() as graph:
        yield graph


@pytest.fixture
def files(tmp_path):
    """{path: lines} of files of one to five lines."""
    contents = {}
    for i in range(8):
        path = tmp_path / f"file_{i}"
        lines = [f"{i}:{line}" for line in range(1 + i % 5)]
        path.write_text("".join(f"{line}\n" for line in lines))
        contents[str(path)] = lines
    return contents


def lines_of(files, paths):
    return [line for path in paths for line in files[path]]


def run_example(text, **names):
    assert text.count(DEEPREC_IMPORT) == 1
    exec(text.replace(DEEPREC_IMPORT, IMPORT), names)
    return names


@pytest.mark.parametrize("api", [tf, tf1], ids=["tf", "tf1"])
@pytest.mark.parametrize("num_epochs", [1, 3])
def test_the_dataset_example(files, api, num_epochs):
    paths = list(files)[:4]
    names = run_example(
        DATASET,
        tf=api,
        filename=paths[0],
        filename1=paths[1],
        filename2=paths[2],
        filename3=paths[3],
        num_epochs=num_epochs,
        batch_size=3,
    )
    batch = element_of(names["dataset"])
    with raw_session() as session:
        batches = draw(session, batch)
    lines = [line.decode() for batch in batches for line in batch]
    assert [len(batch) for batch in batches] == [3, 3, 3, 1]
    # `repeat` behind the queue repeats nothing: the queue has ended.
    assert sorted(lines) == sorted(lines_of(files, paths))


def test_the_reader_example(files):
    paths = list(files)[2:5]
    batches = []
    run_example(
        READER,
        tf=tf1,
        path1=paths[0],
        path2=paths[1],
        path3=paths[2],
        batches=batches,
    )
    keys = [key.decode() for batch, _ in batches for key in batch]
    lines = [line.decode() for _, batch in batches for line in batch]
    assert sorted(lines) == sorted(lines_of(files, paths))
    # A key is "<file>:<line>", and a file is read from its first line on.
    assert keys == [
        f"{path}:{number}"
        for path in dict.fromkeys(key.rpartition(":")[0] for key in keys)
        for number in range(1, 1 + len(files[path]))
    ]


def test_the_table_example(tmp_path):
    """The tables stand in SQLite: MaxCompute is not to be had in a test."""
    database = tmp_path / "tables.db"
    sizes = {"small": 3, "big": 1000, "empty": 0}
    with contextlib.closing(sqlite3.connect(database)) as connection:
        for table, size in sizes.items():
            connection.execute(f"CREATE TABLE {table} (id INTEGER, name TEXT)")
            connection.executemany(
                f"INSERT INTO {table} VALUES (?, ?)",
                [(i, f"{table}, {i}") for i in range(size)],
            )
        connection.commit()
    paths = [f"sqlite:///{database}#{table}" for table in sizes]
    batches = []
    run_example(
        TABLE_READER,
        tf=tf1,
        TableRecordReader=TableRecordReader,
        odps_path1=paths[0],
        odps_path2=paths[1],
        odps_path3=paths[2],
        num_workers=3,
        batches=batches,
    )
    keys = [key.decode() for batch, _ in batches for key in batch]
    lines = [line.decode() for _, batch in batches for line in batch]
    rows = {
        f"sqlite:///{database}#{table}:{i}": f'{i},"{table}, {i}"'
        for table, size in sizes.items()
        for i in range(size)
    }
    assert dict(zip(keys, lines)) == rows
    assert len(keys) == len(rows)
    assert {len(batch) for batch, _ in batches} == {1, 2}


def read_with(files, *, num_readers, num_threads, **queue_args):
    """Returns [(reader, line), ...] as they come out of an example queue.

    As in the tutorials: readers over one queue of names, an example queue,
    and a queue runner with as many threads as asked for.
    """
    names = WorkQueue(
        list(files), num_clients=num_readers * num_threads, **queue_args
    ).input_producer()
    examples = tf1.FIFOQueue(100, [tf.int32, tf.string], [(), ()])
    enqueues = []
    for number in range(num_readers):
        _, line = tf1.TextLineReader().read(names)
        enqueues += [examples.enqueue([number, line])] * num_threads
    tf1.train.add_queue_runner(tf1.train.QueueRunner(examples, enqueues))
    example = examples.dequeue()
    with raw_session() as session:
        drawn = draw(session, example)
    return [(int(number), line.decode()) for number, line in drawn]


def test_one_reader_reads_exactly_in_order(files):
    lines = lines_of(files, files)
    drawn = read_with(
        files, num_readers=1, num_threads=1, shuffle=False, num_epochs=3
    )
    assert [line for _, line in drawn] == lines * 3


def test_several_threads_of_one_reader_read_each_record_once(files):
    """In no order: between reading and enqueueing they overtake each other."""
    lines = lines_of(files, files)
    drawn = read_with(
        files, num_readers=1, num_threads=4, shuffle=False, num_epochs=3
    )
    assert Counter(line for _, line in drawn) == Counter(lines * 3)


def test_several_readers_each_read_whole_files(files):
    drawn = read_with(
        files, num_readers=3, num_threads=1, shuffle=False, num_epochs=4
    )
    lines = lines_of(files, files)
    assert Counter(line for _, line in drawn) == Counter(lines * 4)
    whole = {lines[0]: lines for lines in files.values()}
    for reader in range(3):
        rest = [line for number, line in drawn if number == reader]
        while rest:
            # A file begins with its first line, and goes on to its last.
            lines = whole[rest[0]]
            assert rest[: len(lines)] == lines
            del rest[: len(lines)]
