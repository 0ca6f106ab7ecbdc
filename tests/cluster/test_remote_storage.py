"""Data, checkpoints and positions on an S3 server."""

from __future__ import annotations

import io
import json
import signal
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from tests.programs.remote_storage import BATCH, NUM_RECORDS
from tests.support import forked, s3
from tests.support.environment import environment
from tests.support.paths import PROGRAMS

TIMEOUT_SECS = 120.0
KILL_AT = 17
# Of slices of 20 records each, in batches: those of a batch and the one before.
MOST_REPEATED = 20 * BATCH

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(s3.reason_against() != "", reason=s3.reason_against()),
]


@pytest.fixture(scope="module")
def server():
    with s3.S3() as server:
        yield server


def text_of(numbers):
    return "".join(f"{i}\n" for i in numbers).encode()


def tfrecords_of(numbers, tmp_path):
    path = tmp_path / "file.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for number in numbers:
            writer.write(str(number))
    return path.read_bytes()


def parquet_of(numbers):
    file = io.BytesIO()
    pq.write_table(pa.table({"number": [str(i) for i in numbers]}), file)
    return file.getvalue()


def put_works(server, kind, tmp_path):
    """Returns URLs of works with all numbers."""
    if kind == "list":
        return []
    half = NUM_RECORDS // 2
    urls = []
    for index, numbers in enumerate([range(half), range(half, 2 * half)]):
        content = {
            "text": text_of,
            "keras": text_of,
            "tfrecord": lambda numbers: tfrecords_of(numbers, tmp_path),
            "parquet": parquet_of,
        }[kind](numbers)
        suffix = "parquet" if kind == "parquet" else "data"
        urls.append(server.put(f"{kind}/part-{index}.{suffix}", content))
    return urls


def run(server, *args, program="remote_storage.py"):
    return forked.run(
        [sys.executable, str(PROGRAMS / program), *map(str, args)],
        env={
            **environment(has_keras=True),
            **server.environment,
            "PATH": "/usr/bin:/bin",
        },
        timeout=TIMEOUT_SECS,
    )


@pytest.mark.parametrize(
    "kind", ["text", "tfrecord", "parquet", "list", "keras"]
)
def test_a_job_is_killed_and_goes_on(server, tmp_path, kind):
    works = put_works(server, kind, tmp_path)
    directory = f"{server.url}/{kind}/model"

    killed = run(server, kind, directory, KILL_AT, *works)
    resumed = run(server, kind, directory, 0, *works)

    assert killed.returncode == -signal.SIGKILL, killed.stderr[-3000:]
    assert resumed.returncode == 0, resumed.stderr[-3000:]
    counts = json.loads(resumed.stdout.split("TRAINED ")[1])
    assert len(counts) == NUM_RECORDS
    assert min(counts) == 1
    # Not from the start: the weights were restored with the position.
    repeated = sum(count - 1 for count in counts)
    assert repeated <= MOST_REPEATED
    if kind == "list":
        assert any(".works" in key for key in server.keys("list/model/"))


def test_inspect_loads_the_file_system(server, tmp_path):
    works = put_works(server, "text", tmp_path)
    directory = f"{server.url}/inspected"
    trained = run(server, "text", directory, 0, *works)
    assert trained.returncode == 0, trained.stderr[-3000:]

    done = run(server, "inspect", directory, program="wq_hooks_command.py")

    assert "completed      20 of 20 items" in done.stdout, done.stderr[-3000:]
    assert done.returncode == 0
