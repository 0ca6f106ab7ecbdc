"""Runs the Python blocks of the README and of each page, in order.

All blocks of a page share one namespace, as where they are pasted one after the
other into one session.
"""

from __future__ import annotations

import re
import sys

import pytest
import tensorflow as tf

from tests.support.environment import environment
from tests.support.paths import ROOT
from wq_hooks.launcher.local_cluster import Cluster
from wq_hooks.launcher.ports import free_ports
from wq_hooks.sources import registry

README = ROOT / "README.md"
DOCS = ROOT / "docs"
DEADLINE_SECS = 240.0

# What the blocks of a page print, as patterns of lines, in this order.
PRINTED = {
    "README.md": ["50 steps; 0 of 16 items remain", "alone: 50 steps"],
    "checkpoint-format.md": ['b"?.?a.? b.?b.?', r'.*"next_ticket": 2,'],
    "guarantees.md": ["0 items remain"],
    "independent-processes.md": ["80 lines"],
    "item-sizes.md": ["80 items of 2 works"],
    "keras.md": ["25 steps", "0 items remain", r"b'.*day_\d.csv' 0"],
    "monitoring.md": [],
    "open-queues.md": ["40 lines; 2 works were added"],
    "pipelines.md": [],
    "several-queues.md": [r".*clicks_0.*views_0.*", r".*clicks_1.*views_1.*"],
    "sessions.md": ["25 steps"],
    # The table of the page is what its program prints.
    "shuffle-buffer.md": [
        re.escape(row)
        for row in re.findall(
            r"^\| [\d,]+ \| \d+ \| \d+ \|$",
            (DOCS / "shuffle-buffer.md").read_text(),
            re.M,
        )
    ],
    "sources.md": ["20000 lines of 100 items", r"\d+ b'row \d+'"],
    "tutorial-keras.md": ["200 steps so far", r"[45]\d\d steps so far"],
}
# Whole programs for a cluster: see below.
PROGRAMS = {"multi-worker-mirrored.md", "parameter-server-strategy.md"}

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*input ran out of data:UserWarning",
    "ignore:`shuffle=True` was passed:UserWarning",
)


def blocks_of(page):
    return re.findall(r"^```python\n(.*?)^```", page.read_text(), re.M | re.S)


def path_of(name):
    return README if name == README.name else DOCS / name


def run(page, namespace):
    for number, block in enumerate(blocks_of(page)):
        exec(compile(block, f"{page.name}, block {number}", "exec"), namespace)


@pytest.fixture(autouse=True)
def directory(tmp_path, monkeypatch):
    """The blocks write into the working directory."""
    monkeypatch.chdir(tmp_path)
    # Sources that a page registers are gone after it.
    monkeypatch.setattr(registry, "_registry", dict(registry._registry))
    return tmp_path


def test_each_page_with_blocks_is_run():
    with_blocks = {
        page.name for page in [README, *DOCS.glob("*.md")] if blocks_of(page)
    }
    assert with_blocks == {*PRINTED, *PROGRAMS}


@pytest.mark.parametrize("name", PRINTED)
def test_the_blocks_run_one_after_the_other(name, capsys):
    run(path_of(name), {"__name__": "__main__"})

    lines = iter(capsys.readouterr().out.splitlines())
    for pattern in PRINTED[name]:
        # The rest of what is printed is read on.
        assert any(re.fullmatch(pattern, line) for line in lines), pattern


@pytest.mark.skipif(
    not hasattr(tf, "estimator"), reason="this TensorFlow has no Estimator"
)
@pytest.mark.estimator
def test_the_estimator_trains_its_own_steps(capsys):
    run(DOCS / "sessions.md", {"__name__": "__main__"})

    assert capsys.readouterr().out.splitlines().count("25 steps") == 2


def numbers_printed(directory, program, pattern, **cluster):
    """Runs a program on a cluster; returns a number that each task prints."""
    path = directory / "train.py"
    path.write_text(program)
    env = environment(has_keras=True)
    env |= {key: cluster.pop(key) for key in list(cluster) if key.isupper()}
    with Cluster([sys.executable, str(path)], env=env, **cluster) as tasks:
        tasks.start(*tasks.tasks)
        codes = tasks.wait_for_job(DEADLINE_SECS)
        assert set(codes.values()) == {0}
        return [
            int(number)
            for task in tasks.job_tasks
            for number in re.findall(
                pattern, "\n".join(tasks.lines(task, "stdout")), re.M
            )
        ]


@pytest.mark.cluster
def test_the_program_of_the_readme_runs_on_a_cluster(directory):
    data, program = blocks_of(README)
    exec(compile(data, "README.md, block 0", "exec"), {})
    num_steps = numbers_printed(
        directory, program, r"^\w+: (\d+) steps$", num_ps=1, num_workers=2
    )
    assert len(num_steps) == 3
    # Each task may have a last batch that is not full.
    assert 50 <= sum(num_steps) <= 53


@pytest.mark.cluster
def test_the_program_under_a_mirrored_strategy_runs_on_a_cluster(directory):
    (program,) = blocks_of(DOCS / "multi-worker-mirrored.md")
    (port,) = free_ports(1)
    path = directory / "train.py"
    path.write_text(program)
    env = environment(has_keras=True) | {"QUEUE_PORT": str(port)}
    command = [sys.executable, str(path)]
    with Cluster(command, env=env, num_ps=0, num_workers=1) as tasks:
        tasks.start(*tasks.tasks)
        # What TensorFlow does when the chief ends first is not looked at.
        for task in tasks.tasks:
            said = tasks.wait_for_line(task, r"^(\d+) rows", DEADLINE_SECS)
            assert int(said[1]) == 400


@pytest.mark.cluster
def test_the_program_of_a_coordinator_runs_on_a_cluster(directory):
    (program,) = blocks_of(DOCS / "parameter-server-strategy.md")
    path = directory / "train.py"
    path.write_text(program)
    env = environment(has_keras=True)
    command = [sys.executable, str(path)]
    with Cluster(command, env=env, num_ps=1, num_workers=1) as tasks:
        # The workers have no end of their own.
        tasks.start(*tasks.tasks)
        said = tasks.wait_for_line("chief:0", r"^(\d+) lines$", DEADLINE_SECS)
    # By items, and once more by steps.
    assert int(said[1]) == 800
