import collections
import csv
import json
import os
import sys

import numpy as np
import pytest
import tensorflow as tf
from absl import flags as absl_flags

from model_zoo.wide_and_deep import (
    criteo,
    data,
    evaluate,
    flags,
    generate,
    model,
    planted,
    report,
    slow,
    train_monitored_session,
)
from model_zoo.wide_and_deep.cluster import Cluster
from tests.support.criteo_data import BAR, NUM_FILES, NUM_RECORDS, ROWS_PER_FILE
from tests.support.paths import ROOT
from wq_hooks import WorkQueue, WorkQueueHook
from wq_hooks.launcher import local_cluster

tf1 = tf.compat.v1


def parse_flags(*args):
    flag_values = absl_flags.FlagValues()
    flags.define(flag_values)
    flag_values(["train", *args])
    return flag_values


def run_graph(build):
    """Builds a dataset in a graph and returns its elements as numpy."""
    elements = []
    with tf.Graph().as_default(), tf1.Session() as session:
        iterator = tf1.data.make_initializable_iterator(build())
        element = iterator.get_next()
        session.run(iterator.initializer)
        try:
            while True:
                elements.append(session.run(element))
        except tf.errors.OutOfRangeError:
            return elements


def criteo_line(label="1", integers=None, categories=None):
    fields = [label]
    fields += [(integers or {}).get(c, "7") for c in criteo.INTEGER_COLUMNS]
    fields += [
        (categories or {}).get(c, "68fd1e64")
        for c in criteo.CATEGORICAL_COLUMNS
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
            os.path.basename(f) for f in criteo.find_files(directory, "train")
        ] == ["train-2.txt", "train.txt"]
        (tmp_path / "train").mkdir()
        for name in ("b", "a", "_SUCCESS", ".hidden"):
            (tmp_path / "train" / name).touch()
        (tmp_path / "train" / "sub").mkdir()
        assert criteo.find_files(directory, "train") == [
            str(tmp_path / "train" / "a"),
            str(tmp_path / "train" / "b"),
        ]
        assert criteo.find_files(str(tmp_path / "none"), "train") == []

    @pytest.mark.parametrize("num_tasks", [1, 3, 7])
    def test_static_shares_cover_each_epoch_once(self, num_tasks):
        paths = [f"part-{i}" for i in range(5)]
        seen = []
        for index in range(num_tasks):
            share = [
                path.decode()
                for path in run_graph(
                    lambda index=index: data.static_files(
                        paths,
                        task_index=index,
                        num_tasks=num_tasks,
                        num_epochs=2,
                        seed=3,
                    )
                )
            ]
            mine = sorted(paths[index::num_tasks])
            assert sorted(share[: len(mine)]) == mine
            seen += share
        assert sorted(seen) == sorted(paths * 2)

    def test_static_files_refuses_a_task_that_is_not_there(self):
        with pytest.raises(ValueError, match="task_index=3, num_tasks=3"):
            data.static_files(["a"], task_index=3, num_tasks=3)

    def test_batches_hold_each_row_once(self, tmp_path):
        paths = []
        for i in range(3):
            paths.append(str(tmp_path / f"part-{i}"))
            rows = [
                criteo_line(integers={"I1": str(10 * i + j)}) for j in range(5)
            ]
            (tmp_path / f"part-{i}").write_text("\n".join(rows) + "\n")
        batches = run_graph(
            lambda: data.train_batches(
                data.static_files(paths, seed=1),
                batch_size=4,
                shuffle_buffer=4,
                seed=1,
            )
        )
        # No batch spans two files.
        assert [len(labels) for _, labels in batches] == [4, 1] * 3
        assert [f["batch"] for f, _ in batches] == [0, 1] * 3
        assert sorted(f["file"].decode() for f, _ in batches) == sorted(
            paths * 2
        )
        rows = np.concatenate([f["integers"][:, 0] for f, _ in batches])
        assert sorted(rows) == [10 * i + j for i in range(3) for j in range(5)]
        # Whole files, one after the other, each in an order of its own.
        files = [rows[i : i + 5] for i in range(0, 15, 5)]
        assert {tuple(file // 10) for file in files} == {
            (i,) * 5 for i in range(3)
        }
        assert any(list(file) != sorted(file) for file in files)
        evaluated = run_graph(lambda: data.eval_batches(paths, batch_size=15))
        assert evaluated[0][0]["integers"][:, 0].tolist() == sorted(rows)


class TestGenerate:
    def test_writes_the_format(self, data_location):
        paths = criteo.find_files(data_location, "train")
        assert len(paths) == NUM_FILES
        with open(paths[3], encoding="ascii") as f:
            rows = [line.rstrip("\n").split("\t") for line in f]
        assert len(rows) == ROWS_PER_FILE
        assert {len(row) for row in rows} == {criteo.NUM_FIELDS}
        columns = list(zip(*rows))
        assert set(columns[0]) == {"0", "1"}
        for column in columns[1:14]:
            assert all(value == str(int(value)) for value in column if value)
        for column in columns[14:]:
            assert {len(value) for value in column} <= {0, 8}
            assert all(int(value, 16) >= 0 for value in column if value)
        num_with_missing = sum("" in column for column in columns)
        assert 20 <= num_with_missing < criteo.NUM_FIELDS

    def test_no_value_occurs_in_two_columns(self):
        names = [
            name
            for column in range(len(criteo.CATEGORICAL_COLUMNS))
            for name in planted.category_names(column)[:-1]
        ]
        assert len(names) == len(set(names)) == sum(planted.CARDINALITIES)

    def test_is_a_function_of_the_seed(self, tmp_path):
        def texts(name, **kwargs):
            directory = str(tmp_path / name)
            generate.generate(
                directory, rows_per_file=50, eval_rows=100, **kwargs
            )
            paths = criteo.find_files(directory, "train")
            paths += criteo.find_files(directory, "eval")
            result = []
            for path in paths:
                with open(path, encoding="ascii") as f:
                    result.append(f.read())
            return result

        first = texts("first", num_files=2, seed=5)
        assert texts("again", num_files=2, seed=5) == first
        assert len(set(first)) == 3
        more = texts("more", num_files=3, seed=5)
        assert more[:2] == first[:2]
        assert more[3] == first[2]
        assert not set(texts("other", num_files=2, seed=6)) & set(first)

    def test_signal_tells_the_optimum_and_the_columns(self, data_location):
        signal = criteo.read_signal(data_location)
        assert signal["version"] == 1
        assert signal["num_files"] == NUM_FILES
        assert signal["rows_per_file"] == ROWS_PER_FILE
        assert signal["crossed_columns"] == ["C5", "C17"]
        assert 0.83 < signal["optimal_auc"] < 0.91
        assert abs(signal["eval_positive_rate"] - planted.POSITIVE_RATE) < 0.03

    @pytest.mark.parametrize("seed", [1, 2, 3])
    def test_each_part_of_the_signal_is_needed(self, seed):
        signal = planted.make_signal(seed)
        random = np.random.RandomState(7)
        rows = planted.draw_rows(random, 20_000)
        logits = planted.true_logits(signal, rows)
        labels = random.rand(len(logits)) < planted.sigmoid(logits)
        optimum = planted.auc(labels, logits)
        assert optimum == planted.auc(labels, planted.sigmoid(logits))
        crossing = signal.crossed[rows.categories[:, 4], rows.categories[:, 16]]
        assert planted.auc(labels, logits - crossing) < optimum - 0.02
        assert planted.auc(labels, crossing) < optimum - 0.1

    def test_auc_is_the_share_of_ordered_pairs(self):
        random = np.random.RandomState(0)
        labels = random.randint(2, size=60)
        scores = random.randint(9, size=60)  # with ties
        positive, negative = scores[labels == 1], scores[labels == 0]
        pairs = positive[:, None] - negative[None, :]
        expected = (np.sum(pairs > 0) + 0.5 * np.sum(pairs == 0)) / pairs.size
        assert planted.auc(labels, scores) == pytest.approx(expected)
        with pytest.raises(ValueError, match="both classes"):
            planted.auc([1, 1], [0.1, 0.2])

    @pytest.mark.parametrize(
        ("args", "message"),
        [
            (["--num_files=0"], "num_files >= 1; got num_files=0"),
            (["--rows_per_file=-1"], "rows_per_file >= 1"),
            (["--eval_rows=0"], "eval_rows >= 1"),
            (["--seed=-1"], "seed < 2**32; got seed=-1"),
            (["--num_files=many"], "invalid int value"),
            (["--files=3"], "unrecognized arguments"),
        ],
    )
    def test_refuses_bad_flags(self, tmp_path, capsys, args, message):
        directory = tmp_path / "data"
        with pytest.raises(SystemExit) as e:
            generate.main([f"--output_dir={directory}", *args])
        assert e.value.code == 2
        assert message in capsys.readouterr().err
        assert not directory.exists()

    def test_needs_a_directory(self, capsys):
        with pytest.raises(SystemExit) as e:
            generate.main([])
        assert e.value.code == 2
        assert "--output_dir" in capsys.readouterr().err

    def test_replaces_older_files_only_when_told(self, tmp_path, capsys):
        args = [f"--output_dir={tmp_path}", "--rows_per_file=10"]
        args.append("--eval_rows=50")
        assert generate.main([*args, "--num_files=3"]) == 0
        assert "optimal AUC 0." in capsys.readouterr().out
        with pytest.raises(SystemExit):
            generate.main([*args, "--num_files=2"])
        assert "has 4. Choose another, or" in capsys.readouterr().err
        assert generate.main([*args, "--num_files=2", "--overwrite"]) == 0
        assert len(criteo.find_files(str(tmp_path), "train")) == 2


class TestModel:
    def test_learns_what_can_be_learnt(self, data_location, tmp_path):
        flag_values = parse_flags(
            f"--data_location={data_location}",
            f"--checkpoint={tmp_path}",
            "--noworkqueue",
            "--seed=1",
        )
        train_monitored_session.train(flag_values, Cluster(), master="")
        config = flags.model_config(flag_values, Cluster())
        outcome = evaluate.evaluate(str(tmp_path), data_location, config)
        assert outcome["rows"] == 10_000
        assert outcome["global_step"] == NUM_FILES * -(-ROWS_PER_FILE // 128)
        assert BAR <= outcome["reached"] < 1.0
        # The tables may be cut into parts, as on several parameter servers.
        parted = model.ModelConfig(num_partitions=3)
        assert outcome == evaluate.evaluate(
            str(tmp_path), data_location, parted, batch_size=3000
        )
        with open(report.task_report_path(str(tmp_path), "chief:0")) as f:
            task = json.load(f)
        assert task["task"] == "chief:0"
        assert task["steps"] == outcome["global_step"]
        assert task["records"] == NUM_RECORDS
        assert task["items"] == NUM_FILES
        assert task["secs"] == task["ended_at"] - task["first_step_at"] > 0

    def test_every_variable_gets_a_finite_gradient(self):
        lines = [
            criteo_line("0", dict.fromkeys(criteo.INTEGER_COLUMNS, "")),
            criteo_line("1", dict.fromkeys(criteo.INTEGER_COLUMNS, "-3")),
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

    @pytest.mark.parametrize(
        ("kwargs", "message"),
        [
            ({"hash_buckets": 0}, "hash_buckets >= 1; got hash_buckets=0"),
            ({"wide_learning_rate": 0.0}, "wide_learning_rate > 0"),
            ({"crosses": (("C1", "I1"),)}, "columns C1 to C26; got"),
        ],
    )
    def test_config_refuses_what_makes_no_model(self, kwargs, message):
        with pytest.raises(ValueError, match=message):
            model.ModelConfig(**kwargs)

    def test_evaluation_needs_a_checkpoint_and_files(
        self, data_location, tmp_path
    ):
        config = model.ModelConfig()
        with pytest.raises(FileNotFoundError, match="Expected a checkpoint"):
            evaluate.evaluate(str(tmp_path), data_location, config)
        assert evaluate.evaluate(str(tmp_path), str(tmp_path), config) is None


class TestFlags:
    REQUIRED = ("--data_location=d", "--checkpoint=c")

    def test_defaults_are_those_of_the_model(self, monkeypatch):
        monkeypatch.delenv("TF_CONFIG", raising=False)
        flag_values = parse_flags(*self.REQUIRED)
        assert flag_values.workqueue
        assert flags.cluster(flag_values) == Cluster()
        assert flags.model_config(flag_values, Cluster()) == model.ModelConfig()

    @pytest.mark.parametrize(
        ("args", "name"),
        [
            (["--num_epochs=0"], "num_epochs"),
            (["--batch_size=0"], "batch_size"),
            (["--steps=-1"], "steps"),
            (["--save_secs=0"], "save_secs"),
            (["--learning_rate=0"], "learning_rate"),
            (["--hidden_units=64,0"], "hidden_units"),
            (["--job_name=boss"], "job_name"),
            (["--workqueue=maybe"], "workqueue"),
        ],
    )
    def test_bad_values_name_their_flag(self, args, name):
        with pytest.raises(absl_flags.Error, match=name):
            parse_flags(*self.REQUIRED, *args)

    @pytest.mark.parametrize("args", [REQUIRED[:1], REQUIRED[1:]])
    def test_required_flags(self, args):
        with pytest.raises(absl_flags.Error, match="must have a value"):
            parse_flags(*args)

    def test_no_files_is_an_error(self, tmp_path):
        flag_values = parse_flags(
            f"--data_location={tmp_path}", "--checkpoint=c"
        )
        with pytest.raises(ValueError, match="found none in"):
            train_monitored_session.train(flag_values, Cluster(), master="")

    def test_classic_flags_win_over_tf_config(self, monkeypatch):
        monkeypatch.setenv("TF_CONFIG", "no JSON")
        hosts = "--ps_hosts=p:1", "--worker_hosts=w:1,w:2,w:3"
        args = (*self.REQUIRED, *hosts)
        worker = flags.cluster(
            parse_flags(*args, "--job_name=worker", "--task_index=2")
        )
        assert worker.task == "worker:1"
        assert worker.spec == {
            "ps": ["p:1"],
            "chief": ["w:1"],
            "worker": ["w:2", "w:3"],
        }
        assert worker.device_filters == ["/job:ps", "/job:worker/task:1"]
        assert (worker.trainer_index, worker.num_trainers) == (2, 3)
        chief = flags.cluster(parse_flags(*args, "--job_name=worker"))
        assert chief.is_chief
        assert chief.trainer_index == 0
        with pytest.raises(ValueError, match="JSON"):
            flags.cluster(parse_flags(*self.REQUIRED))
        with pytest.raises(ValueError, match="job_name"):
            flags.cluster(parse_flags(*args))


class TestCluster:
    SPEC = {"chief": ["c:1"], "worker": ["w:1"], "ps": ["p:1", "p:2"]}

    def tf_config(self, job="chief", index=0, **spec):
        task = {"type": job, "index": index}
        return json.dumps({"cluster": {**self.SPEC, **spec}, "task": task})

    def test_round_trip(self):
        cluster = Cluster.from_tf_config(self.tf_config("worker", 0))
        assert cluster == Cluster.from_tf_config(cluster.tf_config())
        assert (cluster.num_ps, cluster.num_trainers) == (2, 2)
        for text in (None, "", "{}", Cluster().tf_config()):
            assert Cluster.from_tf_config(text) == Cluster()

    def test_worker_0_is_the_chief_if_there_is_none(self):
        spec = {"cluster": {"worker": ["w:1", "w:2"], "ps": ["p:1"]}}
        task = {"task": {"type": "worker", "index": 0}}
        cluster = Cluster.from_tf_config(json.dumps({**spec, **task}))
        assert cluster.is_chief
        assert cluster.spec["worker"] == ["w:2"]

    def test_evaluator_is_no_part_of_the_cluster(self):
        text = self.tf_config("evaluator", evaluator=["e:1"])
        cluster = Cluster.from_tf_config(text)
        assert not cluster.is_chief
        assert "evaluator" not in cluster.spec

    @pytest.mark.parametrize(
        ("kwargs", "message"),
        [
            ({"job": "worker", "index": 1}, "below 1; got 1"),
            ({"job": "boss"}, "Expected a job of"),
            ({"ps": []}, "at least one parameter server"),
            ({"chief": ["c:1", "c:2"]}, "Expected one chief"),
        ],
    )
    def test_refuses_what_is_no_cluster(self, kwargs, message):
        with pytest.raises(ValueError, match=message):
            Cluster.from_tf_config(self.tf_config(**kwargs))


class TestSlow:
    @pytest.mark.parametrize(
        ("elapsed_secs", "step_secs", "factor", "expected"),
        [
            (0.01, 0.0, 1.0, 0.0),
            (0.01, 0.0, 4.0, 0.03),
            (0.01, 0.02, 1.0, 0.01),
            (0.01, 0.02, 4.0, 0.07),
            (0.09, 0.02, 4.0, 0.0),
        ],
    )
    def test_sleep_secs(self, elapsed_secs, step_secs, factor, expected):
        secs = slow.sleep_secs(elapsed_secs, step_secs, factor)
        assert secs == pytest.approx(expected)

    def test_factor_of_the_environment(self):
        assert slow.slow_factor({}) == 1.0
        assert slow.slow_factor({"WQ_HOOKS_SLOW": ""}) == 1.0
        assert slow.slow_factor({"WQ_HOOKS_SLOW": "2.5"}) == 2.5
        assert slow.SLOW_VARIABLE == local_cluster.SLOW_VARIABLE
        for text in ("0.5", "x", "nan", "inf"):
            with pytest.raises(ValueError, match="WQ_HOOKS_SLOW >= 1"):
                slow.slow_factor({"WQ_HOOKS_SLOW": text})

    def test_hook_sleeps_after_the_step(self):
        times, slept = iter([5.0, 5.1, 7.0, 7.5]), []
        hook = slow.SlowStepHook(
            0.1, 4.0, clock=lambda: next(times), sleep=slept.append
        )
        for _ in range(2):
            hook.before_run(None)
            hook.after_run(None, None)
        assert slept == [pytest.approx(0.3)]


class TestReport:
    def train(self, tmp_path, log_batches, times, num_steps=None):
        with tf.Graph().as_default():
            dataset = data.train_batches(
                data.static_files([str(tmp_path / "a"), str(tmp_path / "b")]),
                batch_size=4,
                shuffle_buffer=0,
            )
            features, labels = tf1.data.make_one_shot_iterator(
                dataset
            ).get_next()
            times = iter(times)
            hook = report.TaskReportHook(
                report.Batch(
                    tf.size(labels), features["file"], features["batch"]
                ),
                checkpoint=str(tmp_path),
                task="worker:1",
                log_batches=log_batches,
                clock=lambda: next(times),
            )
            with tf1.train.MonitoredSession(hooks=[hook]) as session:
                while not session.should_stop() and num_steps != 0:
                    session.run(labels)
                    num_steps = None if num_steps is None else num_steps - 1

    @pytest.fixture(autouse=True)
    def files(self, tmp_path):
        for name in "ab":
            (tmp_path / name).write_text(f"{criteo_line()}\n" * 5)

    def test_counts_until_the_end_of_data(self, tmp_path):
        self.train(tmp_path, log_batches=False, times=[100.0, 104.5])
        assert os.listdir(tmp_path / "tasks") == ["worker_1.json"]
        assert json.loads(
            (tmp_path / "tasks" / "worker_1.json").read_text()
        ) == {
            "task": "worker:1",
            "steps": 4,
            "records": 10,
            "items": 2,
            "secs": 4.5,
            "first_step_at": 100.0,
            "ended_at": 104.5,
        }

    def test_lists_the_batches_and_goes_on_in_the_list(self, tmp_path):
        times = [10.0, 11.0, 12.0, 13.5, 14.0, 15.0]
        self.train(tmp_path, log_batches=True, times=times)
        path = tmp_path / "tasks" / "worker_1.batches.tsv"
        rows = [line.split("\t") for line in path.read_text().splitlines()]
        assert [row[:3] for row in rows] == [
            ["11.000", "0", "4"],
            ["12.000", "1", "1"],
            ["13.500", "0", "4"],
            ["14.000", "1", "1"],
        ]
        assert sorted(row[3] for row in rows) == [
            str(tmp_path / name) for name in "aabb"
        ]
        times = [20.0, 21.0, 22.0]
        self.train(tmp_path, log_batches=True, times=times, num_steps=1)
        assert path.read_text().count("\n") == 5

    @pytest.mark.parametrize("num_epochs", [1, 2])
    def test_state_of_the_queue(self, tmp_path, num_epochs):
        path = tmp_path / "queue.json"
        now, states = [50.0], []
        with tf.Graph().as_default():
            tf1.train.get_or_create_global_step()
            queue = WorkQueue(list("abc"), num_epochs=num_epochs)
            item = queue.take()
            hooks = [
                WorkQueueHook(),
                report.QueueStateHook(
                    str(tmp_path), every_n_secs=10.0, clock=lambda: now[0]
                ),
            ]
            with tf1.train.MonitoredTrainingSession(hooks=hooks) as session:
                states.append(json.loads(path.read_text()))
                while not session.should_stop():
                    now[0] += 6.0
                    session.run(item)
                    states.append(json.loads(path.read_text()))
        states.append(json.loads(path.read_text()))
        ats = [50.0, 50.0, 62.0, 62.0, 74.0, 74.0, 86.0]
        assert [s["at"] for s in states[:-1]] == ats[: 3 * num_epochs + 1]
        assert {s["completed_at_start"] for s in states} == {0}
        assert states[0]["remaining"] == 3 * num_epochs
        assert states[-1]["completed"] == 3 * num_epochs
        assert states[-1]["remaining"] == states[-1]["in_flight"] == 0

    def test_result_line(self, tmp_path):
        outcome = report.result(
            auc=0.77, num_rows=9, global_step=5, optimal_auc=0.8
        )
        assert report.format_result(outcome) == (
            "AUC 0.7700 (optimal 0.8000, 90.0% of the way from chance, "
            "9 rows, step 5)"
        )
        path = report.write_result(str(tmp_path), outcome)
        with open(path) as f:
            assert json.load(f) == outcome
        unknown = report.result(auc=0.77, num_rows=9, global_step=5)
        assert report.format_result(unknown) == "AUC 0.7700 (9 rows, step 5)"


@pytest.mark.cluster
@pytest.mark.parametrize("workqueue", [False, True])
def test_learns_on_a_cluster(data_location, tmp_path, workqueue):
    command = [
        *(sys.executable, "-m"),
        "model_zoo.wide_and_deep.train_monitored_session",
        f"--data_location={data_location}",
        f"--checkpoint={tmp_path}",
        f"--workqueue={workqueue}",
        "--log_batches",
    ]
    root = str(ROOT)
    with local_cluster.Cluster(
        command, num_ps=1, num_workers=1, env={"PYTHONPATH": root}
    ) as cluster:
        cluster.start()
        returncodes = cluster.wait_for_job(timeout_secs=120)
    assert returncodes == {"chief:0": 0, "worker:0": 0}
    with open(tmp_path / "result.json") as f:
        outcome = json.load(f)
    assert BAR <= outcome["reached"] < 1.0
    tasks = {}
    files = collections.Counter()
    for task in returncodes:
        with open(report.task_report_path(str(tmp_path), task)) as f:
            tasks[task] = json.load(f)
        with open(report.batches_path(str(tmp_path), task)) as f:
            for _, _, records, file in csv.reader(f, delimiter="\t"):
                files[file] += int(records)
    assert all(task["steps"] > 0 for task in tasks.values())
    num_records = sum(task["records"] for task in tasks.values())
    assert num_records == NUM_RECORDS
    assert sum(task["items"] for task in tasks.values()) == NUM_FILES
    paths = criteo.find_files(data_location, "train")
    assert files == dict.fromkeys(paths, ROWS_PER_FILE)
    path = report.queue_state_path(str(tmp_path))
    assert os.path.exists(path) == workqueue
    if workqueue:
        with open(path) as f:
            state = json.load(f)
        assert {w["name"]: w["completed"] for w in state["workers"]} == {
            name: task["items"] for name, task in tasks.items()
        }
