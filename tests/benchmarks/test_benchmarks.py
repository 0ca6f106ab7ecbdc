"""The benchmarks run, and say what they have found as it is."""

from __future__ import annotations

import json
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from benchmarks import __main__ as benchmarks
from benchmarks.jobs import Job, Step, limit_secs
from benchmarks.machine import CpuTimes, Machine
from benchmarks.report import page_of
from benchmarks.results import Bar, Curve, Result, short, standard_error


def test_a_bar_says_whether_it_is_met():
    assert Bar("a", 1.0, "<=", 1.05).holds
    assert not Bar("a", 1.06, "<=", 1.05).holds
    assert Bar("a", 3.0, ">=", 3.0).holds
    assert str(Bar("p50", 2, "<=", 1)) == "p50: 2 (<= 1): MISSED"


def test_the_exponent_of_a_curve():
    x = (1e3, 1e4, 1e5)
    assert Curve("a", x, (1.0, 1.0, 1.0)).exponent == pytest.approx(0)
    assert Curve("a", x, (2.0, 20.0, 200.0)).exponent == pytest.approx(1)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1234567, "1,234,567"),
        (1234.6, "1,235"),
        (0.0123456, "0.0123"),
        ("a", "a"),
    ],
)
def test_numbers_in_short(value, text):
    assert short(value) == text


def test_a_result_is_read_as_it_was_saved(tmp_path):
    result = Result(
        "take",
        "What a take costs.",
        ("works", "ms"),
        [(1000, 1.5)],
        [Bar("p50", 1.3, "<=", 1.2)],
        [Curve("take", (1.0, 10.0), (2.0, 3.0))],
        ("works", "ms"),
        ["a note"],
    )
    result.save(tmp_path / "take.json")

    again = Result.load(tmp_path / "take.json")

    assert again.to_text() == result.to_text()
    assert "MISSED" in again.to_text()
    assert "| 1,000 | 1.5 |" in again.to_text()


def test_the_limit_is_work_divided_by_the_sum_of_speeds():
    together = {"a": 0.0, "b": 0.0}
    assert limit_secs(together, {"a": 1.0, "b": 3.0}, 8) == pytest.approx(2)
    # The second one joins when half of the work is done.
    late = {"a": 10.0, "b": 14.0}
    assert limit_secs(late, {"a": 1.0, "b": 3.0}, 8) == pytest.approx(5)
    # Or when all of it is.
    never = {"a": 10.0, "b": 99.0}
    assert limit_secs(never, {"a": 1.0, "b": 3.0}, 8) == pytest.approx(8)


def test_the_standard_error_of_a_median():
    assert standard_error([0.5] * 9) == 0
    normal = np.random.RandomState(1).normal(1.0, 0.1, 400)
    # Of normal values: sqrt(pi / 2) times that of the mean.
    expected = 1.2533 * 0.1 / 400**0.5
    assert standard_error(normal) == pytest.approx(expected, rel=0.3)


def test_what_else_the_machine_did():
    before = CpuTimes.read("cpu  10 0 10 70 10 0 0 0 0 0\ncpu0 1 1 1 1\n")
    after = CpuTimes.read("cpu  30 0 10 130 20 0 0 10 5 0\ncpu0 1 1 1 1\n")

    passed = after.since(before)

    assert passed == (100, 70, 10)
    assert passed.busy_share == pytest.approx(0.3)
    assert passed.stolen_share == pytest.approx(0.1)


def test_what_else_the_machine_did_where_it_is_not_known(monkeypatch, tmp_path):
    monkeypatch.setattr("benchmarks.machine._STAT", tmp_path / "stat")

    assert Machine(0.0).described() == ""


def test_a_benchmark_from_the_command_line(tmp_path, capfd):
    names = ["ledger", "overhead", "slices", "memory"]

    assert benchmarks.main([*names, "--quick", f"--output_dir={tmp_path}"]) == 0

    printed = capfd.readouterr().out
    assert "## ledger" in printed
    assert "queue, records()" in printed
    figures = json.loads((tmp_path / "overhead.json").read_text())
    assert len(figures["rows"]) == 8
    figures = json.loads((tmp_path / "slices.json").read_text())
    assert len(figures["rows"]) == 8
    figures = json.loads((tmp_path / "memory.json").read_text())
    assert len(figures["rows"]) == 3
    assert (tmp_path / "performance-growth.png").stat().st_size > 1000
    page = (tmp_path / "performance.md").read_text()
    assert "figures mean nothing" in page
    assert ("% busy before" in page) == Path("/proc/stat").exists()
    assert "(performance-growth.png)" in page


def test_the_page_tells_what_is_missed_and_what_could_not_be_run():
    missed, held = Bar("p50", 2.0, "<=", 1.2), Bar("flat", 1.0, "<=", 1.1)
    result = Result("take", "A take.", ("works",), [(10,)], [missed, held])

    page = page_of([result], None, ["scale"])

    assert "Of 2 bars 1 hold." in page
    assert f"* take: {missed}" in page
    assert "Could not be run: scale." in page


def test_records_of_a_job_count_once_for_each_item():
    job = Job([Step("a", "x", 3, 0, 1), Step("b", "x", 3, 0, 2)])

    assert job.num_records == 3
    assert job.makespan == 2


FORKING = """
import sys
from benchmarks.__main__ import main
from tests.support import forked
with forked.clusters():
    main(sys.argv[1:])
"""


@pytest.fixture
def forking(monkeypatch):
    """The process of a benchmark forks the tasks of its clusters."""

    def run(command, **kwargs):
        assert command[:3] == [sys.executable, "-m", "benchmarks"]
        subprocess.run([sys.executable, "-c", FORKING, *command[3:]], **kwargs)

    patched = types.SimpleNamespace(**{**vars(subprocess), "run": run})
    monkeypatch.setattr(benchmarks, "subprocess", patched)


@pytest.mark.usefixtures("forking")
@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("dispatch", ["longest wait of median", "chief's cores", "20"]),
        ("makespan", ["heavy tail, auto", "slow half-way", "static split"]),
    ],
)
def test_benchmarks_of_a_cluster(tmp_path, capfd, name, texts):
    command = [name, "--quick", f"--output_dir={tmp_path}"]

    assert benchmarks.main(command) == 0

    printed = capfd.readouterr().out
    assert all(text in printed for text in texts)
    assert "records lost" not in printed


def test_a_name_that_does_not_exist(tmp_path, capfd):
    assert benchmarks.main(["speed", f"--output_dir={tmp_path}"]) == 1

    assert "got speed" in capfd.readouterr().err
