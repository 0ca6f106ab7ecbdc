"""Cells of notebooks and lines of consoles that make a queue again."""

from __future__ import annotations

import ast
import code
import contextlib
import io
import logging

import pytest

from wq_hooks import WorkQueue
from wq_hooks.errors import WorkQueueError
from wq_hooks.runtime.host.statement import typed_statement

MAKE = "queue = WorkQueue(['a', 'b'], shuffle=False, name='cell')\n"
TAKE = "taken.append(queue.take().numpy().decode())\n"


@pytest.fixture
def namespace():
    names = {"WorkQueue": WorkQueue, "taken": []}
    yield names
    if "queue" in names:
        names["queue"].close()


def run_cell(source, namespace, filename="<a cell>"):
    """Runs a cell as plain Python and most notebooks do: as one."""
    exec(compile(source, filename, "exec"), namespace)


def run_cell_by_statements(source, namespace, filename):
    """Runs a cell as IPython does: each statement is compiled by itself."""

    for statement in ast.parse(source).body:
        module = ast.Module([statement], type_ignores=[])
        exec(compile(module, filename, "exec"), namespace)


def test_a_program_has_typed_nothing():
    assert typed_statement() is None


@pytest.mark.parametrize("run", [run_cell, run_cell_by_statements])
def test_a_cell_that_is_run_twice_replaces_its_queue(run, namespace, caplog):
    with caplog.at_level(logging.WARNING):
        run(MAKE + TAKE, namespace, "<cell 1>")
        former = namespace["queue"]
        run(MAKE + TAKE, namespace, "<cell 1>")

    assert namespace["taken"] == ["a", "a"]
    assert caplog.text.count("Work queue cell: it is made again") == 1
    with pytest.raises(WorkQueueError, match="'cell' was closed"):
        former.take()


def test_a_cell_that_was_changed_replaces_its_queue_too(namespace):
    run_cell_by_statements(MAKE, namespace, "<cell 1>")
    run_cell_by_statements("\n# Changed.\n" + MAKE, namespace, "<cell 2>")
    run_cell(TAKE, namespace)
    assert namespace["taken"] == ["a"]


def test_a_function_of_another_cell_makes_it_again(namespace):
    run_cell(
        "def make():\n    return WorkQueue(['a', 'b'], name='cell')\n",
        namespace,
    )
    run_cell("queue = make()", namespace)
    former = namespace["queue"]
    run_cell("queue = make()", namespace)
    assert namespace["queue"] is not former


@pytest.mark.parametrize("run", [run_cell, run_cell_by_statements])
def test_two_queues_of_one_cell_are_an_error(run, namespace):
    with pytest.raises(ValueError, match="no other open queue"):
        run(MAKE + MAKE.replace("queue", "other", 1), namespace, "<cell 1>")


def test_a_loop_that_makes_a_name_twice_is_an_error(namespace):
    with pytest.raises(ValueError, match="no other open queue"):
        run_cell(
            "kept = []\nfor _ in range(2):\n    "
            + MAKE
            + "    kept.append(queue)",
            namespace,
        )


def test_a_graph_has_a_name_once(namespace):
    run_cell("import tensorflow as tf\ngraph = tf.Graph()", namespace)
    in_graph = "with graph.as_default():\n    graph_" + MAKE
    run_cell(in_graph, namespace)
    with pytest.raises(ValueError, match="no other open queue of the graph"):
        run_cell(in_graph, namespace)


def test_a_line_of_a_console_that_is_typed_twice(namespace):
    console = code.InteractiveConsole(namespace)
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        for line in (MAKE + TAKE + MAKE + TAKE).splitlines():
            console.push(line)
    assert "ValueError" not in said.getvalue()
    assert namespace["taken"] == ["a", "a"]
