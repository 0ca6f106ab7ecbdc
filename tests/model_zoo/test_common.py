from __future__ import annotations

import json

import numpy as np
import pytest
import tensorflow as tf

from model_zoo.common import generator, report
from model_zoo.common.cluster import Cluster

SPEC = {"chief": ["c:1"], "worker": ["w:1"], "ps": ["p:1", "p:2"]}


class TestCluster:
    def cluster(self, monkeypatch, job, index=0, spec=SPEC):
        task = {"type": job, "index": index}
        text = json.dumps({"cluster": spec, "task": task})
        monkeypatch.setenv("TF_CONFIG", text)
        return Cluster.from_environment()

    def test_of_tf_config(self, monkeypatch):
        worker = self.cluster(monkeypatch, "worker")
        assert (worker.task, worker.num_ps) == ("worker:0", 2)
        assert worker.trainers == ["chief:0", "worker:0"]
        assert not worker.is_chief
        assert list(worker.session_config().device_filters) == [
            "/job:ps",
            "/job:worker/task:0",
        ]
        for job in ("chief", "ps", "evaluator"):
            is_chief = self.cluster(monkeypatch, job).is_chief
            assert is_chief == (job == "chief")

    def test_worker_0_is_the_chief_if_there_is_none(self, monkeypatch):
        spec = {"worker": ["w:1", "w:2"], "ps": ["p:1"]}
        assert self.cluster(monkeypatch, "worker", 0, spec).is_chief
        assert not self.cluster(monkeypatch, "worker", 1, spec).is_chief

    @pytest.mark.parametrize("text", [None, "", "{}"])
    def test_alone(self, monkeypatch, text):
        monkeypatch.delenv("TF_CONFIG", raising=False)
        if text is not None:
            monkeypatch.setenv("TF_CONFIG", text)
        cluster = Cluster.from_environment()
        assert cluster.is_chief
        assert cluster.start_server() == ""
        assert not cluster.session_config().device_filters

    def test_refuses_what_is_no_cluster(self, monkeypatch):
        with pytest.raises(ValueError, match="Expected a parameter server"):
            self.cluster(monkeypatch, "chief", spec={"chief": ["c:1"]})
        monkeypatch.setenv("TF_CONFIG", "{")
        with pytest.raises(ValueError, match="Expected TF_CONFIG to be JSON"):
            Cluster.from_environment()


class TestReport:
    def test_auc_is_the_share_of_ordered_pairs(self):
        random = np.random.RandomState(0)
        labels = random.randint(2, size=60)
        scores = random.randint(9, size=60)  # with ties
        positive, negative = scores[labels == 1], scores[labels == 0]
        pairs = positive[:, None] - negative[None, :]
        expected = (np.sum(pairs > 0) + 0.5 * np.sum(pairs == 0)) / pairs.size
        assert report.auc(labels, scores) == pytest.approx(expected)

    def test_the_auc_is_told_and_written(self, tmp_path, capsys):
        directory = str(tmp_path)
        args = directory, directory, [0, 1, 1, 0], [0.1, 0.9, 0.4, 0.2], 5
        report.report_auc(*args)
        assert capsys.readouterr().out == "AUC 1.0000 (4 rows, step 5)\n"
        report.write_json(str(tmp_path / "signal.json"), {"optimal_auc": 1.0})
        result = report.report_auc(*args)
        assert capsys.readouterr().out == (
            "AUC 1.0000 (optimal 1.0000, 100.0% of the way from chance, "
            "4 rows, step 5)\n"
        )
        assert json.loads((tmp_path / "result.json").read_text()) == result

    def test_records_are_listed_after_the_step(self, tmp_path):
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            fails = tf.compat.v1.placeholder_with_default(False, [])
            step = tf.debugging.Assert(~fails, ["The step has failed."])
            listed = report.log_records(
                str(tmp_path), "worker:1", tf.constant(["b", "a b", "b"]), step
            )
            session.run(listed)
            with pytest.raises(tf.errors.InvalidArgumentError):
                session.run(listed, {fails: True})
            session.run(listed)
        text = (tmp_path / "trained" / "worker_1.tsv").read_text()
        assert text.endswith("\n")
        rows = [line.split("\t") for line in text.splitlines()]
        assert [row[1:] for row in rows] == [["2", "b"], ["1", "a b"]] * 2
        assert float(rows[0][0]) > 1e9


class TestGenerator:
    def run(self, tmp_path, *args):
        def generate(output_dir, **options):
            assert options["seed"] == 1
            path = tmp_path / "train" / f"part-{options['num_files']}"
            path.parent.mkdir(exist_ok=True)
            path.touch()
            return 0.8

        args = [f"--output_dir={tmp_path}", *args]
        return generator.run(generate, "Writes.", args)

    @pytest.mark.parametrize(
        ("args", "message"),
        [
            (["--num_files=0"], "Expected --num_files >= 1; got 0"),
            (["--num_files=many"], "invalid int value"),
            (["--files=3"], "unrecognized arguments"),
        ],
    )
    def test_refuses_bad_flags(self, tmp_path, capsys, args, message):
        with pytest.raises(SystemExit) as e:
            self.run(tmp_path, *args)
        assert e.value.code == 2
        assert message in capsys.readouterr().err

    def test_replaces_older_files_only_when_told(self, tmp_path, capsys):
        assert self.run(tmp_path, "--num_files=3") == 0
        assert "optimal AUC 0.8000" in capsys.readouterr().out
        with pytest.raises(SystemExit):
            self.run(tmp_path)
        assert "has 1. Choose another, or" in capsys.readouterr().err
        assert self.run(tmp_path, "--num_files=2", "--overwrite") == 0
        names = [path.name for path in (tmp_path / "train").iterdir()]
        assert names == ["part-2"]
