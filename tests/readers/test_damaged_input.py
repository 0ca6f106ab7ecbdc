"""Input that is damaged, or that has changed since it was listed.

TensorFlow's error, or the log, names the item, which stays open.
"""

from __future__ import annotations

import contextlib
import gzip
import logging
import os
import sqlite3
import types

import numpy as np
import pytest
import tensorflow as tf

from tests.support.postgres import postgresql  # noqa: F401
from tests.support.queues import feeder_of
from tests.support.sessions import draw, element_of, raw_session
from wq_hooks import WorkQueue, readers, sources
from wq_hooks.core.items.slice_text import parse_slice
from wq_hooks.core.position.snapshot import Snapshot
from wq_hooks.sources import odps

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


def write_odps(path):
    path.write_text(str(NUM_RECORDS))
    return f"odps://project/tables/{path.name}"


class OdpsStandIn:
    """A project whose tables are files that hold their number of rows."""

    def __init__(self, folder):
        self._folder = folder

    def get_table(self, name):
        self._path = self._folder / name
        return self

    @contextlib.contextmanager
    def open_reader(self, partition=None):
        self.count = int(self._path.read_text())
        yield self

    def read(self, start=None, count=None, columns=None):
        for number in range(start, min(start + count, self.count)):
            if self._path.read_text() == "0":
                raise ConnectionError("the tunnel is gone")
            yield types.SimpleNamespace(values=[number])


def write_compressed(path):
    text = "".join(f"{i * 7919 % 10**9:09}\n" for i in range(NUM_RECORDS))
    path.with_suffix(".gz").write_bytes(gzip.compress(text.encode()))
    return str(path.with_suffix(".gz"))


def write_compressed_records(path):
    path = str(path.with_suffix(".gz"))
    with tf.io.TFRecordWriter(path, "GZIP") as writer:
        for i in range(NUM_RECORDS):
            writer.write(b"%09d" % i)
    return path


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


def of_compressed(change):
    return lambda path: change(path.with_suffix(".gz"))


def corrupt(path):
    content = bytearray(path.read_bytes())
    content[-8] ^= 1
    path.write_bytes(content)


TEXT = (write_text, sources.TextLines, readers.text_lines)
RECORDS = (write_records, sources.TFRecords, readers.tf_records)
PARQUET = (write_parquet, None, rows)
SQLITE = (write_sqlite, None, rows)
ODPS = (write_odps, None, rows)
# Such files are not cut.
COMPRESSED = (write_compressed, sources.TextLines, readers.text_lines)

# A TFRecord of 9 bytes takes 25.
CASES = {
    "text, shorter": (*TEXT, truncate(95)),
    "text, gone": (*TEXT, os.unlink),
    "text, below what is no folder": (
        *TEXT,
        lambda p: (os.rename(p.parent, f"{p.parent}_"), p.parent.touch()),
    ),
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
    "SQLite, no database": (*SQLITE, lambda p: p.write_bytes(b"x" * 9999)),
    "ODPS, less rows": (*ODPS, lambda p: p.write_text("390")),
    "ODPS, gone": (*ODPS, os.unlink),
    "compressed, damaged": (
        *COMPRESSED,
        of_compressed(lambda p: p.write_bytes(b"x" * 9999)),
    ),
    "compressed, cut": (*COMPRESSED, of_compressed(truncate(20))),
    "compressed TFRecord, cut": (
        write_compressed_records,
        sources.TFRecords,
        readers.tf_records,
        of_compressed(truncate(9)),
    ),
    "compressed, gone": (*COMPRESSED, of_compressed(os.unlink)),
}


@pytest.mark.parametrize("case", CASES)
def test_the_item_is_named_and_stays_open(tmp_path, case, caplog, monkeypatch):
    write, source, reader, *changes = CASES[case]
    path = tmp_path / "folder" / "target"
    path.parent.mkdir()
    stand_in = OdpsStandIn(path.parent)
    monkeypatch.setattr(odps, "_connect", lambda project: stand_in)
    check(
        write(path), source, reader, lambda: [c(path) for c in changes], caplog
    )


# Of PostgreSQL, as statements.
CHANGES = {
    "rows deleted": "DELETE FROM target WHERE x = 390",
    "another column": "ALTER TABLE target RENAME COLUMN x TO z",
    "no table": "DROP TABLE target",
    "no right to read": "REVOKE SELECT ON target FROM reader",
}


@pytest.mark.parametrize("change", CHANGES)
def test_it_is_so_with_postgresql(postgresql, change, caplog):  # noqa: F811
    import psycopg

    def run(*statements):
        with psycopg.connect(postgresql) as connection:
            # Whoever trains on a table does not lock it.
            connection.execute("SET lock_timeout = '30s'")
            for statement in statements:
                connection.execute(statement)

    run(
        "DROP TABLE IF EXISTS target",
        "DROP ROLE IF EXISTS reader",
        "CREATE ROLE reader LOGIN",
        "CREATE TABLE target (x INT PRIMARY KEY, y TEXT)",
        f"INSERT INTO target SELECT generate_series(0, {NUM_RECORDS - 1}), 'y'",
        "GRANT SELECT ON target TO reader",
    )
    work = postgresql.replace("tester@", "reader@") + "#target"
    check(work, None, rows, lambda: run(CHANGES[change]), caplog)


def check(work, source, reader, change, caplog):
    """Reads a work, changes it after the first batch, and reads on."""
    caplog.set_level(logging.INFO, logger="absl")
    with tf.Graph().as_default():
        queue = WorkQueue(
            [work], num_slices=NUM_SLICES, shuffle=False, source=source
        )
        dataset = queue.records(reader).batch(10).to_dataset()
        batch = element_of(dataset)
        num_trained = 0
        with raw_session() as session:
            if not work.endswith(".gz"):
                # What is decompressed is read ahead.
                draw(session, batch, 1)
                num_trained += 10
            change()
            for _ in range(NUM_RECORDS):
                try:
                    draw(session, batch, 1)
                except tf.errors.OpError as e:
                    error = e
                    break
                num_trained += 10
            # Who has what is reported a little later.
            feeder_of(queue).flush(10.0)
            snapshot = queue.snapshot()
    assert "target" in str(error) + caplog.text
    position = Snapshot.from_json(snapshot)
    open_slices = [parse_slice(item.text) for item in position.outstanding]
    assert {piece.path for piece in open_slices} == {work}
    # Nothing is completed that was not trained.
    assert position.completed * NUM_RECORDS / NUM_SLICES <= num_trained
