from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from model_zoo.common import report
from model_zoo.wide_and_deep import data, generate, model
from tests.support.criteo_data import NUM_FILES, ROWS_PER_FILE

tf1 = tf.compat.v1


def criteo_line(label="1", integers=None, categories=None):
    fields = [label]
    fields += [(integers or {}).get(c, "7") for c in data.INTEGER_COLUMNS]
    fields += [
        (categories or {}).get(c, "68fd1e64") for c in data.CATEGORICAL_COLUMNS
    ]
    return "\t".join(fields)


class TestParsing:
    def test_reads_label_integers_and_categories(self):
        lines = [
            criteo_line("0", {"I1": "12", "I13": "-3"}, {"C26": "0000000a"}),
            criteo_line("1", {"I2": "1000000"}, {"C1": 'a"b,c'}),
        ]
        features, labels = data.parse_lines(tf.constant(lines))
        assert labels.numpy().tolist() == [0.0, 1.0]
        assert features["integers"].shape == (2, 13)
        assert features["categories"].shape == (2, 26)
        assert features["integers"].numpy()[0, [0, 1, 12]].tolist() == [
            12.0,
            7.0,
            -3.0,
        ]
        assert features["integers"].numpy()[1, 1] == 1e6
        assert features["categories"].numpy()[0, 25] == b"0000000a"
        # Quotes and commas mean nothing in this format.
        assert features["categories"].numpy()[1, 0] == b'a"b,c'

    def test_missing_values_are_nan_and_empty(self):
        line = criteo_line("1", {"I3": "", "I13": ""}, {"C2": "", "C26": ""})
        features, _ = data.parse_lines(tf.constant([line]))
        is_nan = np.isnan(features["integers"].numpy()[0])
        assert np.flatnonzero(is_nan).tolist() == [2, 12]
        is_empty = features["categories"].numpy()[0] == b""
        assert np.flatnonzero(is_empty).tolist() == [1, 25]

    @pytest.mark.parametrize(
        "line",
        [
            "",
            "1\t2\t3",
            criteo_line() + "\tsurplus",
            criteo_line(label=""),
            criteo_line(label="yes"),
            criteo_line(integers={"I1": "few"}),
        ],
    )
    def test_refuses_what_is_not_the_format(self, line):
        with pytest.raises(tf.errors.InvalidArgumentError):
            data.parse_lines(tf.constant([line]))


class TestFiles:
    def test_finds_directories_first_then_names(self, tmp_path):
        for name in ("train.txt", "train-2.txt", "eval.txt", "other.txt"):
            (tmp_path / name).touch()
        directory = str(tmp_path)
        assert [
            os.path.basename(f) for f in data.find_files(directory, "train")
        ] == ["train-2.txt", "train.txt"]
        (tmp_path / "train").mkdir()
        for name in ("b", "a", "_SUCCESS", ".hidden"):
            (tmp_path / "train" / name).touch()
        (tmp_path / "train" / "sub").mkdir()
        assert data.find_files(directory, "train") == [
            str(tmp_path / "train" / "a"),
            str(tmp_path / "train" / "b"),
        ]

    def test_compressed_files_are_read_as_they_are(self, tmp_path):
        lines = [criteo_line(integers={"I1": str(i)}) for i in range(3)]
        text = "".join(f"{line}\n" for line in lines)
        (tmp_path / "day_0").write_text(text)
        with gzip.open(tmp_path / "day_1.gz", "wt") as f:
            f.write(text)
        for name in ("day_0", "day_1.gz"):
            path = str(tmp_path / name)
            rows = data.read(tf.constant(path)).batch(9).map(data.parse)
            ((features, _),) = rows
            assert features["integers"][:, 0].numpy().tolist() == [0, 1, 2]
            assert features["items"].numpy().tolist() == [path.encode()] * 3


class TestGenerate:
    def test_writes_the_format(self, data_location):
        paths = data.find_files(data_location, "train")
        assert len(paths) == NUM_FILES
        with open(paths[3], encoding="ascii") as f:
            rows = [line.rstrip("\n").split("\t") for line in f]
        assert len(rows) == ROWS_PER_FILE
        assert {len(row) for row in rows} == {40}
        columns = list(zip(*rows))
        assert set(columns[0]) == {"0", "1"}
        for column in columns[1:14]:
            assert all(value == str(int(value)) for value in column if value)
        for column in columns[14:]:
            assert {len(value) for value in column} <= {0, 8}
            assert all(int(value, 16) >= 0 for value in column if value)
        num_with_missing = sum("" in column for column in columns)
        assert 20 <= num_with_missing < 40

    def test_no_value_occurs_in_two_columns(self):
        names = [
            name
            for column in range(len(data.CATEGORICAL_COLUMNS))
            for name in generate.category_names(column)[:-1]
        ]
        assert len(names) == len(set(names)) == sum(generate.CARDINALITIES)

    def test_is_a_function_of_the_seed(self, tmp_path):
        def texts(name, **kwargs):
            directory = str(tmp_path / name)
            generate.generate(
                directory, rows_per_file=50, eval_rows=100, **kwargs
            )
            paths = data.find_files(directory, "train")
            paths += data.find_files(directory, "eval")
            return [Path(path).read_text(encoding="ascii") for path in paths]

        first = texts("first", num_files=2, seed=5)
        assert texts("again", num_files=2, seed=5) == first
        assert len(set(first)) == 3
        more = texts("more", num_files=3, seed=5)
        assert more[:2] == first[:2]
        assert more[3] == first[2]
        assert not set(texts("other", num_files=2, seed=6)) & set(first)

    @pytest.mark.parametrize("seed", [1, 2, 3])
    def test_each_part_of_the_signal_is_needed(self, seed):
        signal = generate.Signal(seed)
        random = np.random.RandomState(7)
        rows = generate.draw_rows(random, 20_000)
        logits = signal.logits(*rows) + signal.bias
        labels = random.rand(len(logits)) < generate.sigmoid(logits)
        assert abs(labels.mean() - generate.POSITIVE_RATE) < 0.03
        optimum = report.auc(labels, logits)
        assert 0.83 < optimum < 0.91
        crossing = signal.crossed[rows[2][:, 4], rows[2][:, 16]]
        assert report.auc(labels, logits - crossing) < optimum - 0.02
        assert report.auc(labels, crossing) < optimum - 0.1


class TestModel:
    def test_every_variable_gets_a_finite_gradient(self):
        lines = [
            criteo_line("0", dict.fromkeys(data.INTEGER_COLUMNS, "")),
            criteo_line("1", dict.fromkeys(data.INTEGER_COLUMNS, "-3")),
        ]
        with tf.Graph().as_default(), tf1.Session() as session:
            features, labels = data.parse_lines(tf.constant(lines))
            # Two rows, seen again and again, want smaller steps.
            config = model.ModelConfig(
                num_partitions=2, wide_learning_rate=0.05
            )
            logits = model.build_logits(features, config)
            loss = model.build_loss(logits, labels)
            train_op = model.build_train_op(loss, config)
            session.run(tf1.global_variables_initializer())
            variables = tf1.trainable_variables()
            assert logits.shape.rank == 1
            for _ in range(3):
                before, loss_before = session.run([variables, loss])
                session.run(train_op)
                after, loss_after = session.run([variables, loss])
                assert loss_after < loss_before
            for variable, old, new in zip(variables, before, after):
                assert np.all(np.isfinite(new)), variable.name
                assert np.any(new != old), variable.name
            assert session.run(tf1.train.get_global_step()) == 3
