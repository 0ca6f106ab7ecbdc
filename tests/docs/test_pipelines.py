"""Runs the blocks of docs/pipelines.md, and looks at what they have read."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
import tensorflow as tf

from tests.support.in_process_cluster import Background, InProcessCluster
from tests.support.paths import ROOT

tf1 = tf.compat.v1
GUIDE = ROOT / "docs" / "pipelines.md"
BLOCKS = dict(
    re.findall(
        r"^## ([^\n]+)\n(?:(?!^## ).)*?^```python\n(.*?)^```",
        GUIDE.read_text(),
        re.MULTILINE | re.DOTALL,
    )
)
NUM_FILES = 6


@pytest.fixture
def csv_paths(tmp_path):
    paths = []
    for number in range(NUM_FILES):
        path = tmp_path / f"{number}.csv"
        # As in the tutorials: a header, and a line that lacks two values.
        rows = ["x1,x2,target", *(f"{number},{i},1" for i in range(4)), "7.,,0"]
        path.write_text("".join(f"{row}\n" for row in rows))
        paths.append(str(path))
    return paths


EXPECTED = Counter(
    {(float(f), float(i), 1): 2 for f in range(NUM_FILES) for i in range(4)}
)
EXPECTED[7.0, -1.0, 0] = 2 * NUM_FILES


def run(title, **names):
    results = []
    names = {"results": results, **names}
    code = compile(BLOCKS[title], f"pipelines.md, {title}", "exec")
    exec(code, names)
    return results, names


def test_each_part_of_the_guide_has_a_test():
    here = "".join(
        (ROOT / "tests" / name).read_text()
        for name in ("docs/test_pipelines.py", "support/sync_replicas.py")
    )
    assert len(BLOCKS) == 8
    assert all(f'"{title}"' in here for title in BLOCKS)


def test_csv_through_a_reader(csv_paths):
    results, _ = run("CSV through a reader", csv_paths=csv_paths)
    rows = Counter((float(x[0]), float(x[1]), int(y)) for _, x, y in results)
    assert rows == EXPECTED
    # A file is read from its first line to its last.
    keys = [key.decode().rpartition(":")[2] for key, _, _ in results]
    assert keys == ["2", "3", "4", "5", "6"] * 2 * NUM_FILES


def test_several_readers(csv_paths):
    results, _ = run(
        "Several readers, an example queue and a queue runner",
        csv_paths=csv_paths,
    )
    rows = Counter(
        (float(x[0]), float(x[1]), int(y))
        for features, targets in results
        for x, y in zip(features, targets)
    )
    assert rows == EXPECTED
    assert [len(y) for _, y in results] == [8] * 7 + [4]


def test_sequences(tmp_path):
    paths = []
    for number in range(3):
        paths.append(str(tmp_path / f"{number}.tfrecord"))
        with tf.io.TFRecordWriter(paths[-1]) as writer:
            for length in range(1, 5):
                writer.write(sequence_example(length).SerializeToString())
    results, _ = run("Sequences of different lengths", record_paths=paths)
    seen = Counter()
    for inputs, labels, lengths in results:
        assert inputs.shape == (len(lengths), max(lengths), 3)
        for x, y, length in zip(inputs, labels, lengths):
            seen[int(length)] += 1
            assert list(y[:length]) == list(range(length))
            assert not x[length:].any()
            assert x[:length].all()
    assert seen == dict.fromkeys(range(1, 5), 3)


def sequence_example(length):
    def features(values):
        return tf.train.FeatureList(feature=values)

    return tf.train.SequenceExample(
        feature_lists=tf.train.FeatureLists(
            feature_list={
                "inputs": features(
                    [
                        tf.train.Feature(
                            float_list=tf.train.FloatList(value=[1, 2, 3])
                        )
                    ]
                    * length
                ),
                "labels": features(
                    [
                        tf.train.Feature(
                            int64_list=tf.train.Int64List(value=[i])
                        )
                        for i in range(length)
                    ]
                ),
            }
        )
    )


def test_time_outs(csv_paths):
    results, _ = run("Time-outs", csv_paths=csv_paths)
    assert results == ["timed out", b"x1,x2,target"]


def test_containers():
    server = tf1.train.Server.create_local_server()
    results, _ = run("Containers", server=server)
    assert [name.decode() for name in results] == [
        f"{job}_{i}" for job in ("first", "second") for i in range(3)
    ]


def lines_of(paths):
    return [line for path in paths for line in Path(path).read_text().split()]


def test_in_graph_replication(csv_paths):
    results, _ = run("In-graph replication", csv_paths=csv_paths)
    lines = Counter(line.decode() for line in results)
    assert lines == Counter(lines_of(csv_paths) * 2)


def test_between_graph_replication(csv_paths):
    cluster = InProcessCluster(num_workers=2)
    results, names = run(
        "Between-graph replication, asynchronous updates",
        csv_paths=csv_paths,
        cluster_spec=cluster.spec,
    )
    tasks = [
        Background(names["train"], server.target, index)
        for index, server in enumerate(cluster._servers[1:])
    ]
    for task in tasks:
        task.result(120)
    assert max(results) == 2 * len(lines_of(csv_paths))
