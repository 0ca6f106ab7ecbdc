from __future__ import annotations

import os
import sys

import numpy as np
import pytest
import tensorflow as tf

from model_zoo.common import report
from model_zoo.din import data, generate, model
from tests.support import forked
from tests.support.environment import environment
from tests.support.paths import ROOT
from tests.support.postgres import postgresql  # noqa: F401


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("din") / "data")
    generate.generate(path, num_files=2, rows_per_file=60, eval_rows=100)
    return path


def test_both_formats_have_the_same_rows(directory):
    tables = data.find_files(directory, "train", ".parquet")
    texts = data.find_files(directory, "train", ".tsv")
    assert len(tables) == len(texts) == 2
    ids = []
    for table, text in zip(tables, texts):
        rows = [*data.read_table(tf.constant(table)).as_numpy_iterator()]
        assert rows == [*data.read_text(text).as_numpy_iterator()]
        ids += [row[0] for row in rows]
    assert ids == [*range(120)]
    with pytest.raises(ValueError, match=r"\*.csv; found none"):
        data.find_files(directory, "train", ".csv")


def test_histories_of_different_length_are_padded():
    row = (7, 1, 5, 2)
    dataset = tf.data.Dataset.from_tensor_slices(
        [("1 2 3", "4 4 5"), ("9", "1"), ("", "")]
    ).map(lambda texts: (*row, texts[0], texts[1]))
    ((features, labels),) = dataset.map(data.to_features).padded_batch(9)
    assert features["id"].numpy().tolist() == [b"7"] * 3
    assert features["history"].numpy().tolist() == [
        [1, 2, 3],
        [9, 0, 0],
        [0, 0, 0],
    ]
    assert labels.numpy().tolist() == [1.0] * 3


def test_the_padding_changes_no_logit():
    network = model.Din(hash_buckets=50, num_partitions=2)
    features = {
        "item": tf.constant([3, 60], tf.int64),
        "category": tf.constant([1, 2], tf.int64),
        "history": tf.constant([[4, 3], [8, 0]], tf.int64),
        "history_categories": tf.constant([[1, 1], [2, 0]], tf.int64),
    }
    longer = {
        name: tf.pad(value, [[0, 0], [0, 3]])
        if value.shape.rank == 2
        else value
        for name, value in features.items()
    }
    np.testing.assert_allclose(network(features), network(longer), rtol=1e-5)
    assert [len(parts) for parts in network.tables.values()] == [2, 2]


def test_only_the_history_tells_the_whole_signal():
    rows, logits = generate.draw_rows(1, 5, 20_000, 0)
    optimum = report.auc(rows["clicked"], logits)
    assert 0.7 < optimum < 0.9
    popularity = np.zeros(1 + generate.NUM_ITEMS)
    np.add.at(popularity, rows["item"], rows["clicked"] - 0.3)
    assert report.auc(rows["clicked"], popularity[rows["item"]]) < optimum - 0.1


def test_a_table_of_postgresql_is_read(
    directory,
    postgresql,  # noqa: F811
    tmp_path,
):
    psycopg = pytest.importorskip("psycopg")
    paths = data.find_files(directory, "train", ".tsv")
    with psycopg.connect(postgresql) as connection:
        connection.execute("drop table if exists clicks")
        connection.execute(
            "create table clicks (id bigint primary key, clicked bigint, "
            "item bigint, category bigint, history text, "
            "history_categories text)"
        )
        for row in data.read_text(paths).as_numpy_iterator():
            values = [
                x.decode() if isinstance(x, bytes) else int(x) for x in row
            ]
            connection.execute(
                "insert into clicks values (%s, %s, %s, %s, %s, %s)", values
            )
    done = forked.run(
        [
            *(sys.executable, "-m", "model_zoo.din.train_monitored_session"),
            *(f"--data_location={directory}", f"--checkpoint={tmp_path}"),
            *(f"--tables={postgresql}#clicks", "--log_records"),
        ],
        cwd=ROOT,
        env={**os.environ, **environment()},
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "trained" / "chief_0.tsv").read_text().splitlines()
    ids = [int(line.split("\t")[2]) for line in lines]
    assert sorted(ids) == [*range(120)]
