"""Input that is damaged, or that has changed since it was listed.

TensorFlow's error, or the log, names the item, which stays open.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import pathlib
import sqlite3

import numpy as np
import pytest
import tensorflow as tf
from sessions import draw, element_of, raw_session

from wq_hooks import WorkQueue, readers, sources
from wq_hooks.core.slice_text import parse_slice

NUM_RECORDS = 400
NUM_SLICES = 4


def write_text(path):
    path.write_text("".join(f"{i:09}\n" for i in range(NUM_RECORDS)))
    return str(path)


def write_records(path):
    with tf.io.TFRecordWriter(str(path)) as writer:
        for i in range(NUM_RECORDS):
            writer.write(b"%09d" % i)
    return str(path)


def write_parquet(path, num_rows=NUM_RECORDS, name="x"):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = path.with_suffix(".parquet")
    table = pyarrow.table({name: np.arange(num_rows)})
    parquet.write_table(table, path, row_group_size=50)
    return str(path)


def write_sqlite(path):
    with sql(path) as run:
        run("CREATE TABLE t (x INTEGER PRIMARY KEY, y TEXT)")
        for i in range(NUM_RECORDS):
            run("INSERT INTO t VALUES (?, 'y')", (i,))
    return f"sqlite:///{path}#t"


@contextlib.contextmanager
def sql(path):
    with contextlib.closing(sqlite3.connect(path)) as connection:
        yield connection.execute
        connection.commit()


def rows(item):
    return readers.table_records(item, [0], selected_cols="x")


def truncate(num_bytes):
    return lambda path: os.truncate(path, path.stat().st_size - num_bytes)


def execute(statement):
    def change(path):
        with sql(path) as run:
            run(statement)

    return change


def of_parquet(change):
    return lambda path: change(path.with_suffix(".parquet"))


def corrupt(path):
    content = bytearray(path.read_bytes())
    content[-8] ^= 1
    path.write_bytes(content)


TEXT = (write_text, sources.TextLines, readers.text_lines)
RECORDS = (write_records, sources.TFRecords, readers.tf_records)
PARQUET = (write_parquet, None, rows)
SQLITE = (write_sqlite, None, rows)

# A TFRecord of 9 bytes takes 25.
CASES = {
    "text, shorter": (*TEXT, truncate(95)),
    "text, gone": (*TEXT, os.unlink),
    "text, a directory": (*TEXT, lambda p: (os.unlink(p), os.mkdir(p))),
    "TFRecord, cut in a record": (*RECORDS, truncate(30)),
    "TFRecord, cut behind a record": (*RECORDS, truncate(50)),
    "TFRecord, damaged": (*RECORDS, corrupt),
    "TFRecord, gone": (*RECORDS, os.unlink),
    "Parquet, less rows": (
        *PARQUET,
        lambda p: write_parquet(p, NUM_RECORDS - 9),
    ),
    "Parquet, other columns": (
        *PARQUET,
        lambda p: write_parquet(p, name="other"),
    ),
    "Parquet, truncated": (*PARQUET, of_parquet(truncate(100))),
    "Parquet, gone": (*PARQUET, of_parquet(os.unlink)),
    "SQLite, rows deleted": (*SQLITE, execute("DELETE FROM t WHERE x = 390")),
    "SQLite, another column": (
        *SQLITE,
        execute("ALTER TABLE t RENAME COLUMN x TO z"),
    ),
    "SQLite, another type": (
        *SQLITE,
        execute("CREATE TABLE u AS SELECT * FROM t"),
        execute("DROP TABLE t"),
        execute("CREATE TABLE t AS SELECT x || 'a' AS x, y FROM u"),
    ),
    "SQLite, no table": (*SQLITE, execute("DROP TABLE t")),
    "SQLite, gone": (*SQLITE, os.unlink),
}


@pytest.mark.parametrize("case", CASES)
def test_the_item_is_named_and_stays_open(tmp_path, case, caplog):
    caplog.set_level(logging.INFO, logger="absl")
    write, source, reader, *changes = CASES[case]
    path = pathlib.Path(tmp_path / "target")
    work = write(path)
    with tf.Graph().as_default():
        queue = WorkQueue(
            [work], num_slices=NUM_SLICES, shuffle=False, source=source
        )
        dataset = queue.records(reader).batch(10).to_dataset()
        batch = element_of(dataset)
        with raw_session() as session:
            draw(session, batch, 1)
            for change in changes:
                change(path)
            with pytest.raises(tf.errors.OpError) as error:
                draw(session, batch)
            snapshot = queue.snapshot()
    assert "target" in str(error.value) + caplog.text
    position = json.loads(snapshot)["body"]
    open_slices = [parse_slice(row[1]) for row in position["outstanding"]]
    assert {piece.path for piece in open_slices} == {work}
